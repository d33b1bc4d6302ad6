"""``thence fill RUN TEXT``: what may stand in the blanks of a text."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from thence.cli.arguments import Text
from thence.cli.output import say_json
from thence.cli.prompts import remark_unknown
from thence.cli.streams import print_note, say
from thence.generation import fill, split_blanks
from thence.runs import Run


def command(
    run: Path,
    text: Text,
    /,
    *,
    count: Annotated[int | None, Parameter(name=("--count", "-n"))] = None,
    among: Annotated[list[Text] | None, Parameter(negative=())] = None,
    longest: int | None = None,
    blank: Annotated[Text, Parameter(allow_leading_hyphen=True)] = "___",
    goes_on: Annotated[bool, Parameter(name="--open", negative=())] = False,
    beam: int = 64,
    json: Annotated[bool, Parameter(negative=())] = False,
) -> None:
    """Fill the blanks of a text so that the whole text is likeliest.

    Each line shows the share of the probability of all fillings found, the log-probability of the
    whole text, and the text.

    Args:
        run: The run folder.
        text: A whole document, with ___ (or more underscores) wherever something is missing.
        count: How many fillings to show (default: 5, or all of --among).
        among: Rank these instead of looking for any: cat,dog,"guinea pig"; may be repeated.
        longest: Tokens in each blank at most (default: 1 for words, else 8).
        blank: Another mark for a blank.
        goes_on: The text goes on after this: its end does not count.
        beam: Width of the beam, where there are too many fillings to judge all.
        json: Print the result as JSON.
    """
    opened = Run(run)
    candidates = among and [one.strip() for given in among for one in given.split(",")]
    found = fill(
        opened,
        text,
        count,
        among=candidates,
        longest=longest,
        blank=blank,
        goes_on=goes_on,
        beam=beam,
    )
    remark_unknown(opened, text, split_blanks(text, blank))
    for candidate in candidates or []:
        remark_unknown(opened, candidate)
    if json:
        say_json(found.to_json())
        return
    say(str(found))
    all_of = f"all {found.found:,} fillings" if found.exact else f"{found.found:,} found by a beam"
    missing = found.found - len(found) if among and count is None else 0
    impossible = f"; {missing:,} of them are impossible" if missing else ""
    print_note(f"Shares are among {all_of}{impossible}.")
