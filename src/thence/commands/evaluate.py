"""``thence evaluate RUN``: how good a model is, with units and an interval."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from thence.commands.output import say_json, say_pairs
from thence.corpus import ReadingOptions
from thence.evaluation import evaluate
from thence.training.run import Split


def command(
    run: Path,
    text: str | None = None,
    /,
    *,
    split: Split = "dev",
    reading: Annotated[ReadingOptions | None, Parameter(name="*")] = None,
    json: Annotated[bool, Parameter(negative=())] = False,
) -> None:
    """Judge a run on its dev or test split, or on another text. Looks at test are recorded.

    Args:
        run: The run folder.
        text: Judge on this file, folder or named text instead of a split.
        split: The split to judge on.
        reading: How that text is read.
        json: Print the result as JSON.
    """
    report = evaluate(run, split, text, reading)
    if json:
        say_json(report.to_json())
    else:
        say_pairs(report.rows())
