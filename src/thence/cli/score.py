"""``thence score RUN TEXT ...``: how probable texts are, and which of several is likelier."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from thence.cli.given import texts_given
from thence.cli.output import say_json, say_table
from thence.cli.prompts import remark_unknown
from thence.cli.streams import print_note
from thence.corpus import ReadingOptions, load
from thence.errors import SettingError
from thence.evaluation import rank, score
from thence.runs import Run


def command(
    run: Path,
    text: str,
    /,
    *others: str,
    tokens: Annotated[bool, Parameter(negative=())] = False,
    json: Annotated[bool, Parameter(negative=())] = False,
    reading: Annotated[ReadingOptions | None, Parameter(name="*")] = None,
) -> None:
    """Give the log-probability of a text, or of each document of a file; rank several texts.

    A file or a single text gives one JSON line for each document. Several texts give a table, the
    likeliest first.

    Args:
        run: The run folder.
        text: A file or folder, - for standard input, or a bundled text; anything else is the text
            itself.
        others: More texts: which is likelier, and by how much in all and per token.
        tokens: Add every token and how surprising it was.
        json: Print the table of several texts as JSON lines.
        reading: How a file is read.
    """
    opened = Run(run)
    texts = texts_given([text, *others])
    if texts is None:
        for line in score(opened, load(text, reading or ReadingOptions()), tokens).once():
            say_json(line)
        return
    if reading is not None:
        raise SettingError(
            "Flags of reading say how a file is read, and the text itself is given here; leave "
            "them out."
        )
    for one in texts:
        remark_unknown(opened, one)
    if len(texts) == 1 or tokens:
        for one in texts:
            say_json(score(opened, one, tokens)[0])
        return
    ranking = rank(opened, texts)
    if json:
        for ranked in ranking.to_json():
            say_json(ranked)
        return
    say_table(*ranking.table())
    print_note(ranking.in_words())
