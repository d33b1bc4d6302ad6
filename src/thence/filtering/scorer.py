"""Scoring documents: by one language model, or by one for each label of a classifier."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from thence.array_types import Float64, Int64
from thence.corpus import Documents
from thence.corpus.decoding import Errors
from thence.errors import UnknownSymbolError
from thence.evaluation.classify import likeliest_labels
from thence.evaluation.data import EvaluationData
from thence.filtering.records import Part
from thence.models.base import LanguageModel
from thence.runs import ClassifierRun, LanguageRun
from thence.tokens import Tokenizer
from thence.tokens.tokenizer import encode_in_memory

SCORES = np.dtype([("perplexity", "<f8"), ("model", "<i2")])
"""The score of a document: its perplexity, and the index of its model; -1 if it has none."""


@dataclass(frozen=True)
class Scorer:
    """Computes the perplexity of each document by the language model for its label.

    Attributes:
        models: Language models with their tokenizers.
        classifier: Chooses the model of each document; None if there is only one.
        model_of: Index of the model of each label of the classifier; -1 for none.
        certainty: Minimal probability of the label.
        errors: How bytes that are not text are treated.
    """

    models: Sequence[tuple[Tokenizer, LanguageModel]]
    classifier: ClassifierRun | None
    model_of: Int64[np.ndarray, " labels"]
    certainty: float
    errors: Errors

    def __call__(self, part: Part) -> tuple[np.ndarray, int]:
        """Return the scores of the records of a part (dtype ``SCORES``), and its bytes of text."""
        documents = part.documents(self.errors)
        scores = np.zeros(len(documents), SCORES)
        if self.classifier is not None:
            labels, chances = likeliest_labels(self.classifier, documents)
            scores["model"] = np.where(chances >= self.certainty, self.model_of[labels], -1)
            scores["perplexity"] = np.nan
        for number, (tokenizer, model) in enumerate(self.models):
            chosen = np.flatnonzero(scores["model"] == number)
            if len(chosen):
                own = documents if len(chosen) == len(documents) else documents.take(chosen)
                scores["perplexity"][chosen] = perplexities(tokenizer, model, own.compact())
        return scores, documents.num_bytes


@dataclass(frozen=True)
class ScoringRuns:
    """The runs of the models that score documents, and settings; it opens a ``Scorer``.

    Attributes:
        runs: The runs of language models, by label.
        by: The run of the classifier of labels; None if there is only one model.
        certainty: Minimal probability of a label.
        errors: How bytes that are not text are treated.
    """

    runs: Mapping[str, LanguageRun]
    by: ClassifierRun | None
    certainty: float
    errors: Errors

    def open(self) -> Scorer:
        """Load the models; return their scorer."""
        # Without adaptation to other documents: the score must not depend on the place in the file.
        model = EvaluationData(static=True).model
        models = [(run.tokenizer, model(run)) for run in self.runs.values()]
        names, labels = list(self.runs), () if self.by is None else self.by.label_names
        model_of = [names.index(label) if label in names else -1 for label in labels]
        return Scorer(models, self.by, np.array(model_of, np.int64), self.certainty, self.errors)

    def to_json(self) -> dict[str, Any]:
        """Return the paths and settings for another process on this machine."""
        return {
            "runs": {label: str(run.folder.absolute()) for label, run in self.runs.items()},
            "by": None if self.by is None else str(self.by.folder.absolute()),
            "certainty": self.certainty,
            "errors": self.errors,
        }

    @classmethod
    def from_json(cls, about: Mapping[str, Any]) -> "ScoringRuns":
        """Return the runs that ``to_json`` described, in another process."""
        runs = {label: LanguageRun(Path(folder)) for label, folder in about["runs"].items()}
        by = None if about["by"] is None else ClassifierRun(Path(about["by"]))
        return cls(runs, by, about["certainty"], about["errors"])


def perplexities(
    tokenizer: Tokenizer, model: LanguageModel, documents: Documents
) -> Float64[np.ndarray, " documents"]:
    """Return the perplexity per token of each document by itself, including its end.

    It is infinite if the document's probability is 0, or a closed vocabulary lacks a symbol.
    """
    try:
        store = encode_in_memory(tokenizer, documents)
    except UnknownSymbolError:  # Bisect to find the documents that cannot be encoded.
        if len(documents) == 1:
            return np.array([np.inf])
        middle = len(documents) // 2
        halves = (np.arange(middle), np.arange(middle, len(documents)))
        return np.concatenate(
            [perplexities(tokenizer, model, documents.take(half).compact()) for half in halves]
        )
    nats = -store.sum_by_document(model.score(store, False).astype(np.float64))
    with np.errstate(over="ignore"):
        found: Float64[np.ndarray, " documents"] = np.exp(nats / store.target_counts)
    return found
