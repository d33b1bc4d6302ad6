"""What a search asks of the two tasks, language models and classifiers."""

import math
from collections.abc import Iterator, Sequence
from typing import Literal, Protocol

from thence.autopilot.candidates import Ensemble, ScheduledCandidate, TrainedCandidate


class Strategy(Protocol):
    """Interface of the two tasks, language models and classifiers: what is trained and combined."""

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
        """Return a model that a part of the text gives in a moment; None if all of it is as soon.

        It is the result if there is time for nothing else.
        """

    def count(self) -> Iterator[TrainedCandidate]:
        """Yield the models that need no training."""

    def schedule(self, seconds: float) -> tuple[ScheduledCandidate, ...]:
        """Return the models that are worth training in so many seconds, in order."""

    def combining_seconds(self, members: Sequence[TrainedCandidate]) -> float:
        """Return about how long it takes to combine the members and one more."""

    def train(
        self, candidate: ScheduledCandidate, seconds: float | None, steps: int | None
    ) -> list[TrainedCandidate]:
        """Train a model; return it and what comes with it, or nothing if there is no time."""

    def combine(self, members: Sequence[TrainedCandidate], ends: float = math.inf) -> Ensemble:
        """Combine the members that pay for their place, by some time of ``time.monotonic``."""

    def finish(self, best: Ensemble) -> Ensemble:
        """Return the result in the form in which it is written."""

    def as_combined(self, one: Ensemble) -> Ensemble:
        """Return a single model in the form of a combined one."""
