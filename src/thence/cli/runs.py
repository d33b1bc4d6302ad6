"""``thence runs [FOLDER]``: the runs in a folder, the newest last."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from thence.cli.output import say_json, say_table
from thence.cli.streams import say
from thence.runs.files import RUNS
from thence.runs.listing import list_runs

COLUMNS = ("run", "model", "text", "on dev", "state", "looks at test", "made (UTC)")


def command(
    folder: Path = RUNS, /, *, json: Annotated[bool, Parameter(negative=())] = False
) -> None:
    """List the runs in a folder and in the folders right inside it, the newest last.

    Args:
        folder: Where to look.
        json: Print a JSON list.
    """
    found = list_runs(folder)
    if json:
        say_json([run.to_json() for run in found])
    elif not found:
        say(f"There are no runs in {folder}.")
    else:
        rows = [
            [
                run.name,
                run.model or "-",
                run.text or "-",
                run.on_dev(),
                run.in_words(),
                "-" if run.test_looks is None else str(run.test_looks),
                "-" if run.made is None else run.made[:16].replace("T", " "),
            ]
            for run in found
        ]
        say_table(COLUMNS, rows)
