"""``thence next RUN TEXT``: what comes next, with probabilities as bars."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from thence.cli.arguments import Text
from thence.cli.output import say_json
from thence.cli.prompts import remark_unknown
from thence.cli.streams import say
from thence.generation import next_tokens
from thence.runs import Run


def command(
    run: Path,
    text: Text = "",
    /,
    *,
    count: Annotated[int, Parameter(name=("--count", "-n"))] = 10,
    json: Annotated[bool, Parameter(negative=())] = False,
) -> None:
    """Show the most probable next tokens after a text that begins a document.

    Args:
        run: The run folder.
        text: What has been written so far; nothing asks for the first token.
        count: How many tokens to show.
        json: Print the result as JSON.
    """
    opened = Run(run)
    found = next_tokens(opened, text, count)
    if json:
        say_json(found.to_json())
    else:
        say(str(found))
    remark_unknown(opened, text)
