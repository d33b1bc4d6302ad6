"""Arguments that several commands take."""

from collections.abc import Sequence
from typing import Annotated, Any

from cyclopts import Parameter, Token

STANDARD_INPUT = "standard-input:"


def shield_standard_input(arguments: Sequence[str]) -> list[str]:
    """Write ``-`` in a way that the parser does not take for the start of a flag."""
    return [STANDARD_INPUT if argument == "-" else argument for argument in arguments]


def _source(kind: Any, tokens: Sequence[Token]) -> str:
    value = tokens[0].value
    return "-" if value == STANDARD_INPUT else value


TextSource = Annotated[str, Parameter(converter=_source)]
"""A file, a folder, ``-`` for standard input, or a named text."""
