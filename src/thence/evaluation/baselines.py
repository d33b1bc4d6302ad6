"""Baselines of a run: the loss on dev of a uniform choice, unigram counts and pair counts."""

from dataclasses import dataclass
from math import log

import numpy as np

from thence.array_types import Float
from thence.corpus.documents import as_labelled
from thence.errors import RunError
from thence.models.ngram import NGram, NGramOptions
from thence.results import Result
from thence.runs.run import ClassifierRun, Run
from thence.tokens import TokenStore
from thence.training.dev_evaluation import uniform_label_loss

MOST_TARGETS = 4_000_000
"""Train targets that are counted at most, so that baselines take about a second."""


@dataclass(frozen=True)
class Baselines(Result):
    """Losses on dev that need no training, in nats per token or, of labels, per document.

    Attributes:
        unit: What the losses are means over: ``token`` or ``document``.
        uniform: Loss of the uniform distribution.
        unigram: Loss of the relative frequencies of tokens, or labels, in train.
        pairs: Loss of an n-gram model of order 2; None for labels.
        accuracy: Accuracy of always guessing the most frequent label of train, from 0 to 1; None
            for language models.
    """

    unit: str
    uniform: float
    unigram: float
    pairs: float | None = None
    accuracy: float | None = None


def baselines(run: Run) -> Baselines:
    """Return the baselines on a run's dev split.

    Raises:
        TextError: If its text cannot be read again.
        RunError: If there is no dev split.
    """
    if len(run.documents("dev")) == 0:
        raise RunError(f"The run {run.name} has no dev split to measure baselines on.")
    if isinstance(run, ClassifierRun):
        return _of_labels(run)
    size = len(run.tokenizer.vocabulary)
    losses = token_losses(run.store("train"), run.store("dev"), size)
    unigram, pairs = (float(one.mean()) for one in (losses.unigram, losses.pairs))
    return Baselines("token", log(size), unigram, pairs)


@dataclass(frozen=True)
class TokenLosses:
    """The surprisal of each target of a text under unigram and pair counts, in nats.

    Attributes:
        unigram: Under the frequencies of single tokens in train.
        pairs: Under an n-gram model of order 2.
        counted: Number of train targets that were counted.
    """

    unigram: Float[np.ndarray, " targets"]
    pairs: Float[np.ndarray, " targets"]
    counted: int


def token_losses(train: TokenStore, text: TokenStore, vocabulary_size: int) -> TokenLosses:
    """Count unigrams and pairs in ``train`` (its first ``MOST_TARGETS``), and score ``text``."""
    counted = train if train.num_targets <= MOST_TARGETS else train.beginning(MOST_TARGETS)
    # Laplace smoothing: one is added to each count, so that no token is impossible.
    counts = np.bincount(counted.targets, minlength=vocabulary_size) + 1.0
    log_probs = np.log(counts / counts.sum())
    pairs = NGram(NGramOptions(order=2), vocabulary_size)
    pairs.fit(counted)
    of_pairs = -pairs.score(text).astype(np.float64)
    return TokenLosses(-log_probs[text.targets], of_pairs, counted.num_targets)


def _of_labels(run: ClassifierRun) -> Baselines:
    """Return the baselines of a classifier, by the smoothed frequencies of its labels in train."""
    size = run.classes.num_classes
    train, dev = (
        as_labelled(run.documents(split)).named(run.label_names).labels.matrix()[:, :size]
        for split in ("train", "dev")
    )
    if run.classes.multilabel:
        shares = (train.sum(0) + 1) / (len(train) + 2)
        losses = -(dev * np.log(shares) + (1 - dev) * np.log1p(-shares)).sum(1)
        guess = (shares >= 0.5).astype(dev.dtype)
        accuracy = float((dev == guess).all(1).mean())
    else:
        shares = (train.sum(0) + 1) / (len(train) + size)
        losses = -(dev * np.log(shares)).sum(1)
        accuracy = float(dev[:, train.sum(0).argmax()].mean())
    uniform = uniform_label_loss(run.classes)
    return Baselines("document", uniform, float(losses.mean()), accuracy=accuracy)
