"""``thence resume RUN``: go on with a training that was stopped."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from thence.commands.finish import finish
from thence.commands.output import progress_for
from thence.training import resume


def command(
    run: Path,
    /,
    *,
    report: bool = True,
    json: Annotated[bool, Parameter(negative=())] = False,
) -> None:
    """Go on with a training that was stopped; the result is as if it never had been.

    Args:
        run: The run folder.
        report: Write report.html at the end.
        json: Print the result as JSON.
    """
    finish(resume(run, progress_for(json)), report, json)
