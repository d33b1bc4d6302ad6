"""The page of ``thence best``: the models that were tried, and the loss on dev against time."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from thence.atomic import write_atomically
from thence.autopilot import Best
from thence.autopilot.result import (
    COLUMNS,
    PAGE,
    Tried,
    about_rows,
    duration,
    loss_text,
    tried_rows,
)
from thence.evaluation.metrics import nats_and_bits
from thence.reports.colours import BLUE, GREY, ORANGE
from thence.reports.content import (
    Block,
    Chart,
    Folded,
    Note,
    Pairs,
    RunningText,
    Section,
    Series,
    Statement,
    Table,
    Texts,
    Title,
)
from thence.reports.markup import page

OVERTIME = 1.05
"""Ratio of the time taken to the budget above which the page explains the delay."""
NEARLY_NOTHING = 0.005
"""Weight below which the table says ``nearly 0``, since two decimals would show 0.00."""
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


def write_page(done: Best, samples: Sequence[str] = ()) -> Path:
    """Write ``best.html`` into the folder of the run."""
    path = done.folder / PAGE
    write_atomically(path, best_html(done, samples).encode("utf-8"))
    return path


def best_html(done: Best, samples: Sequence[str] = ()) -> str:
    """Return the page as HTML, from the result and texts sampled from the model."""
    name = done.folder.resolve().name
    report = Texts([RunningText(["report.html"], link="./report.html")])
    more = Note("Samples, surprising texts and all settings: thence report RUN writes")
    drawn = Section("Samples", [Texts([RunningText([text or "\u00a0"]) for text in samples])])
    blocks = [
        Title(name, done.text),
        Statement(sentence(done)),
        *([drawn] if samples else []),
        found_section(done),
        more,
        report,
    ]
    return page(f"{name}: how it was found", blocks)


def sentence(done: Best) -> str:
    """Return the result in a sentence: time, models that were combined, loss on dev."""
    kept = [one for one in done.tried if one.weight]
    best = min(done.tried, key=lambda one: one.nats, default=None)
    several = f"{len(kept)} of the {len(done.tried)} models that were tried"
    made = f"In {duration(done.seconds)}, {several} became one"
    if len(kept) == 1:
        made = f"In {duration(done.seconds)}, {kept[0].name} came out of {len(done.tried)} models"
    result = nats_and_bits(done.nats) if done.unit == "token" else _result(done)
    said = f"{made} with {result} on dev{_interval(done)}"
    if best is not None and len(kept) > 1:
        said += f"; the best of them alone, {best.name}, has {_result(best)}"
    return f"{said}."


def _interval(done: Best) -> str:
    if done.interval is None:
        return ""
    low, high = (f"{one:.4f}" if done.accuracy is None else f"{one:.2%}" for one in done.interval)
    unit = " nats" if done.accuracy is None else ""
    return f" (95 % interval {low} to {high}{unit})"


def _result(of: Best | Tried) -> str:
    return f"{of.nats:.4f}" if of.accuracy is None else f"{of.accuracy:.2%} right"


def found_section(done: Best) -> Section:
    """Return the section with the charts and the table of the models that were tried."""
    settings = [
        (one.name, ", ".join(f"{name} {_shown(value)}" for name, value in one.settings.items()))
        for one in done.tried
        if one.curve  # Only networks have a learning curve.
    ]
    rows = [row for row in about_rows(done) if row[0] not in ("text", "on dev")]
    blocks: list[Block] = [*charts(done), *_remarks(done), Table(COLUMNS, _rows(done))]
    blocks += [Note(HELD_OUT if done.accuracy is None else HELD_OUT_LABELS), Pairs(rows)]
    blocks += [Note(GUESSED)] if done.outlook() else []
    blocks += [Folded("settings of the networks", [Pairs(settings)])] if settings else []
    return Section("How it was found", blocks)


def _rows(done: Best) -> list[list[str]]:
    """Return the rows of the table of models, with tiny weights in words."""
    rows = tried_rows(done)
    for row, one in zip(rows, done.tried, strict=True):
        if one.weight is not None and one.weight < NEARLY_NOTHING:
            row[-1] = "nearly 0"
    return rows


def _remarks(done: Best) -> list[Note]:
    """Return remarks on the table: time over the budget, models trained for nothing."""
    said = []
    if done.limit is not None and done.seconds > OVERTIME * done.limit:
        over = duration(done.seconds - done.limit)
        said.append(
            f"It took {over} longer than it was given: what was begun took longer than what was "
            "timed before, as on a machine that has other work to do."
        )
    spent = [one for one in done.tried if one.curve and (one.weight or 0) < NEARLY_NOTHING]
    if spent:
        names = ", ".join(f"{one.name} ({duration(one.seconds)})" for one in spent)
        said.append(f"Trained, but with a weight of nearly 0 beside the others: {names}.")
    if any(one.weight is not None and one.weight < NEARLY_NOTHING for one in done.tried):
        said.append(
            "A weight is the mean over dev: one that is nearly 0 may be large in the few contexts "
            "that only this model knows."
            if done.accuracy is None
            else "What has a weight of nearly 0 changes hardly any answer."
        )
    return [Note(" ".join(said))] if said else []


def _shown(setting: Any) -> str:
    """Return the value of a setting as written on the command line."""
    is_many = isinstance(setting, list | tuple)
    return " ".join(map(str, setting)) or "none" if is_many else str(setting)


def charts(done: Best) -> list[Block]:
    """Return charts of all models, and of them combined, against the time."""
    low, high = loss_limits(done)
    above = [one for one in done.tried if not one.nats <= high]
    losses = [(one.ended, one.nats) for one in done.tried]
    outlook = [(done.seconds, done.nats), *done.outlook()]
    networks = [one for one in done.tried if one.curve]
    combined = sorted((one.ended, one.so_far) for one in done.tried)
    series = [
        *(
            Series("" if place else "a network in training", one.curve, GREY, abouts=_abouts(one))
            for place, one in enumerate(networks)
        ),
        Series("combined so far", [*combined, (done.seconds, done.nats)], BLUE, "steps"),
        Series("likely with more time", outlook, BLUE, "dashes") if len(outlook) > 1 else None,
        Series("each model", losses, ORANGE, "points", [_about(one) for one in done.tried]),
    ]
    reached = "" if done.accuracy is None else f", with an accuracy of {done.accuracy:.2%},"
    description = (
        f"Loss on dev of the {len(done.tried)} models that were tried, and of them combined, "
        f"against the time. It ends at {done.nats:.4f}{reached} after {done.seconds:.1f} seconds."
    )
    drawn = [one for one in series if one is not None]
    y = f"dev loss (nats per {done.unit})"
    chart = Chart(
        "Loss against time", description, drawn, "seconds (logarithmic)", y, True,
        limits=(low, high), height=20,
    )  # fmt: skip
    blocks: list[Block] = [*([_accuracies(done)] if done.accuracy is not None else []), chart]
    if above:
        names = ", ".join(f"{one.name} ({loss_text(one.nats, None)})" for one in above)
        blocks.append(Note(f"At the upper edge, since they are above it: {names}."))
    return blocks


def _about(one: Tried) -> str:
    return f"{one.name}: {loss_text(one.nats, one.accuracy)} after {one.seconds:.1f} s"


def _abouts(one: Tried) -> list[str]:
    return [f"{one.name} {nats:.4f}" for _, nats in one.curve]


def _accuracies(done: Best) -> Chart:
    """Return a chart of the accuracy of all models, and of them combined, against the time."""
    own = [(one.ended, _share(one.accuracy)) for one in done.tried]
    best = [(one.ended, _share(one.accuracy_so_far)) for one in done.tried]
    best.append((done.seconds, _share(done.accuracy)))
    series = [
        Series("combined so far", best, BLUE, "steps"),
        Series("each model", own, ORANGE, "points", [_about(one) for one in done.tried]),
    ]
    description = f"Accuracy on dev against the time; it ends at {done.accuracy:.2%}."
    return Chart(
        "Accuracy",
        description,
        series,
        "seconds (logarithmic)",
        "dev accuracy",
        True,
        in_percent=True,
    )


def _share(accuracy: float | None) -> float:
    return math.nan if accuracy is None else accuracy


def loss_limits(done: Best) -> tuple[float, float]:
    """Return the limits of the loss axis: from the best to a little above the third quartile."""
    own: Sequence[float] = sorted(one.nats for one in done.tried if math.isfinite(one.nats))
    shown = [*own, *(one.so_far for one in done.tried), done.nats]
    losses = sorted(nats for nats in shown if math.isfinite(nats)) or [0.0]
    low = min([losses[0], *(nats for _, nats in done.outlook())])
    own = own or losses
    high = own[min(len(own) - 1, len(own) * 3 // 4)]
    margin = 0.06 * max(high - low, 0.01)
    return low - margin, high + 3 * margin
