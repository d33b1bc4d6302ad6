"""What the autopilot trains, and what comes of it: the same for language models and classifiers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from thence.ensembles.members import settings_of
from thence.models.base import Array

Kind = Literal["names", "characters", "words", "labels"]
"""What is modelled: short documents in characters, longer text in characters, text in words, or the
labels of documents."""


@dataclass(frozen=True)
class Candidate:
    """A model to train in a share of the time.

    Attributes:
        family: The name of its family.
        share: Its share of the time for training.
        options: Those of its settings that do not follow from the time.
    """

    family: str
    share: float
    options: Mapping[str, Any] = field(default_factory=dict)


SCHEDULES: Mapping[Kind, tuple[tuple[float, tuple[Candidate, ...]], ...]] = {
    "names": (
        (100.0, (Candidate("gru", 0.5), Candidate("lstm", 0.5))),
        (13.0, (Candidate("gru", 1.0),)),
        (4.0, (Candidate("mlp", 1.0),)),
    ),
    "characters": ((4.0, (Candidate("gru", 1.0),)),),
    "words": (
        (200.0, (Candidate("lstm", 1.0, {"layers": 2}),)),
        (10.0, (Candidate("lstm", 1.0),)),
    ),
    "labels": (
        (
            60.0,
            (
                Candidate("averaging", 0.1),
                Candidate("linear", 0.3),
                Candidate("averaging", 0.1, {"ngrams": 3}),
                Candidate("convolution", 0.3, {"adversarial": 0.0}),
                Candidate("recurrent", 0.2, {"adversarial": 0.0, "max_length": 250}),
            ),
        ),
        (
            20.0,
            (
                Candidate("averaging", 0.2),
                Candidate("linear", 0.5),
                Candidate("averaging", 0.3, {"ngrams": 3}),
            ),
        ),
        (0.0, (Candidate("linear", 0.95), Candidate("averaging", 0.05))),
    ),
}
"""For each kind of text: from how many seconds on which models are trained, in order. Time that one
does not use goes to the next."""


def schedule(kind: Kind, seconds: float) -> tuple[Candidate, ...]:
    """Return the models that are worth training in so many seconds."""
    return next((chosen for least, chosen in SCHEDULES[kind] if seconds >= least), ())


@dataclass(frozen=True)
class TrainedCandidate:
    """A model that was trained or counted, and how good it is on dev.

    Attributes:
        name: What to call it.
        family: The name of its family.
        options: The settings of the model, an object of the family's options class.
        model: The language model or classifier.
        scores: What it gives dev: the log-probability of every target, or of every label.
        nats: Its loss on dev, per token or document.
        accuracy: Of a classifier, on dev.
        carry_context: Whether it sees the documents before.
        training: Settings of its training that are reported.
        curve: Seconds since its training began, and nats on a part of dev.
        network_of: Name of the candidate whose network it uses; None for its own.
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
    """

    members: tuple[TrainedCandidate, ...]
    weights: tuple[float, ...]
    family: str
    options: Any
    model: Any
    nats: float
    accuracy: float | None = None


def single(one: TrainedCandidate) -> Ensemble:
    """Return an ensemble of one model."""
    return Ensemble((one,), (1.0,), one.family, one.options, one.model, one.nats, one.accuracy)
