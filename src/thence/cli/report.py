"""``thence report RUN ...``: one self-contained page with pictures and every number."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from thence.cli.streams import say
from thence.reports import report


def command(
    *runs: Path,
    output: Annotated[Path | None, Parameter(name=("--output", "-o"))] = None,
) -> None:
    """Write a run's report, or one that compares several: one HTML file that needs no network.

    Args:
        runs: The run folder, or that of a sweep, or several to compare on their dev splits.
        output: Where to write it (default: report.html in the run folder, sweep.html in that of a
            sweep, or comparison.html here for several).
    """
    say(str(report(runs, output)))
