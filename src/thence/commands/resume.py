"""``thence resume RUN``: go on with a training that was stopped."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from thence.commands.finish import finish
from thence.commands.output import progress_for
from thence.training import resume
from thence.training.logs import LoggerName


def command(
    run: Path,
    /,
    *,
    logs: LoggerName | None = None,
    text: str | None = None,
    dev: str | None = None,
    test: str | None = None,
    report: bool = True,
    json: Annotated[bool, Parameter(negative=())] = False,
) -> None:
    """Go on with a training that was stopped; the result is as if it never had been.

    Args:
        run: The run folder.
        logs: Write the training for TensorBoard too, all of it, into RUN/tensorboard.
        text: The text again, where the run has only its hash: a file, or - for standard input.
        dev: The same for dev, where it is a file of its own.
        test: The same for test.
        report: Write report.html at the end.
        json: Print the result as JSON.
    """
    resumed = resume(run, progress_for(json), logs, text=text, dev=dev, test=test)
    finish(resumed, report, json)
