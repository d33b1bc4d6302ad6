"""The strategy for language models: which are trained, and how they are combined."""

import math
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from itertools import groupby
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from thence.autopilot.autopilot import TOLERANCE, Autopilot
from thence.autopilot.candidates import (
    Ensemble,
    ScheduledCandidate,
    TrainedCandidate,
    schedule,
    trained_candidate,
)
from thence.autopilot.combining import (
    combine_language_models,
    combining_seconds,
    mixture_of,
    sharing_weights,
    with_members,
)
from thence.autopilot.mixer_inputs import with_inputs, with_log_odds
from thence.autopilot.pace import SAFETY
from thence.autopilot.refitting import fitted_again, is_refitted
from thence.autopilot.titles import language_title
from thence.autopilot.training import reported_settings
from thence.deadline import DeadlineError, check_deadline, deadline
from thence.models.candidates import TextKind
from thence.models.language.context_mixing import ContextMixing
from thence.models.registry import get_family
from thence.recipes.recipe import Recipe
from thence.tokens import TokenStore

if TYPE_CHECKING:
    from thence.autopilot.networks import Trained

SAMPLES, SMALL = (20_000, 80_000), 3
"""Targets in the samples that are counted to estimate the time for the whole text; the larger
sample is counted only if the smaller says there is time. A text of up to ``SMALL`` times the larger
sample is counted without an estimate."""
MAX_MEASURING_SHARE = 0.1
"""Largest share of the time for counting that counting the larger sample may take."""
MAX_SCORING_SHARE, MIN_JUDGED = 0.25, 20_000
"""Largest share of the time for counting that scoring dev may take. If scoring all of dev would
take longer, models are judged on its beginning, but on at least ``MIN_JUDGED`` targets."""
MIXER_FACTOR = 4.0
"""Context mixing scores separate documents and then learns them, in about this multiple of the time
that scoring alone took. In running text, scoring includes learning already."""
MAX_REFIT_SHARE = 0.3
"""Time is kept for fitting the counted models of a family again to train and dev only if it is at
most this share of the time left."""
TRAININGS_PER_JUDGED = 3
"""On separate documents, such as names, networks of one family are trained in groups of this size,
each from another seed. The first of a group is trained on train and judged on dev. The others are
trained on train and dev with its recipe, and share its weight in the mixture."""
COUNTING_SHARE, COUNTING_SHARE_BEFORE_NETWORKS = 0.6, 0.5
"""Shares of the time left that counting may take: without networks to train afterwards,
and with networks."""


@dataclass(frozen=True)
class LanguageStrategy:
    """N-grams and caches, then networks, and a mixture of the useful ones.

    Attributes:
        autopilot: The search, with its budget and text.
        kind: What is modelled: names, characters or words.
        description: A description of the text for the report, such as its kind and size.
        refit: Whether counted models are fitted again to train and dev, once they are chosen.
        dev: All of dev; models may be judged on its beginning only.
        mixers: The context-mixing models, which can take predictions of other models as inputs.
        judged: Of each family of networks the newest one that was judged on dev.
        combined: The mixtures so far, by the names of the judged members.
    """

    autopilot: Autopilot
    kind: TextKind
    description: str
    refit: bool = True
    dev: TokenStore = field(init=False)
    mixers: list[TrainedCandidate] = field(default_factory=list)
    judged: dict[tuple[str, str], "_Judged"] = field(default_factory=dict)
    combined: dict[tuple[str, ...], Ensemble] = field(default_factory=dict)
    unit: ClassVar[Literal["token"]] = "token"
    tolerance: ClassVar[float] = TOLERANCE

    def __post_init__(self) -> None:
        object.__setattr__(self, "dev", self.autopilot.data.dev)

    def first(self) -> TrainedCandidate | None:
        """Return an n-gram model of the end of the text, of a size that is counted in a moment."""
        for candidate in schedule(self.kind, 0.0, "fit"):
            if not candidate.running:
                data = self.autopilot.data
                part, dev = data.train.ending(SAMPLES[0]), data.dev.beginning(SAMPLES[-1])
                for one in self._fitted(candidate.family, [candidate.options], part, dev):
                    is_part = "train_tokens" in one.training
                    return replace(one, name=f"{one.name}, of a part") if is_part else one
        return None

    def count(self) -> Iterator[TrainedCandidate]:
        """Fit the counted models of each family, and yield them one by one."""
        autopilot, seconds = self.autopilot, self.autopilot.budget.for_training()
        networks = schedule(self.kind, seconds, "train")
        ends = time.monotonic() + autopilot.left() * (
            COUNTING_SHARE_BEFORE_NETWORKS if networks else COUNTING_SHARE
        )
        candidates = schedule(self.kind, seconds, "fit")
        for name, group in groupby(candidates, key=lambda one: one.family):
            some = [one for one in group if self._carries or not one.running]
            settings, whole = [one.options for one in some], any(one.whole for one in some)
            train: TokenStore | None = autopilot.data.train
            if not autopilot.budget.counts_steps:
                train = self._affordable(name, settings, ends - time.monotonic(), whole)
            if train is None:
                continue
            for one in self._fitted(name, settings, train, autopilot.data.dev):
                if isinstance(one.model, ContextMixing):
                    self.mixers.append(one)
                yield one

    def _affordable(
        self, name: str, settings: Sequence[Mapping[str, Any]], seconds: float, whole: bool = False
    ) -> TokenStore | None:
        """Return as much of the end of the train text as can be counted in ``seconds``.

        The speed of counting and of scoring dev is measured on small samples. None if there is time
        for no more than the samples, or less than for all where the ``whole`` is needed. If scoring
        dev takes too long, only its beginning is scored from now on.
        """
        train, dev = self.autopilot.data.train, self.autopilot.data.dev
        if train.num_targets < SMALL * SAMPLES[-1]:
            return train
        affordable = 0.0
        for size in SAMPLES:
            part, judged = train.ending(size), dev.beginning(size)
            began = time.monotonic()
            models = [model for _, model in self._models(name, settings, part)]
            counted = time.monotonic()
            for model in models:
                model.score(judged, self._carries)
            ended = time.monotonic()
            counting = SAFETY * (counted - began) / part.num_targets
            scoring = SAFETY * (ended - counted) / judged.num_targets * dev.num_targets
            share = MAX_SCORING_SHARE * seconds / max(scoring, 1e-12)
            affordable = (seconds - min(share, 1.0) * scoring) / max(counting, 1e-12)
            seconds -= ended - began
            if affordable >= train.num_targets and share >= 1:
                return train
            if SAMPLES[-1] / SAMPLES[0] * (ended - began) > MAX_MEASURING_SHARE * seconds:
                break  # Counting the larger sample would take too long.
        if affordable < SAMPLES[0] or (whole and (affordable < train.num_targets or share < 1)):
            return None
        if share < 1:
            self._judge_by(int(share * dev.num_targets))
        return train if affordable >= train.num_targets else train.ending(int(affordable))

    def _judge_by(self, targets: int) -> None:
        """Judge all models on about the first ``targets`` targets of dev from now on."""
        data = self.autopilot.data
        self.autopilot.data = replace(data, dev=data.dev.beginning(max(targets, MIN_JUDGED)))

    @property
    def _carries(self) -> bool:
        return bool(self.autopilot.recipe.training.carry_context)

    def _models(
        self, name: str, settings: Sequence[Mapping[str, Any]], train: TokenStore
    ) -> Iterator[tuple[Any, Any]]:
        """Yield the options and the fitted model for each of a family's settings."""
        family, size = get_family(name), self.autopilot.vocabulary_size
        options = [family.make_options(one) for one in settings]
        models = [family.language_model(one, size) for one in options]
        yield from zip(options, family.fit_all(models, train, self._carries), strict=True)

    def _fitted(
        self,
        name: str,
        settings: Sequence[Mapping[str, Any]],
        train: TokenStore,
        dev: TokenStore,
    ) -> Iterator[TrainedCandidate]:
        """Fit models of one family to a text, and yield each with its scores on dev."""
        made, began = self._models(name, settings, train), time.monotonic()
        fitting = 0.0
        for one, (options, model) in zip(settings, made, strict=True):
            check_deadline()
            fitting += time.monotonic() - began
            self.autopilot.pace.measured(_fitting(name), fitting, train.num_targets)
            began = time.monotonic()
            scores = model.score(dev, self._carries)
            self.autopilot.pace.measured(name, time.monotonic() - began, dev.num_targets)
            is_part = train.num_targets < self.autopilot.data.train.num_targets
            about = {"train_tokens": train.num_targets} if is_part else {}
            more = {"carry_context": self._carries, "training": about}
            yield trained_candidate(language_title(name, one), name, options, model, scores, **more)
            began = time.monotonic()

    def schedule(self, seconds: float) -> tuple[ScheduledCandidate, ...]:
        """Return the networks that are worth training in ``seconds``, in order."""
        return schedule(self.kind, seconds, "train")

    def combining_seconds(self, members: Sequence[TrainedCandidate]) -> float:
        """Return the expected seconds to combine the members and one more."""
        autopilot = self.autopilot
        left, pace = autopilot.left(), autopilot.pace
        dev = autopilot.data.dev
        combining = combining_seconds(len(members) + 1, dev, left, pace) + self._mixer_seconds()
        return combining + self._refitting_seconds(members)

    def _refitting_seconds(self, members: Sequence[TrainedCandidate]) -> float:
        """Return the seconds to keep for fitting counted models again, where that is not long."""
        names = {one.family for one in members if self.refit and is_refitted(one)}
        most = MAX_REFIT_SHARE * self.autopilot.left()
        return sum(seconds for name in names if (seconds := self._fitting_seconds(name)) < most)

    def _fitting_seconds(self, family: str) -> float:
        """Return the expected seconds to fit a family's models to train and dev."""
        targets = self.autopilot.data.train.num_targets + self.dev.num_targets
        return self.autopilot.pace.expected(_fitting(family), targets)

    def _mixer_seconds(self) -> float:
        """Return the seconds to keep for training the context-mixing model on dev with inputs."""
        targets, pace = self.autopilot.data.dev.num_targets, self.autopilot.pace
        if "mixer" in pace.rates:
            return pace.expected("mixer", targets)
        times = 1.0 if self._carries else MIXER_FACTOR
        return sum(times * pace.expected(one.family, targets) for one in self.mixers)

    def train(
        self, candidate: ScheduledCandidate, seconds: float | None, steps: int | None
    ) -> list[TrainedCandidate]:
        """Train a network; return nothing if there is too little time.

        On running text in words it comes with a neural cache of its hidden states, if time allows.
        On other text only every ``TRAININGS_PER_JUDGED``-th network of a family is judged.
        """
        autopilot, data = self.autopilot, self.autopilot.data
        ends = autopilot.budget.after(seconds)
        # Imports torch.
        from thence.autopilot.adapting import neural_cache, with_dynamic_evaluation
        from thence.autopilot.networks import choose_recipe, train_until

        base = autopilot.recipe_of(candidate)
        first = self.judged.get(candidate.key)
        if first is not None and candidate.seed % TRAININGS_PER_JUDGED:
            return self._train_with_dev(first, base.training.seed, seconds)
        recipe, seconds = choose_recipe(base, data, candidate, self.kind, seconds, steps)
        ends = min(ends, autopilot.budget.after(seconds))
        sized = get_family(candidate.family).size is not None
        about = {"hidden": recipe.options.hidden_size} if sized else candidate.options
        title = language_title(candidate.family, about)
        name = autopilot.unused_name(title)
        with_cache, mixers = self._carries and self.kind == "words", self.mixers
        trained = train_until(ends, autopilot, name, recipe, with_cache, bool(mixers))
        if trained is None:
            return []
        scores = trained.model.score(_part_in_time(trained, autopilot.left()), self._carries)
        one = trained_candidate(
            name,
            candidate.family,
            recipe.options,
            trained.model,
            scores,
            carry_context=self._carries,
            training=reported_settings(trained.recipe),
            curve=trained.curve,
        )
        if seconds is not None and self.refit and not self._carries:
            self.judged[candidate.key] = _Judged(one, title, trained.recipe, seconds)
        made = [one]
        if len(scores) == data.dev.num_targets:
            ends += autopilot.budget.began
            if trained.with_cache:
                with suppress(DeadlineError), deadline(ends):
                    made.append(neural_cache(one, data))
            if trained.learns:
                made[0] = with_dynamic_evaluation(
                    one, trained.recipe.training, data, mixers, ends - trained.scoring
                )
            if made[0].log_odds is None:
                with suppress(DeadlineError), deadline(ends):
                    made[0] = with_log_odds(made[0], mixers, data.dev)
        return made

    def _train_with_dev(
        self, first: "_Judged", seed: int, seconds: float | None
    ) -> list[TrainedCandidate]:
        """Train a network with the recipe of a judged one, another seed, on train and dev.

        It has the scores of the judged one, and about its time.
        """
        from thence.autopilot.networks import equal_parts, train_until

        autopilot, one = self.autopilot, first.candidate
        if seconds is not None:
            seconds /= equal_parts(seconds, first.seconds)
        ends, name = autopilot.budget.after(seconds), autopilot.unused_name(first.title)
        recipe = replace(first.recipe, training=replace(first.recipe.training, seed=seed))
        both = replace(autopilot.data, train=autopilot.data.train.joined(self.dev))
        trained = train_until(ends, autopilot, name, recipe, data=both)
        if trained is None:
            return []
        again = replace(one, name=name, model=trained.model, judged_as=one.name)
        return [replace(again, training=reported_settings(trained.recipe), curve=())]

    def combine(self, members: Sequence[TrainedCandidate], ends: float = math.inf) -> Ensemble:
        """Return the mixture of the members that lower the loss.

        Networks that were trained on dev too are not judged: they share a member's weight.
        """
        judged = [one for one in members if one.judged_as is None]
        names = tuple(one.name for one in judged)
        made = self.combined.get(names) if len(judged) < len(members) else None
        made = made or self._combined(judged, ends)
        self.combined[names] = made
        kept = {one.name for one in made.members}
        others = [one for one in members if one.judged_as in kept]
        return sharing_weights(made, others, self.autopilot.vocabulary_size) if others else made

    def _combined(self, members: Sequence[TrainedCandidate], ends: float) -> Ensemble:
        autopilot = self.autopilot
        dev, size, pace = autopilot.data.dev, autopilot.vocabulary_size, autopilot.pace
        ends -= self._refitting_seconds(members)
        needed = self._mixer_seconds() + combining_seconds(len(members), dev, math.inf, pace)
        if math.isinf(ends) or time.monotonic() + needed < ends:
            with suppress(DeadlineError), deadline(ends):
                began, members = time.monotonic(), with_inputs(members, dev)
                if self.mixers:
                    pace.measured("mixer", time.monotonic() - began, dev.num_targets)
        return combine_language_models(members, dev, size, ends, pace)

    def finish(self, best: Ensemble) -> Ensemble:
        """Return the result with its counted models fitted again to train and dev, in time.

        Context mixing has learned dev already (see ``mixer_inputs``), and caches have nothing to
        learn. Networks stay as they are.
        """
        autopilot, members = self.autopilot, list(best.members)
        data = replace(autopilot.data, dev=self.dev)
        chosen = [at for at, one in enumerate(members) if is_refitted(one)]
        if not (self.refit and chosen) or autopilot.stop_event.is_set():
            return best
        with suppress(DeadlineError), deadline(autopilot.ends()):
            for name, places in groupby(chosen, key=lambda at: members[at].family):
                if self._fitting_seconds(name) > autopilot.left():
                    continue
                at = [*places]
                again = fitted_again([members[one] for one in at], data, self._carries)
                check_deadline()  # Word classes are learned less well where it has passed.
                for one, made in zip(at, again, strict=True):
                    members[one] = made
        return with_members(best, members, autopilot.vocabulary_size)

    def as_combined(self, one: Ensemble) -> Ensemble:
        """Return a single language model as a mixture of one member."""
        model = mixture_of(one.members, self.autopilot.vocabulary_size)
        return replace(one, family="mixture", model=model, options=model.options)


@dataclass(frozen=True)
class _Judged:
    """A network that was trained on train and judged on dev.

    Attributes:
        candidate: The network, with its scores on dev.
        title: Its family and size.
        recipe: Its recipe.
        seconds: The time it had.
    """

    candidate: TrainedCandidate
    title: str
    recipe: Recipe
    seconds: float


def _fitting(family: str) -> str:
    """Return the name of fitting a family's models in ``Pace``."""
    return f"fitting {family}"


def _part_in_time(trained: "Trained", left: float) -> TokenStore:
    """Return the part of dev that a network scores: the planned one, or less for want of time."""
    if trained.scoring <= left:
        return trained.dev
    return trained.dev.beginning(int(trained.dev.num_targets * max(left, 0) / trained.scoring))
