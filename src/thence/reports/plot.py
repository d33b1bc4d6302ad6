"""Every picture of a run, and writing them as files."""

from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

from matplotlib.figure import Figure

from thence.atomic import write_atomically
from thence.errors import SettingError, nearest
from thence.evaluation.classification import MISTAKES, ClassificationReport
from thence.evaluation.labels import evaluate_labels
from thence.reports.confusion import draw_confusion
from thence.reports.curves import (
    accuracy_curve,
    best_look,
    has_curves,
    learning_rate_schedule,
    loss_curve,
)
from thence.reports.drawing import Picture, to_png, to_svg
from thence.reports.embedding_map import embedding_map
from thence.reports.heat_map import heat_map
from thence.reports.reliability import draw_reliability
from thence.reports.sweep_pictures import sweep_pictures
from thence.runs import ClassifierRun, Run, open_run
from thence.runs.metrics import unit_of
from thence.runs.run import find_run
from thence.sweeps.results import is_sweep, read_sweep

FORMATS: dict[str, Callable[[Figure], bytes]] = {"png": to_png, "svg": to_svg}


def plot(
    run: Run | str | Path, folder: Path | None = None, formats: Iterable[str] = ("png", "svg")
) -> list[Path]:
    """Write every picture of a run, or of a sweep, as files.

    Args:
        run: The run or its folder, or the folder of a sweep.
        folder: Where to; by default ``pictures`` in the run folder.
        formats: ``png``, ``svg`` or both.

    Returns:
        The files, in the order they were written.

    Raises:
        SettingError: If a format is unknown.
        RunError: If a file cannot be written.
    """
    formats = list(formats)
    for name in formats:
        if name not in FORMATS:
            raise SettingError(
                f"There is no picture format '{name}'; choose from {', '.join(FORMATS)}."
                + nearest(name, FORMATS)
            )
    if not isinstance(run, Run) and is_sweep(run):
        place, drawn = find_run(run), sweep_pictures(read_sweep(run))
    else:
        run = open_run(run)
        place, drawn = run.folder, pictures(run)
    own = folder is None
    folder = place / "pictures" if folder is None else folder
    written = []
    for picture in drawn:
        for name in formats:
            path = folder / f"{picture.name}.{name}"
            write_atomically(path, FORMATS[name](picture.figure), within=place if own else None)
            written.append(path)
    return written


def pictures(run: Run) -> list[Picture]:
    """Draw every picture that a run has the data for."""
    drawn = curve_pictures(run)
    if isinstance(run, ClassifierRun):
        judged = judge_on_dev(run)
        drawn += [] if judged is None else judged_pictures(judged)
    else:
        drawn.append(heat_map_picture(run))
    embeddings = embedding_picture(run)
    return drawn if embeddings is None else [*drawn, embeddings]


def curve_pictures(run: Run) -> list[Picture]:
    """Draw how the training went."""
    drawn = (loss_picture(run), accuracy_picture(run), learning_rate_picture(run))
    return [picture for picture in drawn if picture is not None]


def loss_picture(run: Run) -> Picture | None:
    """Draw the loss curve; None for a model that was made in one step."""
    metrics = run.metrics()
    if not has_curves(metrics):
        return None
    unit = unit_of(metrics[0])
    description = f"Loss in nats per {unit} against training steps, up to {metrics[-1]['step']:,}."
    best = best_look(metrics)
    if best is not None:
        least = "of the most accurate look, " if unit == "document" else "is lowest "
        loss = best[f"dev_nats_per_{unit}"]
        description += f" The dev loss {least}at step {best['step']:,}: {loss:.4f}."
    return Picture("loss", "Loss", description, loss_curve(metrics))


def accuracy_picture(run: Run) -> Picture | None:
    """Draw the accuracy on dev; None without looks at any, as for a language model."""
    metrics = run.metrics()
    best = best_look(metrics)
    if not has_curves(metrics) or best is None or "dev_accuracy" not in best:
        return None
    highest = f"It is highest at step {best['step']:,}: {best['dev_accuracy']:.2%}."
    description = f"Accuracy on dev against training steps. {highest}"
    return Picture("accuracy", "Accuracy", description, accuracy_curve(metrics))


def learning_rate_picture(run: Run) -> Picture | None:
    """Draw the learning rate; None for a model that was made in one step."""
    metrics = run.metrics()
    if not has_curves(metrics):
        return None
    schedule = run.recipe.training.schedule
    description = f"Learning rate against training steps, schedule {schedule}."
    return Picture("learning-rate", "Learning rate", description, learning_rate_schedule(metrics))


def judge_on_dev(run: ClassifierRun, mistakes: int = MISTAKES) -> ClassificationReport | None:
    """Judge a classifier on dev; None where there is no dev split."""
    if len(run.documents("dev")) == 0:
        return None
    judged = evaluate_labels(run, "dev", mistakes=mistakes)
    # The name of the text alone: a title has no room for a path.
    return replace(judged, text=f"dev split of {Path(run.text_name).name}")


def judged_pictures(judged: ClassificationReport) -> list[Picture]:
    """Draw the confusions, where each document has one label, and the reliability."""
    drawn = [confusion_picture(judged), reliability_picture(judged)]
    return [picture for picture in drawn if picture is not None]


def confusion_picture(judged: ClassificationReport) -> Picture | None:
    """Draw the confusion matrix; None where none was counted."""
    if judged.confusion is None:
        return None
    names = [score.label for score in judged.classes]
    figure = draw_confusion(judged.confusion, names, judged.text)
    description = f"Matrix of true and predicted labels. {figure.axes[0].get_title(loc='left')}."
    return Picture("confusion", "Confusions", description, figure)


def reliability_picture(judged: ClassificationReport) -> Picture:
    """Draw the reliability diagram."""
    answers = "answers" if judged.multilabel else "predictions"
    figure = draw_reliability(judged.calibration, judged.text, answers)
    description = f"Accuracy by confidence. {figure.axes[0].get_title(loc='left')}."
    return Picture("reliability", "Reliability", description, figure)


def heat_map_picture(run: Run) -> Picture:
    """Draw the bigram heat map."""
    figure = heat_map(run)
    description = f"Heat map. {figure.axes[0].get_title(loc='left')}."
    return Picture("heat-map", "What follows what", description, figure)


def embedding_picture(run: Run) -> Picture | None:
    """Draw the embedding map; None for a model without embeddings."""
    figure = embedding_map(run)
    if figure is None:
        return None
    description = f"Scatter plot. {figure.axes[0].get_title(loc='left')}."
    return Picture("embedding-map", "Embeddings", description, figure)
