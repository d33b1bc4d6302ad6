"""Classifying texts: which label each has, and how probable the labels are."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np

from thence.array_types import Float64, Int64
from thence.corpus import Documents, documents_of
from thence.errors import SettingError
from thence.models.labels.known import known_of
from thence.printable import printable_line
from thence.results import Result, Results, format_pairs
from thence.runs import ClassifierRun
from thence.runs.run import Run
from thence.settings import PositiveInt, Range, validate
from thence.tokens import encode_texts
from thence.tokens.characters import strings
from thence.tokens.vocabulary import RefusedError

TOP = 5
THRESHOLD = 0.5
BLOCK = 1 << 21
"""Bytes of text that are classified at once."""
CELLS_AT_ONCE = 1 << 22
"""Documents times labels that are classified at once."""
DIGITS = 6
"""Digits after the point that probabilities have in JSON."""
NOTHING_KNOWN = "Nothing in this text occurs in the train text: the label is a guess."


@dataclass(frozen=True)
class Classification(Result):
    """What a classifier says of a document.

    Attributes:
        text: The document.
        labels: Its label; where it may have several, those that are probable enough, the most
            probable first.
        probabilities: The most probable labels, the likeliest first.
        multilabel: Whether a document may have any number of labels, or exactly one.
        tokens: How many tokens the document has.
        known_tokens: How many of them the train text has.
        nothing_known: Whether the classifier knows nothing in the document (``known.py``): its
            labels then are those of a text of which nothing is known.
    """

    text: str
    labels: tuple[str, ...]
    probabilities: dict[str, float]
    multilabel: bool = False
    tokens: int = 0
    known_tokens: int = 0
    nothing_known: bool = False

    @property
    def unknown_share(self) -> float:
        """Share of the tokens that the train text lacks, 0 to 1; 0 if there are none."""
        return (self.tokens - self.known_tokens) / max(self.tokens, 1)

    @property
    def likeliest(self) -> str:
        """The most probable label, be it probable enough or not."""
        return next(iter(self.probabilities))

    def to_json(self, with_text: bool = True) -> dict[str, Any]:
        """Return everything for a program, with or without the text."""
        shown = {label: round(chance, DIGITS) for label, chance in self.probabilities.items()}
        line: dict[str, Any] = {"text": self.text} if with_text else {}
        if self.multilabel:
            line["labels"] = list(self.labels)
        else:
            line |= {"label": self.likeliest, "probability": shown[self.likeliest]}
        line["probabilities"] = shown
        line["unknown"] = round(self.unknown_share, DIGITS)
        line["nothing_known"] = self.nothing_known
        return line

    def __str__(self) -> str:
        bars = [
            (printable_line(label), f"{chance:.4f}  {'█' * round(chance * 40)}".rstrip())
            for label, chance in self.probabilities.items()
        ]
        return "\n".join([*format_pairs(bars), *([NOTHING_KNOWN] if self.nothing_known else [])])


def classify(
    run: Run | str | Path,
    texts: Documents | Iterable[str] | str,
    top: int = TOP,
    threshold: float | None = None,
) -> Results[Classification]:
    """Return what a classifier says of each text, in order and one by one.

    One without any text has its place too.

    Args:
        run: The run or its folder.
        texts: The texts, each a document of its own, or a single one.
        top: How many of the most probable labels to keep.
        threshold: Where a document may have several labels, it has those that are at least so
            probable (default: 0.5).

    Raises:
        SettingError: If the run is a language model, or a setting is out of range.
        UnknownSymbolError: If the vocabulary is closed and a text leaves it.
    """
    run = ClassifierRun(run)
    validate("top", top, PositiveInt)
    if threshold is not None and not run.classes.multilabel:
        raise SettingError(
            f"`threshold` is {threshold}, but {run.name} gives each document exactly one label, "
            "the most probable; leave `threshold` out."
        )
    threshold = THRESHOLD if threshold is None else threshold
    validate("threshold", threshold, Annotated[float, Range(ge=0, le=1)])
    documents = documents_of(texts)
    return Results(classified(run, documents, top, threshold), len(documents))


def classified(
    run: ClassifierRun,
    documents: Documents,
    top: int = TOP,
    threshold: float = THRESHOLD,
    block_size: int = BLOCK,
    cells: int = CELLS_AT_ONCE,
) -> Iterator[Classification]:
    """Yield what a classifier says of each document; see ``classify``."""
    run.record_if_test(documents, "classify")
    done, multilabel = 0, run.classes.multilabel
    names = np.array(run.label_names, object)
    for block in _blocks(documents, block_size, max(1, cells // run.classes.num_classes)):
        try:
            texts = encode_texts(run.tokenizer, block)
        except RefusedError as error:
            raise error.after(done) from None
        done += len(block)
        chances = np.exp(run.classifier.classify(texts), dtype=np.float64)
        order = np.argsort(-chances, axis=1, kind="stable")
        sorted_chances = np.take_along_axis(chances, order, axis=1)
        chosen = np.sum(sorted_chances >= threshold, axis=1) if multilabel else np.ones(len(block))
        known = known_of(run.classifier, texts)
        columns = (sorted_chances[:, :top], chosen, known.tokens, known.known_tokens, known.nothing)
        lists = (column.tolist() for column in columns)
        for text, ids, row, count, *about in zip(strings(block), order, *lists, strict=True):
            labels = names[ids[: max(top, int(count))]].tolist()
            probabilities = dict(zip(labels, row, strict=False))
            yield Classification(
                text, tuple(labels[: int(count)]), probabilities, multilabel, *about
            )


def likeliest_labels(
    run: ClassifierRun, documents: Documents
) -> tuple[Int64[np.ndarray, " documents"], Float64[np.ndarray, " documents"]]:
    """Return the number of the most probable label of each document, and its probability.

    Raises:
        UnknownSymbolError: If the vocabulary is closed and a text leaves it.
    """
    rows = max(1, CELLS_AT_ONCE // run.classes.num_classes)
    labels, chances = [np.zeros(0, np.int64)], [np.zeros(0)]
    for block in _blocks(documents, BLOCK, rows):
        found = run.classifier.classify(encode_texts(run.tokenizer, block))
        labels.append(found.argmax(axis=1))
        chances.append(np.exp(found.max(axis=1), dtype=np.float64))
    return np.concatenate(labels), np.concatenate(chances)


def _blocks(documents: Documents, size: int, rows: int) -> Iterator[Documents]:
    """Yield the documents in order, some at a time, so that memory stays bounded."""
    for chunk in documents.chunks(size):
        for first in range(0, len(chunk), rows):
            last = min(first + rows, len(chunk))
            yield chunk.take(np.arange(first, last)).compact()
