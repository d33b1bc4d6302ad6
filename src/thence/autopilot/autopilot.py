"""The search itself: trains one candidate after another within the budget and keeps the best."""

import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from threading import Thread

from thence.autopilot.budget import Budget
from thence.autopilot.candidates import Ensemble, ScheduledCandidate, TrainedCandidate, single
from thence.autopilot.pace import Pace
from thence.autopilot.result import Tried
from thence.autopilot.strategy import Strategy
from thence.autopilot.training import StoppingListener
from thence.deadline import DeadlineError, deadline
from thence.errors import SettingError, TrainingError
from thence.recipes.recipe import Recipe
from thence.signals import Interrupted, StopEvent
from thence.training.callbacks import ProgressFactory
from thence.training.data import TrainingData

MIN_TRAINING = 0.5
"""Least seconds to train a network; with less time left, none is started."""
TOLERANCE = 0.005
"""Nats per token or document by which a newer ensemble may be worse than an older one and still
replace it: its weights may have been learned on fewer targets, for want of time."""
STOPPING_SECONDS = 1.0
"""Seconds for the last combination of models after the user asked to stop."""
SHARE_AFTER_COUNTS, SHARE_AFTER_NETWORK = 0.1, 0.3
"""Shares of the time left that combining may take while other models are still to be trained: after
the counted models, and after each network."""
LEAST_SHARE = 0.7
"""A network is trained again from another seed with at least this share of its time."""


Watcher = Callable[[Tried], None]


@dataclass(frozen=True)
class _Training:
    """A finished training; its loss on dev is infinite if it failed."""

    candidate: ScheduledCandidate
    seconds: float
    nats: float


@dataclass
class Autopilot:
    """One search for the best model of a text.

    Attributes:
        recipe: How the text is read, split and tokenised, and the user's training settings.
        data: The tokenised text.
        budget: The time or the training steps that may be spent.
        stop_event: Set when the user asks for the best model so far.
        progress: Opens the progress callback of a training.
        watch: Callback for each model that was tried.
        rehearse: Called with the first result, to measure how long it takes to write a run.
        pace: How long work takes on this machine, as measured so far.
        tried: The models that were tried so far.
        failed: The reasons why models could not be trained.
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
    _background: Thread | None = None
    _num_bytes: int = 0

    @property
    def vocabulary_size(self) -> int:
        """Number of ids (V)."""
        return len(self.data.tokenizer.vocabulary)

    def recipe_of(self, candidate: ScheduledCandidate) -> Recipe:
        """Return the base of a candidate's recipe: the search's, with the candidate's seed."""
        training = self.recipe.training
        seed = training.seed + candidate.seed
        return replace(self.recipe, training=replace(training, seed=seed))

    def run(self, strategy: Strategy) -> Ensemble:
        """Try the candidates of a strategy until the budget is spent; return the best ensemble.

        Raises:
            TrainingError: If no model could be trained, or the user stopped before the first one.
        """
        self._begin_loading(strategy)
        first = self._first(strategy)
        with self.pace.timed("counting"):
            members, best = self._count(strategy)
        if first is not None and (best is None or first.nats < best.nats):
            members, best = [first, *members], single(first)
            self._add(first, self.budget.spent(), best)
        candidates = strategy.schedule(max(0.0, self.budget.for_training()))
        shown = best
        if members:
            share = SHARE_AFTER_COUNTS if candidates else 1.0
            # How long combining takes is measured here for later; beside an import it takes longer.
            self._loaded_by(self._ends_after(share))
            best = self._combined(strategy, best, members, share)
            shown = _newest_comparable(shown, best)
            self.tried[-1] = replace(
                self.tried[-1], so_far=shown.nats, accuracy_so_far=shown.accuracy
            )
        in_full = not candidates  # Whether the last combination could use all the time left.
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
            in_full = share == 1.0
            best = self._combined(strategy, best, members, 1.0 if in_full else SHARE_AFTER_NETWORK)
            shown = _newest_comparable(shown, best)
            for one in new:
                self._add(one, began, shown)
        if best is None:
            raise self._nothing()
        if not in_full:
            best = self._combined(strategy, best, members, 1.0)
        return strategy.finish(best)

    def _first(self, strategy: Strategy) -> TrainedCandidate | None:
        """Return a model that is fitted in a moment, and measure with it how long writing takes.

        It has no deadline, so that there is always a result. None where steps are counted.
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
        """Combine the members in a share of the time left; return the new ensemble or the old one.

        The new ensemble replaces the old one unless it is worse by more than the tolerance, since
        it may have been combined in little time. If the two were judged on different parts of dev,
        their losses cannot be compared: then a single model does not replace an ensemble.
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
        """Train a candidate; return nothing, and note why, if it fails or is not ready in time."""
        began, ends = time.monotonic(), self.ends()
        try:
            with deadline(ends):
                if candidate.trains and not self._loaded_by(ends):
                    raise DeadlineError
                if seconds is not None:  # Loading PyTorch is part of the candidate's time.
                    seconds = max(0.0, seconds - (time.monotonic() - began))
                return strategy.train(candidate, seconds, steps)
        except DeadlineError:
            reason = f"{candidate.family}: its time was up before it was of use"
        except (TrainingError, SettingError) as error:
            reason = f"{candidate.family}: {error}"
        if reason not in self.failed:  # A family with several settings fails several times.
            self.failed.append(reason)
        return []

    def in_background(self, work: Callable[[], object]) -> None:
        """Call a function in a thread, after the background work that was given before."""
        before = self._background

        def after_that() -> None:
            if before is not None:
                before.join()
            with suppress(Exception):  # It is called again, and raises, where its result is needed.
                work()

        self._background = Thread(target=after_that, daemon=True)
        self._background.start()

    def _begin_loading(self, strategy: Strategy) -> None:
        """Import PyTorch in the background, if the schedule has networks to train."""
        if self.budget.counts_steps:
            return
        if any(one.trains for one in strategy.schedule(self.budget.for_training())):
            self.in_background(_load_torch)
            self._loading = self._background

    def _loaded_by(self, ends: float) -> bool:
        """Wait for PyTorch, at most until ``ends``; return whether it is imported."""
        if self._loading is not None and not math.isinf(ends):
            self._loading.join(max(0.0, ends - time.monotonic()))
            return not self._loading.is_alive()
        return True

    def _nothing(self) -> TrainingError:
        """Return the error that says why there is no model."""
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
        """Fit the counted models that there is time for; return them and the best of them."""
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
        """Yield each candidate with its share of the time left then, and its number of steps.

        If time is left when all candidates were trained, they are trained again from other seeds.

        Args:
            candidates: The schedule.
            trained: The finished trainings; the caller appends to it between two candidates.
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
        """Return the deadline for everything but writing the run and its page.

        In seconds of ``time.monotonic``; infinity where steps are counted, and ``STOPPING_SECONDS``
        from now once the user asked to stop.
        """
        if self.stop_event.is_set():
            return time.monotonic() + STOPPING_SECONDS
        saving = self.pace.expected("saving") + self.pace.expected("writing", self._num_bytes)
        page = self.pace.expected("page")
        return self.budget.began + self.budget.seconds - saving - page

    def left(self) -> float:
        """Return the seconds that are left before ``ends``."""
        return self.ends() - time.monotonic()

    def _ends_after(self, share: float) -> float:
        """Return the end of a share of the time left, by ``time.monotonic``.

        Once the user asked to stop, the share is all of it.
        """
        left = self.left()
        share = 1.0 if self.stop_event.is_set() else share
        return time.monotonic() + (left if math.isinf(left) else max(0.0, share * left))

    def tried_of(self, one: TrainedCandidate, began: float, best: Ensemble) -> Tried:
        """Return the result's entry for a model whose training began at a time and ended now."""
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
        """Append a model to ``tried``, and call ``watch`` with it."""
        self.tried.append(self.tried_of(one, began, best))
        if self.watch is not None:
            self.watch(self.tried[-1])

    @contextmanager
    def listening(self, name: str) -> Iterator[StoppingListener]:
        """Open the progress callback of a training; it also ends it when the user asks to stop."""
        with self.progress(name) as listener:
            yield StoppingListener(listener, self.stop_event)

    def unused_name(self, name: str) -> str:
        """Return the name, with a number appended if it is in use."""
        taken = {one.name for one in self.tried}
        others = (f"{name} ({number})" for number in range(2, len(taken) + 3))
        return next(other for other in [name, *others] if other not in taken)


def _newest_comparable(before: Ensemble | None, after: Ensemble) -> Ensemble:
    """Return the newer ensemble, or the older one if that was judged on more of dev.

    For want of time an ensemble may be judged on the beginning of dev only. Beside losses on all of
    dev, that of an easier or harder beginning would mislead.
    """
    return after if before is None or after.judged >= before.judged else before


def _without(
    first: TrainedCandidate | None, members: Sequence[TrainedCandidate]
) -> list[TrainedCandidate]:
    """Return the members without the first model, which was fitted to a part of the text only."""
    return [one for one in members if one is not first]


def _worth_another_seed(trained: Sequence[_Training], seconds: float) -> ScheduledCandidate | None:
    """Return the candidate to train again from another seed within ``seconds``.

    Of those trained least often it is the one with the lowest loss. None if its training, which is
    taken to last as long as the last time, would take too long for each of them.
    """
    newest = {one.candidate.key: one for one in trained}
    possible = [
        one
        for one in newest.values()
        if one.candidate.trains and LEAST_SHARE * one.seconds < seconds and not math.isinf(one.nats)
    ]
    if not possible:
        return None
    chosen = min(possible, key=lambda one: (one.candidate.seed, one.nats)).candidate
    return replace(chosen, seed=chosen.seed + 1)


def _load_torch() -> None:
    import torch  # noqa: F401
