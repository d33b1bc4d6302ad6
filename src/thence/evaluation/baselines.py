"""What knows little of a text says of its dev split: the ruler that a loss is held against."""

from dataclasses import dataclass
from math import log

import numpy as np

from thence.corpus.documents import as_labelled
from thence.errors import RunError
from thence.models.ngram import NGram, NGramOptions
from thence.results import Result
from thence.runs.run import ClassifierRun, Run
from thence.training.dev_evaluation import uniform_label_loss


@dataclass(frozen=True)
class Baselines(Result):
    """Losses on dev that need no training, in nats per token or, of labels, per document.

    Attributes:
        unit: What they are means over: ``token`` or ``document``.
        uniform: Everything is equally likely.
        unigram: Tokens, or labels, are as likely as they are frequent in train.
        pairs: Each token depends on the one before it: an n-gram model of order 2. None of labels.
        accuracy: Of always guessing the label that is most frequent in train; None of tokens.
    """

    unit: str
    uniform: float
    unigram: float
    pairs: float | None = None
    accuracy: float | None = None


def baselines(run: Run) -> Baselines:
    """Return what no training is needed for, on a run's dev split.

    Raises:
        TextError: If its text cannot be read again.
        RunError: If there is no dev split.
    """
    if len(run.documents("dev")) == 0:
        raise RunError(f"The run {run.name} has no dev split to measure baselines on.")
    if isinstance(run, ClassifierRun):
        return _of_labels(run)
    train, dev, size = run.store("train"), run.store("dev"), len(run.tokenizer.vocabulary)
    # One is added to each count, so that no token is impossible.
    counts = np.bincount(train.targets, minlength=size) + 1.0
    log_probs = np.log(counts / counts.sum())
    pairs = NGram(NGramOptions(order=2), size)
    pairs.fit(train)
    return Baselines(
        unit="token",
        uniform=log(size),
        unigram=-float(log_probs[dev.targets].mean()),
        pairs=-float(pairs.log_prob(dev)) / dev.num_targets,
    )


def _of_labels(run: ClassifierRun) -> Baselines:
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
