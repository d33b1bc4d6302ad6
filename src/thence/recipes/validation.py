"""Values of settings in the types that they are declared with, or a sentence."""

from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import numpy as np

from thence.errors import SettingError, nearest

KINDS = {
    int: "a whole number",
    float: "a number",
    str: "a text",
    bool: "true or false",
}
"""How the types of settings are called in messages."""

LONGEST_SHOWN = 200
"""Characters of a wrong value that a message repeats."""


def within_64_bits(name: str, value: Any) -> Any:
    """Return a setting's value unless it is, or holds, a whole number too large for any use.

    Raises:
        SettingError: If it does.
    """
    if isinstance(value, list | tuple):
        return type(value)(within_64_bits(name, item) for item in value)
    if isinstance(value, int) and not -(1 << 63) <= value < 1 << 63:
        raise SettingError(f"The setting '{name}' is a whole number of more than 64 bits.")
    return value


def shown(value: Any) -> str:
    """Return a value for a message, cut short where it is long."""
    try:
        text = repr(value)
    except ValueError:  # Python writes no numbers of thousands of digits.
        return "a number of thousands of digits"
    return text if len(text) <= LONGEST_SHOWN else f"{text[:LONGEST_SHOWN]} ..."


def check_type(name: str, value: Any, expected: Any) -> Any:
    """Return a setting's value in its type, an int becoming a float and a list a tuple.

    Raises:
        SettingError: If the value is of another type or not one of the choices.
    """
    if isinstance(value, np.generic):
        value = value.item()
    allowed = get_args(expected) if get_origin(expected) in (Union, UnionType) else (expected,)
    choices: list[str] = []
    kinds: list[str] = []
    for kind in allowed:
        if get_origin(kind) is Literal:
            choices += [str(choice) for choice in get_args(kind)]
            if value in get_args(kind):
                return value
        elif get_origin(kind) is tuple and isinstance(value, list | tuple):
            return tuple(check_type(name, item, get_args(kind)[0]) for item in value)
        elif is_dataclass(kind) and isinstance(value, dict):
            return _from_table(name, value, kind)
        elif get_origin(kind) is Mapping and isinstance(value, dict):
            return value
        elif kind is float and isinstance(value, int | float) and not isinstance(value, bool):
            return float(within_64_bits(name, value))
        elif isinstance(kind, type) and type(value) is kind:
            return value
        elif kind is str and isinstance(value, Path):
            return str(value)
        elif kind is not NoneType:
            kinds.append(KINDS.get(kind, "a list"))
    if choices:
        kinds.append(f"one of {', '.join(choices)}" if len(choices) > 1 else choices[0])
    raise SettingError(
        f"The setting '{name}' is {shown(value)}; it must be {' or '.join(kinds)}."
        + (nearest(value, choices) if isinstance(value, str) else "")
    )


def _from_table(name: str, table: Mapping[str, Any], kind: Any) -> Any:
    hints = get_type_hints(kind)
    if unknown := table.keys() - hints.keys():
        raise SettingError(f"The setting '{name}' has an unknown part '{min(unknown)}'.")
    needed = [item.name for item in fields(kind) if item.default is MISSING]
    if missing := [part for part in needed if part not in table]:
        raise SettingError(f"The setting '{name}' lacks its part '{missing[0]}'.")
    return kind(**{key: check_type(key, value, hints[key]) for key, value in table.items()})
