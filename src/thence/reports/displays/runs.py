"""Cards of runs and sweeps: what was trained, how it went, and how good it is."""

import math
from collections.abc import Sequence
from dataclasses import fields
from typing import Any

from thence.autopilot import Best
from thence.autopilot.result import COLUMNS, about_rows, duration, tried_rows
from thence.errors import ThenceError
from thence.models.registry import get_family
from thence.reports.curves import best_look, has_curves, learning_rate_curve, readable_seconds
from thence.reports.displays.line_chart import Line, line_chart
from thence.reports.displays.pieces import escaped, grid, note, title, values
from thence.reports.drawing import BLUE, ORANGE, Picture
from thence.reports.page import data_address
from thence.reports.sweep_page import result, text
from thence.runs import ClassifierRun, Run
from thence.runs.metrics import unit_of
from thence.sweeps import Sweep
from thence.training.lr_finder import LearningRateCurve

BEST = 10
"""Trials that are shown."""
SIZES = (
    "context",
    "order",
    "ngrams",
    "embedding_size",
    "hidden_size",
    "filters",
    "layers",
    "heads",
)
"""Settings that always matter."""


def run_html(run: Run) -> str:
    """Show what a run is, its sizes, its best look at dev and its loss curve."""
    family = get_family(run.recipe.model)
    metrics = run.metrics()
    rows = [("model", f"{run.recipe.model}: {family.summary}"), ("text", run.text_name)]
    rows += [("settings", words)] if (words := chosen_settings(run.recipe.options)) else []
    rows += [*_sizes(run), *_training(run, metrics), ("dev", _best(metrics))]
    if not run.finished:
        rows.append(("unfinished", "go on with thence.resume"))
    return title(run.name, str(run.folder)) + values(rows) + loss_lines(metrics)


def chosen_settings(options: Any) -> str:
    """Return the sizes of a model, and the settings that are not as by default."""
    shown = []
    for field in fields(options):
        value = getattr(options, field.name)
        if value is None or not isinstance(value, bool | int | float | str):
            continue
        if field.name in SIZES or value != field.default:
            shown.append(f"{field.name.replace('_', ' ')} {value}")
    return ", ".join(shown)


def _sizes(run: Run) -> list[tuple[str, str]]:
    """Return the sizes; a run that cannot be opened in full has a card too, which says why."""
    try:
        parameters = f"{run.num_parameters:,}"
    except ThenceError as error:
        parameters = f"unknown: {error}"
    try:
        symbols = f"{len(run.tokenizer.vocabulary):,} {run.recipe.tokens.tokens}"
    except ThenceError as error:
        symbols = f"unknown: {error}"
    rows = [("parameters", parameters), ("vocabulary", symbols)]
    if isinstance(run, ClassifierRun):
        rows.append(("labels", f"{len(run.label_names):,}"))
    return rows


def _training(run: Run, metrics: Sequence[dict[str, Any]]) -> list[tuple[str, str]]:
    if not metrics:
        return []
    last, took = metrics[-1], readable_seconds(metrics[-1]["seconds"])
    if get_family(run.recipe.model).method != "train":
        return [("made", f"at once, in {took}")]
    training = run.recipe.training
    rate = f"learning rate {training.lr:g}" if isinstance(training.lr, float) else ""
    how = ", ".join(filter(None, (rate, training.schedule, f"batches of {training.batch_size}")))
    return [("trained", f"{last['step']:,} steps in {took}; {how}")]


def _best(metrics: list[dict[str, Any]]) -> str:
    best = best_look(metrics)
    if best is None:
        return "not judged"
    unit = unit_of(best)
    loss = best[f"dev_nats_per_{unit}"]
    words = f"{loss:.4f} nats per {unit}"
    if "dev_accuracy" in best:
        words = f"{100 * best['dev_accuracy']:.2f} % right, {words}"
    if not has_curves(metrics):
        return words
    return f"{words}, best at step {best['step']:,} of {metrics[-1]['step']:,}"


def loss_lines(metrics: list[dict[str, Any]]) -> str:
    """Return the loss on train and dev against the steps; nothing for a model made at once."""
    if not has_curves(metrics):
        return ""
    unit = unit_of(metrics[0])
    lines = []
    for split, colour in (("train", BLUE), ("dev", ORANGE)):
        name = f"{split}_nats_per_{unit}"
        points = [
            (float(line["step"]), float(line[name]))
            for line in metrics
            if line.get(name) is not None and math.isfinite(line[name])
        ]
        lines.append(Line(split, colour, points))
    best = best_look(metrics)
    mark = None if best is None else (float(best["step"]), float(best[f"dev_nats_per_{unit}"]))
    return line_chart(lines, f"nats per {unit}", "steps", mark)


def sweep_html(sweep: Sweep) -> str:
    """Show the best trials of a sweep."""
    ranked = sweep.ranked()
    states = [trial.state for trial in sweep.trials]
    counts = ", ".join(f"{states.count(state):,} {state}" for state in dict.fromkeys(states))
    head = title(f"{len(states):,} trials", f"{sweep.folder}: {counts}")
    if not ranked:
        return head + note("None has come to its end.")
    rows = [
        [trial.name, result(trial), *(text(trial.fields.get(name)) for name in sweep.space)]
        for trial in ranked[:BEST]
    ]
    table = grid(["trial", "on dev", *sweep.space], rows)
    more = note(f"The best {BEST} of {len(ranked):,}.") if len(ranked) > BEST else ""
    shares = ", ".join(f"{name} {share:.0%}" for name, share in sweep.importances.items() if share)
    more += note(f"The first was {sweep.chosen_on_dev}.") if sweep.chosen_on_dev else ""
    return head + table + more + (note(f"What matters: {shares}.") if shares else "")


def best_html(done: Best) -> str:
    """Show what the autopilot has made, and of what."""
    head = title(f"the best in {duration(done.seconds)}", str(done.folder))
    return head + values(about_rows(done)) + grid(COLUMNS, tried_rows(done))


def finder_html(curve: LearningRateCurve) -> str:
    """Show the loss at each learning rate, and which is suggested."""
    description = f"Loss against learning rate; {curve.suggestion:.2g} is suggested."
    picture = Picture("finder", "Learning rate", description, learning_rate_curve(curve))
    return title(f"suggested learning rate {curve.suggestion:.2g}") + picture_html(picture)


def picture_html(picture: Picture) -> str:
    """Show a picture, as wide as there is room for and no wider than it was drawn."""
    inches = picture.figure.get_figwidth()
    style = f"display: block; width: 100%; height: auto; max-width: {5.5 * inches:.1f}rem"
    description = escaped(picture.description)
    return f'<img style="{style}" alt="{description}" src="{data_address(picture)}">'
