"""What the reports of all runs show: the training, the embeddings, every look at dev."""

import html

import numpy as np

from thence.models.registry import get_family
from thence.reports.curves import readable_seconds
from thence.reports.page import embedded, note, number, section, table
from thence.reports.plot import curve_pictures, embedding_picture
from thence.runs import Run

METRICS_ROWS = 100


def training_section(run: Run, facts: str = "") -> str:
    """Return the curves of the training.

    Args:
        run: The run.
        facts: What else is known of how the model was made, as HTML.
    """
    drawn = "\n".join(embedded(picture) for picture in curve_pictures(run))
    absent = "There are no curves: the model was made in one step, by counting or a single look."
    if get_family(run.recipe.model).method == "fit":
        absent = "There are no curves: the model was fitted to all train documents at once."
    unfinished = (
        ""
        if run.finished
        else note(
            "The training was stopped before its end; these are the best weights so far. Go on "
            "with thence resume."
        )
    )
    return section("Training", unfinished + facts + trained_facts(run) + (drawn or note(absent)))


def trained_facts(run: Run) -> str:
    """Return how a network was trained: how long, how fast, how often its steps were clipped."""
    metrics = run.metrics()
    if get_family(run.recipe.model).method != "train" or not metrics:
        return ""
    last, training = metrics[-1], run.recipe.training
    seconds = max(last["seconds"], 1e-3)
    rows = [
        ("steps", f"{last['step']:,} ({last['epoch']:.1f} epochs)"),
        ("time", f"{readable_seconds(seconds)}, {last['tokens'] / seconds:,.0f} tokens a second"),
        ("computed in", f"{training.precision}, threads: {training.threads}"),
    ]
    if training.clip is not None:
        share = last["clipped_steps"] / last["step"]
        rows.append((f"steps clipped to {training.clip:g}", f"{share:.1%}"))
    if training.average != "none":
        rows.append(("weights", f"averaged ({training.average})"))
    return table(rows)


def embedding_section(run: Run) -> str:
    """Return the map of the embeddings."""
    picture = embedding_picture(run)
    drawn = note("This model has no embeddings.") if picture is None else embedded(picture)
    return section("Embeddings", drawn)


def metrics_section(run: Run) -> str:
    """Return the looks at dev, evenly thinned where there were very many."""
    metrics = run.metrics()
    if not metrics:
        return section("Metrics", note("No look at dev is recorded."))
    places = np.linspace(0, len(metrics) - 1, min(len(metrics), METRICS_ROWS)).round().astype(int)
    names = list(dict.fromkeys(name for line in metrics for name in line))
    head = "".join(f"<th>{html.escape(name.replace('_', ' '))}</th>" for name in names)
    rows = (
        "".join(f"<td>{html.escape(number(metrics[place].get(name)))}</td>" for name in names)
        for place in places
    )
    body = "".join(f"<tr>{row}</tr>" for row in rows)
    duration = readable_seconds(metrics[-1]["seconds"])
    caption = f"{len(places)} of {len(metrics)} looks; {duration} in all"
    return section(
        "Metrics",
        "<details><summary>metrics.jsonl</summary>"
        f'<div class="wide"><table class="numbers"><caption>{caption}</caption>'
        f"<tr>{head}</tr>{body}</table></div></details>",
    )
