"""``thence resume RUN``: go on with a training that was stopped."""

from pathlib import Path
from shlex import quote
from typing import Annotated

from cyclopts import Parameter

from thence.cli.finish import finish
from thence.cli.output import progress_for, say_json
from thence.cli.streams import print_note, say
from thence.models.registry import get_family
from thence.processes import is_first_process
from thence.runs import Run
from thence.training import resume
from thence.training.callbacks import LoggerName


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

    A finished run is left as it is, untouched.

    Args:
        run: The run folder.
        logs: Write the training for TensorBoard too, all of it, into RUN/tensorboard.
        text: The text again, where the run has only its hash: a file, or - for standard input.
        dev: The same for dev, where it is a file of its own.
        test: The same for test.
        report: Write report.html at the end.
        json: Print the result as JSON.
    """
    was_over = Run(run).finished and logs is None
    resumed = resume(run, progress_for(json), logs, text=text, dev=dev, test=test)
    if was_over:
        _say_nothing_to_do(resumed, json)
    else:
        finish(resumed, report, json)


def _say_nothing_to_do(run: Run, as_json: bool) -> None:
    """Say that a run was finished already, and what can be done instead."""
    if not is_first_process():
        return
    if as_json:
        say_json({"run": str(run.folder), "model": run.recipe.model, "nothing_to_do": True})
        return
    say(f"{run.folder} is finished: there was nothing to do, and nothing was changed.")
    method, folder = get_family(run.recipe.model).method, quote(str(run.folder))
    if method == "train":
        print_note(f"Next: thence train --from {folder} --lr 0.001   (trains it on, as a new run)")
    elif method != "combine" and run.has_text:
        print_note(f"It was made in one go. With other settings: thence train {_text(run)}")


def _text(run: Run) -> str:
    """Return what names the text of a run on the command line: its own copy, if it has one."""
    name = run.recipe.text
    if "text" in run.kept:
        return quote(str(run.sources.instead[name])) if run.kept["text"] else "TEXT"
    return quote(name)
