"""Character spans of tokens in the original text, for any tokeniser.

Spans are in order and do not overlap. White space between words is in no span. If several tokens
make up one character, as bytes do, the last of them has its span and the others are empty.
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
    """The documents of a text and their positions.

    Attributes:
        texts: The documents.
        starts: Index of the first character of each in the text.
    """

    texts: list[str]
    starts: Places

    @property
    def ends(self) -> Places:
        """Index after the last character of each document."""
        return self.starts + np.array([len(text) for text in self.texts], np.int64)


def split_lines(text: str, by_lines: bool, keep_empty: bool) -> Lines:
    """Split a text into the documents that a run would read from a file with this content.

    The last document is the text after the last line end; it may be empty, and is not closed yet.

    Args:
        text: The text.
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
    """Return the span of each token in the whole text: first character and end, shape (T, 2).

    Args:
        tokenizer: The tokenizer that made the tokens.
        lines: The documents.
        store: Their tokens; the last boundary, which closes the text, has no span.
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
    # Shift spans from positions in the joined documents to positions in the text.
    document = np.repeat(np.arange(len(lines.texts)), store.target_counts)[:-1]
    sizes = lines.ends - lines.starts
    shift = lines.starts - (np.cumsum(sizes) - sizes)
    spans[~is_end] = found + shift[document[~is_end], None]
    spans[is_end] = np.stack([lines.ends[:-1], lines.starts[1:]], axis=1)
    return spans


def _word_spans(tokenizer: Tokenizer, lines: Lines, joined: str, ids: Places) -> Spans | None:
    """Return the spans of word tokens in the joined documents; None if they are not the words."""
    found = tokenizer.find_words(Documents.from_strings(lines.texts))
    first_byte = tokenizer.vocabulary.first_byte_id
    # Whether a token is the last of its word. Words spelled in bytes end with the byte of a space.
    closes = np.ones(len(ids), bool)
    if first_byte is not None:
        closes = (ids < first_byte) | (ids == first_byte + ord(" "))
    if np.count_nonzero(closes) != len(found.starts):
        return None
    word = np.cumsum(closes) - closes
    starts = found.starts[word]
    return np.stack([starts, np.where(closes, found.ends[word], starts)], axis=1)


def _character_spans(tokenizer: Tokenizer, lines: Lines, joined: str, ids: Places) -> Spans | None:
    """Return the spans of characters, bytes or subwords in the joined documents, by their sizes.

    None if the tokens do not spell the normalised text exactly, as with unknown symbols.
    """
    options, vocabulary = tokenizer.options, tokenizer.vocabulary
    pieces = [normalize(text, options) for text in lines.texts]
    normal = "".join(pieces)
    if options.tokens == "characters" and vocabulary.first_byte_id is None:
        ends = np.arange(1, len(ids) + 1)
        if len(ids) != len(normal):
            return None
    else:
        sizes = np.array([len(name.encode("utf-8")) for name in vocabulary.symbols], np.int64)
        if options.tokens == "subwords":  # Byte-level BPE: each letter of a piece is one byte.
            sizes = np.array([len(name) for name in vocabulary.symbols], np.int64)
        sizes = np.append(sizes, np.ones(len(vocabulary) - len(sizes), np.int64))
        read = np.cumsum(sizes[ids])
        encoded = np.frombuffer(normal.encode("utf-8"), np.uint8)
        if (read[-1] if len(read) else 0) != len(encoded):
            return None
        # UTF-8: continuation bytes are 10xxxxxx, so any other byte begins a character.
        begins = np.append(np.flatnonzero(encoded & 0xC0 != 0x80), len(encoded))
        ends = np.searchsorted(begins, read, "right") - 1  # Characters that are complete.
    if normal != joined:
        complete = _complete(lines.texts, pieces, tokenizer)
        ends = complete[ends]
    return np.stack([np.append(0, ends[:-1])[: len(ends)], ends], axis=1)


def _complete(texts: list[str], pieces: list[str], tokenizer: Tokenizer) -> Places:
    """Return, for n = 0, 1, ... normalised characters, how many original characters they cover."""
    found, done = [np.zeros(1, np.int64)], 0
    for text, piece in zip(texts, pieces, strict=True):
        sizes = [(len(part), len(normalize(part, tokenizer.options))) for part in _parts(text)]
        if sum(size for _, size in sizes) != len(piece):  # Normalisation joined across parts.
            sizes = [(len(text), len(piece))]
        for raw, normal in sizes:
            if normal:
                found.append(np.append(np.full(normal - 1, done), done + raw))
            done += raw
    return np.concatenate(found)


def _parts(text: str) -> list[str]:
    """Split a text into characters with the combining marks that normalisation may join to them."""
    parts: list[str] = []
    for character in text:
        is_mark = unicodedata.combining(character) or "\u1160" <= character <= "\u11ff"
        if is_mark and parts:
            parts[-1] += character
        else:
            parts.append(character)
    return parts


def _found_spans(tokenizer: Tokenizer, joined: str, ids: Places) -> Spans:
    """Return spans by matching each token's decoded text from left to right, empty if no match."""
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
