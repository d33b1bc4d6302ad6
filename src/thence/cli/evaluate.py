"""``thence evaluate RUN``: how good a model is, with units and intervals."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from thence.cli.output import say_json, say_pairs, say_table
from thence.corpus import LabelOptions, ReadingOptions
from thence.evaluation import ClassificationReport, evaluate
from thence.runs.run import Split


@dataclass(frozen=True)
class WhereLabelsAre:
    """Where the labels of a text are."""

    label: str | None = None
    """Column or field with the labels (default: that of the run's text)."""
    label_separator: str | None = None
    """What stands between the labels of a document that may have several."""


def command(
    run: Path,
    text: str | None = None,
    /,
    *,
    split: Split = "dev",
    reading: Annotated[ReadingOptions | None, Parameter(name="*")] = None,
    labelling: Annotated[WhereLabelsAre | None, Parameter(name="*")] = None,
    mistakes: int = 10,
    json: Annotated[bool, Parameter(negative=())] = False,
) -> None:
    """Judge a run on its dev or test split, or on another text. Looks at test are recorded.

    Args:
        run: The run folder.
        text: Judge on this file, folder or named text instead of a split.
        split: The split to judge on.
        reading: How that text is read.
        labelling: Where its labels are, for a classifier.
        mistakes: How many of a classifier's most confident mistakes to show.
        json: Print the result as JSON.
    """
    where = LabelOptions(labelling.label, labelling.label_separator) if labelling else None
    report = evaluate(run, split, text, reading, where, mistakes)
    if json:
        say_json(report.to_json())
        return
    say_pairs(report.rows())
    if isinstance(report, ClassificationReport):
        say_table(*report.table())
        if report.mistakes:
            say_table(*report.mistakes_table(), title="The most confident mistakes")
