"""``thence export RUN PATH``: a model as a file for other programs."""

from pathlib import Path

from thence.commands.streams import say
from thence.training.exchange import Format, export


def command(run: Path, path: Path, /, *, to: Format = "arpa") -> None:
    """Write an n-gram run as an ARPA file, compressed if its name ends in .gz.

    Args:
        run: The run folder.
        path: The file to make.
        to: Its format.
    """
    say(str(export(run, path, to)))
