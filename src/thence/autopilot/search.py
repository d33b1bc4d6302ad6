"""One search: what it may spend and has tried, and how it ends in a run folder."""

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from thence.autopilot.clock import Budget
from thence.autopilot.parts import Blend, Part, Rung, alone
from thence.autopilot.result import Tried
from thence.errors import SettingError, TrainingError
from thence.recipes.options import TrainingOptions
from thence.recipes.recipe import Recipe
from thence.signals import StopEvent
from thence.training.data import TrainingData
from thence.training.interrupts import Interrupted
from thence.training.progress import ProgressCallback, ProgressFactory

WITH_PAGE = 20.0
"""Seconds in which there is time for a page about the result."""
DRAWING = 2.0
"""Seconds that it takes."""
WRITING = 0.1
"""Seconds that writing the run takes, beside a hundredth of the whole time."""
LEAST = 0.5
"""Seconds that a network must be trained for, at least."""
LOADING = 2.0
"""Seconds that PyTorch takes to load."""
SLACK = 0.005
"""Nats per token by which a newer mixture may be worse, as it is chosen and judged with care."""
AT_ONCE = 1.0
"""Seconds in which all is put together once the user wants what there is."""
OF_COUNTS, OF_A_NETWORK = 0.1, 0.3
"""Shares of the time left in which counts, or all after a network, are put together."""

OF_TRAINING = ("seed", "threads", "device", "carry_context")
"""Settings of training that are not chosen here."""

Watcher = Callable[[Tried], None]


class Road(Protocol):
    """What is tried, and how it is put together: for language, or for labels."""

    mixed: str
    """The family of several models as one."""

    def described(self) -> str:
        """Return what the text is like, in words."""

    def at_once(self) -> Iterator[Part]:
        """Yield what needs no training."""

    def rungs(self, seconds: float) -> tuple[Rung, ...]:
        """Return what is worth training in so many seconds."""

    def ending(self, parts: Sequence[Part]) -> float:
        """Return the seconds that putting the parts and one more together takes."""

    def train(self, rung: Rung, seconds: float | None, steps: int | None) -> list[Part]:
        """Train a model; return it and what comes with it, or nothing if there is no time."""

    def blend(self, parts: Sequence[Part], seconds: float = math.inf) -> Blend:
        """Put together the parts that pay for their place."""

    def losses(self, made: Blend) -> dict[str, float]:
        """Return what the metrics say of what came out."""

    def single(self, made: Blend) -> Blend:
        """Return what came out alone as it is written: trained models as a mixture of one.

        A run of a trained model promises a training that can be gone on with, which there is not.
        """

    def options(self, part: Part) -> object:
        """Return the settings of a part that is written by itself."""


@dataclass
class Search:
    """A search.

    Attributes:
        recipe: Has how the text is read, divided and tokenised, and what is not chosen here.
        prepared: The text.
        budget: What may be spent.
        wish: Set when the user wants what there is.
        progress: Opens what is told of each step of a training.
        watch: Is told of each model that was tried.
        tried: What was tried so far.
        failed: What could not be trained, and why.
    """

    recipe: Recipe
    prepared: TrainingData
    budget: Budget
    wish: StopEvent
    progress: ProgressFactory
    watch: Watcher | None
    tried: list[Tried] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)

    def follow(self, road: Road) -> Blend:
        """Try what the road has until the budget is spent; return the best that came out.

        Raises:
            TrainingError: If there was no time for anything, or it was broken off before.
        """
        parts, made = self._at_once(road)
        loading = 0.0 if self.budget.counts_steps else LOADING
        rungs = road.rungs(max(0.0, self.budget.for_networks() - loading))
        if parts:
            made = _better(made, road.blend(parts, self._share(OF_COUNTS if rungs else 1.0)))
            self.tried[-1] = replace(
                self.tried[-1], so_far=made.nats, accuracy_so_far=made.accuracy
            )
        whole = not rungs
        for rung, share, steps in self._steps(rungs):
            if self.wish.is_set():
                break
            began = self.budget.spent()
            ending = road.ending(parts) if parts else 0.0
            seconds = share * (self.left() - ending) if steps is None else None
            new = self._trained(road, rung, seconds, steps)
            if not new:
                continue
            parts += new
            whole = rung is rungs[-1]
            made = _better(made, road.blend(parts, self._share(1.0 if whole else OF_A_NETWORK)))
            for part in new:
                self._add(part, began, made)
        if made is None:
            raise self._nothing()
        return made if whole else _better(made, road.blend(parts, self._share(1.0)))

    def _trained(
        self, road: Road, rung: Rung, seconds: float | None, steps: int | None
    ) -> list[Part]:
        """Train a model; one that fails is left out, with the reason."""
        try:
            return road.train(rung, seconds, steps)
        except (TrainingError, SettingError) as error:
            self.failed.append(f"{rung.model}: {error}")
            return []

    def _nothing(self) -> TrainingError:
        """Return why nothing came out."""
        if self.wish.is_set():
            message = "Broken off before anything was trained; nothing was written."
            return Interrupted(message, self.wish.number)
        if self.failed:
            return TrainingError(f"Nothing could be trained. {self.failed[0]}")
        return TrainingError(
            f"After {self.budget.spent():.1f} s, with the text read, there was no time left to "
            "train anything; nothing was written. Give a longer --time."
        )

    def _at_once(self, road: Road) -> tuple[list[Part], Blend | None]:
        """Try what needs no training; return all of it, and the best alone."""
        parts: list[Part] = []
        made: Blend | None = None
        began = self.budget.spent()
        for part in road.at_once():
            parts.append(part)
            made = alone(part) if made is None else min(made, alone(part), key=lambda one: one.nats)
            self._add(part, began, made)
            began = self.budget.spent()
        return parts, made

    def _steps(self, rungs: Sequence[Rung]) -> Iterator[tuple[Rung, float, int | None]]:
        """Yield each rung, its share of the time that is left then, and of the steps."""
        steps = self.budget.steps
        for number, rung in enumerate(rungs):
            share = rung.share / sum(other.share for other in rungs[number:])
            own = None if steps is None else max(1, round(share * steps))
            yield rung, share, own
            steps = None if steps is None else steps - (own or 0)

    def left(self) -> float:
        """Return the seconds that are left for anything but writing the run and its page."""
        drawing = DRAWING if self.budget.seconds >= WITH_PAGE else 0.0
        return self.budget.left() - WRITING - drawing - 0.01 * self.budget.seconds

    def _share(self, share: float) -> float:
        """Return the seconds that a share of the time left is; without end where steps count."""
        if self.wish.is_set():
            return AT_ONCE
        return math.inf if self.budget.counts_steps else max(0.0, share * self.left())

    def _add(self, part: Part, began: float, made: Blend) -> None:
        """Keep what was tried, and tell of it."""
        one = Tried(
            part.name,
            part.family,
            {**part.options, **part.training},
            began,
            self.budget.spent() - began,
            part.nats,
            made.nats,
            part.accuracy,
            made.accuracy,
            curve=[(began + seconds, nats) for seconds, nats in part.curve],
        )
        self.tried.append(one)
        if self.watch is not None:
            self.watch(one)

    @contextmanager
    def listening(self, name: str) -> Iterator["UntilEnough"]:
        """Open what is told of a training, and ends it once the user wants what there is."""
        with self.progress(name) as listener:
            yield UntilEnough(listener, self.wish)

    def name_for(self, name: str) -> str:
        """Return a name that nothing tried before has."""
        taken = {one.name for one in self.tried}
        others = (f"{name} ({number})" for number in range(2, len(taken) + 3))
        return next(other for other in [name, *others] if other not in taken)


def _better(before: Blend | None, after: Blend) -> Blend:
    """Return the newer blend unless it is clearly worse: it may have been made in a hurry."""
    return after if before is None or after.nats < before.nats + SLACK else before


class Enough(Exception):  # noqa: N818  (a wish that is granted)
    """Ends a training at once, between two steps."""


@dataclass(frozen=True)
class UntilEnough:
    """Hears of a training, tells who listens, and ends it when that is wished.

    Attributes:
        listener: Who listens.
        wish: Set when it is enough.
    """

    listener: ProgressCallback
    wish: StopEvent

    def on_step(self, step: int, tokens: float, share: float) -> None:
        """Hear that so many steps are done."""
        self.listener.on_step(step, tokens, share)
        if self.wish.is_set():
            raise Enough

    def on_evaluation(self, metrics: dict[str, Any]) -> None:
        """Hear of a look at dev."""
        self.listener.on_evaluation(metrics)


def with_training(recipe: Recipe, **settings: Any) -> Recipe:
    """Return a recipe with settings of training; those left open are the family's own."""
    kept = {name: getattr(recipe.training, name) for name in OF_TRAINING}
    return replace(recipe, training=TrainingOptions(**kept, **settings))


def told(recipe: Recipe) -> dict[str, Any]:
    """Return the settings of a training that are worth telling."""
    names = ("batch_size", "window", "lr", "time", "steps", "threads", "precision")
    given = {name: getattr(recipe.training, name) for name in names}
    return {name: value for name, value in given.items() if value is not None}
