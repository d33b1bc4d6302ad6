"""``thence compare RUN RUN ...``: which run is better, and by how much for sure."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from thence.cli.output import say_json, say_table
from thence.cli.streams import print_note
from thence.corpus import ReadingOptions
from thence.evaluation import Comparison, compare
from thence.runs.run import Split


def command(
    *runs: Path,
    text: str | None = None,
    split: Split = "dev",
    reading: Annotated[ReadingOptions | None, Parameter(name="*")] = None,
    json: Annotated[bool, Parameter(negative=())] = False,
) -> None:
    """Judge several runs on the same documents, with intervals of all differences.

    Args:
        runs: Two or more run folders.
        text: Judge on this text instead of a split.
        reading: How that text is read.
        split: The split to judge on; it must hold the same documents for all runs.
        json: Print the result as JSON.
    """
    comparison = compare(runs, split, text, reading)
    if json:
        say_json(comparison.to_json())
        return
    unit = "" if isinstance(comparison, Comparison) else " labelled"
    documents = f"{comparison.documents:,}{unit} documents"
    say_table(*comparison.table(), title=f"{comparison.text} ({documents})", narrow=True)
    if comparison.remark:
        print_note(comparison.remark)
