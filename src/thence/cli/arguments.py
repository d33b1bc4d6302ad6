"""Arguments that several commands take, and how what is typed becomes a value."""

from collections.abc import Sequence
from typing import Annotated, Any, get_args

from cyclopts import CoercionError, Parameter, Token, convert

from thence.errors import SettingError

STANDARD_INPUT = "standard-input:"


def shield_standard_input(arguments: Sequence[str]) -> list[str]:
    """Write ``-`` in a way that the parser does not take for the start of a flag."""
    return [STANDARD_INPUT if argument == "-" else argument for argument in arguments]


def unshield(value: str) -> str:
    """Return ``-`` where ``shield_standard_input`` has hidden it."""
    return "-" if value == STANDARD_INPUT else value


def convert_argument(kind: Any, tokens: Sequence[Token]) -> Any:
    """Convert an argument as the parser does, but a fraction never becomes a whole number.

    Raises:
        CoercionError: If the text does not stand for a value of that kind.
    """
    tokens = [token.evolve(value=unshield(token.value)) for token in tokens]
    fraction = next((token for token in tokens if "." in token.value), None)
    if fraction is not None and int in (kind, *get_args(kind)):
        raise CoercionError(token=fraction, target_type=int)
    return convert(kind, tokens)


def _as_text(kind: Any, tokens: Sequence[Token]) -> str:
    value = unshield(tokens[0].value)
    try:
        value.encode("utf-8")
    except UnicodeEncodeError as error:
        raise SettingError(
            f"The text {value!r} is not UTF-8: character {error.start + 1} cannot be read. Is the "
            "terminal set to another encoding?"
        ) from error
    return value


Text = Annotated[str, Parameter(converter=_as_text)]
"""What somebody wrote, for a model to read."""

BadWords = Annotated[
    tuple[Text, ...], Parameter(consume_multiple=True, negative_iterable=(), negative=())
]
"""Words that are not to be written."""
