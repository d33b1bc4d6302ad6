"""Every picture of a run, and writing them as files."""

from collections.abc import Callable, Iterable
from pathlib import Path

from matplotlib.figure import Figure

from thence.errors import SettingError, nearest
from thence.pictures.curves import best_look, has_curves, learning_rate_schedule, loss_curve
from thence.pictures.drawing import Picture, to_png, to_svg
from thence.pictures.embedding_map import embedding_map
from thence.pictures.heat_map import heat_map
from thence.training import Run
from thence.training.files import write_atomically

FORMATS: dict[str, Callable[[Figure], bytes]] = {"png": to_png, "svg": to_svg}


def plot(
    run: Run | str | Path, folder: Path | None = None, formats: Iterable[str] = ("png", "svg")
) -> list[Path]:
    """Write every picture of a run as files.

    Args:
        run: The run or its folder.
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
    run = run if isinstance(run, Run) else Run(run)
    folder = run.folder / "pictures" if folder is None else folder
    written = []
    for picture in pictures(run):
        for name in formats:
            path = folder / f"{picture.name}.{name}"
            write_atomically(path, FORMATS[name](picture.figure))
            written.append(path)
    return written


def pictures(run: Run) -> list[Picture]:
    """Draw every picture that a run has the data for."""
    makers = (loss_picture, learning_rate_picture, heat_map_picture, embedding_picture)
    made = (maker(run) for maker in makers)
    return [picture for picture in made if picture is not None]


def loss_picture(run: Run) -> Picture | None:
    """Draw the loss curve; None for a model made by counting."""
    metrics = run.metrics()
    if not has_curves(metrics):
        return None
    description = f"Loss in nats per token against training steps, up to {metrics[-1]['step']:,}."
    best = best_look(metrics)
    if best is not None:
        loss = best["dev_nats_per_token"]
        description += f" The dev loss is lowest at step {best['step']:,}: {loss:.4f}."
    return Picture("loss", "Loss", description, loss_curve(metrics))


def learning_rate_picture(run: Run) -> Picture | None:
    """Draw the learning rate; None for a model made by counting."""
    metrics = run.metrics()
    if not has_curves(metrics):
        return None
    schedule = run.recipe.training.schedule
    description = f"Learning rate against training steps, schedule {schedule}."
    return Picture("learning-rate", "Learning rate", description, learning_rate_schedule(metrics))


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
