"""The autopilot: the best model of a text that this machine can make in a given time."""

import math
import signal
from collections.abc import Callable, Mapping
from pathlib import Path
from time import monotonic
from typing import Any

from thence.atomic import new_folder
from thence.autopilot.clock import Budget
from thence.autopilot.labels import Labelling
from thence.autopilot.language import Language
from thence.autopilot.result import Best
from thence.autopilot.search import OF_TRAINING, WITH_PAGE, Road, Search, Watcher
from thence.autopilot.text import Nature, look_at
from thence.autopilot.written import written
from thence.corpus import Instead, ReadingOptions, Source, SplitOptions, load
from thence.errors import SettingError, TextError, nearest
from thence.recipes.options import TrainingOptions
from thence.recipes.recipe import Recipe, known_settings, make_recipe
from thence.runs.sources import readable_sources, take_from_memory
from thence.training.data import load_data
from thence.training.interrupts import Interrupted, stop_on_signals
from thence.training.progress import ProgressFactory, silent_progress
from thence.training.train import default_run_folder

MARKED: Mapping[str, Any] = {"word_split": "whitespace"}
"""How a text is read whose unknown words are marked in it."""
RARE: Mapping[str, Any] = {"min_count": 2, "max_size": 30_000}
"""Which words of another text are known: those that occur twice, and no more than so many."""


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
        progress: Opens what is told of each step of a training; none by default.
        watch: Is told of each model that was tried.
        began: When the time began, by ``time.monotonic``; by default now.
        page: Writes a page about the result, within the time where that is ``WITH_PAGE`` seconds
            or more, else not at all.
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
    named = _named(name, given, labelled)
    folder = Path(output) if output is not None else default_run_folder(name, "best")
    with stop_on_signals() as wish:
        with new_folder(folder) as new, readable_sources(named, held, keep_text) as sources:
            recipe, nature = _chosen(named, sources.instead, given)
            prepared = load_data(recipe, sources.instead)
            if prepared.dev.num_documents == 0:
                raise TextError(
                    "Models are chosen and mixed by the dev split, which is empty; use another "
                    "--split, or give its documents in a file, --dev FILE."
                )
            search = Search(recipe, prepared, budget, wish, progress, watch)
            road: Road = Language(search, nature) if nature is not None else Labelling(search)
            made = search.follow(road)
            done = written(search, road, made, new, sources)
        hurried = wish.is_set() or budget.seconds < WITH_PAGE
        if page is not None and not hurried:
            page(done)
        if wish.is_set() and wish.number != signal.SIGINT:  # Ctrl-C is how to ask for the best.
            raise Interrupted(f"Stopped; the best so far is saved in {folder}.", wish.number)
        return done


def make_budget(time: str | None, steps: int | None, began: float | None) -> Budget:
    """Return what may be spent.

    Raises:
        SettingError: If neither or both are given, or one makes no sense.
    """
    if (time is None) == (steps is None):
        raise SettingError(
            "Say how long it may take: either --time, such as 5m, or --steps, for a result that "
            "does not depend on the machine's speed."
        )
    if steps is not None and steps < 1:
        raise SettingError(f"--steps is {steps}; it must be above 0.")
    options = TrainingOptions(time=time, steps=steps)
    seconds = math.inf if options.seconds is None else options.seconds
    return Budget(seconds, steps, monotonic() if began is None else began)


def _check_settings(settings: Mapping[str, Any]) -> None:
    labelled = settings.get("label") is not None
    known = known_settings("linear" if labelled else "ngram")
    free = {name for name, group in known.items() if group not in ("options", "training")}
    allowed = sorted(free | set(OF_TRAINING) | {"label"})
    for name in settings:
        if name not in allowed and name in known_settings("linear"):
            flag = name.replace("_", "-")
            raise SettingError(f"--{flag} is about labels: say where they are too, with --label.")
        if name not in allowed:
            raise SettingError(
                f"There is no setting '{name}' here: models and their settings are chosen to fit "
                "the time." + nearest(name, allowed)
            )


def _named(text: str, settings: Mapping[str, Any], labelled: bool) -> Recipe:
    """Return a recipe that says where the text is and how it is read, and of a classifier all."""
    if labelled:
        return make_recipe(text, "linear", settings)
    known = {*ReadingOptions.__dataclass_fields__, *SplitOptions.__dataclass_fields__}
    return make_recipe(text, "ngram", {name: settings[name] for name in known & {*settings}})


def _chosen(
    named: Recipe, instead: Instead, settings: Mapping[str, Any]
) -> tuple[Recipe, Nature | None]:
    """Return how the text is read, divided and tokenised, and what it is like without labels."""
    if named.labelling is not None:
        return named, None
    nature = look_at(load(instead.get(named.text, named.text), named.reading))
    chosen = dict(settings)
    if chosen.setdefault("tokens", nature.level) == "words":
        for name, value in (MARKED if nature.marked else RARE).items():
            chosen.setdefault(name, value)
    if nature.running:
        chosen.setdefault("carry_context", True)
        chosen.setdefault("by", "position")
    return make_recipe(named.text, "ngram", chosen), nature
