"""``thence export RUN PATH``: what a run has learned as a file for other programs."""

from pathlib import Path

from thence.commands.streams import say
from thence.training.exchange import Format, export


def command(run: Path, path: Path, /, *, to: Format | None = None) -> None:
    """Write an n-gram run as an ARPA file, or the embeddings of a run as word vectors.

    The file is compressed if its name ends in .gz.

    Args:
        run: The run folder.
        path: The file to make.
        to: Its format (default: arpa for an n-gram run and for a file of that suffix, else
            word2vec, as text).
    """
    say(str(export(run, path, to)))
