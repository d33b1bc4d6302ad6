"""What is tried, and what is made of it: the same for language and for labels."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from thence.models.base import Array


class Model(Protocol):
    """A language model or a classifier, as far as it is written to a file."""

    def tensors(self) -> dict[str, Array]:
        """Return everything learned, by name."""


@dataclass(frozen=True)
class Rung:
    """A model to train in a share of the time.

    Attributes:
        model: Its family.
        share: Of the time that is for training.
        options: Those of its settings that do not follow from the time.
    """

    model: str
    share: float
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Part:
    """A model that was tried.

    Attributes:
        name: What to call it.
        family: Its family.
        options: The settings of the model.
        carry_context: Whether it sees the documents before.
        model: The model.
        scores: What it says of dev: the log-probability of every target, or of every label.
        nats: Its loss on dev, per token or document.
        accuracy: Of a classifier, on dev.
        training: Settings of its training that are worth telling.
        curve: Seconds since its training began, and nats on a part of dev.
        of: Name of the part whose network it uses; None for its own.
    """

    name: str
    family: str
    options: Mapping[str, Any]
    model: Any
    scores: Array
    nats: float
    accuracy: float | None = None
    carry_context: bool = False
    training: Mapping[str, Any] = field(default_factory=dict)
    curve: Sequence[tuple[float, float]] = ()
    of: str | None = None


@dataclass(frozen=True)
class Blend:
    """Models that go together; one alone where no other helps it.

    Attributes:
        parts: The models.
        weights: The mean weight of each on dev.
        model: Of them all; that of the part itself for one alone.
        options: Its settings; None for one alone.
        nats: The loss on dev per token or document, each half under weights learned on the other.
        accuracy: Of classifiers, on dev.
    """

    parts: tuple[Part, ...]
    weights: tuple[float, ...]
    model: Any
    options: Any
    nats: float
    accuracy: float | None = None


def alone(part: Part) -> Blend:
    """Return one model by itself."""
    return Blend((part,), (1.0,), part.model, None, part.nats, part.accuracy)
