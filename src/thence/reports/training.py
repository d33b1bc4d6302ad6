"""The section of a report on the training: verdict, learning curves and facts."""

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from thence.evaluation.verdict import Verdict, diagnose, verdict
from thence.models.registry import get_family
from thence.reports.colours import BLUE, GREY, ORANGE
from thence.reports.content import Block, Chart, Folded, Note, Pairs, Section, Series, Table
from thence.reports.formatting import duration, number
from thence.reports.reading import DevReading, token_name
from thence.runs import ClassifierRun, Run
from thence.runs.metrics import best_line, unit_of

if TYPE_CHECKING:
    from thence.training.lr_finder import LearningRateCurve

METRICS_ROWS = 100
"""Rows of the table of evaluations at most, evenly spread over the training."""
LARGE_FALL = 3
"""Ratio of the highest to the lowest loss above which the axis is logarithmic."""
UNFINISHED = Note(
    "The training was stopped before its end; these are the best weights so far. Continue "
    "with thence resume."
)
Metrics = Sequence[Mapping[str, Any]]


def training_sections(run: Run, reading: DevReading | None = None) -> list[Section]:
    """Return the section on the training; none for a model that was fitted in one step."""
    metrics = run.metrics()
    if get_family(run.recipe.model).method != "train" or not metrics:
        return [] if run.finished else [Section("Training", [UNFINISHED])]
    blocks: list[Block] = [] if run.finished else [UNFINISHED]
    blocks += [Note(str(found)) for found in verdicts(run, reading)]
    blocks += curves(run, reading).values()
    blocks += [Pairs(training_facts(run))]
    blocks += [Folded(f"every evaluation ({len(metrics):,})", [metrics_table(metrics)])]
    return [Section("Training", blocks)]


def verdicts(run: Run, reading: DevReading | None = None) -> list[Verdict]:
    """Return the verdict on a finished training, in a list; empty if there is none."""
    if not run.finished:
        return []
    if isinstance(run, ClassifierRun):
        found = verdict(run)
        return [] if found is None else [found]
    known = None if reading is None else reading.baselines
    pairs = None if known is None else float(known.pairs.mean())
    return [diagnose(run.metrics(), math.log(len(run.tokenizer.vocabulary)), pairs)]


def curves(run: Run, reading: DevReading | None = None, in_bits: bool = True) -> dict[str, Chart]:
    """Return charts of loss, accuracy, learning rate and gradient norm, by file name.

    Empty if there is only a single evaluation.
    """
    metrics, curve = run.metrics(), run.curve()
    if len(curve) < 2:
        return {}
    charts = {"loss": loss_chart(run, reading, in_bits)}
    shares = _points(metrics, "dev_accuracy")
    took = f"training steps ({metrics[-1]['step']:,} in {duration(metrics[-1]['seconds'])})"
    if shares:
        best = best_line(metrics)
        said = f"Accuracy on dev, highest at step {best['step']:,}: {best['dev_accuracy']:.2%}"
        series = [Series("dev", shares, ORANGE)]
        charts["accuracy"] = Chart(
            said, f"{said}.", series, took, "share right", in_percent=True, height=10
        )
    schedule = run.recipe.training.schedule
    for name, title in (
        ("learning_rate", f"Learning rate ({schedule})"),
        ("gradient_norm", "Norm of the gradient"),
    ):
        points = _points(curve, name) or _points(metrics, name)
        if len(points) > 1:
            series = [Series("", points, BLUE)]
            said = f"{title} against training steps."
            drawn = Chart(title, said, series, "training steps", "", height=5)
            charts[name.replace("_", "-")] = drawn
    return charts


def loss_chart(run: Run, reading: DevReading | None = None, in_bits: bool = True) -> Chart:
    """Return the chart of the loss on train and dev, with that of pair counts on dev.

    Losses of language models are in bits or nats; those of classifiers are always in nats.
    """
    metrics, curve = run.metrics(), run.curve()
    unit = unit_of(metrics[0])
    scale, y = (1.0, "nats per document")
    if unit == "token":
        scale, name = (1 / math.log(2), "bits") if in_bits else (1.0, "nats")
        y = f"{name} per {token_name(run)}"
    train = _points(curve, f"train_nats_per_{unit}", scale)
    dev = _points(curve, f"dev_nats_per_{unit}", scale)
    series = [Series("train", train, BLUE), Series("dev", dev, ORANGE)]
    if reading is not None and reading.baselines is not None and train:
        pairs = float(reading.baselines.pairs.mean()) * scale
        ends = [(x, pairs) for x in (train[0][0], train[-1][0])]
        series.insert(0, Series("pair counts", ends, GREY, "dashes"))
    last = metrics[-1]
    title, best = "Loss", best_line(metrics)
    if best.get(f"dev_nats_per_{unit}") is not None:
        words = "most accurate on dev" if unit == "document" else "best on dev"
        loss = best[f"dev_nats_per_{unit}"] * scale
        title = f"Loss, {words} at step {best['step']:,}: {loss:.3f}"
    took = f"training steps ({last['step']:,} in {duration(last['seconds'])})"
    shown = [one for one in series if one.points]
    losses = [loss for one in shown for _, loss in one.points if math.isfinite(loss)]
    is_log_y = bool(losses) and max(losses) > LARGE_FALL * min(losses) > 0
    scaled = f"{y}, logarithmic" if is_log_y else y
    said = f"{title} {y}, against training steps."
    return Chart(title, said, shown, took, scaled, is_log_y=is_log_y)


def finder_chart(curve: "LearningRateCurve", unit: str = "token") -> Chart:
    """Return the chart of the learning-rate finder: loss by learning rate, and the suggestion."""
    low, start = float(curve.smoothed.min()), float(curve.smoothed[0])
    height = max(start - low, 0.05 * abs(start))
    # The divergence at high rates is cut off, since it would flatten the rest of the curve.
    low, high = low - 0.4 * height, start + 0.6 * height
    suggestion = f"suggestion: {curve.suggestion:.2g}"
    rates = curve.rates.tolist()
    series = [
        Series("each step", [*zip(rates, curve.losses.tolist(), strict=True)], GREY),
        Series("smoothed", [*zip(rates, curve.smoothed.tolist(), strict=True)], BLUE),
        Series(suggestion, [(curve.suggestion, low), (curve.suggestion, high)], ORANGE, "dashes"),
    ]
    return Chart(
        "Learning-rate finder",
        f"Loss against the learning rate; {suggestion}.",
        series,
        "learning rate (logarithmic)",
        f"loss (nats per {unit})",
        is_log=True,
        limits=(low, high),
    )


def _points(metrics: Metrics, name: str, scale: float = 1.0) -> list[tuple[float, float]]:
    return [
        (float(line["step"]), scale * line[name]) for line in metrics if line.get(name) is not None
    ]


def training_facts(run: Run) -> list[tuple[str, str]]:
    """Return rows with steps, time, speed, precision and the share of clipped steps."""
    last, training = run.metrics()[-1], run.recipe.training
    seconds = max(last["seconds"], 1e-3)
    rows = [
        ("steps", f"{last['step']:,} ({last['epoch']:.1f} epochs)"),
        ("time", f"{duration(seconds)}, {last['tokens'] / seconds:,.0f} tokens a second"),
        ("computed in", f"{training.precision}, threads: {training.threads}"),
    ]
    if training.clip is not None and last["step"]:
        share = last["clipped_steps"] / last["step"]
        rows.append((f"steps clipped to {training.clip:g}", f"{share:.1%}"))
    if training.average != "none":
        rows.append(("weights", f"averaged ({training.average})"))
    return rows


def metrics_table(metrics: Metrics) -> Table:
    """Return the table of evaluations on dev, at most ``METRICS_ROWS`` evenly chosen ones."""
    count = min(len(metrics), METRICS_ROWS)
    places = [round(at * (len(metrics) - 1) / max(count - 1, 1)) for at in range(count)]
    names = list(dict.fromkeys(name for line in metrics for name in line))
    rows = [[number(metrics[place].get(name)) for name in names] for place in places]
    caption = f"{count} of {len(metrics)} lines of metrics.jsonl, in nats"
    columns = [name.replace("_", " ") for name in names]
    return Table(columns, rows, words=0, style="metrics", caption=caption)
