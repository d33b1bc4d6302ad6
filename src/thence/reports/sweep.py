"""The page of a sweep: the best trials, the importance of settings, and all trials."""

from collections.abc import Sequence
from importlib.metadata import version

from thence.reports.content import (
    Beside,
    Block,
    Folded,
    Note,
    Pairs,
    Section,
    Statement,
    Table,
    Title,
)
from thence.reports.formatting import date_and_time, number
from thence.reports.markup import page
from thence.reports.sweep_charts import result, sweep_charts, what_matters
from thence.runs.provenance import now
from thence.sweeps import Sweep, Trial

BEST = 10
"""Trials in the table of the best."""


def sweep_html(sweep: Sweep) -> str:
    """Return the page as HTML, made from the result of the sweep alone."""
    best = Section("The best trials", trials_table(sweep, sweep.ranked()[:BEST], best=0))
    failed = [(trial.name, trial.reason) for trial in sweep.trials if trial.reason is not None]
    failures = [Section("Trials that failed", [Pairs(failed)])] if failed else []
    every = Folded(f"{len(sweep.trials)} trials", trials_table(sweep, sweep.trials))
    name = sweep.folder.resolve().name
    blocks = [
        Title(name, f"made {date_and_time(now())} with thence {version('thence')}"),
        *statement(sweep),
        Pairs(summary_rows(sweep)),
        best,
        *chart_sections(sweep),
        *failures,
        Section("Every trial", [every]),
    ]
    return page(f"{name}: sweep", blocks)


def statement(sweep: Sweep) -> list[Block]:
    """Return the result of the sweep in a sentence."""
    ranked = sweep.ranked()
    if not ranked:
        return [Statement(f"None of {len(sweep.trials)} trials has finished.")]
    best, last = ranked[0], ranked[-1]
    unit = "" if sweep.unit == "document" else " nats per token"
    values = [f"{result(sweep, one):.{'2%' if not unit else '4f'}}" for one in (best, last)]
    found = f"The best of {len(ranked)} finished trials, {best.name}, has {values[0]}{unit} on dev"
    return [Statement(f"{found}; the worst has {values[1]}." if len(ranked) > 1 else f"{found}.")]


def chart_sections(sweep: Sweep) -> list[Section]:
    """Return the charts of the trials; none if no trial has finished."""
    ranked = sweep.ranked()
    if not ranked:
        return []
    charts = sweep_charts(sweep)
    in_order = Section("In order", [charts.pop("history")])
    if len(ranked) == 1:
        return [in_order]
    costs = [charts.pop("size"), charts.pop("seconds")]
    return [
        in_order,
        Section("Importance of the fields", what_matters(sweep)),
        Section("Parallel coordinates", [charts.pop("parallel")]),
        Section("Against each field", [Beside([*charts.values()], wide=True)]),
        Section("Size and training time", [Beside(costs, wide=True)]),
    ]


def summary_rows(sweep: Sweep) -> list[tuple[str, str]]:
    """Return rows with the number of trials, the best one, its results and the total time."""
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
    """Return the result of the best run on test in words."""
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
    """Return a table of trials; ``best`` is the row to mark."""
    if not trials:
        return [Note("No trial has finished.")]
    return [Table(*sweep.table(trials), style="wide", best=best)]
