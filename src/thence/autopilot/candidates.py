"""Candidates, trained candidates and ensembles, for language models and classifiers alike."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from thence._core import library
from thence.ensembles.members import settings_of
from thence.models.base import Array
from thence.models.candidates import Candidate, Kind
from thence.models.registry import Family, Method, families


@dataclass(frozen=True)
class ScheduledCandidate:
    """A model to train in a share of the time.

    Attributes:
        family: The name of its family.
        share: Its share of the training time, relative to those of the others.
        options: Model settings that are fixed; the others are chosen to fit the time.
        running: Whether it is tried for running text only.
        trains: Whether it is trained by gradient steps, which need PyTorch.
        unlabelled: Whether it is tried only where there is text without labels too.
        whole: Whether a counted model is left out if there is time for parts of the text only.
        seed: Added to the user's seed, so that training a family again gives another model.
    """

    family: str
    share: float
    options: Mapping[str, Any] = field(default_factory=dict)
    running: bool = False
    trains: bool = False
    unlabelled: bool = False
    whole: bool = False
    seed: int = 0

    @property
    def key(self) -> tuple[str, str]:
        """Its family and options: equal for candidates that differ in the seed only."""
        return self.family, str(dict(self.options))


def schedule(kind: Kind, seconds: float, *methods: Method) -> tuple[ScheduledCandidate, ...]:
    """Return the models that are worth training in ``seconds``, in order.

    Each family declares its candidates (``Family.candidates``), also families of other packages.

    Args:
        kind: What is modelled.
        seconds: The seconds for training.
        methods: Only families of these methods: ``fit``, ``train``.
    """
    found: list[tuple[float, ScheduledCandidate]] = []
    for family in families("labels" if kind == "labels" else "language").values():
        affordable = [
            one
            for one in family.candidates.get(kind, ())
            if one.seconds <= seconds and not (one.compiled and library() is None)
        ]
        best = max((one.seconds for one in affordable), default=0.0)
        found += [
            (one.place, _scheduled(family, one))
            for one in affordable
            if one.seconds == best and family.method in methods
        ]
    return tuple(one for _, one in sorted(found, key=lambda pair: pair[0]))


def _scheduled(family: Family, one: Candidate) -> ScheduledCandidate:
    trains = family.method == "train"
    flags = one.running, trains, one.unlabelled, one.whole
    return ScheduledCandidate(family.name, one.share, one.options, *flags)


@dataclass(frozen=True)
class TrainedCandidate:
    """A trained or counted model with its scores on dev.

    Attributes:
        name: Its name in the result.
        family: The name of its family.
        options: The settings of the model, an object of the family's options class.
        model: The language model or classifier.
        scores: Log-probabilities on dev: of each target (targets), or of each class (documents x
            classes). A network that is slow to score has scores of the first documents only.
        nats: Its loss on dev, in nats per token or document.
        accuracy: The accuracy of a classifier on dev, from 0 to 1.
        carry_context: Whether earlier documents are context.
        training: Training settings to report.
        curve: The learning curve: seconds of training, and nats on a part of dev.
        network_of: Name of the candidate whose network it shares, as a cache does; None for its
            own.
        rule: The rule of dynamic evaluation, by which it learns from the text that it scores;
            None for a model that does not adapt.
        inputs: Names of candidates whose predictions are inputs of this context-mixing model.
        log_odds: Its log-odds of each binary decision of dev, as input of context mixing; None if
            they were not computed.
        judged_as: Name of the candidate whose scores it has: it was trained on dev too, and so
            cannot be judged there. None for a model with scores of its own.
    """

    name: str
    family: str
    options: Any
    model: Any
    scores: Array
    nats: float
    accuracy: float | None = None
    carry_context: bool = False
    training: Mapping[str, Any] = field(default_factory=dict)
    curve: Sequence[tuple[float, float]] = ()
    network_of: str | None = None
    rule: Any = None
    inputs: Sequence[str] = ()
    log_odds: Array | None = None
    judged_as: str | None = None

    def with_scores(self, scores: Array, **changes: Any) -> "TrainedCandidate":
        """Return a language model with other scores on dev, and the loss that is their mean."""
        return replace(self, scores=scores, nats=mean_loss(scores), **changes)

    @property
    def settings(self) -> dict[str, Any]:
        """Its settings by name, without those that are None."""
        return settings_of(self.options)


def trained_candidate(
    name: str, family: str, options: Any, model: Any, scores: Array, **more: Any
) -> TrainedCandidate:
    """Return a language model as a candidate; its loss is the mean of its scores."""
    return TrainedCandidate(name, family, options, model, scores, mean_loss(scores), **more)


def mean_loss(scores: Array) -> float:
    """Return the loss of a language model with these log-probabilities, in nats per target."""
    return -float(np.mean(scores, dtype=np.float64))


@dataclass(frozen=True)
class Ensemble:
    """A weighted combination of models; a single model where no other one lowers the loss.

    Attributes:
        members: The models.
        weights: The mean weight of each member on dev.
        family: The family of ``model``.
        options: The settings of ``model``.
        model: The combination as one model; of a single member, its own model.
        nats: The loss on dev in nats per token or document, each half of dev scored with weights
            learned on the other half.
        accuracy: The accuracy of classifiers on dev, from 0 to 1.
        refit: Whether members were also fitted to train and dev, after they were judged.
        judged: Number of targets or documents of dev that ``nats`` is the mean of.
        held_out: The log-probability of each of these targets, with weights learned on the other
            half (targets); None for classifiers.
    """

    members: tuple[TrainedCandidate, ...]
    weights: tuple[float, ...]
    family: str
    options: Any
    model: Any
    nats: float
    accuracy: float | None = None
    refit: bool = False
    judged: int = 0
    held_out: Array | None = None


def single(one: TrainedCandidate) -> Ensemble:
    """Return an ensemble with a single member."""
    own = one.family, one.options, one.model, one.nats, one.accuracy
    held_out = one.scores if one.accuracy is None else None
    return Ensemble((one,), (1.0,), *own, judged=len(one.scores), held_out=held_out)
