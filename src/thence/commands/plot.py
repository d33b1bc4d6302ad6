"""``thence plot RUN``: each picture of the report as PNG and SVG."""

from pathlib import Path

from thence.commands.streams import say
from thence.pictures import plot
from thence.training import Run


def command(run: Path, /, *, output: Path | None = None) -> None:
    """Write a run's pictures as PNG and SVG.

    Args:
        run: The run folder.
        output: The folder to write to (default: pictures in the run folder).
    """
    for path in plot(Run(run), output):
        say(str(path))
