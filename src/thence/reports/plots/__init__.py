"""``plot``: all plots of a run or a sweep, as figures of matplotlib and as files."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Literal

from matplotlib.figure import Figure

from thence.atomic import write_atomically
from thence.reports import style
from thence.reports.classifier import evaluate_on_dev
from thence.reports.plots.bigrams import plot_bigrams
from thence.reports.plots.charts import training_plots
from thence.reports.plots.classification import classification_plots
from thence.reports.plots.embeddings import plot_embeddings
from thence.reports.plots.insides import inside_plots
from thence.reports.plots.sweep import sweep_plots
from thence.runs import ClassifierRun, LanguageRun, Run, open_run
from thence.runs.description import is_sweep
from thence.runs.files import find_run
from thence.settings import validate
from thence.sweeps.results import read_sweep

FORMATS: dict[str, Callable[[Figure], bytes]] = {"png": style.to_png, "svg": style.to_svg}


def plot(
    run: Run | str | Path, folder: Path | None = None, formats: Iterable[str] = ("png", "svg")
) -> list[Path]:
    """Write every plot of a run, or of a sweep, as files.

    Args:
        run: The run or its folder, or the folder of a sweep.
        folder: Folder of the figures; by default ``pictures`` in the run folder, and
            ``pictures@STEP`` for a snapshot.
        formats: ``png``, ``svg`` or both.

    Returns:
        The files, in the order they were written.

    Raises:
        SettingError: If a format is unknown.
        RunError: If a file cannot be written.
    """
    formats = validate("formats", tuple(formats), tuple[Literal["png", "svg"], ...])
    if not isinstance(run, Run) and is_sweep(run):
        place, drawn, step = find_run(run), sweep_plots(read_sweep(run)), ""
    else:
        run = open_run(run)
        place, drawn, step = run.folder, run_plots(run), run.at_step
    own = folder is None
    folder = place / f"pictures{step}" if folder is None else folder
    written = []
    for one in drawn:
        for name in formats:
            path = folder / f"{one.name}.{name}"
            write_atomically(path, FORMATS[name](one.figure), within=place if own else None)
            written.append(path)
    return written


def run_plots(run: Run) -> list[style.Plot]:
    """Draw all plots of a run, by its family and data."""
    drawn = training_plots(run)
    if isinstance(run, ClassifierRun):
        report = evaluate_on_dev(run)
        drawn += [] if report is None else classification_plots(report)
    else:
        drawn.append(plot_bigrams(run))
        drawn += inside_plots(LanguageRun(run))
    embeddings = plot_embeddings(run)
    return drawn if embeddings is None else [*drawn, embeddings]
