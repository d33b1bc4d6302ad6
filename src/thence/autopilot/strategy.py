"""The interface between the search and the two tasks, language models and classifiers."""

import math
from collections.abc import Iterator, Sequence
from typing import Literal, Protocol

from thence.autopilot.candidates import Ensemble, ScheduledCandidate, TrainedCandidate


class Strategy(Protocol):
    """Interface of the search for one task: the models to train, and how they are combined."""

    @property
    def unit(self) -> Literal["token", "document"]:
        """The unit that losses are averaged over: ``token`` or ``document``."""

    @property
    def description(self) -> str:
        """A description of the text for the report, such as its kind and size."""

    @property
    def tolerance(self) -> float:
        """Nats per unit by which a newer ensemble may be worse than the one before."""

    def first(self) -> TrainedCandidate | None:
        """Return a model of a part of the text, fitted in a moment; the result if time runs out.

        None if there is no such model.
        """

    def count(self) -> Iterator[TrainedCandidate]:
        """Yield the models that are counted, without gradient steps."""

    def schedule(self, seconds: float) -> tuple[ScheduledCandidate, ...]:
        """Return the candidates that are worth training in ``seconds``, in order."""

    def combining_seconds(self, members: Sequence[TrainedCandidate]) -> float:
        """Return the expected seconds to combine the members and one more."""

    def train(
        self, candidate: ScheduledCandidate, seconds: float | None, steps: int | None
    ) -> list[TrainedCandidate]:
        """Train a candidate; return its model, perhaps with a cache, or nothing if too late."""

    def combine(self, members: Sequence[TrainedCandidate], ends: float = math.inf) -> Ensemble:
        """Combine the members that lower the loss, until ``ends`` by ``time.monotonic``."""

    def finish(self, best: Ensemble) -> Ensemble:
        """Return the final ensemble, after any last work such as refitting."""

    def as_combined(self, one: Ensemble) -> Ensemble:
        """Return an ensemble of one model as a mixture or average of one member."""
