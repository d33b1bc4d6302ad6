"""Where the tokens of a text stand in it, in characters, whatever the tokens are.

The spans stand in order and never overlap. White space between words is in none. Of tokens that
are parts of a character, such as bytes, the last has all of it and the others are empty.
"""

import unicodedata
from dataclasses import dataclass
from itertools import accumulate

import numpy as np

from thence.array_types import Int64
from thence.corpus import Documents
from thence.tokens import Tokenizer, TokenStore
from thence.tokens.tokenizer import normalize

Places = Int64[np.ndarray, " places"]
Spans = Int64[np.ndarray, "tokens 2"]


@dataclass(frozen=True)
class Lines:
    """The documents of a text, and where each begins.

    Attributes:
        texts: The documents.
        starts: Characters of the text before each.
    """

    texts: list[str]
    starts: Places

    @property
    def ends(self) -> Places:
        """The character after the last of each."""
        return self.starts + np.array([len(text) for text in self.texts], np.int64)


def split_lines(text: str, by_lines: bool, keep_empty: bool) -> Lines:
    """Cut a text into the documents that a run would read from a file of it.

    The last one is the text after the last line end, and may be empty: it has no end yet.

    Args:
        text: Any.
        by_lines: Whether a line is a document; else the whole text is one.
        keep_empty: Whether empty lines before the last are documents too.
    """
    if not by_lines:
        return Lines([text], np.zeros(1, np.int64))
    lines = text.split("\n")
    starts = list(accumulate((len(line) + 1 for line in lines), initial=0))
    texts = [*(line.removesuffix("\r") for line in lines[:-1]), lines[-1]]
    kept = [at for at, line in enumerate(texts) if line or keep_empty or at == len(texts) - 1]
    return Lines([texts[at] for at in kept], np.array([starts[at] for at in kept], np.int64))


def token_spans(tokenizer: Tokenizer, lines: Lines, store: TokenStore) -> Spans:
    """Return the first character of each token and the one after its last, in the whole text.

    Args:
        tokenizer: Cut the tokens.
        lines: The documents.
        store: Their tokens; of the last boundary, which closes the text, nothing is returned.
    """
    ids = store.targets[:-1].astype(np.int64)
    is_end = np.zeros(len(ids), bool)
    is_end[store.offsets[1:-1] - 2] = True
    joined = "".join(lines.texts)
    bounds = _word_spans if tokenizer.options.tokens == "words" else _character_spans
    found = bounds(tokenizer, lines, joined, ids[~is_end])
    if found is None:
        found = _found_spans(tokenizer, joined, ids[~is_end])
    spans = np.zeros((len(ids), 2), np.int64)
    # From places in the documents, joined, to places in the text, document by document.
    document = np.repeat(np.arange(len(lines.texts)), store.target_counts)[:-1]
    sizes = lines.ends - lines.starts
    shift = lines.starts - (np.cumsum(sizes) - sizes)
    spans[~is_end] = found + shift[document[~is_end], None]
    spans[is_end] = np.stack([lines.ends[:-1], lines.starts[1:]], axis=1)
    return spans


def _word_spans(tokenizer: Tokenizer, lines: Lines, joined: str, ids: Places) -> Spans | None:
    """Return the spans of words in the joined documents; None if words and tokens differ."""
    found = tokenizer.find_words(Documents.from_strings(lines.texts))
    first_byte = tokenizer.vocabulary.first_byte_id
    closes = np.ones(len(ids), bool)  # Whether a word ends with a token: spelled ones in a space.
    if first_byte is not None:
        closes = (ids < first_byte) | (ids == first_byte + ord(" "))
    if np.count_nonzero(closes) != len(found.starts):
        return None
    word = np.cumsum(closes) - closes
    starts = found.starts[word]
    return np.stack([starts, np.where(closes, found.ends[word], starts)], axis=1)


def _character_spans(tokenizer: Tokenizer, lines: Lines, joined: str, ids: Places) -> Spans | None:
    """Return the spans of characters, bytes or subwords; None if they do not spell the text."""
    options, vocabulary = tokenizer.options, tokenizer.vocabulary
    pieces = [normalize(text, options) for text in lines.texts]
    normal = "".join(pieces)
    if options.tokens == "characters" and vocabulary.first_byte_id is None:
        ends = np.arange(1, len(ids) + 1)
        if len(ids) != len(normal):
            return None
    else:
        sizes = np.array([len(name.encode("utf-8")) for name in vocabulary.symbols], np.int64)
        if options.tokens == "subwords":  # Each letter of the alphabet of pieces is a byte.
            sizes = np.array([len(name) for name in vocabulary.symbols], np.int64)
        sizes = np.append(sizes, np.ones(len(vocabulary) - len(sizes), np.int64))
        read = np.cumsum(sizes[ids])
        encoded = np.frombuffer(normal.encode("utf-8"), np.uint8)
        if (read[-1] if len(read) else 0) != len(encoded):
            return None
        begins = np.append(np.flatnonzero(encoded & 0xC0 != 0x80), len(encoded))
        ends = np.searchsorted(begins, read, "right") - 1  # Characters that are complete.
    if normal != joined:
        complete = _complete(lines.texts, pieces, tokenizer)
        ends = complete[ends]
    return np.stack([np.append(0, ends[:-1])[: len(ends)], ends], axis=1)


def _complete(texts: list[str], pieces: list[str], tokenizer: Tokenizer) -> Places:
    """Return how many characters of texts are complete after each number of normalised ones."""
    found, done = [np.zeros(1, np.int64)], 0
    for text, piece in zip(texts, pieces, strict=True):
        sizes = [(len(part), len(normalize(part, tokenizer.options))) for part in _parts(text)]
        if sum(size for _, size in sizes) != len(piece):  # Parts that change one another.
            sizes = [(len(text), len(piece))]
        for raw, normal in sizes:
            if normal:
                found.append(np.append(np.full(normal - 1, done), done + raw))
            done += raw
    return np.concatenate(found)


def _parts(text: str) -> list[str]:
    """Return a text in characters, each with the marks that normalisation may join to it."""
    parts: list[str] = []
    for character in text:
        is_mark = unicodedata.combining(character) or "\u1160" <= character <= "\u11ff"
        if is_mark and parts:
            parts[-1] += character
        else:
            parts.append(character)
    return parts


def _found_spans(tokenizer: Tokenizer, joined: str, ids: Places) -> Spans:
    """Return spans by looking for each token's own text: empty ones where it is not there."""
    texts = {index: tokenizer.decode([index]).strip() for index in np.unique(ids).tolist()}
    spans, place = [], 0
    for index in ids.tolist():
        while place < len(joined) and joined[place].isspace():
            place += 1
        own = texts[index]
        end = place + len(own) if own and joined.startswith(own, place) else place
        spans.append((place, end))
        place = end
    return np.array(spans, np.int64).reshape(-1, 2)
