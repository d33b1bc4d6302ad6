"""The token store: one flat array of token ids with document offsets, the input of all models.

For the documents ``ab`` and ``c`` with the boundary ``|`` it is::

    ids      |  a  b  |  c  |
    offsets     1        4     6      ids[offsets[i]:offsets[i+1]] are the targets of document i

so ``ids[1:]`` are all targets in order, each exactly once, and the symbol before a document's
first target is always the boundary.
"""

import json
from dataclasses import dataclass
from hashlib import file_digest
from pathlib import Path

import numpy as np

from thence.array_types import Int64, Integer, UInt
from thence.errors import RunError
from thence.mapped import map_file, release

TABLES = ("offsets", "byte_counts", "character_counts")
"""The saved arrays of a store beside the ids, in the order of the fields of ``TokenStore``."""
BLOCK = 1 << 22
"""Ids that are counted at a time, which bounds the memory."""

MOST_SURPLUS = 2
"""A beginning or an end of whole documents has at most this many times the targets asked for."""


@dataclass(frozen=True)
class TokenStore:
    """Token ids of a sequence of documents.

    Attributes:
        ids: Boundary, document, boundary, document, ..., boundary, in the smallest unsigned
            type that holds the vocabulary; memory-mapped when large.
        offsets: Where each document's targets begin in ``ids``, and the end of the last;
            shape (documents + 1,). Like the next two memory-mapped when large.
        byte_counts: UTF-8 bytes of each document's text, before normalisation.
        character_counts: Code points of each document's text, before normalisation.
        boundary_id: Id of the boundary symbol.
    """

    ids: UInt[np.ndarray, " positions"]
    offsets: Int64[np.ndarray, " bounds"]
    byte_counts: Int64[np.ndarray, " documents"]
    character_counts: Int64[np.ndarray, " documents"]
    boundary_id: int

    @property
    def num_documents(self) -> int:
        """Number of documents."""
        return len(self.offsets) - 1

    @property
    def num_targets(self) -> int:
        """Number of targets: every token, and one boundary per document."""
        return len(self.ids) - 1

    @property
    def bytes_per_target(self) -> float:
        """Mean bytes of text per target, with one byte for each document's end; 0 if empty."""
        return float(self.byte_counts.sum() + self.num_documents) / max(self.num_targets, 1)

    @property
    def targets(self) -> UInt[np.ndarray, " targets"]:
        """Every target in order: a view of ``ids`` without the first boundary."""
        return self.ids[1:]

    @property
    def target_counts(self) -> Int64[np.ndarray, " documents"]:
        """Number of targets of each document, including its closing boundary."""
        return np.diff(self.offsets)

    def id_counts(self, vocabulary_size: int) -> Int64[np.ndarray, " vocab"]:
        """Return how often each id of the vocabulary is a target."""
        counts = np.zeros(vocabulary_size, np.int64)
        for start in range(1, len(self.ids), BLOCK):  # NumPy would turn all ids into 64 bits.
            np.add.at(counts, self.ids[start : start + BLOCK], 1)
            release(self.ids)
        return counts

    @property
    def places(self) -> Int64[np.ndarray, " targets"]:
        """The position of each target in its document, from 0.

        The context of a target at position p within its document is p tokens and the boundary
        before them.
        """
        starts = np.repeat(self.offsets[:-1] - 1, self.target_counts)
        counted: Int64[np.ndarray, " targets"] = np.arange(self.num_targets) - starts
        return counted

    def document(self, index: int) -> UInt[np.ndarray, " tokens"]:
        """Return the ids of one document, without boundaries."""
        return self.ids[self.offsets[index] : self.offsets[index + 1] - 1]

    def beginning(self, targets: int) -> "TokenStore":
        """Return the first documents with at least this many targets in all, or all documents.

        With a very long document they would be more than ``MOST_SURPLUS`` times as many; then it is
        cut.
        """
        count = int(np.searchsorted(self.offsets[1:] - 1, targets)) + 1
        count = min(count, self.num_documents)
        if self.offsets[count] - 1 > MOST_SURPLUS * targets > 0:
            return self._cut(0, targets)
        return self.take(np.arange(count))

    def ending(self, targets: int) -> "TokenStore":
        """Return the last documents with at least this many targets in all; see ``beginning``."""
        first = int(np.searchsorted(self.offsets, len(self.ids) - targets, "right")) - 1
        first = max(first, 0)
        if self.offsets[-1] - self.offsets[first] > MOST_SURPLUS * targets > 0:
            return self._cut(self.num_targets - targets, self.num_targets)
        return self.take(np.arange(first, self.num_documents))

    def _cut(self, first: int, last: int) -> "TokenStore":
        """Return the targets from ``first`` to before ``last``.

        The documents at both ends may lack tokens, and the last one its closing boundary. Their
        bytes and characters are in proportion to their targets.
        """
        ids = self.ids[first : last + 1].copy()
        ids[:1] = self.boundary_id
        bounds = np.clip(self.offsets - 1, first, last) - first
        counts = np.diff(bounds)
        there = counts > 0
        shares = counts[there] / self.target_counts[there]
        return TokenStore(
            ids,
            np.concatenate([np.zeros(1, np.int64), np.cumsum(counts[there])]) + 1,
            np.ceil(self.byte_counts[there] * shares).astype(np.int64),
            np.ceil(self.character_counts[there] * shares).astype(np.int64),
            self.boundary_id,
        )

    def take(self, indices: Integer[np.ndarray, " chosen"]) -> "TokenStore":
        """Return a store of the chosen documents, in that order (ids are copied)."""
        counts = self.target_counts[indices]
        ends = np.cumsum(counts)
        shift = np.repeat(self.offsets[:-1][indices] - (ends - counts), counts)
        ids = np.concatenate([self.ids[:1], self.ids[np.arange(len(shift)) + shift]])
        offsets = np.concatenate([np.zeros(1, np.int64), ends]) + 1
        return TokenStore(
            ids,
            offsets,
            self.byte_counts[indices],
            self.character_counts[indices],
            self.boundary_id,
        )

    def joined(self, other: "TokenStore") -> "TokenStore":
        """Return a store of these documents followed by those of another (ids are copied)."""
        more = other.offsets[1:] + (len(self.ids) - 1)
        return TokenStore(
            np.concatenate([self.ids, other.ids[1:]]),
            np.concatenate([self.offsets, more]),
            np.concatenate([self.byte_counts, other.byte_counts]),
            np.concatenate([self.character_counts, other.character_counts]),
            self.boundary_id,
        )

    def sum_by_document(
        self, values: np.ndarray[tuple[int], np.dtype[np.floating]]
    ) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
        """Return the sum of one value per target over each document, in double precision.

        Args:
            values: One number per target, shape (targets,).

        Returns:
            One sum per document, shape (documents,).
        """
        if self.num_documents == 0:
            return np.zeros(0)
        return np.add.reduceat(values.astype(np.float64), self.offsets[:-1] - 1)


def insert_boundaries(
    ids: Integer[np.ndarray, " tokens"],
    lengths: Integer[np.ndarray, " documents"],
    boundary_id: int,
    dtype: np.dtype[np.unsignedinteger],
) -> UInt[np.ndarray, " targets"]:
    """Return ids with the boundary inserted after each document."""
    ends = np.cumsum(lengths) + np.arange(len(lengths))
    is_token = np.ones(len(ids) + len(lengths), bool)
    is_token[ends] = False
    targets = np.full(len(is_token), boundary_id, dtype)
    targets[is_token] = ids
    return targets


def store_files(folder: Path) -> list[Path]:
    """Return the paths of the ids and of the arrays of ``TABLES``."""
    return [folder / f"{name}.bin" for name in ("ids", *TABLES)]


def write_store_meta(dtype: np.dtype[np.unsignedinteger], boundary_id: int, folder: Path) -> None:
    """Write the description of a store whose arrays ``encode`` has streamed to their files."""
    meta = {
        "dtype": str(dtype),
        "boundary": boundary_id,
        "sha256": {path.name: _hash(path) for path in store_files(folder)},
    }
    (folder / "store.json").write_text(json.dumps(meta), encoding="utf-8")


def load_store(folder: Path) -> TokenStore:
    """Open a store written by ``encode``, memory-mapped.

    Raises:
        RunError: If a file is missing or unreadable, or its hash differs from the saved one.
    """
    try:
        meta = json.loads((folder / "store.json").read_text(encoding="utf-8"))
        files = store_files(folder)
        for path in files:
            if _hash(path) != meta["sha256"][path.name]:
                raise ValueError(f"{path.name} is not what was written")
        dtypes = [np.dtype(meta["dtype"]), *(np.dtype(np.int64) for _ in TABLES)]
        ids, offsets, byte_counts, character_counts = (
            map_file(path, dtype, path.stat().st_size // dtype.itemsize)
            for path, dtype in zip(files, dtypes, strict=True)
        )
        return TokenStore(ids, offsets, byte_counts, character_counts, int(meta["boundary"]))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise RunError(
            f"The cached tokens in {folder} cannot be read ({error}); delete that folder."
        ) from error


def _hash(path: Path) -> str:
    with path.open("rb") as file:  # Reading through the memory map would keep its pages resident.
        return file_digest(file, "sha256").hexdigest()
