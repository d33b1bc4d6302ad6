"""The page of ``thence best``: what was tried, what each second bought, what more may buy."""

from pathlib import Path
from typing import Any

from thence.atomic import write_atomically
from thence.autopilot import Best
from thence.autopilot.result import COLUMNS, PAGE, about_rows, tried_rows
from thence.reports.content import Block, Folded, Note, Pairs, Plots, Section, Table, Title, page
from thence.reports.plots.autopilot import plot_best_so_far

GUESSED = (
    "What more time would likely buy is a guess: for each doubling of the time, a quarter of what "
    "the networks have brought beyond the counts."
)
HELD_OUT_LABELS = (
    "Accuracies and losses are on dev, those of averages of each half of it under weights that "
    "were learned on the other half. What has next to no weight is dropped."
)
HELD_OUT = (
    "Losses are on dev, those of mixtures of each half of it under weights that were learned on "
    "the other half; curves are of the beginning of dev. What brings less than a thousandth of a "
    "nat does not pay for its place and is dropped."
)


def write_page(done: Best) -> Path:
    """Write ``best.html`` into the folder of the run."""
    path = done.folder / PAGE
    write_atomically(path, best_html(done).encode("utf-8"))
    return path


def best_html(done: Best) -> str:
    """Return the page; it reads nothing but the result."""
    name = done.folder.resolve().name
    return page(f"{name}: how it was found", [Title(name), found_section(done)])


def found_section(done: Best) -> Section:
    """Return what was tried and what it bought."""
    settings = [
        (one.name, ", ".join(f"{name} {_shown(value)}" for name, value in one.settings.items()))
        for one in done.tried
        if one.curve  # A network.
    ]
    blocks: list[Block] = [Pairs(about_rows(done)), Plots([plot_best_so_far(done)])]
    blocks += [Note(GUESSED)] if done.outlook() else []
    blocks += [Table(COLUMNS, tried_rows(done))]
    blocks += [Note(HELD_OUT if done.accuracy is None else HELD_OUT_LABELS)]
    blocks += [Folded("settings of the networks", [Pairs(settings)])] if settings else []
    return Section("How it was found", blocks)


def _shown(setting: Any) -> str:
    """Return a setting as it is given to a command."""
    is_many = isinstance(setting, list | tuple)
    return " ".join(map(str, setting)) or "none" if is_many else str(setting)
