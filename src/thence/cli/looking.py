"""Printing the results of ``thence look`` as tables."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from thence.cli.colours import coloured, coloured_look
from thence.cli.output import Json, note_unknown, print_json, print_shown, shows_for_people
from thence.cli.streams import print_styled, print_text
from thence.inspection import Look
from thence.inspection.lenses import FOLLOWING
from thence.runs import LanguageRun


def print_look(call: Callable[..., Any], given: SimpleNamespace, *, json: Json = False) -> None:
    """Print the tokens of a text as a model reads it, or everything as JSON."""
    lenses, is_language = given.lenses, isinstance(given.run, LanguageRun)
    if lenses and is_language and not json:  # Shown below the table of tokens.
        lenses = [FOLLOWING, *lenses]
    found = call(lenses=lenses)
    if isinstance(found, Look):
        lines = given.text.split("\n") if found.by_lines else None  # A line end is a boundary.
        note_unknown(given.run, given.text, lines)
    if json:
        print_json(found.to_json())
    elif isinstance(found, Look):
        if shows_for_people():
            print_styled(coloured_look(found) + "\n")
        print_shown(found)
        for table in found.tables(*(lenses or ())):
            print_text("")
            print_shown(table)
    else:
        if shows_for_people():
            print_styled(coloured(found.explanation))
        print_text(str(found))
