"""``best``: the best model of a text that this machine can train within a time budget."""

import signal
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from thence.atomic import new_folder
from thence.autopilot.autopilot import Autopilot, Watcher
from thence.autopilot.budget import make_budget
from thence.autopilot.labels import LabelStrategy
from thence.autopilot.language import LanguageStrategy
from thence.autopilot.reading import ReadText, read_text
from thence.autopilot.result import Best
from thence.autopilot.strategy import Strategy
from thence.autopilot.training import TRAINING_SETTINGS
from thence.autopilot.writing import RunWriter
from thence.corpus import ReadingOptions, Source, SplitOptions
from thence.errors import SettingError, nearest
from thence.recipes.recipe import known_settings, make_recipe
from thence.runs.sources import readable_sources, take_from_memory
from thence.signals import Interrupted, stop_on_signals
from thence.training.callbacks import ProgressFactory, silent_progress
from thence.training.new_run import run_folder


def best(
    text: Source,
    *,
    time: str | None = None,
    steps: int | None = None,
    output: str | Path | None = None,
    progress: ProgressFactory = silent_progress,
    watch: Watcher | None = None,
    began: float | None = None,
    page: Callable[[Best, Sequence[str]], object] | None = None,
    keep_text: bool = True,
    refit: bool = True,
    **settings: Any,
) -> Best:
    """Find and train the best model of a text within a time budget.

    Args:
        text: A file, a folder, ``-`` for standard input, or the name of a known text; or the texts
            themselves, as in ``thence.train``, which ``dev`` and ``test`` may be too.
        time: The time budget for everything, such as 90s, 5m or 2h.
        steps: In place of a time: training steps, shared by all networks. The result is then
            the same each time.
        output: The run folder to create; by default ``runs/TEXT-best``.
        progress: Opens the progress callback of each training; by default none.
        watch: Callback for each model that was tried.
        began: When the time began, by ``time.monotonic``; by default now.
        page: Writes a page about the result, within the time; not called if the time is below
            ``MIN_TIME_FOR_PAGE`` seconds.
        keep_text: Keep texts that can be read only once in the run, as in ``thence.train``.
        refit: Let models of the result learn from dev too: counted models and classifiers are
            fitted again to train and dev once they are chosen, and networks that are trained
            again from another seed read both, unless the text is running text.
        **settings: How the text is read, divided, tokenised and labelled, and ``seed``,
            ``threads``, ``device`` and ``carry_context``, as in ``thence.train``.

    Returns:
        The run's folder, and what was tried for it.

    Raises:
        ThenceError: If the text, a setting or the output cannot be used.
        Interrupted: After SIGTERM or SIGHUP; the best model so far is saved.
    """
    budget = make_budget(time, steps, began)
    _check_settings(settings)
    labelled = settings.get("label") is not None
    given = {"text": text, **settings}
    held = take_from_memory(given)
    name = str(given.pop("text"))
    if labelled:
        named = make_recipe(name, "linear", given)
    else:  # Only reading and splitting; the tokens are chosen later, from the text itself.
        known = {*ReadingOptions.__dataclass_fields__, *SplitOptions.__dataclass_fields__}
        named = make_recipe(name, "ngram", {one: given[one] for one in known & {*given}})
    folder = run_folder(name, "best", output)
    with stop_on_signals() as stop_event:
        with new_folder(folder) as new, readable_sources(named, held, keep_text) as sources:
            found = read_text(named, sources.replacements, given, budget)
            autopilot = Autopilot(found.recipe, found.data, budget, stop_event, progress, watch)
            autopilot.pace.totals["reading"] = budget.spent()
            strategy = _strategy_for(found, autopilot, refit)
            writer = RunWriter(found, autopilot, strategy, new, sources, page)
            autopilot.rehearse = writer.rehearse
            if not budget.counts_steps:
                autopilot.in_background(lambda: writer.about_text)
            done = writer.write(autopilot.run(strategy))
        if not stop_event.is_set():
            writer.write_page(done)
        # Ctrl-C asks for the best model so far; other signals must show in the exit code.
        if stop_event.is_set() and stop_event.number != signal.SIGINT:
            raise Interrupted(f"Stopped; the best so far is saved in {folder}.", stop_event.number)
        return done


def _strategy_for(text: ReadText, autopilot: Autopilot, refit: bool) -> Strategy:
    if text.profile is None:
        return LabelStrategy(autopilot, refit)
    tokens = text.recipe.tokens.tokens
    described = f"{text.profile.described()}; in {tokens}"
    kind = text.profile.kind(tokens, autopilot.vocabulary_size)
    return LanguageStrategy(autopilot, kind, described, refit)


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
