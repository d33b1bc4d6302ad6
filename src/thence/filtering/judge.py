"""What judges documents: a language model, or one for each label that a classifier gives."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

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
        errors: What is done with bytes that are not text.
    """

    models: Sequence[tuple[Tokenizer, LanguageModel]]
    classifier: ClassifierRun | None
    model_of: Int64[np.ndarray, " labels"]
    errors: Errors

    def __call__(self, part: Part) -> tuple[np.ndarray, int]:
        """Return what is known of each record of a part, as ``JUDGED``, and its bytes of text."""
        documents = part.documents(self.errors)
        judged = np.zeros(len(documents), JUDGED)
        if self.classifier is not None:
            judged["model"] = self.model_of[likeliest_labels(self.classifier, documents)]
            judged["perplexity"] = np.nan
        for number, (tokenizer, model) in enumerate(self.models):
            chosen = np.flatnonzero(judged["model"] == number)
            if len(chosen):
                own = documents if len(chosen) == len(documents) else documents.take(chosen)
                judged["perplexity"][chosen] = perplexities(tokenizer, model, own.compact())
        return judged, documents.num_bytes


def open_judge(runs: Mapping[str, LanguageRun], by: ClassifierRun | None, errors: Errors) -> Judge:
    """Load the models of runs, by the labels that they are for."""
    # None remembers another document, whose place in the file would then matter.
    models = [(run.tokenizer, EvaluationData(static=True).model(run)) for run in runs.values()]
    names, labels = list(runs), () if by is None else by.label_names
    model_of = [names.index(label) if label in runs else -1 for label in labels]
    return Judge(models, by, np.array(model_of, np.int64), errors)


def open_folders(runs: Mapping[str, str], by: str | None, errors: Errors) -> Judge:
    """Open the folders of runs, in a process of its own; see ``open_judge``."""
    opened = {label: LanguageRun(Path(folder)) for label, folder in runs.items()}
    return open_judge(opened, None if by is None else ClassifierRun(Path(by)), errors)


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
