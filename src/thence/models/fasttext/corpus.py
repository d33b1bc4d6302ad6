"""Reading text in fastText's format for training: one document per line, labels as ``__label__x``.

Words are separated by white space; the end of a line is a word too, ``</s>``. The dictionary holds
the words and labels that are frequent enough, in order of falling count, then of first occurrence.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from thence._core import library
from thence._core.fasttext_training import Reading, read_words
from thence.array_types import Bool, Int32, Int64, UInt8, UInt32
from thence.models.fasttext.contents import Dictionary, Entries

END_OF_LINE = b"</s>"
"""FastText's word for the end of a line."""
LONGEST_LINE = 1024
"""Number of words after which fastText cuts a line when it trains word vectors."""


@dataclass(frozen=True)
class Corpus:
    """A text and its dictionary.

    Attributes:
        dictionary: Words and labels, with their counts.
        distinct: Every distinct word, rare ones and labels included.
        ids: The id in the dictionary of each distinct word; -1 for rare words and labels.
        hashes: The hash of each distinct word.
        tokens: The words of all documents, as indexes of ``distinct``; without labels.
        offsets: The offset of each document in ``tokens``; shape (documents + 1,).
        targets: The ids of the labels of all documents.
        target_offsets: The offset of each document in ``targets``.
    """

    dictionary: Dictionary
    distinct: list[bytes]
    ids: Int32[np.ndarray, " distinct"]
    hashes: UInt32[np.ndarray, " distinct"]
    tokens: Int32[np.ndarray, " tokens"]
    offsets: Int64[np.ndarray, " bounds"]
    targets: Int32[np.ndarray, " targets"]
    target_offsets: Int64[np.ndarray, " bounds"]


def read_words_in_python(text: UInt8[np.ndarray, " bytes"]) -> Reading:
    """Return the words of a text: the Python twin of the kernel ``read_words``."""
    found: dict[bytes, int] = {}
    tokens: list[int] = []
    starts: list[int] = []
    ends: list[int] = []
    for match in re.finditer(rb"[^\s\0]+|\n", text.tobytes()):
        word = END_OF_LINE if match[0] == b"\n" else match[0]
        number = found.setdefault(word, len(found))
        if number == len(starts):
            starts.append(-1 if match[0] == b"\n" else match.start())
            ends.append(match.start() if match[0] == b"\n" else match.end())
        tokens.append(number)
    return Reading(
        np.array(tokens, np.int32), np.array(starts, np.int64), np.array(ends, np.int64),
        np.array([hash_of(word) for word in found], np.uint32),
    )  # fmt: skip


def hash_of(word: bytes) -> int:
    """Return fastText's hash of a word: FNV-1a of 32 bits, whose bytes are signed.

    >>> hash_of(b"a") == (0x811C9DC5 ^ 0x61) * 0x01000193 % 2**32
    True
    """
    value = 2166136261
    for byte in word:
        value = (value ^ (byte if byte < 128 else byte | 0xFFFFFF00)) * 16777619 & 0xFFFFFFFF
    return value


def read_text(text: UInt8[np.ndarray, " bytes"]) -> tuple[Reading, list[bytes]]:
    """Return the words of a text as indexes of distinct words, and the distinct words."""
    found = read_words_in_python(text) if library() is None else read_words(text)
    data, places = text.data, zip(found.starts.tolist(), found.ends.tolist(), strict=True)
    return found, [END_OF_LINE if first < 0 else bytes(data[first:last]) for first, last in places]


def read_tokens(text: bytes) -> list[bytes]:
    r"""Return the words of a text, ``</s>`` for each line end.

    >>> read_tokens(b"one two\nthree")
    [b'one', b'two', b'</s>', b'three']
    """
    found, distinct = read_text(np.frombuffer(text, np.uint8))
    return [distinct[number] for number in found.tokens]


def read_corpus(
    text: UInt8[np.ndarray, " bytes"],
    min_count: int,
    min_count_label: int,
    prefix: str,
    more_words: Sequence[bytes] = (),
) -> Corpus:
    """Read a text, and make its dictionary.

    Args:
        text: The bytes of a file.
        min_count: Minimum count of words in the dictionary.
        min_count_label: Minimum count of labels in the dictionary.
        prefix: Words that begin with it are labels.
        more_words: Words that are counted once more each, such as those of pretrained vectors.
    """
    found, distinct = read_text(text)
    counts = np.bincount(found.tokens, minlength=len(distinct)).astype(np.int64)
    hashes = found.hashes
    if more_words:
        known = set(distinct)
        distinct += [word for word in dict.fromkeys(more_words) if word not in known]
        places = {word: place for place, word in enumerate(distinct)}
        counts = np.concatenate([counts, np.zeros(len(distinct) - len(counts), np.int64)])
        counts[[places[word] for word in set(more_words)]] += 1
        new = [hash_of(word) for word in distinct[len(hashes) :]]
        hashes = np.concatenate([hashes, np.array(new, np.uint32)])
    is_label = labels_among(distinct, prefix)
    ids, entries = np.full(len(distinct), -1, np.int32), []
    for kind, least in ((~is_label, min_count), (is_label, min_count_label)):
        kept = np.flatnonzero(kind & (counts >= least))
        kept = kept[np.argsort(-counts[kept], kind="stable")]
        ids[kept] = np.arange(len(kept), dtype=np.int32)
        entries.append(Entries.of([distinct[place] for place in kept], counts[kept]))
    dictionary = Dictionary(entries[0], entries[1], len(found.tokens))
    return corpus_of(found.tokens, distinct, hashes, is_label, ids, dictionary)


def read_with_dictionary(
    text: UInt8[np.ndarray, " bytes"], dictionary: Dictionary, prefix: str
) -> Corpus:
    """Read a text with an existing dictionary."""
    found, distinct = read_text(text)
    is_label = labels_among(distinct, prefix)
    numbers = [
        {word: place for place, word in enumerate(entries.encoded())}
        for entries in (dictionary.words, dictionary.labels)
    ]
    ids = [
        numbers[label].get(word, -1)
        for word, label in zip(distinct, is_label.tolist(), strict=True)
    ]
    return corpus_of(
        found.tokens, distinct, found.hashes, is_label, np.array(ids, np.int32), dictionary
    )


def labels_among(distinct: list[bytes], prefix: str) -> Bool[np.ndarray, " distinct"]:
    """Return which words begin with the prefix of labels."""
    start = prefix.encode()
    return np.fromiter((word.startswith(start) for word in distinct), np.bool_, len(distinct))


def corpus_of(
    tokens: Int32[np.ndarray, " all_tokens"],
    distinct: list[bytes],
    hashes: UInt32[np.ndarray, " distinct"],
    is_label: Bool[np.ndarray, " distinct"],
    ids: Int32[np.ndarray, " distinct"],
    dictionary: Dictionary,
) -> Corpus:
    """Return the corpus of tokens, with the labels separated from the words."""
    ends = document_ends(tokens, distinct)
    label_at = is_label[tokens]
    before = np.concatenate([[0], np.cumsum(label_at)])
    targets = ids[tokens[label_at]]
    frequent = np.concatenate([[0], np.cumsum(targets >= 0)])
    return Corpus(
        dictionary, distinct, np.where(is_label, np.int32(-1), ids), hashes, tokens[~label_at],
        ends - before[ends], targets[targets >= 0], frequent[before[ends]],
    )  # fmt: skip


def document_ends(
    tokens: Int32[np.ndarray, " tokens"], distinct: list[bytes]
) -> Int64[np.ndarray, " bounds"]:
    """Return the bounds of documents, which end after each ``</s>``; shape (documents + 1,)."""
    end = distinct.index(END_OF_LINE) if END_OF_LINE in distinct else -1
    ends = np.flatnonzero(tokens == end) + 1
    last = [len(tokens)] if len(tokens) and (not len(ends) or ends[-1] != len(tokens)) else []
    return np.concatenate([[0], ends, last]).astype(np.int64)
