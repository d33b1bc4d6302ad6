"""``thence plot RUN``: each picture of the report as PNG and SVG."""

from pathlib import Path

from thence.cli.streams import say
from thence.reports import plot


def command(run: Path, /, *, output: Path | None = None) -> None:
    """Write a run's pictures as PNG and SVG, or those of a sweep.

    Args:
        run: The run folder, or that of a sweep.
        output: The folder to write to (default: pictures in the run folder).
    """
    for path in plot(run, output):
        say(str(path))
