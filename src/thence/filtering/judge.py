"""What judges documents: a language model, or one for each label that a classifier gives."""

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

JUDGED = np.dtype([("perplexity", "<f8"), ("model", "<i2")])
"""What is kept of a document; the model is -1 where no language model is for its label."""


@dataclass(frozen=True)
class Judge:
    """Judges each document by a language model of its own.

    Attributes:
        models: Tokenizers with their language models.
        classifier: Chooses the model of each document; None if there is but one.
        model_of: For each label of the classifier, which model is for it; -1 for none.
        certainty: How probable the label must be at least.
        errors: What is done with bytes that are not text.
    """

    models: Sequence[tuple[Tokenizer, LanguageModel]]
    classifier: ClassifierRun | None
    model_of: Int64[np.ndarray, " labels"]
    certainty: float
    errors: Errors

    def __call__(self, part: Part) -> tuple[np.ndarray, int]:
        """Return what is known of each record of a part, as ``JUDGED``, and its bytes of text."""
        documents = part.documents(self.errors)
        judged = np.zeros(len(documents), JUDGED)
        if self.classifier is not None:
            labels, chances = likeliest_labels(self.classifier, documents)
            judged["model"] = np.where(chances >= self.certainty, self.model_of[labels], -1)
            judged["perplexity"] = np.nan
        for number, (tokenizer, model) in enumerate(self.models):
            chosen = np.flatnonzero(judged["model"] == number)
            if len(chosen):
                own = documents if len(chosen) == len(documents) else documents.take(chosen)
                judged["perplexity"][chosen] = perplexities(tokenizer, model, own.compact())
        return judged, documents.num_bytes


@dataclass(frozen=True)
class Panel:
    """Which runs judge, and which of them which documents.

    Attributes:
        runs: Of language models, by the labels of the documents that they are for.
        by: The run of the classifier that gives the labels; None if there is but one model.
        certainty: How probable a label must be at least.
        errors: What is done with bytes that are not text.
    """

    runs: Mapping[str, LanguageRun]
    by: ClassifierRun | None
    certainty: float
    errors: Errors

    def open(self) -> Judge:
        """Load the models."""
        # None remembers another document, whose place in the file would then matter.
        model = EvaluationData(static=True).model
        models = [(run.tokenizer, model(run)) for run in self.runs.values()]
        names, labels = list(self.runs), () if self.by is None else self.by.label_names
        model_of = [names.index(label) if label in names else -1 for label in labels]
        return Judge(models, self.by, np.array(model_of, np.int64), self.certainty, self.errors)

    def to_json(self) -> dict[str, Any]:
        """Return what another process on this machine needs."""
        return {
            "runs": {label: str(run.folder.absolute()) for label, run in self.runs.items()},
            "by": None if self.by is None else str(self.by.folder.absolute()),
            "certainty": self.certainty,
            "errors": self.errors,
        }

    @classmethod
    def from_json(cls, about: Mapping[str, Any]) -> "Panel":
        """Open the runs again, in another process."""
        runs = {label: LanguageRun(Path(folder)) for label, folder in about["runs"].items()}
        by = None if about["by"] is None else ClassifierRun(Path(about["by"]))
        return cls(runs, by, about["certainty"], about["errors"])


def perplexities(
    tokenizer: Tokenizer, model: LanguageModel, documents: Documents
) -> Float64[np.ndarray, " documents"]:
    """Return the perplexity per token of each document, its end included, each read by itself.

    One that is impossible, or has a symbol that a closed vocabulary lacks, has an infinite one.
    """
    try:
        store = encode_in_memory(tokenizer, documents)
    except UnknownSymbolError:
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
