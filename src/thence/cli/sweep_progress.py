"""How a sweep goes, for who looks on: a table that changes at a terminal, lines for a file."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from thence.cli.streams import is_at_terminal, print_note
from thence.printable import printable
from thence.sweeps.results import Trial
from thence.sweeps.sweep import SweepProgress, Watcher
from thence.terminal import stderr_console

ROWS = 15
"""Trials that the table shows: the newest."""


@contextmanager
def watching(as_json: bool) -> Iterator[Watcher | None]:
    """Show how a sweep goes on standard error; nothing for a program."""
    if as_json:
        yield None
    elif is_at_terminal():
        with Live(console=stderr_console(), auto_refresh=False, transient=True) as live:
            yield lambda progress: live.update(drawn(progress), refresh=True)
    else:
        yield _line


def _line(progress: SweepProgress) -> None:
    trial = progress.trial
    if progress.event == "ended":
        of = "" if progress.total is None else f" of {progress.total}"
        about = f"{trial.name}{of}: {trial.state}, {described(trial)}"
        print_note(f"{about}; {best_so_far(progress)}")


def drawn(progress: SweepProgress) -> Group:
    """Return the table, and below it the best so far and the time left."""
    table = Table(box=SIMPLE_HEAD)
    space = list(progress.sweep.space)
    is_label = progress.sweep.unit == "document"
    for column in ("trial", *space, "dev accuracy" if is_label else "dev loss", "seconds", "state"):
        table.add_column(Text(printable(column)))
    ranked = progress.sweep.ranked()
    for trial in progress.sweep.trials[-ROWS:]:
        cells = [trial.name, *(field_text(trial.fields.get(name)) for name in space)]
        seconds = "" if trial.seconds is None else f"{trial.seconds:.1f}"
        style = "bold" if ranked and trial == ranked[0] else ""
        style = {"failed": "red", "pruned": "dim", "running": "cyan"}.get(trial.state, style)
        row = [*cells, loss_text(trial), seconds, trial.state]
        table.add_row(*(Text(printable(cell)) for cell in row), style=style)
    done = sum(trial.state != "running" for trial in progress.sweep.trials)
    parts = [f"{done} done" if progress.total is None else f"{done} of {progress.total} done"]
    parts += [best_so_far(progress)]
    if progress.seconds_left is not None:
        parts.append(f"{max(0.0, progress.seconds_left):,.0f} s left")
    return Group(table, Text("; ".join(parts)))


def best_so_far(progress: SweepProgress) -> str:
    """Return the best trial so far in words."""
    ranked = progress.sweep.ranked()
    return f"best {loss_text(ranked[0])} ({ranked[0].name})" if ranked else "none finished yet"


def described(trial: Trial) -> str:
    """Return the fields of a trial and how it came out, or why it did not."""
    fields = ", ".join(f"{name} {field_text(value)}" for name, value in trial.fields.items())
    if trial.reason is not None:
        return f"{fields}: {trial.reason}"
    seconds = "" if trial.seconds is None else f", {trial.seconds:.1f} s"
    kind = "accuracy" if trial.accuracy is not None else "loss"
    return f"{fields}, dev {kind} {loss_text(trial)}{seconds}"


def loss_text(trial: Trial) -> str:
    """Return the accuracy of a classifier, or else the loss; nothing before the first look."""
    if trial.accuracy is not None:
        return f"{trial.accuracy:.2%}"
    return "" if trial.nats is None else f"{trial.nats:.4f}"


def field_text(value: Any) -> str:
    """Return the value of a field, short enough for a table.

    >>> field_text(0.0123456), field_text(300), field_text(None), field_text((0.5, 0.75))
    ('0.01235', '300', '', '0.5 0.75')
    """
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, list | tuple):
        return " ".join(map(field_text, value))
    return "" if value is None else str(value)
