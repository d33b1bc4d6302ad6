"""The page of a sweep: the best trials, what matters, and every trial."""

import html
from collections.abc import Sequence
from importlib.metadata import version
from typing import Any

from thence.reports.drawing import Picture
from thence.reports.page import embedded, grid, moment, note, number, page, section, table
from thence.reports.sweep_pictures import sweep_pictures
from thence.runs.provenance import now
from thence.sweeps import Sweep, Trial

BEST = 10
"""Trials of the first table."""


def sweep_html(sweep: Sweep) -> str:
    """Return the page; it reads nothing but the result of the sweep."""
    pictures = {picture.name: picture for picture in sweep_pictures(sweep)}
    against = [picture for name, picture in pictures.items() if name.startswith("against-")]
    parts = [
        heading(sweep),
        section("The best trials", trials_grid(sweep, sweep.ranked()[:BEST], 0)),
        *_shown(pictures, "history"),
        *_shown(pictures, "importance", IMPORTANCE),
        *_shown(pictures, "parallel", PARALLEL),
    ]
    if against:
        shown = "\n".join(embedded(picture) for picture in against)
        parts.append(section("Against each field", f'<div class="pair">{shown}</div>'))
    parts += [*_shown(pictures, "size"), *_shown(pictures, "seconds")]
    trials = trials_grid(sweep, sweep.trials, None)
    failed = [(trial.name, trial.reason) for trial in sweep.trials if trial.reason is not None]
    if failed:
        parts.append(section("Trials that failed", table(failed)))
    folded = f"<details><summary>{len(sweep.trials)} trials</summary>{trials}</details>"
    parts.append(section("Every trial", folded))
    return page(f"{sweep.folder.resolve().name}: sweep", "\n".join(parts))


IMPORTANCE = (
    "Trials are put into groups by the value of a field; the share is how much less their ranks "
    "differ within the groups, with what chance would explain taken off. What fields do only "
    "together is not seen here."
)
PARALLEL = "Lines that have the same choice run side by side, so that each can be seen."


def heading(sweep: Sweep) -> str:
    """Return the name of the sweep, and how its best run came out."""
    states = [trial.state for trial in sweep.trials]
    counts = {state: states.count(state) for state in dict.fromkeys(states)}
    rows = [("trials", ", ".join(f"{count:,} {state}" for state, count in counts.items()))]
    if sweep.ranked():
        best = sweep.best_trial
        fields = ", ".join(f"{name} {text(value)}" for name, value in best.fields.items())
        rows += [("best", f"{best.name}: {fields}"), ("on dev", result(best))]
        rows += [("", sweep.chosen_on_dev)] if sweep.chosen_on_dev else []
    rows += test_rows(sweep)
    seconds = sum(trial.seconds or 0 for trial in sweep.trials)
    rows.append(("time of training", f"{seconds:,.0f} seconds in all"))
    name = html.escape(sweep.folder.resolve().name)
    lead = html.escape(f"made {moment(now())} with thence {version('thence')}")
    return f'<h1>{name}</h1>\n<p class="lead">{lead}</p>\n{table(rows)}'


def test_rows(sweep: Sweep) -> list[tuple[str, str]]:
    """Return what the best run has on test."""
    test = sweep.test
    if test is None:
        return [("on test", "not judged")]
    if sweep.unit == "document":
        found = f"{test['accuracy']:.2%} of {test['documents']:,} documents right"
    else:
        found = f"{number(test['nats_per_token'])} nats per token"
    looks = test["test_looks"]
    return [("on test", f"{found} (looked at {'once' if looks == 1 else f'{looks} times'})")]


def trials_grid(sweep: Sweep, trials: Sequence[Trial], best: int | None) -> str:
    """Return a table of trials; nothing without any."""
    if not trials:
        return note("No trial has come to its end.")
    columns = ["trial", *sweep.space, "on dev", "seconds", "state"]
    rows = [
        [
            trial.name,
            *(text(trial.fields.get(name)) for name in sweep.space),
            result(trial),
            "–" if trial.seconds is None else f"{trial.seconds:.1f}",
            trial.state,
        ]
        for trial in trials
    ]
    return grid(columns, rows, "grid compared", best)


def result(trial: Trial) -> str:
    """Return the accuracy of a classifier, or the loss of a language model."""
    if trial.accuracy is not None:
        return f"{trial.accuracy:.2%} right, {number(trial.nats)} nats per document"
    return number(trial.nats)


def text(value: Any) -> str:
    """Return the value of a field; a dash where a trial has none."""
    if value is None:
        return "–"
    if isinstance(value, list | tuple):
        return " ".join(map(str, value))
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _shown(pictures: dict[str, Picture], name: str, remark: str = "") -> list[str]:
    if name not in pictures:
        return []
    picture = pictures[name]
    return [section(picture.title, embedded(picture) + (note(remark) if remark else ""))]
