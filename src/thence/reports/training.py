"""What the reports of all runs show: the training, the embeddings, every evaluation on dev."""

from collections.abc import Sequence

import numpy as np

from thence.models.registry import get_family
from thence.reports.content import Block, Folded, Note, Pairs, Plots, Section, Table
from thence.reports.formatting import duration, number
from thence.reports.plots.embeddings import plot_embeddings
from thence.reports.plots.training import training_plots
from thence.runs import Run

METRICS_ROWS = 100
"""Evaluations that are listed at most, evenly spread over the training."""
NO_DEV = Note("There is no dev split to evaluate on.")
UNFINISHED = Note(
    "The training was stopped before its end; these are the best weights so far. Continue "
    "with thence resume."
)


def training_section(run: Run, facts: Sequence[Block] = ()) -> Section:
    """Return the curves of the training."""
    plots = training_plots(run)
    absent = (
        "There are no curves: the model was made in one step, by counting or in one evaluation."
    )
    if get_family(run.recipe.model).method == "fit":
        absent = "There are no curves: the model was fitted to all train documents at once."
    unfinished = [] if run.finished else [UNFINISHED]
    curves = Plots(plots) if plots else Note(absent)
    return Section("Training", [*unfinished, *facts, *training_facts(run), curves])


def training_facts(run: Run) -> list[Block]:
    """Return how a network was trained: how long, how fast, how often its steps were clipped."""
    metrics = run.metrics()
    if get_family(run.recipe.model).method != "train" or not metrics:
        return []
    last, training = metrics[-1], run.recipe.training
    seconds = max(last["seconds"], 1e-3)
    rows = [
        ("steps", f"{last['step']:,} ({last['epoch']:.1f} epochs)"),
        ("time", f"{duration(seconds)}, {last['tokens'] / seconds:,.0f} tokens a second"),
        ("computed in", f"{training.precision}, threads: {training.threads}"),
    ]
    if training.clip is not None:
        share = last["clipped_steps"] / last["step"]
        rows.append((f"steps clipped to {training.clip:g}", f"{share:.1%}"))
    if training.average != "none":
        rows.append(("weights", f"averaged ({training.average})"))
    return [Pairs(rows)]


def embedding_section(run: Run) -> Section:
    """Return the map of the embeddings."""
    plot = plot_embeddings(run)
    shown = Note("This model has no embeddings.") if plot is None else Plots([plot])
    return Section("Embeddings", [shown])


def metrics_section(run: Run) -> Section:
    """Return the evaluations on dev, evenly thinned where there were very many."""
    metrics = run.metrics()
    if not metrics:
        return Section("Metrics", [Note("No evaluation on dev is recorded.")])
    places = np.linspace(0, len(metrics) - 1, min(len(metrics), METRICS_ROWS)).round().astype(int)
    names = list(dict.fromkeys(name for line in metrics for name in line))
    rows = [[number(metrics[place].get(name)) for name in names] for place in places]
    took = duration(metrics[-1]["seconds"])
    caption = f"{len(places)} of {len(metrics)} evaluations; {took} in all"
    columns = [name.replace("_", " ") for name in names]
    table = Table(columns, rows, words=0, style="metrics", caption=caption)
    return Section("Metrics", [Folded("metrics.jsonl", [table])])
