"""The display of a run in notebooks: model, sizes, training, result on dev and loss curve."""

from collections.abc import Sequence
from dataclasses import fields
from typing import Any

from thence.errors import ThenceError
from thence.models.registry import get_family
from thence.reports.content import Block, Caption, Pairs
from thence.reports.formatting import duration
from thence.reports.training import loss_chart
from thence.runs import ClassifierRun, Run
from thence.runs.metrics import best_line, unit_of

ALWAYS_SHOWN = (
    "context",
    "order",
    "ngrams",
    "embedding_size",
    "hidden_size",
    "filters",
    "layers",
    "heads",
)
"""Settings of a model that are shown even if they have their default value."""


def run_card(run: Run) -> list[Block]:
    """Show the model, sizes, training, best evaluation on dev and loss curve of a run."""
    family = get_family(run.recipe.model)
    metrics = run.metrics()
    rows = [("model", f"{run.recipe.model}: {family.summary}"), ("text", run.text_name)]
    rows += [("settings", words)] if (words := chosen_settings(run.recipe.options)) else []
    rows += [*_size_rows(run), *_training_rows(run, metrics), ("dev", _best_text(metrics))]
    if not run.finished:
        rows.append(("unfinished", "continue with thence.resume"))
    curve = [loss_chart(run, in_bits=False)] if metrics and len(run.curve()) > 1 else []
    return [Caption(run.name, str(run.folder)), Pairs(rows), *curve]


def chosen_settings(options: Any) -> str:
    """Return in words the sizes of a model, and its settings that differ from their defaults."""
    shown = []
    for field in fields(options):
        value = getattr(options, field.name)
        if value is None or not isinstance(value, bool | int | float | str):
            continue
        if field.name in ALWAYS_SHOWN or value != field.default:
            shown.append(f"{field.name.replace('_', ' ')} {value}")
    return ", ".join(shown)


def _size_rows(run: Run) -> list[tuple[str, str]]:
    """Return rows with the sizes; of a damaged run they say what is wrong."""
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


def _training_rows(run: Run, metrics: Sequence[dict[str, Any]]) -> list[tuple[str, str]]:
    """Return rows with steps, time, learning rate, schedule and batch size."""
    if not metrics:
        return []
    last, took = metrics[-1], duration(metrics[-1]["seconds"])
    if get_family(run.recipe.model).method != "train":
        return [("made", f"at once, in {took}")]
    training = run.recipe.training
    rate = f"learning rate {training.lr:g}" if isinstance(training.lr, float) else ""
    how = ", ".join(filter(None, (rate, training.schedule, f"batches of {training.batch_size}")))
    return [("trained", f"{last['step']:,} steps in {took}; {how}")]


def _best_text(metrics: list[dict[str, Any]]) -> str:
    """Return the best evaluation on dev in words."""
    best = best_line(metrics)
    unit = unit_of(best)
    if best.get(f"dev_nats_per_{unit}") is None:
        return "not evaluated"
    words = f"{best[f'dev_nats_per_{unit}']:.4f} nats per {unit}"
    if "dev_accuracy" in best:
        words = f"{100 * best['dev_accuracy']:.2f} % right, {words}"
    if len(metrics) < 2:
        return words
    return f"{words}, best at step {best['step']:,} of {metrics[-1]['step']:,}"
