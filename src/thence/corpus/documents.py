"""Documents: text as one flat UTF-8 buffer, with the start and end of each document.

A hundred megabytes of short lines are one array, not fourteen million Python strings, so reading,
splitting and tokenizing are vectorised, and their memory is a small multiple of the text. Labelled
documents have one label each, or any number of them.
"""

from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import PurePath

import numpy as np

from thence._core import library
from thence._core.words import copy_documents
from thence.allocator import trim
from thence.array_types import Float32, Int64, Integer, UInt8
from thence.errors import SettingError, TextError
from thence.mapped import Spool, explain_disk_errors, is_mapped, release
from thence.settings import Settings

SPACES = np.frombuffer(b" \t\v\f\r\n", np.uint8)
"""White space of ASCII."""
PART = 1 << 25
"""Bytes of a shuffled text on disk that are written in order at a time."""
AT_ONCE = 1 << 18
"""Documents whose offsets are read at a time where they may be on disk (4 MB)."""
FEW = 1 << 12
"""The same for short reads: about as many documents as a chunk has."""


@dataclass(frozen=True)
class Documents:
    """A sequence of documents; document ``i`` is ``text[starts[i]:ends[i]]``.

    Attributes:
        text: Valid UTF-8 bytes; those between documents (line ends, commas) belong to none.
        starts: Offset of the first byte of each document.
        ends: Offset after the last byte of each document.

    For a large text all three arrays are memory-mapped.
    """

    text: UInt8[np.ndarray, " bytes"]
    starts: Int64[np.ndarray, " documents"]
    ends: Int64[np.ndarray, " documents"]

    @classmethod
    def from_strings(cls, strings: Iterable[str]) -> "Documents":
        """Return documents from an iterable of strings, read once; a single string is one document.

        >>> Documents.from_strings(["emma", "zoë"])[1]
        'zoë'
        >>> len(Documents.from_strings("emma"))
        1

        Raises:
            TextError: If an item is no string, or has a lone surrogate.
        """
        text, ends = bytearray(), array("q")
        for string in [strings] if isinstance(strings, str) else strings:
            if not isinstance(string, str):
                raise TextError(not_a_text(string, len(ends)))
            try:
                text += string.encode("utf-8")
            except UnicodeEncodeError as error:
                raise TextError(
                    f"A text holds half of a surrogate pair ({error.object[error.start]!a}, "
                    f"character {error.start + 1}), which is no character; decode the text again "
                    "with the right encoding."
                ) from error
            ends.append(len(text))
        found = np.frombuffer(ends, np.int64) if ends else np.zeros(0, np.int64)
        starts = np.concatenate([np.zeros(1, np.int64), found])[: len(found)]
        return cls(np.frombuffer(bytes(text), np.uint8), starts, found)

    @classmethod
    def join(cls, parts: Iterable["Documents"]) -> "Documents":
        """Return the documents of all parts (at least one) in a new buffer.

        >>> list(Documents.join([Documents.from_strings(["a", "b"]), Documents.from_strings("c")]))
        ['a', 'b', 'c']
        """
        parts = list(parts)
        text = np.concatenate([part.text for part in parts])
        sizes = np.array([len(part.text) for part in parts])
        shift = np.repeat(np.cumsum(sizes) - sizes, [len(part) for part in parts])
        starts = np.concatenate([part.starts for part in parts]) + shift
        ends = np.concatenate([part.ends for part in parts]) + shift
        return cls(text, starts, ends)

    def __len__(self) -> int:
        return len(self.starts)

    def __getitem__(self, index: int) -> str:
        return self.text[self.starts[index] : self.ends[index]].tobytes().decode("utf-8")

    def __iter__(self) -> Iterator[str]:
        for chunk in self.chunks():  # Slicing bytes is faster than slicing an array.
            data = chunk.text.tobytes()
            for start, end in zip(chunk.starts.tolist(), chunk.ends.tolist(), strict=True):
                yield data[start:end].decode("utf-8")

    @property
    def num_bytes(self) -> int:
        """Bytes of text in all documents together, without the bytes between them."""
        return sum(int(sizes.sum()) for sizes in self.sizes())

    def sizes(self) -> Iterator[Int64[np.ndarray, " some"]]:
        """Yield the bytes of all documents, of some at a time."""
        for first in range(0, len(self), AT_ONCE):
            some = slice(first, first + AT_ONCE)
            yield self.ends[some] - self.starts[some]
            release(self.starts, self.ends)

    def take(self, indices: Integer[np.ndarray, " chosen"] | slice) -> "Documents":
        """Return the chosen documents in that order, sharing the same text buffer."""
        return Documents(self.text, self.starts[indices], self.ends[indices])

    def compact(self) -> "Documents":
        """Return the same documents in a buffer without bytes between them."""
        lengths = self.ends - self.starts
        edges = bounds(lengths)
        gaps = self.starts[1:] - self.ends[:-1]
        if len(self) and not gaps.any():
            text = self.text[self.starts[0] : self.ends[-1]]
        elif library() is not None and self.text.flags.c_contiguous:
            text = copy_documents(
                self.text, np.ascontiguousarray(self.starts), np.ascontiguousarray(self.ends)
            )
        elif len(self) and np.all(gaps >= 0) and gaps.sum() <= edges[-1]:
            # In their original order: a mask of the bytes to keep is faster than their indices.
            is_kept = np.ones(2 * len(self) - 1, bool)
            is_kept[1::2] = False
            runs = np.empty(len(is_kept), np.int64)
            runs[0::2], runs[1::2] = lengths, gaps
            text = self.text[self.starts[0] : self.ends[-1]][np.repeat(is_kept, runs)]
        else:
            shift = np.repeat(self.starts - edges[:-1], lengths)
            text = self.text[np.arange(len(shift)) + shift]
        return Documents(text, edges[:-1], edges[1:])

    def chunks(self, size: int = 1 << 22) -> Iterator["Documents"]:
        """Yield the documents in order as compact chunks of about ``size`` bytes.

        A document is never split, so one that is larger than ``size`` is a chunk of its own.
        """
        first = 0
        while first < len(self):
            last = max(first + 1, self._last_within(first, size))
            yield Documents(self.text, self.starts[first:last], self.ends[first:last]).compact()
            release(self.text, self.starts, self.ends)
            first = last

    def _last_within(self, first: int, size: int) -> int:
        """Return the end of the longest range from ``first`` that has at most ``size`` bytes."""
        for start in range(first, len(self), FEW):
            some = slice(start, start + FEW)
            cumulative = np.cumsum(self.ends[some] - self.starts[some])
            fitting = int(np.searchsorted(cumulative, size, "right"))
            if fitting < len(cumulative):
                return start + fitting
            size -= int(cumulative[-1])
        return len(self)

    def layout_bytes(self) -> int:
        """Return how many bytes are indentation, or white space after white space.

        A tokenizer of words drops them: "  a  b" becomes the words of "a b".

        >>> Documents.from_strings(["  a  b", "c d"]).layout_bytes()
        3
        """
        total = 0
        for chunk in self.chunks():
            is_space = np.isin(chunk.text, SPACES)
            follows = np.concatenate([[False], is_space[:-1]])
            follows[chunk.starts[chunk.starts < chunk.ends]] = True
            total += int(np.count_nonzero(is_space & follows))
        return total

    @explain_disk_errors()
    def in_order(self, indices: Integer[np.ndarray, " chosen"]) -> "Documents":
        """Return the chosen documents, with a memory-mapped text copied into their order.

        Reading shuffled documents of a mapped text would bring most of it into memory at once. So
        for each part of the copy the text is read once from beginning to end.
        """
        if not is_mapped(self.text):
            return self.take(indices)
        copy, edges = Spool(np.uint8), Spool(np.int64)
        edges.append(np.zeros(1, np.int64))
        for first in range(0, len(indices), AT_ONCE):
            some = self._take_ascending(indices[first : first + AT_ONCE])
            cumulative = np.cumsum(some.ends - some.starts)
            edges.append(copy.size + cumulative)
            parts = np.searchsorted(cumulative, np.arange(PART, cumulative[-1], PART))
            for part in np.split(np.arange(len(some)), parts):
                order = part[np.argsort(some.starts[part], kind="stable")]
                ascending = Documents.join(
                    [Documents.from_strings([]), *some.take(order).chunks(1 << 20)]
                )
                copy.append(ascending.take(np.argsort(order)).compact().text)
        trim()
        found = edges.array()
        return Documents(copy.array(), found[:-1], found[1:])

    def _take_ascending(self, indices: Integer[np.ndarray, " chosen"]) -> "Documents":
        """Return what ``take`` does, reading offsets on disk from beginning to end."""
        order = np.argsort(indices, kind="stable")
        bounds = np.empty((2, len(indices)), np.int64)
        for first in range(0, len(order), FEW):
            some = order[first : first + FEW]
            for mine, values in zip(bounds, (self.starts, self.ends), strict=True):
                mine[some] = values[indices[some]]
                release(values)
        return Documents(self.text, *bounds)

    def content_hash(self) -> str:
        """Return the SHA-256 (hex) of the documents' bytes and boundaries, in order."""
        digest = sha256()
        for chunk in self.chunks():
            digest.update((chunk.ends - chunk.starts).tobytes())
            digest.update(chunk.text.tobytes())
        return digest.hexdigest()


def not_a_text(value: object, place: int) -> str:
    """Return the error message for an item among texts that is no string."""
    # NaN differs from itself; pandas has missing values of other types, too.
    is_missing = value is None or type(value).__name__ in ("NAType", "NaTType")
    is_missing = is_missing or (isinstance(value, float) and value != value)
    way_out = "Leave out or fill in what is missing" if is_missing else "Each must be a string"
    if isinstance(value, PurePath):
        way_out = "Give the texts themselves, or one path: of a file, or of a folder"
    shown = repr(value)
    shown = shown if len(shown) <= 40 else f"{shown[:40]} ..."
    return (
        f"Among the texts item {place} is {shown}, of the type {type(value).__name__}. {way_out}."
    )


@dataclass(frozen=True)
class LabelOptions(Settings):
    """Settings of labels: the column that holds them, class weights, text without labels."""

    label: str | None = None
    """Column or field of a table with the labels (default: 'label'); plain text has __label__ \
marks instead, a folder the names of its subfolders."""
    label_separator: str | None = None
    """Separator of the labels of a document, such as ';', which may then have several, or none."""
    class_weights: bool = False
    """Give each label the same total weight in training, however rare it is."""
    unlabelled: str | None = None
    """More text of the same kind without labels, a source like the text itself: thence best, and \
linear with latent dimensions, learn from it which words occur together."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.label_separator == "":
            raise SettingError(
                "`label_separator` is empty; give what separates labels, such as ';'."
            )


@dataclass(frozen=True)
class Labels:
    """The labels of a sequence of documents.

    Attributes:
        names: Every label by id: those of train in order, then those that train lacks.
        ids: The label ids of all documents, one document after another.
        offsets: Where each document's labels begin in ``ids``, and the total; shape
            (documents + 1,).
        multilabel: Whether a document may have any number of labels; else exactly one.
    """

    names: tuple[str, ...]
    ids: Int64[np.ndarray, " labels"]
    offsets: Int64[np.ndarray, " bounds"]
    multilabel: bool = False

    @classmethod
    def from_lists(cls, lists: Iterable[Sequence[str]], multilabel: bool) -> "Labels":
        """Return labels from the names of each document's labels.

        >>> Labels.from_lists([["b"], ["a"], ["b"]], multilabel=False).names
        ('a', 'b')
        """
        found = [list(dict.fromkeys(names)) for names in lists]  # Repeated labels count once.
        known = {
            name: place for place, name in enumerate(sorted({n for some in found for n in some}))
        }
        ids = np.array([known[name] for some in found for name in some], np.int64)
        return cls(
            tuple(known), ids, bounds(np.array([len(n) for n in found], np.int64)), multilabel
        )

    @classmethod
    def join(cls, parts: Sequence["Labels"]) -> "Labels":
        """Return the labels of all parts (at least one); equal names get the same id."""
        names = tuple(sorted({name for part in parts for name in part.names}))
        ids = np.concatenate([part.named(names).ids for part in parts])
        sizes = np.concatenate([np.diff(part.offsets) for part in parts])
        return cls(names, ids, bounds(sizes), any(part.multilabel for part in parts))

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def single(self) -> Int64[np.ndarray, " documents"]:
        """The one label of each document."""
        assert not self.multilabel
        return self.ids

    def of(self, index: int) -> tuple[str, ...]:
        """Return the names of the labels of a document."""
        return tuple(
            self.names[at] for at in self.ids[self.offsets[index] : self.offsets[index + 1]]
        )

    def counts(self) -> Int64[np.ndarray, " names"]:
        """Return the number of documents with each label."""
        return np.bincount(self.ids, minlength=len(self.names))

    def matrix(self) -> Float32[np.ndarray, "documents names"]:
        """Return the indicator matrix: 1 if a document has a label, else 0."""
        matrix = np.zeros((len(self), len(self.names)), np.float32)
        matrix[np.repeat(np.arange(len(self)), np.diff(self.offsets)), self.ids] = 1
        return matrix

    def take(self, indices: Integer[np.ndarray, " chosen"] | slice) -> "Labels":
        """Return the labels of the chosen documents, in that order."""
        sizes = np.diff(self.offsets)[indices]
        offsets = bounds(sizes)
        shift = np.repeat(self.offsets[:-1][indices] - offsets[:-1], sizes)
        ids = self.ids[np.arange(len(shift)) + shift]
        return Labels(self.names, ids, offsets, self.multilabel)

    def named(self, names: Sequence[str]) -> "Labels":
        """Return the labels with ids by position in ``names``; other names follow, sorted."""
        more = sorted({self.names[at] for at in np.unique(self.ids)} - set(names))
        known = {name: place for place, name in enumerate([*names, *more])}
        ids = np.array([known.get(name, -1) for name in self.names], np.int64)[self.ids]
        return Labels(tuple(known), ids, self.offsets, self.multilabel)


def bounds(sizes: Int64[np.ndarray, " documents"]) -> Int64[np.ndarray, " bounds"]:
    """Return the offsets of consecutive runs of these sizes: their cumulative sums from 0."""
    return np.concatenate([np.zeros(1, np.int64), np.cumsum(sizes)])


@dataclass(frozen=True)
class LabelledDocuments(Documents):
    """Documents with their labels.

    Attributes:
        labels: The labels of each document.
    """

    labels: Labels

    @classmethod
    def of(cls, documents: Documents, labels: Labels) -> "LabelledDocuments":
        """Return documents with their labels."""
        return cls(documents.text, documents.starts, documents.ends, labels)

    def take(self, indices: Integer[np.ndarray, " chosen"] | slice) -> "LabelledDocuments":
        """Return the chosen documents in that order, sharing the same text buffer."""
        return self.of(super().take(indices), self.labels.take(indices))

    def named(self, names: Sequence[str]) -> "LabelledDocuments":
        """Return the documents with label ids by position in ``names``; see ``Labels.named``."""
        return self.of(self, self.labels.named(names))

    def content_hash(self) -> str:
        """Return the SHA-256 (hex) of texts, boundaries and labels, in order."""
        digest = sha256(super().content_hash().encode())
        digest.update("\n".join(self.labels.names).encode())
        digest.update(self.labels.ids.tobytes() + self.labels.offsets.tobytes())
        return digest.hexdigest()


def as_labelled(documents: Documents) -> LabelledDocuments:
    """Return documents as ``LabelledDocuments``; they must have been read with labels."""
    assert isinstance(documents, LabelledDocuments)
    return documents


def joined_labels(names: Sequence[str]) -> str:
    """Return the labels of a document as a text; of several, those with a comma are quoted.

    >>> joined_labels(["bills, refunds", "urgent"])
    '"bills, refunds", urgent'
    """
    several = len(names) > 1
    return ", ".join(f'"{one}"' if several and "," in one else one for one in names) or "no label"
