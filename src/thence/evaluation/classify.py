"""``classify``: the predicted labels of texts with their probabilities."""

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
"""Labels with their probabilities that are kept of each text by default."""
THRESHOLD = 0.5
"""Probability from which on a multilabel classifier predicts a label by default."""
BLOCK = 1 << 21
"""Bytes of text that are classified together, which bounds the memory of their tokens."""
CELLS_AT_ONCE = 1 << 22
"""Documents times labels that are classified together: cells of the matrix of probabilities."""
DIGITS = 6
"""Decimal places of probabilities in JSON."""
NOTHING_KNOWN = "Nothing in this text occurs in the train text: the label is a guess."
"""Remark below the labels of a text without any known feature."""


@dataclass(frozen=True)
class Classification(Result):
    """The predicted labels of a document.

    Attributes:
        text: The document.
        labels: Its label; if multilabel, the labels above the threshold, most probable first.
        probabilities: Probabilities of the most probable labels, in falling order.
        multilabel: Whether a document may have any number of labels, or exactly one.
        tokens: Number of tokens in the document.
        known_tokens: Number of these that occur in the train text.
        nothing_known: Whether the document has no feature that the classifier has weights for
            (``models/labels/known.py``): the labels are then a guess.
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
        """Share of the tokens that the train text lacks, from 0 to 1; 0 without tokens."""
        return (self.tokens - self.known_tokens) / max(self.tokens, 1)

    @property
    def likeliest(self) -> str:
        """The most probable label, even if it is below the threshold."""
        return next(iter(self.probabilities))

    def to_json(self, with_text: bool = True) -> dict[str, Any]:
        """Return the labels and probabilities as a dictionary, with or without the text."""
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
    """Return the predicted labels of each text, in order and one by one; empty texts included.

    Args:
        run: The run or its folder.
        texts: The texts, each a document of its own, or a single one.
        top: How many of the most probable labels to keep.
        threshold: Where a document may have several labels, the least probability of a predicted
            label (default: 0.5).

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
    return Results(classify_documents(run, documents, top, threshold), len(documents))


def classify_documents(
    run: ClassifierRun,
    documents: Documents,
    top: int = TOP,
    threshold: float = THRESHOLD,
    block_size: int = BLOCK,
    cells: int = CELLS_AT_ONCE,
) -> Iterator[Classification]:
    """Yield the predicted labels of each document; see ``classify``."""
    run.record_if_test(documents, "classify")
    done, multilabel = 0, run.classes.multilabel
    names = np.array(run.label_names, object)
    for block in _batches(documents, block_size, max(1, cells // run.classes.num_classes)):
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
    """Return the id of the most probable label of each document, and its probability.

    Raises:
        UnknownSymbolError: If the vocabulary is closed and a text leaves it.
    """
    rows = max(1, CELLS_AT_ONCE // run.classes.num_classes)
    labels, chances = [np.zeros(0, np.int64)], [np.zeros(0)]
    for block in _batches(documents, BLOCK, rows):
        found = run.classifier.classify(encode_texts(run.tokenizer, block))
        labels.append(found.argmax(axis=1))
        chances.append(np.exp(found.max(axis=1), dtype=np.float64))
    return np.concatenate(labels), np.concatenate(chances)


def _batches(documents: Documents, size: int, rows: int) -> Iterator[Documents]:
    """Yield batches of documents of at most ``size`` bytes and ``rows`` documents, in order."""
    for chunk in documents.chunks(size):
        for first in range(0, len(chunk), rows):
            last = min(first + rows, len(chunk))
            yield chunk.take(np.arange(first, last)).compact()
