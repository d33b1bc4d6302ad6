"""``thence train TEXT --model MODEL``: train a model, judge it on dev, write its report."""

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from thence.cli.finish import finish
from thence.cli.output import progress_for
from thence.cli.recipe_flags import parse_recipe_command
from thence.cli.streams import is_at_terminal, print_note
from thence.errors import SettingError
from thence.recipes import Recipe
from thence.runs.sources import display_name
from thence.training import train_recipe
from thence.training.callbacks import LoggerName

SUMMARY = "Train a model on a text; judge it on the dev split; write a run folder with a report."


def command(arguments: Sequence[str]) -> None:
    """Parse the arguments and train."""
    parse_recipe_command("train", _train, SUMMARY, arguments)


def _train(
    recipe: Recipe,
    *,
    output: Annotated[
        Path | None,
        Parameter(name=("--output", "-o"), help="Run folder to make (default: runs/TEXT-MODEL)."),
    ] = None,
    logs: Annotated[
        LoggerName | None,
        Parameter(help="Write the training for TensorBoard too, into RUN/tensorboard."),
    ] = None,
    report: Annotated[bool, Parameter(help="Write report.html at the end.")] = True,
    cluster: Annotated[
        str | None,
        Parameter(
            help="Count an ngram model on a Dask cluster: tcp://HOST:8786, or local:2 for two "
            "workers here."
        ),
    ] = None,
    keep_text: Annotated[
        bool,
        Parameter(help="Keep a text from standard input or a pipe in the run, not its hash alone."),
    ] = True,
    json: Annotated[bool, Parameter(negative=(), help="Print the result as JSON.")] = False,
) -> None:
    if not json and is_at_terminal():
        print_note(f"Reading {display_name(recipe.text)} ...")
    if recipe.training.precision == "bfloat16":
        _remark_on_imitation(recipe)
    progress = progress_for(json)
    run = train_recipe(recipe, output, progress, logs, cluster, keep_text=keep_text)
    finish(run, report, json)


def _remark_on_imitation(recipe: Recipe) -> None:
    from thence.training.device import choose_device, has_fast_bfloat16

    with suppress(SettingError):  # A device that is not there is refused by the training.
        if has_fast_bfloat16(choose_device(recipe.training.device)):
            return
        print_note(
            "This machine has no bfloat16 of its own and imitates it, which is slower than "
            "float32; --precision auto takes what is fastest."
        )
