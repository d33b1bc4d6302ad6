"""What ``thence sweep`` prints: how it goes, as a table or as lines, and its result."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from shlex import quote
from types import SimpleNamespace
from typing import Annotated, Any

from cyclopts import Parameter
from rich.box import SIMPLE_HEAD
from rich.console import Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from thence.cli.output import Json, print_json, print_pairs, print_table
from thence.cli.streams import is_at_terminal, print_note, print_text
from thence.printable import printable
from thence.sweeps import Sweep
from thence.sweeps.results import Trial
from thence.sweeps.sweep import SweepProgress, Watcher
from thence.terminal import stderr_console

SHOWN = 10
"""How many of the best trials the table has."""
ROWS = 15
"""Trials that the table shows: the newest."""


def print_sweep(
    call: Callable[..., Sweep],
    given: SimpleNamespace,
    *,
    report: Annotated[bool, Parameter(help="Write sweep.html at the end.")] = True,
    json: Json = False,
) -> None:
    """Show how a sweep goes, then its best trials and how the best run does on test."""
    with sweep_watcher(json) as watch:
        done = call(watch=watch)
    page = _report(done) if report else None
    if json:
        print_json({**done.to_json(), "report": page and str(page)})
        return
    _say(done)
    if page:
        print_text(f"\nPictures and all numbers: {page}")
    if done.best_is_here:
        print_note(f"Next: thence report {quote(str(done.folder / 'best'))}")
    else:
        name = done.best_trial.name
        print_note(
            f"The best run was trained elsewhere. Next: copy {name} from there into {done.folder} "
            "and run the same command again; or run it there."
        )


def _say(done: Sweep) -> None:
    ranked = done.ranked()
    names = list(done.space)
    rows = [
        [
            trial.name,
            *(field_text(trial.fields.get(name)) for name in names),
            loss_text(trial),
            f"{trial.seconds:.1f}",
        ]
        for trial in ranked[:SHOWN]
    ]
    loss = "dev accuracy" if done.unit == "document" else "dev nats per token"
    print_table(["trial", *names, loss, "seconds"], rows, f"The best of {len(done.trials)} trials")
    shares = [[name, f"{share:.0%}"] for name, share in done.importances.items()]
    print_table(["field", "share of the differences that it explains"], shares)
    best = ranked[0]
    place = f"{done.folder / 'best'}, a copy of {best.name}"
    about = [("best", place if done.best_is_here else f"{best.name}, in {best.where}")]
    chosen = [("", done.chosen_on_dev)] if done.chosen_on_dev else []
    print_pairs([*about, ("", described(ranked[0])), *chosen, *_test_rows(done)])


def _test_rows(done: Sweep) -> list[tuple[str, str]]:
    test = done.test
    if test is None:
        return []
    if done.unit == "document":
        return [("accuracy on test", f"{test['accuracy']:.2%}")]
    nats, perplexity = test["nats_per_token"], test["perplexity"]
    if nats is None:
        return [("on test", "infinite: a text there is impossible to the model")]
    return [("on test", f"{nats:.4f} nats per token (perplexity {perplexity:.4g})")]


def _report(done: Sweep) -> Path:
    from thence.reports import report

    return report(done.folder)


@contextmanager
def sweep_watcher(as_json: bool) -> Iterator[Watcher | None]:
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
