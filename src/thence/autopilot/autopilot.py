"""The autopilot itself: trains candidate after candidate in the budget, and keeps what is best."""

import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from threading import Thread
from typing import Any

from thence.autopilot.budget import Budget
from thence.autopilot.candidates import Ensemble, ScheduledCandidate, TrainedCandidate, single
from thence.autopilot.pace import Pace
from thence.autopilot.result import Tried
from thence.autopilot.strategy import Strategy
from thence.deadline import DeadlineError, deadline, past_deadline
from thence.errors import SettingError, TrainingError
from thence.recipes.options import TrainingOptions
from thence.recipes.recipe import Recipe
from thence.signals import Interrupted, StopEvent
from thence.training.callbacks import ProgressCallback, ProgressFactory
from thence.training.data import TrainingData

MIN_TRAINING = 0.5
"""Seconds that a network must be trained for, at least."""
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
class _Training:
    """A training that has ended: what was trained, how long that took, and its loss on dev."""

    candidate: ScheduledCandidate
    seconds: float
    nats: float


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
        rehearse: Is called with the first result, to measure how long it takes to write one.
        pace: What was measured on this machine.
        tried: What was tried so far.
        failed: What could not be trained, and why.
    """

    recipe: Recipe
    data: TrainingData
    budget: Budget
    stop_event: StopEvent
    progress: ProgressFactory
    watch: Watcher | None
    rehearse: Callable[[Ensemble], None] = lambda first: None
    pace: Pace = field(default_factory=Pace)
    tried: list[Tried] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    _loading: Thread | None = None
    _beside: Thread | None = None
    _num_bytes: int = 0

    @property
    def vocabulary_size(self) -> int:
        """Number of ids (V)."""
        return len(self.data.tokenizer.vocabulary)

    def recipe_of(self, candidate: ScheduledCandidate) -> Recipe:
        """Return the recipe that a candidate's begins with: that of the search, with its seed."""
        training = self.recipe.training
        seed = training.seed + candidate.seed
        return replace(self.recipe, training=replace(training, seed=seed))

    def run(self, strategy: Strategy) -> Ensemble:
        """Try what the strategy has until the budget is spent; return the best that came out.

        Raises:
            TrainingError: If nothing could be trained, or the user stopped it before.
        """
        self._begin_loading(strategy)
        first = self._first(strategy)
        with self.pace.timed("counting"):
            members, best = self._count(strategy)
        if first is not None and (best is None or first.nats < best.nats):
            members, best = [first, *members], single(first)
            self._add(first, self.budget.spent(), best)
        candidates = strategy.schedule(max(0.0, self.budget.for_training()))
        if members:
            share = SHARE_AFTER_COUNTS if candidates else 1.0
            best = self._combined(strategy, best, members, share)
            self.tried[-1] = replace(
                self.tried[-1], so_far=best.nats, accuracy_so_far=best.accuracy
            )
        with_care = not candidates  # Whether the members were combined with all the time left.
        trained: list[_Training] = []
        for candidate, share, steps in self._to_train(candidates, trained):
            if self.stop_event.is_set():
                break
            began = self.budget.spent()
            reserve = strategy.combining_seconds(members) if members else 0.0
            seconds = share * (self.left() - reserve) if steps is None else None
            with self.pace.timed("training"):
                new = self._train(strategy, candidate, seconds, steps)
            took = self.budget.spent() - began
            trained.append(
                _Training(candidate, took, min((one.nats for one in new), default=math.inf))
            )
            if not new:
                continue
            members = _without(first, members) + new
            with_care = share == 1.0
            best = self._combined(
                strategy, best, members, 1.0 if with_care else SHARE_AFTER_NETWORK
            )
            for one in new:
                self._add(one, began, best)
        if best is None:
            raise self._nothing()
        if not with_care:
            best = self._combined(strategy, best, members, 1.0)
        return strategy.finish(best)

    def _first(self, strategy: Strategy) -> TrainedCandidate | None:
        """Return the model that needs no time at all, and measure how long writing a run takes.

        There is no deadline: without it there would be no result.
        """
        if self.budget.counts_steps or self.stop_event.is_set():
            return None
        first = strategy.first()
        if first is not None:
            with self.pace.timed("saving"):
                self.rehearse(single(first))
        return first

    def _combined(
        self,
        strategy: Strategy,
        before: Ensemble | None,
        members: Sequence[TrainedCandidate],
        share: float,
    ) -> Ensemble:
        """Combine the members in a share of the time left.

        A newer ensemble takes the place of the one before unless it is clearly worse: it may be
        combined in a hurry. Where it was judged on less of dev, a single model does not.
        """
        with self.pace.timed("combining"):
            try:
                after = strategy.combine(members, self._ends_after(share))
            except DeadlineError:
                after = before or single(min(members, key=lambda one: one.nats))
        if before is None:
            is_better = True
        elif before.judged == after.judged:
            is_better = after.nats < before.nats + strategy.tolerance
        else:
            is_better = len(after.members) > 1 or len(before.members) == 1
        best = after if is_better or before is None else before
        if not self.budget.counts_steps and best.model is not None:
            self._num_bytes = sum(value.nbytes for value in best.model.tensors().values())
        return best

    def _train(
        self,
        strategy: Strategy,
        candidate: ScheduledCandidate,
        seconds: float | None,
        steps: int | None,
    ) -> list[TrainedCandidate]:
        """Train a model; one that fails, or is not ready in time, is left out with the reason."""
        began, ends = time.monotonic(), self.ends()
        try:
            with deadline(ends):
                if candidate.trains and not self._is_loaded(ends):
                    raise DeadlineError
                if seconds is not None:  # Loading was part of it.
                    seconds = max(0.0, seconds - (time.monotonic() - began))
                return strategy.train(candidate, seconds, steps)
        except DeadlineError:
            reason = f"{candidate.family}: its time was up before it was of use"
        except (TrainingError, SettingError) as error:
            reason = f"{candidate.family}: {error}"
        if reason not in self.failed:  # Of a family that is tried with several settings.
            self.failed.append(reason)
        return []

    def beside(self, work: Callable[[], object]) -> None:
        """Do something in a thread, after what is there to be done already."""
        before = self._beside

        def after_that() -> None:
            if before is not None:
                before.join()
            with suppress(Exception):  # What is wrong is said where it is needed.
                work()

        self._beside = Thread(target=after_that, daemon=True)
        self._beside.start()

    def _begin_loading(self, strategy: Strategy) -> None:
        """Begin to load PyTorch, if there is something to train, while other things are done."""
        if self.budget.counts_steps:
            return
        if any(one.trains for one in strategy.schedule(self.budget.for_training())):
            self.beside(_load_torch)
            self._loading = self._beside

    def _is_loaded(self, ends: float) -> bool:
        """Return whether PyTorch is there by some time, which need not be now."""
        if self._loading is not None and not math.isinf(ends):
            self._loading.join(max(0.0, ends - time.monotonic()))
            return not self._loading.is_alive()
        return True

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
        """Fit the models that need no training, as time allows; return them and the best."""
        members: list[TrainedCandidate] = []
        best: Ensemble | None = None
        began = self.budget.spent()
        with suppress(DeadlineError), deadline(self.ends()):
            for one in strategy.count():
                members.append(one)
                best = min((best or single(one), single(one)), key=lambda made: made.nats)
                self._add(one, began, best)
                began = self.budget.spent()
        return members, best

    def _to_train(
        self, candidates: Sequence[ScheduledCandidate], trained: Sequence[_Training]
    ) -> Iterator[tuple[ScheduledCandidate, float, int | None]]:
        """Yield what to train, each with its share of the time that is left then, and of the steps.

        When all candidates were trained and time is left, they are trained again from other seeds.

        Args:
            candidates: Those that are scheduled.
            trained: What was trained so far; grows meanwhile.
        """
        steps = self.budget.steps
        for number, candidate in enumerate(candidates):
            share = candidate.share / sum(other.share for other in candidates[number:])
            own = None if steps is None else max(1, round(share * steps))
            yield candidate, share, own
            steps = None if steps is None else steps - (own or 0)
        while steps is None and (again := _worth_another_seed(trained, self.left())) is not None:
            yield again, 1.0, None

    def ends(self) -> float:
        """Return when all but writing the run and its page has to be done, by ``time.monotonic``.

        It is infinite where steps count, and soon once the user asked to stop.
        """
        if self.stop_event.is_set():
            return time.monotonic() + STOPPING_SECONDS
        saving = self.pace.expected("saving") + self.pace.expected("writing", self._num_bytes)
        page = self.pace.expected("page")
        return self.budget.began + self.budget.seconds - saving - page

    def left(self) -> float:
        """Return the seconds that are left for anything but writing the run and its page."""
        return self.ends() - time.monotonic()

    def _ends_after(self, share: float) -> float:
        """Return when a share of the time left is over; all of it once the user asked to stop."""
        left = self.left()
        share = 1.0 if self.stop_event.is_set() else share
        return time.monotonic() + (left if math.isinf(left) else max(0.0, share * left))

    def tried_of(self, one: TrainedCandidate, began: float, best: Ensemble) -> Tried:
        """Return what the result says of a model, begun at some time and ready now."""
        return Tried(
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

    def _add(self, one: TrainedCandidate, began: float, best: Ensemble) -> None:
        """Record what was tried, and tell the watcher."""
        self.tried.append(self.tried_of(one, began, best))
        if self.watch is not None:
            self.watch(self.tried[-1])

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


def _without(
    first: TrainedCandidate | None, members: Sequence[TrainedCandidate]
) -> list[TrainedCandidate]:
    """Return the members without the first result, which a part of the text gave."""
    return [one for one in members if one is not first]


def _worth_another_seed(trained: Sequence[_Training], seconds: float) -> ScheduledCandidate | None:
    """Return the model to train again in so many seconds; None if there is too little time for any.

    Of those trained least often it is the best by itself. It gets as long as it took last.
    """
    newest = {(one.candidate.family, str(one.candidate.options)): one for one in trained}
    possible = [
        one
        for one in newest.values()
        if one.candidate.trains and one.seconds < seconds and not math.isinf(one.nats)
    ]
    if not possible:
        return None
    chosen = min(possible, key=lambda one: (one.candidate.seed, one.nats)).candidate
    return replace(chosen, seed=chosen.seed + 1)


def _load_torch() -> None:
    import torch  # noqa: F401


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
        if self.stop_event.is_set() or past_deadline():
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
