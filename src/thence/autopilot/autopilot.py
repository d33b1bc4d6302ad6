"""The autopilot itself: trains candidate after candidate in the budget, and keeps what is best."""

import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, Literal, Protocol

from thence.autopilot.candidates import Ensemble, ScheduledCandidate, TrainedCandidate, single
from thence.autopilot.result import Tried
from thence.errors import SettingError, TrainingError
from thence.recipes.options import TrainingOptions
from thence.recipes.recipe import Recipe
from thence.signals import Interrupted, StopEvent
from thence.training.callbacks import ProgressCallback, ProgressFactory
from thence.training.data import TrainingData

SECONDS_PER_STEP = 0.02
"""Seconds per training step assumed with a budget of steps, to choose the candidates. It is not a
measurement: with it the choice is the same on every machine."""
MIN_TIME_FOR_PAGE = 20.0
"""Seconds of a budget from which on a page about the result is written within it."""
PAGE_SECONDS = 2.0
"""Seconds that the page takes."""
SAVING_SECONDS, SAVING_SHARE = 0.1, 0.01
"""Time reserved for writing the run: seconds, plus this share of the whole budget."""
MIN_TRAINING = 0.5
"""Seconds that a network must be trained for, at least."""
LOADING_SECONDS = 2.0
"""Seconds that PyTorch takes to load."""
TOLERANCE = 0.005
"""Nats per unit by which a newer ensemble may be worse than an older one that was combined in a
hurry: it was pruned and judged with more care."""
STOPPING_SECONDS = 1.0
"""Seconds in which models are combined once the user asked to stop."""
SHARE_AFTER_COUNTS, SHARE_AFTER_NETWORK = 0.1, 0.3
"""Shares of the time left in which models are combined while others are still to be trained."""

TRAINING_SETTINGS = ("seed", "threads", "device", "carry_context")
"""Settings of training that the user chooses, not the autopilot."""

Watcher = Callable[[Tried], None]


@dataclass(frozen=True)
class Budget:
    """The budget of a search: seconds; or training steps, with which the result is reproducible.

    Attributes:
        seconds: In all, from ``began`` on; infinite where steps count.
        steps: Of training, of all networks together; None where time counts.
        began: By ``time.monotonic``.
    """

    seconds: float
    steps: int | None
    began: float

    @property
    def counts_steps(self) -> bool:
        """Whether steps are counted, and nothing may depend on a clock."""
        return self.steps is not None

    def spent(self) -> float:
        """Return the seconds since the beginning."""
        return time.monotonic() - self.began

    def left(self) -> float:
        """Return the seconds that are left."""
        return self.seconds - self.spent()

    def after(self, seconds: float | None) -> float:
        """Return what will be spent after so many seconds from now; infinity for None."""
        return math.inf if seconds is None else self.spent() + seconds

    def for_training(self) -> float:
        """Return the seconds that models may be trained for; nominal ones for steps."""
        return self.left() if self.steps is None else self.steps * SECONDS_PER_STEP


class Strategy(Protocol):
    """Interface of the two tasks, language models and classifiers: what is trained and combined."""

    @property
    def unit(self) -> Literal["token", "document"]:
        """The unit that losses are averaged over: ``token`` or ``document``."""

    @property
    def description(self) -> str:
        """A description of the text for the report, such as its kind and size."""

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

    def combine(self, members: Sequence[TrainedCandidate], seconds: float = math.inf) -> Ensemble:
        """Combine the members that pay for their place."""

    def as_combined(self, one: Ensemble) -> Ensemble:
        """Return a single model in the form of a combined one."""


@dataclass
class Autopilot:
    """One search for the best model of a text.

    Attributes:
        recipe: How the text is read, divided and tokenised, and the user's settings of training.
        data: The text.
        budget: What may be spent.
        stop_event: Set when the user wants the best so far.
        progress: Opens the listener of a training.
        watch: Is called with each model that was tried.
        tried: What was tried so far.
        failed: What could not be trained, and why.
    """

    recipe: Recipe
    data: TrainingData
    budget: Budget
    stop_event: StopEvent
    progress: ProgressFactory
    watch: Watcher | None
    tried: list[Tried] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)

    @property
    def vocabulary_size(self) -> int:
        """Number of ids (V)."""
        return len(self.data.tokenizer.vocabulary)

    def run(self, strategy: Strategy) -> Ensemble:
        """Try what the strategy has until the budget is spent; return the best that came out.

        Raises:
            TrainingError: If there was no time for anything, or the user stopped it before.
        """
        members, best = self._count(strategy)
        loading = 0.0 if self.budget.counts_steps else LOADING_SECONDS
        candidates = strategy.schedule(max(0.0, self.budget.for_training() - loading))
        if members:
            share = SHARE_AFTER_COUNTS if candidates else 1.0
            best = _better(best, strategy.combine(members, self._share(share)))
            self.tried[-1] = replace(
                self.tried[-1], so_far=best.nats, accuracy_so_far=best.accuracy
            )
        with_care = not candidates  # Whether the members were combined with all the time left.
        for candidate, share, steps in self._divided(candidates):
            if self.stop_event.is_set():
                break
            began = self.budget.spent()
            reserve = strategy.combining_seconds(members) if members else 0.0
            seconds = share * (self.left() - reserve) if steps is None else None
            new = self._train(strategy, candidate, seconds, steps)
            if not new:
                continue
            members += new
            with_care = candidate is candidates[-1]
            share = 1.0 if with_care else SHARE_AFTER_NETWORK
            best = _better(best, strategy.combine(members, self._share(share)))
            for one in new:
                self._add(one, began, best)
        if best is None:
            raise self._nothing()
        return best if with_care else _better(best, strategy.combine(members, self._share(1.0)))

    def _train(
        self,
        strategy: Strategy,
        candidate: ScheduledCandidate,
        seconds: float | None,
        steps: int | None,
    ) -> list[TrainedCandidate]:
        """Train a model; one that fails is left out, with the reason."""
        try:
            return strategy.train(candidate, seconds, steps)
        except (TrainingError, SettingError) as error:
            self.failed.append(f"{candidate.family}: {error}")
            return []

    def _nothing(self) -> TrainingError:
        """Return why nothing came out."""
        if self.stop_event.is_set():
            message = "Broken off before anything was trained; nothing was written."
            return Interrupted(message, self.stop_event.number)
        if self.failed:
            return TrainingError(f"Nothing could be trained. {self.failed[0]}")
        return TrainingError(
            f"After {self.budget.spent():.1f} s, with the text read, there was no time left to "
            "train anything; nothing was written. Give a longer `time`."
        )

    def _count(self, strategy: Strategy) -> tuple[list[TrainedCandidate], Ensemble | None]:
        """Try what needs no training; return all of it, and the best by itself."""
        members: list[TrainedCandidate] = []
        best: Ensemble | None = None
        began = self.budget.spent()
        for one in strategy.count():
            members.append(one)
            best = min((best or single(one), single(one)), key=lambda made: made.nats)
            self._add(one, began, best)
            began = self.budget.spent()
        return members, best

    def _divided(
        self, candidates: Sequence[ScheduledCandidate]
    ) -> Iterator[tuple[ScheduledCandidate, float, int | None]]:
        """Yield each candidate, its share of the time that is left then, and of the steps."""
        steps = self.budget.steps
        for number, candidate in enumerate(candidates):
            share = candidate.share / sum(other.share for other in candidates[number:])
            own = None if steps is None else max(1, round(share * steps))
            yield candidate, share, own
            steps = None if steps is None else steps - (own or 0)

    def left(self) -> float:
        """Return the seconds that are left for anything but writing the run and its page."""
        page = PAGE_SECONDS if self.budget.seconds >= MIN_TIME_FOR_PAGE else 0.0
        return self.budget.left() - SAVING_SECONDS - page - SAVING_SHARE * self.budget.seconds

    def _share(self, share: float) -> float:
        """Return the seconds that a share of the time left is; infinite where steps count."""
        if self.stop_event.is_set():
            return STOPPING_SECONDS
        return math.inf if self.budget.counts_steps else max(0.0, share * self.left())

    def _add(self, one: TrainedCandidate, began: float, best: Ensemble) -> None:
        """Record what was tried, and tell the watcher."""
        tried = Tried(
            one.name,
            one.family,
            {**one.settings, **one.training},
            began,
            self.budget.spent() - began,
            one.nats,
            best.nats,
            one.accuracy,
            best.accuracy,
            curve=tuple((began + seconds, nats) for seconds, nats in one.curve),
        )
        self.tried.append(tried)
        if self.watch is not None:
            self.watch(tried)

    @contextmanager
    def listening(self, name: str) -> Iterator["StoppingListener"]:
        """Open the listener of a training, which also ends it when the user asks to stop."""
        with self.progress(name) as listener:
            yield StoppingListener(listener, self.stop_event)

    def unused_name(self, name: str) -> str:
        """Return the name, with a number behind it if it is taken."""
        taken = {one.name for one in self.tried}
        others = (f"{name} ({number})" for number in range(2, len(taken) + 3))
        return next(other for other in [name, *others] if other not in taken)


def _better(before: Ensemble | None, after: Ensemble) -> Ensemble:
    """Return the newer ensemble unless it is clearly worse: it may be combined in a hurry."""
    return after if before is None or after.nats < before.nats + TOLERANCE else before


class TrainingEnded(Exception):  # noqa: N818  (the user asked for it)
    """Ends a training at once, between two steps."""


@dataclass(frozen=True)
class StoppingListener:
    """Passes the progress of a training on, and ends it when the user asks to stop.

    Attributes:
        listener: What it passes it on to.
        stop_event: Set when the training is to end.
    """

    listener: ProgressCallback
    stop_event: StopEvent

    def on_step(self, step: int, tokens: float, share: float) -> None:
        """Pass on that so many steps are done."""
        self.listener.on_step(step, tokens, share)
        if self.stop_event.is_set():
            raise TrainingEnded

    def on_evaluation(self, metrics: dict[str, Any]) -> None:
        """Pass on an evaluation on dev."""
        self.listener.on_evaluation(metrics)


def with_training(recipe: Recipe, **settings: Any) -> Recipe:
    """Return a recipe with settings of training; the others are the user's or the family's."""
    kept = {name: getattr(recipe.training, name) for name in TRAINING_SETTINGS}
    return replace(recipe, training=TrainingOptions(**kept, **settings))


def reported_settings(recipe: Recipe) -> dict[str, Any]:
    """Return the settings of a training that the result shows."""
    names = ("batch_size", "window", "lr", "time", "steps", "threads", "precision")
    given = {name: getattr(recipe.training, name) for name in names}
    return {name: value for name, value in given.items() if value is not None}
