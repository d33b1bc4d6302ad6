"""``thence report RUN``: one self-contained page with pictures and every number."""

from pathlib import Path

from thence.commands.streams import say
from thence.pictures import report
from thence.training import Run


def command(run: Path, /, *, output: Path | None = None) -> None:
    """Write a run's report: one HTML file that needs no network.

    Args:
        run: The run folder.
        output: Where to write it (default: report.html in the run folder).
    """
    say(str(report(Run(run), output)))
