"""Labelled documents: documents with one label each, or with any number of labels."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from hashlib import sha256

import numpy as np

from thence.array_types import Float32, Int64
from thence.corpus.documents import Documents
from thence.errors import SettingError
from thence.settings import Settings


@dataclass(frozen=True)
class LabelOptions(Settings):
    """Where the labels are, and how they count."""

    label: str | None = None
    """Column or field of a table with the labels (default: 'label'); plain text has __label__ \
marks instead, a folder the names of its subfolders."""
    label_separator: str | None = None
    """What stands between the labels of a document, such as ';': it may have several, or none."""
    class_weights: bool = False
    """Let each label weigh the same in training, however rare it is."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.label_separator == "":
            raise SettingError(
                "`label_separator` is empty; give what stands between labels, such as ';'."
            )


@dataclass(frozen=True)
class Labels:
    """The labels of a sequence of documents.

    Attributes:
        names: Every label that exists, by id; those of train in order, then those it lacks.
        ids: The labels of all documents, one document after another.
        offsets: Where each document's labels begin in ``ids``, and one past the last; shape
            (documents + 1,).
        multilabel: Whether a document may have any number of labels, or exactly one.
    """

    names: tuple[str, ...]
    ids: Int64[np.ndarray, " labels"]
    offsets: Int64[np.ndarray, " bounds"]
    multilabel: bool = False

    @classmethod
    def from_lists(cls, lists: Iterable[Sequence[str]], multilabel: bool) -> "Labels":
        """Make labels from the names that each document has.

        >>> Labels.from_lists([["b"], ["a"], ["b"]], multilabel=False).names
        ('a', 'b')
        """
        found = [list(dict.fromkeys(names)) for names in lists]  # A label counts once.
        known = {
            name: place for place, name in enumerate(sorted({n for some in found for n in some}))
        }
        ids = np.array([known[name] for some in found for name in some], np.int64)
        return cls(
            tuple(known), ids, bounds(np.array([len(n) for n in found], np.int64)), multilabel
        )

    @classmethod
    def join(cls, parts: Sequence["Labels"]) -> "Labels":
        """Put labels one after another; those of one name become one. At least one part."""
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
        """Return how many documents have each label."""
        return np.bincount(self.ids, minlength=len(self.names))

    def matrix(self) -> Float32[np.ndarray, "documents names"]:
        """Return 1 where a document has a label, else 0."""
        matrix = np.zeros((len(self), len(self.names)), np.float32)
        matrix[np.repeat(np.arange(len(self)), np.diff(self.offsets)), self.ids] = 1
        return matrix

    def take(self, indices: Int64[np.ndarray, " chosen"]) -> "Labels":
        """Return the labels of the chosen documents, in that order."""
        sizes = np.diff(self.offsets)[indices]
        offsets = bounds(sizes)
        shift = np.repeat(self.offsets[:-1][indices] - offsets[:-1], sizes)
        ids = self.ids[np.arange(len(shift)) + shift]
        return Labels(self.names, ids, offsets, self.multilabel)

    def named(self, names: Sequence[str]) -> "Labels":
        """Return the same labels with ids by other names; those that lack come after, sorted."""
        more = sorted({self.names[at] for at in np.unique(self.ids)} - set(names))
        known = {name: place for place, name in enumerate([*names, *more])}
        ids = np.array([known.get(name, -1) for name in self.names], np.int64)[self.ids]
        return Labels(tuple(known), ids, self.offsets, self.multilabel)


def bounds(sizes: Int64[np.ndarray, " documents"]) -> Int64[np.ndarray, " bounds"]:
    """Return where runs of these sizes begin, one after another, and one past the last."""
    return np.concatenate([np.zeros(1, np.int64), np.cumsum(sizes)])


@dataclass(frozen=True)
class LabelledDocuments(Documents):
    """Documents with their labels.

    Attributes:
        labels: Of each document.
    """

    labels: Labels

    @classmethod
    def of(cls, documents: Documents, labels: Labels) -> "LabelledDocuments":
        """Put documents and their labels together."""
        return cls(documents.text, documents.starts, documents.ends, labels)

    @classmethod
    def join_labelled(cls, parts: Sequence["LabelledDocuments"]) -> "LabelledDocuments":
        """Put documents and labels one after another, as ``join`` does the texts alone."""
        return cls.of(Documents.join(parts), Labels.join([part.labels for part in parts]))

    def take(self, indices: Int64[np.ndarray, " chosen"]) -> "LabelledDocuments":
        """Return the chosen documents in that order, sharing the same text buffer."""
        return self.of(super().take(indices), self.labels.take(indices))

    def named(self, names: Sequence[str]) -> "LabelledDocuments":
        """Return the same documents, the ids of their labels by other names."""
        return self.of(self, self.labels.named(names))

    def content_hash(self) -> str:
        """Return the SHA-256 (hex) of texts, boundaries and labels, in order."""
        digest = sha256(super().content_hash().encode())
        digest.update("\n".join(self.labels.names).encode())
        digest.update(self.labels.ids.tobytes() + self.labels.offsets.tobytes())
        return digest.hexdigest()


def as_labelled(documents: Documents) -> LabelledDocuments:
    """Return documents that were read with their labels, as the type that has them."""
    assert isinstance(documents, LabelledDocuments)
    return documents
