"""The page of a sweep: the best trials, what matters, and every trial."""

from collections.abc import Sequence
from importlib.metadata import version

from thence.reports import style
from thence.reports.content import Block, Folded, Note, Pairs, Plots, Section, Table, Title
from thence.reports.formatting import date_and_time, number
from thence.reports.markup import page
from thence.reports.plots.sweep import sweep_plots
from thence.runs.provenance import now
from thence.sweeps import Sweep, Trial

BEST = 10
"""Trials of the first table."""
REMARKS = {
    "importance": "Trials are put into groups by the value of a field; the share is how much less "
    "their ranks differ within the groups, with what chance would explain taken off. What fields "
    "do only together is not seen here.",
    "parallel": "Lines that have the same choice run side by side, so that each can be seen.",
}
"""What to know when reading a plot, by its name."""


def sweep_html(sweep: Sweep) -> str:
    """Return the page; it reads nothing but the result of the sweep."""
    plots = sweep_plots(sweep)
    against = [plot for plot in plots if plot.name.startswith("against-")]
    after = [plot for plot in plots if plot.name in ("size", "seconds")]
    first = [plot for plot in plots if plot not in against and plot not in after]
    best = Section("The best trials", trials_table(sweep, sweep.ranked()[:BEST], best=0))
    fields = [Section("Against each field", [Plots(against, are_small=True)])] if against else []
    failed = [(trial.name, trial.reason) for trial in sweep.trials if trial.reason is not None]
    failures = [Section("Trials that failed", [Pairs(failed)])] if failed else []
    every = Folded(f"{len(sweep.trials)} trials", trials_table(sweep, sweep.trials))
    name = sweep.folder.resolve().name
    blocks = [
        Title(name, f"made {date_and_time(now())} with thence {version('thence')}"),
        Pairs(summary_rows(sweep)),
        best,
        *map(_section, first),
        *fields,
        *map(_section, after),
        *failures,
        Section("Every trial", [every]),
    ]
    return page(f"{name}: sweep", blocks)


def _section(plot: style.Plot) -> Section:
    remark = [Note(REMARKS[plot.name])] if plot.name in REMARKS else []
    return Section(plot.title, [Plots([plot]), *remark])


def summary_rows(sweep: Sweep) -> list[tuple[str, str]]:
    """Return how many trials there were, and how the best run came out."""
    states = [trial.state for trial in sweep.trials]
    counts = {state: states.count(state) for state in dict.fromkeys(states)}
    rows = [("trials", ", ".join(f"{count:,} {state}" for state, count in counts.items()))]
    if sweep.ranked():
        best = sweep.best_trial
        on_dev = number(best.nats)
        if best.accuracy is not None:
            on_dev = f"{best.accuracy:.2%} right, {on_dev} nats per document"
        rows += [("best", f"{best.name}: {best.settings}"), ("on dev", on_dev)]
        rows += [("", sweep.chosen_on_dev)] if sweep.chosen_on_dev else []
    seconds = sum(trial.seconds or 0 for trial in sweep.trials)
    return [
        *rows,
        ("on test", test_text(sweep)),
        ("time of training", f"{seconds:,.0f} seconds in all"),
    ]


def test_text(sweep: Sweep) -> str:
    """Return how the best run does on test."""
    test = sweep.test
    if test is None:
        return "not evaluated"
    if sweep.unit == "document":
        found = f"{test['accuracy']:.2%} of {test['documents']:,} documents right"
    else:
        found = f"{number(test['nats_per_token'])} nats per token"
    looks = test["test_looks"]
    return f"{found} (looked at {'once' if looks == 1 else f'{looks} times'})"


def trials_table(sweep: Sweep, trials: Sequence[Trial], best: int | None = None) -> list[Block]:
    """Return a table of trials, one of them marked as the best."""
    if not trials:
        return [Note("No trial has finished.")]
    return [Table(*sweep.table(trials), style="wide", best=best)]
