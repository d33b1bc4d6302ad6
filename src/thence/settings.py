"""Settings are declared once: the field of a dataclass has the type, the range and the default.

    @dataclass(frozen=True)
    class MLPOptions(Settings):
        hidden_size: PositiveInt = 200
        '''Units of each hidden layer (h).'''

The string below the field is its help. Values are converted to the declared types and checked when
the dataclass is made, whether they come from Python, TOML or flags.

Messages name a setting in backticks, `hidden_size` or `softmax='adaptive'`, which is how it is
written in Python and TOML; the command line shows these as --hidden-size and --softmax adaptive
(``cli/messages.py``).

Why no library: msgspec takes 19 ms to import, pydantic 69 ms and 28 ms for each class. The first
says "Expected `int` >= 1 - at `$.hidden_size`" and the second a paragraph with an address. We would
still have to write the wrong value, the whole range, the choices and the nearest of them, and
accept NumPy's numbers and paths, which is most of this file.
"""

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import MISSING, dataclass, fields, is_dataclass
from functools import cache
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

import numpy as np

from thence.errors import SettingError, nearest

LONGEST_SHOWN = 200
"""Characters of a wrong value that a message repeats."""
KINDS = {int: "a whole number", float: "a number", str: "a text", bool: "true or false"}
"""What messages call the types of settings."""


@dataclass(frozen=True)
class Range:
    """The range of a number.

    Attributes:
        ge: It is this or above.
        gt: It is above this.
        le: It is this or below.
        lt: It is below this.
        finite: It cannot be infinite.
        why: A reason or a way out, for the message.
    """

    ge: float | None = None
    gt: float | None = None
    le: float | None = None
    lt: float | None = None
    finite: bool = True
    why: str = ""

    def __contains__(self, value: float) -> bool:
        return (
            (self.ge is None or value >= self.ge)
            and (self.gt is None or value > self.gt)
            and (self.le is None or value <= self.le)
            and (self.lt is None or value < self.lt)
            and not (self.finite and isinstance(value, float) and not math.isfinite(value))
        )

    def __str__(self) -> str:
        """Return the range in words, such as ``from 0 to below 1``, or nothing for any number."""
        ge, gt, le, lt = map(_number, (self.ge, self.gt, self.le, self.lt))
        if ge and (le or lt):
            return f"from {ge} to {le}" if le else f"from {ge} to below {lt}"
        low = f"of at least {ge}" if ge else f"above {gt}" if gt else ""
        high = f"at most {le}" if le else f"below {lt}" if lt else ""
        return " and ".join(filter(None, (low, high)))


PositiveInt = Annotated[int, Range(ge=1)]
NonNegativeInt = Annotated[int, Range(ge=0)]
PositiveFloat = Annotated[float, Range(gt=0)]
NonNegativeFloat = Annotated[float, Range(ge=0)]
Fraction = Annotated[float, Range(ge=0, lt=1)]
DropProbability = Fraction
"""The probability that something is left out, which cannot be everything."""
Seed = Annotated[int, Range(ge=0, le=(1 << 63) - 1)]


class Settings:
    """The base of dataclasses of settings: their values are converted and checked."""

    def __post_init__(self) -> None:
        """Convert and check every field.

        Raises:
            SettingError: Names the setting, its value, and what it must be.
        """
        for name, hint in declared_types(type(self)).items():
            object.__setattr__(self, name, validate(name, getattr(self, name), hint))


def declared_types(kind: Any) -> Mapping[str, Any]:
    """Return the name and the type of every field of a dataclass, with its range."""
    return _declared_types(kind)


@cache
def _declared_types(kind: Any) -> Mapping[str, Any]:
    hints = get_type_hints(kind, include_extras=True)
    return {item.name: hints[item.name] for item in fields(kind)}


def validate(name: str, value: Any, hint: Any, in_list: bool = False) -> Any:
    """Return a setting's value in its declared type: an int as float, a list as tuple if need be.

    Args:
        name: Of the setting, for the message.
        value: What was given.
        hint: The declared type, such as ``PositiveInt | None``.
        in_list: The value is one of a list.

    Raises:
        SettingError: If the value is of another type, out of range, or not one of the choices.
    """
    value = value.item() if isinstance(value, np.generic) else value
    alternatives = list(_alternatives(hint))
    ending = "."
    for kind, limits in alternatives:
        if get_origin(kind) is Literal:
            if any(value == choice and type(value) is type(choice) for choice in get_args(kind)):
                return value
            if isinstance(value, str):
                ending = f".{nearest(value, map(str, get_args(kind)))}"
        elif get_origin(kind) is tuple and isinstance(value, list | tuple):
            return tuple(validate(name, item, get_args(kind)[0], in_list=True) for item in value)
        elif get_origin(kind) is Mapping and isinstance(value, Mapping):
            return value
        elif is_dataclass(kind) and isinstance(value, dict):
            return _from_table(name, value, kind)
        elif kind in (int, float) and type(value) in (int, kind):
            _check_64_bits(name, value)
            if value in limits:
                return kind(value)
            ending = f": {limits.why}." if limits.why else "."
        elif kind is str and isinstance(value, Path):
            return str(value)
        elif isinstance(kind, type) and type(value) is kind:
            return value
    verb, subject = ("holds", "each") if in_list else ("is", "it")
    raise SettingError(
        f"`{name}` {verb} {shown(value)}; {subject} must be {describe_type(hint)}{ending}"
    )


def describe_type(hint: Any) -> str:
    """Return in words what a setting may be.

    >>> describe_type(PositiveFloat | Literal["auto"] | None)
    'a number above 0 or auto'
    """
    words = []
    for kind, limits in _alternatives(hint):
        if get_origin(kind) is Literal:
            choices = ", ".join(map(str, get_args(kind)))
            words.append(f"one of {choices}" if len(get_args(kind)) > 1 else choices)
        elif kind in KINDS:
            words.append(f"{KINDS[kind]} {limits}".rstrip())
        elif kind is not NoneType:
            words.append("a list" if get_origin(kind) is tuple else "a table")
    return " or ".join(words)


def as_in_file(error: Exception) -> str:
    """Return a message about a file, in which settings are no flags: 'hidden_size'."""
    return re.sub(r"`([\w-]+)`", r"'\1'", str(error)).replace("`", "")


def shown(value: Any) -> str:
    """Return a value for a message, cut short where it is long."""
    try:
        text = repr(value)
    except ValueError:  # Python writes no numbers of thousands of digits.
        return "a number of thousands of digits"
    return text if len(text) <= LONGEST_SHOWN else f"{text[:LONGEST_SHOWN]} ..."


def _alternatives(hint: Any, limits: Range = Range()) -> Iterator[tuple[Any, Range]]:
    """Yield the types of a union one by one, each with its range."""
    if get_origin(hint) is Annotated:
        kind, *extras = get_args(hint)
        limits = next((extra for extra in extras if isinstance(extra, Range)), limits)
        yield from _alternatives(kind, limits)
    elif get_origin(hint) in (Union, UnionType):
        for part in get_args(hint):
            yield from _alternatives(part, limits)
    else:
        yield hint, limits


def _check_64_bits(name: str, value: float) -> None:
    if isinstance(value, int) and not -(1 << 63) <= value < 1 << 63:
        raise SettingError(f"`{name}` is a whole number of more than 64 bits.")


def _number(value: float | None) -> str:
    """Return a limit as people write it, or nothing where there is none.

    >>> _number(1000), _number((1 << 63) - 1)
    ('1,000', '2^63 - 1')
    """
    if value is None:
        return ""
    bits = int(value).bit_length()
    return f"2^{bits} - 1" if bits > 30 and value == (1 << bits) - 1 else f"{value:,}"


def _from_table(name: str, table: Mapping[str, Any], kind: Any) -> Any:
    """Return a dataclass made of a table of a TOML file."""
    hints = declared_types(kind)
    if unknown := table.keys() - hints.keys():
        raise SettingError(f"`{name}` has an unknown part '{min(unknown)}'.")
    needed = [item.name for item in fields(kind) if item.default is MISSING]
    if missing := [part for part in needed if part not in table]:
        raise SettingError(f"`{name}` lacks its part '{missing[0]}'.")
    return kind(**{key: validate(key, value, hints[key]) for key, value in table.items()})
