"""``thence similar RUN WORD``: the words that a model takes for nearest to a word."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from thence.cli.arguments import Text
from thence.cli.output import say_json
from thence.cli.streams import say
from thence.evaluation import similar
from thence.runs import Run


def command(
    run: Path,
    word: Text,
    /,
    *,
    count: Annotated[int, Parameter(name=("--count", "-n"))] = 10,
    json: Annotated[bool, Parameter(negative=())] = False,
) -> None:
    """Show the words whose embeddings are nearest to that of a word, with the cosine.

    Args:
        run: The run folder of a network, or of a classifier with embeddings.
        word: A word of its vocabulary.
        count: How many words to show.
        json: Print the result as JSON.
    """
    found = similar(Run(run), word, count)
    if json:
        say_json(found.to_json())
    else:
        say(str(found))
