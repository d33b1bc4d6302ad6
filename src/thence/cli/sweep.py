"""Output of ``thence sweep``: its progress, as a table or as lines, and its result."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from shlex import quote
from types import SimpleNamespace
from typing import Annotated

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
"""Number of trials in the table of the best."""
ROWS = 15
"""Number of trials, the newest, in the table of progress."""


def print_sweep(
    call: Callable[..., Sweep],
    given: SimpleNamespace,
    *,
    report: Annotated[bool, Parameter(help="Write sweep.html at the end.")] = True,
    json: Json = False,
) -> None:
    """Show the progress of a sweep, then its best trials and the best run's result on test."""
    with sweep_watcher(json) as watch:
        done = call(watch=watch)
    page = _report(done) if report else None
    if json:
        print_json({**done.to_json(), "report": page and str(page)})
        return
    _say(done)
    if page:
        print_text(f"\nFigures and all numbers: {page}")
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
    columns, rows = done.table(ranked[:SHOWN])
    title = f"The best of {len(done.trials)} trials"
    print_table(columns[:-1], [row[:-1] for row in rows], title)  # All are finished.
    if done.too_few_to_say:
        print_text(done.too_few_to_say)
    else:
        shares = [[name, f"{share:.0%}"] for name, share in done.importances.items()]
        print_table(["field", "share of the differences that it explains, by itself"], shares)
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
    """Context manager: show the progress of a sweep on standard error, unless JSON is printed."""
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
    """Return the table of progress, and below it the best trial so far and the time left."""
    table, trials = Table(box=SIMPLE_HEAD), progress.sweep.trials[-ROWS:]
    columns, rows = progress.sweep.table(trials)
    for column in columns:
        table.add_column(Text(printable(column)))
    ranked = progress.sweep.ranked()
    for trial, row in zip(trials, rows, strict=True):
        style = "bold" if ranked and trial == ranked[0] else ""
        style = {"failed": "red", "pruned": "dim", "running": "cyan"}.get(trial.state, style)
        table.add_row(*(Text(printable(cell)) for cell in row), style=style)
    done = sum(trial.state != "running" for trial in progress.sweep.trials)
    parts = [f"{done} done" if progress.total is None else f"{done} of {progress.total} done"]
    parts += [best_so_far(progress)]
    if progress.seconds_left is not None:
        parts.append(f"{max(0.0, progress.seconds_left):,.0f} s left")
    return Group(table, Text("; ".join(parts)))


def best_so_far(progress: SweepProgress) -> str:
    """Return the best trial so far as a phrase."""
    ranked = progress.sweep.ranked()
    return f"best {ranked[0].on_dev} ({ranked[0].name})" if ranked else "none finished yet"


def described(trial: Trial) -> str:
    """Return the settings of a trial with its result, or with the reason of its failure."""
    if trial.reason is not None:
        return f"{trial.settings}: {trial.reason}"
    seconds = "" if trial.seconds is None else f", {trial.seconds:.1f} s"
    kind = "accuracy" if trial.accuracy is not None else "loss"
    return f"{trial.settings}, dev {kind} {trial.on_dev}{seconds}"
