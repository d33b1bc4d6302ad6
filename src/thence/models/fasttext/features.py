"""The features of texts in fastText: the rows of the input matrix that belong to a text.

For each word of a text, in this order: its own row, if it is in the dictionary, and those of its
character n-grams, with "<" before and ">" after the word; then those of the text's word n-grams.
N-grams are hashed into buckets. Words are separated by white space; ``</s>`` ends each text and is
a word as well; words that begin with ``__label__`` are skipped. The compiled core finds the
features; its NumPy twin is here.
"""

from collections.abc import Sequence

import numpy as np

from thence._core import fasttext as core
from thence._core import library
from thence.array_types import Bool, Int32, Int64, UInt8, UInt64
from thence.batches.bags import Bags, bags_with, concatenate, join
from thence.corpus import Documents
from thence.models.fasttext.contents import (
    FNV_32,
    Entries,
    FastTextModel,
    fnv,
    hash_strings,
    spread,
)
from thence.tokens.parallel import in_threads

END, LABEL = b"</s>", b"__label__"
"""The word at the end of each text, and the prefix of labels."""
CHUNK = 1 << 16
"""Bytes of text per chunk, whose features stay in the processor's cache."""
Places = Int64[np.ndarray, " strings"]
"""Offsets, sizes or owners of strings."""
RUN = np.uint64(116049371)
"""Multiplier of fastText's hash of word n-grams."""
_IS_SPACE = np.isin(np.arange(256), np.frombuffer(b" \t\n\v\f\r\0", np.uint8))


def features(model: FastTextModel, documents: Documents) -> Bags:
    """Return the features of each document, which corresponds to one line in fastText.

    A line end inside a document is white space like any other.
    """
    find = features_in_numpy if library() is None else _features_by_core
    return join(in_threads(lambda chunk: find(model, chunk), documents.chunks(CHUNK)))


def _features_by_core(model: FastTextModel, chunk: Documents) -> Bags:
    room = max_features(model, len(chunk.text), len(chunk))
    found, counts = core.features(core_dictionary(model), chunk.text, chunk.ends, room)
    return bags_with(found, counts)


def core_dictionary(model: FastTextModel) -> core.Dictionary:
    """Return the dictionary and settings as the compiled core reads them."""
    dictionary, arguments = model.dictionary, model.arguments
    rows = None if dictionary.rows is None else dictionary.rows.core_table
    return core.Dictionary.of(
        dictionary.table.core_table, rows, len(dictionary.words), arguments.bucket,
        (arguments.minn, arguments.maxn), arguments.word_ngrams,
    )  # fmt: skip


def max_features(model: FastTextModel, size: int, documents: int) -> int:
    """Return an upper bound of the number of features of texts.

    Every two bytes may be a word and its space, and each text has its ``</s>``.
    """
    arguments = model.arguments
    words = (size + 1) // 2 + 2 * documents
    lengths = max(0, arguments.maxn - max(arguments.minn, 1) + 1)
    places = size + 2 * words
    return words * (1 + max(0, arguments.word_ngrams - 1)) + places * lengths


def features_in_numpy(model: FastTextModel, chunk: Documents) -> Bags:
    """Return the features of a chunk of documents: the NumPy twin of the kernel."""
    text, starts, sizes, owners = _cut(chunk)
    hashes, keys = hash_strings(text, starts, sizes)
    ids = model.dictionary.table.find(keys)
    begins = _begin_with(LABEL, text, starts, sizes)
    is_word = np.where(ids < 0, ~begins, ids < len(model.dictionary.words))
    starts, sizes, owners, hashes, ids = (
        part[is_word] for part in (starts, sizes, owners, hashes, ids)
    )
    words = _words(model, text, starts, sizes, ids)
    bounds = words.offsets[np.searchsorted(owners, np.arange(len(chunk) + 1))]
    runs = _runs(model, hashes, owners, len(chunk))
    return concatenate(Bags(words.features, bounds), runs)


def subword_bags(model: FastTextModel, words: Sequence[str | bytes]) -> Bags:
    """Return the rows of each word: its own, if it is in the dictionary, and its n-grams'.

    As in fastText, a label is given the row of its id, although that belongs to a bucket.
    """
    entries = Entries.of(words, np.zeros(len(words), np.int64))
    starts, sizes = entries.offsets[:-1], np.diff(entries.offsets)
    ids = model.dictionary.table.find(entries.keys())
    ids[ids >= model.input.shape[0]] = -1
    return _words(model, entries.text, starts, sizes, ids)


def word_ids(model: FastTextModel, words: Sequence[str | bytes]) -> Int32[np.ndarray, " words"]:
    """Return the id of each word or label; -1 if it is not in the dictionary."""
    return model.dictionary.table.find(Entries.of(words, np.zeros(len(words), np.int64)).keys())


def subwords(model: FastTextModel, word: str) -> tuple[list[str], Int32[np.ndarray, " subwords"]]:
    """Return the subwords of a word (itself, if known, and its character n-grams) and their rows.

    If buckets were pruned, there are fewer rows than subwords, as in fastText.
    """
    arguments, marked = model.arguments, f"<{word}>"
    runs = [
        marked[first : first + length]
        for first in range(len(marked) if word != END.decode() else 0)
        for length in range(max(arguments.minn, 1), arguments.maxn + 1)
        if first + length <= len(marked) and (length > 1 or 0 < first < len(marked) - 1)
    ]
    entries = Entries.of(runs, np.zeros(len(runs), np.int64))
    own = word_ids(model, [word])
    hashes = hash_strings(entries.text, entries.offsets[:-1], np.diff(entries.offsets))[0]
    rows = np.concatenate([own, _rows(model, hashes % np.uint64(max(arguments.bucket, 1)))])
    return [word, *runs][int(own[0] < 0) :], rows[rows >= 0]


def _cut(chunk: Documents) -> tuple[UInt8[np.ndarray, " bytes"], Places, Places, Places]:
    """Return the text of documents with ``</s>`` added, and its words.

    A document ends after its first ``</s>``, even if that is in its own text.

    Returns:
        The bytes, and of each word the offset, the size in bytes and the document.
    """
    data, ends = chunk.text.tobytes(), chunk.ends.tolist()
    parts = [data[start:end] for start, end in zip(chunk.starts.tolist(), ends, strict=True)]
    text = np.frombuffer(b"".join(b"%b\0</s>\0" % part for part in parts), np.uint8)
    is_word = np.concatenate([[False], ~_IS_SPACE[text]])
    edges = np.flatnonzero(is_word[1:] != is_word[:-1])
    starts, sizes = edges[0::2], edges[1::2] - edges[0::2]
    document_ends = np.cumsum([len(part) + len(END) + 2 for part in parts])
    owners = np.searchsorted(document_ends, starts, "right")
    is_end = (sizes == len(END)) & _begin_with(END, text, starts, sizes)
    ended = np.concatenate([[0], np.cumsum(is_end)])  # Ends before each word.
    firsts = np.searchsorted(owners, np.arange(len(chunk)))
    kept = ended[:-1] == ended[firsts][owners]
    return text, starts[kept], sizes[kept], owners[kept]


def _begin_with(
    mark: bytes, text: UInt8[np.ndarray, " bytes"], starts: Places, sizes: Places
) -> Bool[np.ndarray, " strings"]:
    """Return which strings begin with a prefix."""
    found = sizes >= len(mark)
    for place, byte in enumerate(mark):
        found[found] = text[starts[found] + place] == byte
    return found


def _words(
    model: FastTextModel,
    text: UInt8[np.ndarray, " bytes"],
    starts: Places,
    sizes: Places,
    ids: Int32[np.ndarray, " words"],
) -> Bags:
    """Return a bag for each word: its own row, and those of its character n-grams."""
    known = ids >= 0
    own = bags_with(ids[known], known.astype(np.int64))
    is_end = (sizes == len(END)) & _begin_with(END, text, starts, sizes)
    return concatenate(own, _subwords(model, text, starts, np.where(is_end, -1, sizes)))


def _subwords(
    model: FastTextModel, text: UInt8[np.ndarray, " bytes"], starts: Places, sizes: Places
) -> Bags:
    """Return the rows of the character n-grams of each word; none for a word of size -1."""
    arguments = model.arguments
    if arguments.maxn < 1 or not len(sizes):
        return bags_with(np.zeros(0, np.int32), np.zeros(len(sizes), np.int64))
    # All words side by side, each as "<word>"; ``marked`` are the bytes.
    wide = np.where(sizes < 0, 0, sizes + 2)
    ends = np.cumsum(wide)
    owners = np.repeat(np.arange(len(wide)), wide)
    at = np.arange(ends[-1]) - (ends - wide)[owners]  # The index of each byte in its word.
    marked = np.full(len(at), ord("<"), np.uint8)
    inner = (at > 0) & (at <= sizes[owners])
    marked[inner] = text[(starts[owners] + at - 1)[inner]]
    marked[at > sizes[owners]] = ord(">")
    # UTF-8 characters begin at bytes that are not 10xxxxxx. ``left``: characters to the word's end.
    firsts = np.flatnonzero(marked & 0xC0 != 0x80)
    bytes_of, owners = np.diff(firsts, append=len(marked)), owners[firsts]
    left = np.searchsorted(owners, owners, "right") - np.arange(len(owners))
    lengths = range(1, min(arguments.maxn, int(left.max(initial=0))) + 1)
    found = np.full((len(firsts), len(lengths)), -1, np.int32)
    hashes = np.full(len(firsts), FNV_32, np.uint64)
    for length in lengths:  # Each n-gram's hash extends that of one character less.
        hashes = hashes[: len(firsts) - length + 1]
        for byte in range(bytes_of[length - 1 :].max()):
            longer = np.flatnonzero(bytes_of[length - 1 :] > byte)
            hashes[longer] = fnv(hashes[longer], marked[firsts[longer + length - 1] + byte])
        if length < arguments.minn:
            continue
        inside = left[: len(hashes)] >= length
        if length == 1:  # "<" and ">" alone are no features.
            inside &= (at[firsts] > 0) & (left > 1)
        taken = np.flatnonzero(inside)
        found[taken, length - 1] = _rows(model, hashes[taken] % np.uint64(arguments.bucket))
    counts = np.bincount(owners, (found >= 0).sum(1), minlength=len(wide))
    return bags_with(found[found >= 0], counts.astype(np.int64))


def _runs(
    model: FastTextModel,
    hashes: UInt64[np.ndarray, " words"],
    owners: Places,
    documents: int,
) -> Bags:
    """Return the rows of the word n-grams of each document."""
    # FastText hashes n-grams of the words' 32-bit hashes, taken as signed numbers, in 64 bits.
    signed = hashes.astype(np.uint32).view(np.int32).astype(np.int64).view(np.uint64)
    longest = model.arguments.word_ngrams
    found = np.full((len(signed), max(longest - 1, 0)), -1, np.int32)
    run = signed
    for more in range(1, min(longest, len(signed))):
        run = run[:-1] * RUN + signed[more:]
        inside = np.flatnonzero(owners[more:] == owners[: len(run)])
        buckets = run[inside] % np.uint64(model.arguments.bucket)
        found[inside, more - 1] = _rows(model, buckets)
    counts = np.bincount(owners, (found >= 0).sum(1), minlength=documents)
    return bags_with(found[found >= 0], counts.astype(np.int64))


def _rows(
    model: FastTextModel, buckets: UInt64[np.ndarray, " buckets"]
) -> Int32[np.ndarray, " buckets"]:
    """Return the rows of buckets; -1 for pruned ones."""
    words, rows = len(model.dictionary.words), model.dictionary.rows
    found = buckets.astype(np.int32) if rows is None else rows.find(spread(buckets))
    return np.where(found < 0, found, found + words)
