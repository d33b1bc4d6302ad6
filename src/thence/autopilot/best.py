"""The autopilot: the best model of a text that this machine can make in a given time."""

import math
import signal
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from time import monotonic
from typing import Any

from thence.atomic import NewFolder, new_folder
from thence.autopilot.autopilot import (
    MIN_TIME_FOR_PAGE,
    TRAINING_SETTINGS,
    Autopilot,
    Budget,
    Strategy,
    Watcher,
)
from thence.autopilot.candidates import Ensemble
from thence.autopilot.labels import LabelStrategy
from thence.autopilot.language import LanguageStrategy
from thence.autopilot.profile import TextProfile, profile_text
from thence.autopilot.result import Best
from thence.corpus import Instead, ReadingOptions, Source, SplitOptions, load
from thence.errors import SettingError, TextError, nearest
from thence.models.registry import get_family
from thence.recipes.options import seconds_of
from thence.recipes.recipe import Recipe, known_settings, make_recipe
from thence.runs.create import create_run
from thence.runs.sources import Sources, readable_sources, take_from_memory
from thence.settings import PositiveInt, validate
from thence.signals import Interrupted, stop_on_signals
from thence.training.callbacks import ProgressFactory, silent_progress
from thence.training.data import load_data
from thence.training.fitting import FittedModel, fitted_metrics, save_fitted
from thence.training.new_run import data_provenance, default_run_folder, resolve_paths

MARKED: Mapping[str, Any] = {"word_split": "whitespace"}
"""Token settings for a text that already contains ``<unk>`` symbols, as the Penn Treebank does."""
UNMARKED: Mapping[str, Any] = {"min_count": 2, "max_size": 30_000}
"""Token settings for other texts of words: words that occur twice, at most 30,000 of them."""


def best(
    text: Source,
    *,
    time: str | None = None,
    steps: int | None = None,
    output: str | Path | None = None,
    progress: ProgressFactory = silent_progress,
    watch: Watcher | None = None,
    began: float | None = None,
    page: Callable[[Best], object] | None = None,
    keep_text: bool = True,
    **settings: Any,
) -> Best:
    """Make the best model of a text that can be made in a given time.

    Args:
        text: A file, a folder, ``-`` for standard input, or the name of a known text; or the texts
            themselves, as in ``thence.train``, which ``dev`` and ``test`` may be too.
        time: How long it may take in all, such as 90s, 5m or 2h.
        steps: In place of a time: steps of training, shared by all networks. The result is then
            the same each time.
        output: The run folder to make; by default ``runs/TEXT-best``.
        progress: Opens the listener of each training; by default nobody listens.
        watch: Is called with each model that was tried.
        began: When the time began, by ``time.monotonic``; by default now.
        page: Writes a page about the result, within the time; not called where that is below
            ``MIN_TIME_FOR_PAGE`` seconds.
        keep_text: Keep texts that cannot be read again in the run, as in ``thence.train``.
        **settings: How the text is read, divided, tokenised and labelled, and ``seed``,
            ``threads``, ``device`` and ``carry_context``, as in ``thence.train``.

    Returns:
        The run's folder, and what was tried for it.

    Raises:
        ThenceError: If the text, a setting or the output cannot be used.
        Interrupted: After SIGTERM or SIGHUP; the best so far is saved.
    """
    budget = make_budget(time, steps, began)
    _check_settings(settings)
    labelled = settings.get("label") is not None
    given = {"text": text, **settings}
    held = take_from_memory(given)
    name = str(given.pop("text"))
    if labelled:
        named = make_recipe(name, "linear", given)
    else:  # How the text is read and split; what its tokens are is chosen by what it is like.
        known = {*ReadingOptions.__dataclass_fields__, *SplitOptions.__dataclass_fields__}
        named = make_recipe(name, "ngram", {one: given[one] for one in known & {*given}})
    folder = Path(output) if output is not None else default_run_folder(name, "best")
    with stop_on_signals() as stop_event:
        with new_folder(folder) as new, readable_sources(named, held, keep_text) as sources:
            recipe, profile = _choose_reading(named, sources.instead, given)
            data = load_data(recipe, sources.instead)
            if data.dev.num_documents == 0:
                raise TextError(
                    "Models are chosen and mixed by the dev split, which is empty; use another "
                    "`split`, or give its documents in a file, `dev=FILE`."
                )
            autopilot = Autopilot(recipe, data, budget, stop_event, progress, watch)
            strategy: Strategy = LabelStrategy(autopilot)
            if profile is not None:
                kind = profile.kind(recipe.tokens.tokens)
                described = f"{profile.described()}; in {recipe.tokens.tokens}"
                strategy = LanguageStrategy(autopilot, kind, described)
            done = _write_run(autopilot, strategy, autopilot.run(strategy), new, sources)
        hurried = stop_event.is_set() or budget.seconds < MIN_TIME_FOR_PAGE
        if page is not None and not hurried:
            page(done)
        # Ctrl-C asks for the best so far; after another signal the exit code must say so.
        if stop_event.is_set() and stop_event.number != signal.SIGINT:
            raise Interrupted(f"Stopped; the best so far is saved in {folder}.", stop_event.number)
        return done


def make_budget(time: str | None, steps: int | None, began: float | None) -> Budget:
    """Return what may be spent.

    Raises:
        SettingError: If neither or both are given, or one makes no sense.
    """
    if (time is None) == (steps is None):
        raise SettingError(
            "Say how long it may take: either `time`, such as 5m, or `steps`, for a result that "
            "does not depend on the machine's speed."
        )
    validate("steps", steps, PositiveInt | None)
    seconds = seconds_of(time)
    seconds = math.inf if seconds is None else seconds
    return Budget(seconds, steps, monotonic() if began is None else began)


def _check_settings(settings: Mapping[str, Any]) -> None:
    labelled = settings.get("label") is not None
    known = known_settings("linear" if labelled else "ngram")
    free = {name for name, group in known.items() if group not in ("options", "training")}
    allowed = sorted(free | set(TRAINING_SETTINGS) | {"label"})
    for name in settings:
        if name not in allowed and name in known_settings("linear"):
            raise SettingError(f"`{name}` is about labels: say where they are too, with `label`.")
        if name not in allowed:
            raise SettingError(
                f"There is no setting '{name}' here: models and their settings are chosen to fit "
                "the time." + nearest(name, allowed)
            )


def _choose_reading(
    named: Recipe, instead: Instead, settings: Mapping[str, Any]
) -> tuple[Recipe, TextProfile | None]:
    """Choose tokens, vocabulary and split where they are left open.

    Returns:
        The recipe, and what the text is like; None for labelled text, where nothing is chosen.
    """
    if named.labelling is not None:
        return named, None
    profile = profile_text(load(instead.get(named.text, named.text), named.reading))
    chosen = dict(settings)
    if chosen.setdefault("tokens", profile.level) == "words":
        for name, value in (MARKED if profile.marked else UNMARKED).items():
            chosen.setdefault(name, value)
    if profile.running:
        chosen.setdefault("carry_context", True)
        chosen.setdefault("by", "position")
    return make_recipe(named.text, "ngram", chosen), profile


def _write_run(
    autopilot: Autopilot, strategy: Strategy, best: Ensemble, new: NewFolder, sources: Sources
) -> Best:
    """Write the run folder of the best that came out, whole or not at all."""
    if len(best.members) == 1 and get_family(best.family).method != "fit":
        # A run of a trained model promises that its training can be resumed; a mixture does not.
        best = strategy.as_combined(best)
    base, data = autopilot.recipe, autopilot.data
    carries = any(one.carry_context for one in best.members)
    recipe = replace(
        resolve_paths(base, sources.instead),
        model=best.family,
        options=best.options,
        training=replace(base.training, carry_context=carries),
    )
    losses = {f"dev_nats_per_{strategy.unit}": best.nats}
    if best.accuracy is not None:
        losses["dev_accuracy"] = best.accuracy
    more, hashes = data_provenance(base, data), data.splits.hashes()
    line = fitted_metrics(data.train.num_targets, losses, autopilot.budget.began)
    weights = {one.name: w for one, w in zip(best.members, best.weights, strict=True)}
    result = Best(
        folder=new.target,
        unit=strategy.unit,
        text=strategy.description,
        limit=None if autopilot.budget.counts_steps else autopilot.budget.seconds,
        steps=autopilot.budget.steps,
        seconds=autopilot.budget.spent(),
        interrupted=autopilot.stop_event.is_set(),
        nats=best.nats,
        accuracy=best.accuracy,
        failed=tuple(autopilot.failed),
        tried=tuple(replace(one, weight=weights.get(one.name)) for one in autopilot.tried),
    )

    def write(folder: Path) -> None:
        run = create_run(folder, recipe, data.tokenizer, hashes, sources, more)
        save_fitted(run, FittedModel(best.model.tensors(), line), **losses)
        replace(result, folder=folder).save()

    new.fill(write)
    return result
