"""Splitting documents into train, dev and test, before anything is learned from them.

Train is for training, dev for choosing settings and early stopping, test for the final evaluation.
"""

from array import array
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from itertools import pairwise
from random import Random
from typing import Literal

import numpy as np

from thence.array_types import Bool, Float64, Int64, Integer, UInt8, UInt64
from thence.corpus.decoding import CHUNK
from thence.corpus.documents import AT_ONCE, Documents, LabelledDocuments, Labels
from thence.corpus.reading import read_documents
from thence.errors import SettingError, TextError
from thence.settings import Seed, Settings

LONGEST_MULTILINEAR = 1 << 16  # bytes of a document; longer ones are few and hashed one by one


@dataclass(frozen=True)
class SplitOptions(Settings):
    """How documents are split into train, dev and test."""

    split: str = "80/10/10"
    """Per cent of documents for train/dev/test; not used if dev and test are given."""
    by: Literal["shuffle", "position"] = "shuffle"
    """How documents are assigned: at random, stratified by label, or in order (for running \
text)."""
    split_seed: Seed = 42
    """Seed of the random split; independent of the training's, so that all runs share one split."""
    dev: str | None = None
    """File with the dev documents; without --test the source is all train and test is empty."""
    test: str | None = None
    """File with the test documents; without --dev a share of the source becomes dev."""


@dataclass(frozen=True)
class Splits:
    """Three disjoint sets of documents, which may still contain equal texts."""

    train: Documents
    dev: Documents
    test: Documents

    def hashes(self) -> dict[str, str]:
        """Return the SHA-256 of the documents of each split."""
        return {name: getattr(self, name).content_hash() for name in ("train", "dev", "test")}


@dataclass(frozen=True)
class LabelledSplits(Splits):
    """Three sets of labelled documents; labels of train have the same ids in all three."""

    train: LabelledDocuments
    dev: LabelledDocuments
    test: LabelledDocuments


def split_documents(
    documents: Documents,
    options: SplitOptions = SplitOptions(),
    read: Callable[[str], Documents] = read_documents,
) -> Splits:
    """Split documents, or take dev and test from the files that the options name.

    With ``by="shuffle"`` document numbers are shuffled by ``random.Random(seed).shuffle`` and cut
    at ``int(fraction * n)``: exactly the classic split by ``random.seed(42);
    random.shuffle(names)``. By position, a text that is one document is cut between characters.
    Labelled documents are shuffled and stratified by label; see ``stratify``.

    Args:
        documents: The documents to split.
        options: Shares, order, seed, or files.
        read: Reads the file of dev or test.

    Raises:
        SettingError: ``split`` is not three percentages that add up to 100.
        TextError: There are too few documents for a share above zero.
    """
    shares = parse_split(options.split)
    dev = read(options.dev) if options.dev is not None else None
    test = read(options.test) if options.test is not None else None
    if dev is not None:
        nothing = documents.take(np.empty(0, np.int64))
        return Splits(documents, dev, nothing if test is None else test)
    if test is not None:
        # The separate test takes no share of the source, so train and dev share all of it.
        both = shares[0] + shares[1]
        shares = (100 * shares[0] / both, 100 * shares[1] / both, 0.0)
    parts = cut(documents, shares, options)
    return Splits(parts[0], parts[1], parts[2] if test is None else test)


def parse_split(split: str) -> tuple[float, float, float]:
    """Return the three percentages of ``"80/10/10"``.

    Raises:
        SettingError: They are not three numbers of at least 0 with the sum 100 and train above 0.
    """
    try:
        train, dev, test = (float(part) for part in split.split("/"))
    except ValueError:
        raise SettingError(
            f"`split` is '{split}', not three percentages. Write train/dev/test like 80/10/10."
        ) from None
    # In this form NaN fails too.
    if not (train > 0 and dev >= 0 and test >= 0 and abs(train + dev + test - 100) < 1e-6):
        raise SettingError(
            f"`split` is '{split}', which does not divide the text. Write three numbers that add "
            "up to 100, none negative and train above 0, like 80/10/10."
        )
    return train, dev, test


AS_ONE = " If a line is no document, `document='file'` reads the whole file as one."
"""Added to the error about too few documents."""


def cut(
    documents: Documents, shares: tuple[float, float, float], options: SplitOptions
) -> list[Documents]:
    """Return train, dev and test with the given shares in per cent.

    Raises:
        TextError: A share above zero would get no document.
    """
    one_text = len(documents) == 1 and not isinstance(documents, LabelledDocuments)
    if one_text and options.by == "shuffle" and shares[0] < 100:
        raise TextError(
            "The text is a single document, so its documents cannot be shuffled into splits. Use "
            "`by='position'` to cut the text itself (a network then needs `carry_context` to be "
            "fast), or give text with one document per line."
        )
    total = num_characters(documents) if one_text else len(documents)
    bounds: Sequence[int] = cut_points(total, shares)
    for name, share, size in zip(("train", "dev", "test"), shares, np.diff(bounds), strict=True):
        if share > 0 and size == 0:
            raise TextError(
                f"The text is too short to split: {share:g} % for {name} of {total} "
                f"{'character' if one_text else 'document'}{'' if total == 1 else 's'} is less "
                "than one. Give more text, larger shares such as `split='60/20/20'`, or files of "
                "their own with `dev` and `test`. `split='100/0/0'` keeps all of it for train, but "
                "not for `thence best`, which needs a dev split." + ("" if one_text else AS_ONE)
            )
    if one_text:
        return cut_characters(documents, bounds)
    if options.by == "position":
        return [documents.take(slice(*part)) for part in pairwise(bounds)]
    order = shuffled(total, options.split_seed)
    if isinstance(documents, LabelledDocuments):
        order, bounds = stratify(order, strata(documents.labels), shares)
        refuse_rare(np.diff(bounds), shares)
    return [documents.in_order(order[start:end]) for start, end in pairwise(bounds)]


def refuse_rare(sizes: Int64[np.ndarray, "parts"], shares: tuple[float, float, float]) -> None:
    """Raise TextError if a share above zero gets no document, as train keeps the rare labels."""
    for name, share, size in zip(("train", "dev", "test"), shares, sizes, strict=True):
        if share > 0 and size == 0:
            raise TextError(
                f"No document is left for {name}: most labels are so rare that train keeps them. "
                "Give more text for each label, other shares with `split`, or use `by='position'`."
            )


def cut_points(total: int, shares: tuple[float, float, float]) -> tuple[int, int, int, int]:
    """Return the bounds of train, dev and test in documents: their starts, and the total.

    >>> cut_points(32033, (80, 10, 10))
    (0, 25626, 28829, 32033)
    """
    # A share of zero gets no document, whatever the rounding.
    dev_end = int((shares[0] + shares[1]) / 100 * total) if shares[2] > 0 else total
    train_end = int(shares[0] / 100 * total) if shares[1] > 0 else dev_end
    return 0, train_end, dev_end, total


def shuffled(total: int, seed: int) -> Integer[np.ndarray, " total"]:
    """Return 0 to total - 1, shuffled by ``random.Random(seed).shuffle``."""
    order = array("i" if total <= 1 << 31 else "q", range(total))
    Random(seed).shuffle(order)
    return np.asarray(order)


def strata(labels: Labels) -> Int64[np.ndarray, " documents"]:
    """Return the stratum of each document: its rarest label; -1 if it has none."""
    sizes = np.diff(labels.offsets)
    owners = np.repeat(np.arange(len(labels)), sizes)
    rarest_first = labels.ids[np.lexsort((labels.ids, labels.counts()[labels.ids], owners))]
    result = np.full(len(labels), -1)
    result[sizes > 0] = rarest_first[labels.offsets[:-1][sizes > 0]]
    return result


def stratify(
    order: Integer[np.ndarray, " total"],
    strata: Int64[np.ndarray, " total"],
    shares: tuple[float, float, float],
) -> tuple[Integer[np.ndarray, " total"], tuple[int, ...]]:
    """Split documents so that each stratum has its share in train, dev and test.

    Of each stratum dev and test get their share, rounded down or up, and train at least one
    document. Shares are rounded up so that the splits have the sizes of ``cut_points``, as nearly
    as small strata allow.

    Args:
        order: Document numbers, shuffled; within a split they keep this order.
        strata: The stratum of each document number.
        shares: Per cent for train, dev and test.

    Returns:
        The document numbers of train, dev and test, one after another; and their bounds.
    """
    _, stratum, sizes = np.unique(strata[order], return_inverse=True, return_counts=True)
    _, train_end, dev_end, total = cut_points(len(order), shares)
    # Remove rounding errors, so that 10 % of 30 is 3 and not a little more, whose ceiling is 4.
    dev, test, held = (
        np.round(sizes * share / 100, 9) for share in (shares[1], shares[2], shares[1] + shares[2])
    )
    num_held = apportion(
        held, np.floor(held), np.minimum(np.ceil(held), sizes - 1), total - train_end
    )
    lowest = np.maximum(np.floor(test), num_held - np.ceil(dev))
    highest = np.minimum(np.ceil(test), num_held - np.floor(dev))
    num_test = apportion(test, lowest, highest, total - dev_end)

    together = np.argsort(stratum, kind="stable")
    rank = np.empty_like(together)  # of each document among those of its stratum
    rank[together] = np.arange(total) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    in_dev_or_test = rank >= (sizes - num_held)[stratum]
    part = in_dev_or_test.astype(int) + (rank >= (sizes - num_test)[stratum])
    train_size, dev_size, _ = np.bincount(part, minlength=3).tolist()
    return order[np.argsort(part, kind="stable")], (0, train_size, train_size + dev_size, total)


def apportion(
    quota: Float64[np.ndarray, " strata"],
    lowest: Float64[np.ndarray, " strata"],
    highest: Float64[np.ndarray, " strata"],
    total: int,
) -> Int64[np.ndarray, " strata"]:
    """Return ``lowest`` or one more for each stratum, the largest remainders first.

    Returns:
        Numbers whose sum is ``total``, or as near to it as the bounds allow.

    >>> apportion(np.array([1.3, 0.6, 0.1]), np.array([1, 0, 0]), np.array([2, 1, 0]), 2)
    array([1, 1, 0])
    """
    number = lowest.astype(np.int64)
    by_remainder = np.argsort(lowest - quota, kind="stable")
    may_grow = by_remainder[highest[by_remainder] > lowest[by_remainder]]
    number[may_grow[: max(total - int(number.sum()), 0)]] += 1
    return number


def cut_characters(documents: Documents, bounds: Sequence[int]) -> list[Documents]:
    """Return one document cut at the given character positions; an empty part has no document."""
    begin, end = int(documents.starts[0]), int(documents.ends[0])
    text = documents.text[begin:end]
    offsets = [character_offset(text, bound) + begin for bound in bounds]
    whole = [
        Documents(documents.text, np.array([start]), np.array([stop]))
        for start, stop in pairwise(offsets)
    ]
    return [part if part.num_bytes else part.take(np.empty(0, np.int64)) for part in whole]


def num_characters(documents: Documents, chunk_size: int = CHUNK) -> int:
    """Return the number of characters (code points) in all documents together."""
    return sum(
        int(np.count_nonzero(first_bytes(chunk.text[start : start + chunk_size])))
        for chunk in documents.chunks(chunk_size)
        for start in range(0, len(chunk.text), chunk_size)
    )


def character_offset(
    text: UInt8[np.ndarray, " bytes"], number: int, chunk_size: int = CHUNK
) -> int:
    """Return the byte offset of character ``number`` (from 0), or the length of the text.

    >>> character_offset(np.frombuffer("zoë!".encode(), np.uint8), 3)
    4
    """
    for start in range(0, len(text), chunk_size):
        begins = np.flatnonzero(first_bytes(text[start : start + chunk_size]))
        if number < len(begins):
            return start + int(begins[number])
        number -= len(begins)
    return len(text)


def first_bytes(text: UInt8[np.ndarray, " bytes"]) -> Bool[np.ndarray, " bytes"]:
    """Return a mask of the bytes that begin a character: all but those of the form 10xxxxxx."""
    return np.asarray(text & 0b1100_0000 != 0b1000_0000)


def seen_in(train: Documents, other: Documents) -> Bool[np.ndarray, " other"]:
    """Return a mask of the documents of ``other`` that also occur, byte for byte, in ``train``.

    It compares 64-bit hashes: the probability of an error among a million new documents and a
    million seen ones is about 1e-5.
    """
    wanted = hashes(other)
    found = np.zeros(len(other), bool)
    for first in range(0, len(train), AT_ONCE):  # Which bounds the memory.
        found |= np.isin(wanted, hashes(train.take(slice(first, first + AT_ONCE))))
    return found


def count_shared(train: Documents, other: Documents) -> int:
    """Return the number of documents of ``other`` that also occur in ``train``.

    >>> count_shared(Documents.from_strings(["emma", "mia"]), Documents.from_strings(["mia", "zo"]))
    1
    """
    return int(np.count_nonzero(seen_in(train, other)))


def hashes(
    documents: Documents, longest_multilinear: int = LONGEST_MULTILINEAR
) -> UInt64[np.ndarray, " documents"]:
    """Return a 64-bit hash of each document: a sum of its bytes, each times a random number.

    This is multilinear hashing: with fixed random weights, one for each position in a document, two
    different documents of the same length collide with a probability of at most 2^-57.
    """
    lengths = documents.ends - documents.starts
    result = np.empty(len(documents), np.uint64)
    for index in np.flatnonzero(lengths > longest_multilinear):
        start, end = documents.starts[index], documents.ends[index]
        digest = blake2b(documents.text[start:end].tobytes(), digest_size=8).digest()
        result[index] = int.from_bytes(digest, "little")
    short = np.flatnonzero(lengths <= longest_multilinear)
    longest = int(lengths[short].max(initial=0))
    weights = np.random.default_rng(0).integers(0, 2**64, longest + 1, np.uint64)
    # weights[0] multiplies the length, so that trailing NUL bytes change the hash.
    filled = 0
    for chunk in documents.take(short).chunks(CHUNK):
        sizes = chunk.ends - chunk.starts
        places = np.arange(1, len(chunk.text) + 1) - np.repeat(chunk.starts, sizes)
        sums = np.zeros(len(chunk.text) + 1, np.uint64)
        np.cumsum(chunk.text * weights[places], out=sums[1:])
        value = sums[chunk.ends] - sums[chunk.starts] + sizes.astype(np.uint64) * weights[0]
        result[short[filled : filled + len(chunk)]] = value
        filled += len(chunk)
    return result
