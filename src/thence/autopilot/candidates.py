"""What the autopilot trains, and what comes of it: the same for language models and classifiers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

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
        share: Its share of the time for training.
        options: Those of its settings that do not follow from the time.
        running: Whether it is only for running text.
        trains: Whether it learns by gradient steps, for which PyTorch is loaded.
        seed: Is added to the user's, so that a family trained again becomes another model.
    """

    family: str
    share: float
    options: Mapping[str, Any] = field(default_factory=dict)
    running: bool = False
    trains: bool = False
    seed: int = 0


def schedule(kind: Kind, seconds: float, *methods: Method) -> tuple[ScheduledCandidate, ...]:
    """Return the models that are worth making in so many seconds, in order.

    Every family says so of itself (``Family.candidates``), those of other packages too.
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
            if one.seconds == best and one.share > 0 and family.method in methods
        ]
    return tuple(one for _, one in sorted(found, key=lambda pair: pair[0]))


def _scheduled(family: Family, one: Candidate) -> ScheduledCandidate:
    trains = family.method == "train"
    return ScheduledCandidate(family.name, one.share, one.options, one.running, trains)


@dataclass(frozen=True)
class TrainedCandidate:
    """A model that was trained or counted, and how good it is on dev.

    Attributes:
        name: What to call it.
        family: The name of its family.
        options: The settings of the model, an object of the family's options class.
        model: The language model or classifier.
        scores: What it gives dev: the log-probability of every target, or of every label. A
            network that takes long to score has scores of the first documents only.
        nats: Its loss on dev, per token or document.
        accuracy: Of a classifier, on dev.
        carry_context: Whether it sees the documents before.
        training: Settings of its training that are reported.
        curve: Seconds since its training began, and nats on a part of dev.
        network_of: Name of the candidate whose network it uses; None for its own.
        rule: The ``Rule`` by which it learns from running text that it scores; None: it does not.
        inputs: Names of candidates whose decisions are inputs of this one.
        log_odds: What it says of each decision of dev, for such a one; None: it was not asked.
        like: Name of the candidate that it is judged as, for it learned from dev too; None: it is
            judged by itself.
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
    like: str | None = None

    @property
    def settings(self) -> dict[str, Any]:
        """Its settings by name, without those that are None."""
        return settings_of(self.options)


@dataclass(frozen=True)
class Ensemble:
    """Models that are used together; a single one where no other helps it.

    Attributes:
        members: The models.
        weights: The mean weight of each on dev.
        family: The family of ``model``.
        options: The settings of ``model``.
        model: All of them as one model; the member's own for a single one.
        nats: The loss on dev per token or document, each half under weights learned on the other.
        accuracy: Of classifiers, on dev.
        refit: Whether classifiers have learned from dev too since they were judged.
        judged: Targets or documents of dev that the loss is a mean of.
        held_out: The log-probability of each such target, under weights learned on the other half;
            None of classifiers.
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
    """Return an ensemble of one model."""
    own = one.family, one.options, one.model, one.nats, one.accuracy
    held_out = one.scores if one.accuracy is None else None
    return Ensemble((one,), (1.0,), *own, judged=len(one.scores), held_out=held_out)
