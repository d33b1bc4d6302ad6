"""``thence score RUN FILE|-``: the log-probability of each document, one JSON line each."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from thence.commands.output import say_json
from thence.corpus import ReadingOptions, read_documents
from thence.evaluation import score
from thence.training import Run


def command(
    run: Path,
    text: str,
    /,
    *,
    tokens: Annotated[bool, Parameter(negative=())] = False,
    reading: Annotated[ReadingOptions | None, Parameter(name="*")] = None,
) -> None:
    """Give the log-probability of each document of a text, one JSON line each.

    Args:
        run: The run folder.
        text: A file or folder, or - for standard input.
        tokens: Add every token and how surprising it was.
        reading: How the text is read.
    """
    opened = Run(run)
    for line in score(opened, read_documents(text, reading or ReadingOptions()), tokens):
        say_json(line)
