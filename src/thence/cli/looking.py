"""What ``thence look`` prints."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from thence.cli.output import Json, note_unknown, print_json, print_table
from thence.inspection import Look


def print_look(call: Callable[..., Any], given: SimpleNamespace, *, json: Json = False) -> None:
    """Print the tokens of a text as a model reads it, or everything as JSON."""
    found = call()
    if json:
        print_json(found.to_json())
        return
    columns, rows = found.table()
    print_table(columns, rows, narrow=True)
    if isinstance(found, Look):
        note_unknown(given.run, given.text)
