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
from typing import (
    Annotated,
    Any,
    Literal,
    TypeVar,
    Union,
    cast,
    get_args,
    get_origin,
    get_type_hints,
)

import numpy as np

from thence.errors import SettingError, nearest

LONGEST_SHOWN = 200
"""Characters of a wrong value that a message repeats."""
KINDS = {int: "a whole number", float: "a number", str: "a text", bool: "true or false"}
"""What messages call the types of settings."""


@dataclass(frozen=True)
class Range:
    """The range of a number, or of the length of a text.

    Attributes:
        ge: Greater than or equal to this.
        gt: Greater than this.
        le: Less than or equal to this.
        lt: Less than this.
        finite: Whether infinity is refused.
        null: The number that None stands for: JSON, for example, has no infinity.
        why: A reason or a way out, for the message.
    """

    ge: float | None = None
    gt: float | None = None
    le: float | None = None
    lt: float | None = None
    finite: bool = True
    null: float | None = None
    why: str = ""

    def __contains__(self, value: float | str) -> bool:
        if value == math.inf:
            return not self.finite
        value = len(value) if isinstance(value, str) else value
        return (
            (self.ge is None or value >= self.ge)
            and (self.gt is None or value > self.gt)
            and (self.le is None or value <= self.le)
            and (self.lt is None or value < self.lt)
            and not math.isnan(value)
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
"""A probability of dropout, below 1."""
Seed = Annotated[int, Range(ge=0, le=(1 << 63) - 1)]
Number = Annotated[float, Range(gt=-1, lt=10**12)]
"""A number in a saved result."""
Loss = Annotated[float, Range(gt=-1, lt=10**12, finite=False, null=math.inf)]
"""A loss in nats; infinite where the model gives a text the probability 0."""
Text = Annotated[str, Range(le=10_000)]
"""A string in a saved result."""
Scalar = Text | int | float | bool | None
Values = tuple[Scalar | tuple[Scalar, ...], ...]
Fields = Mapping[str, Scalar | Values | Mapping[str, Scalar]]
"""Settings by name, in a result."""
Kind = TypeVar("Kind")


class Settings:
    """Base class of dataclasses of settings: values are converted and checked when one is made."""

    def __post_init__(self) -> None:
        """Convert and check every field.

        Raises:
            SettingError: Names the setting, its value, and what it must be.
        """
        for name, hint in declared_types(type(self)).items():
            object.__setattr__(self, name, validate(name, getattr(self, name), hint))


class Saved:
    """Base class of results saved as JSON; ``from_json`` checks them and ignores unknown fields."""


def declared_types(kind: Any) -> Mapping[str, Any]:
    """Return the declared type of every field of a dataclass by name, with its range."""
    return _declared_types(kind)


@cache
def _declared_types(kind: Any) -> Mapping[str, Any]:
    hints = get_type_hints(kind, include_extras=True)
    return {item.name: hints[item.name] for item in fields(kind)}


def validate(name: str, value: Any, hint: Any, in_list: bool = False) -> Any:
    """Return a setting's value in its declared type: an int as float, a list as tuple if need be.

    Args:
        name: The setting's name, for the message.
        value: The value that was given.
        hint: The declared type, such as ``PositiveInt | None``.
        in_list: Whether the value is an item of a list, for the message.

    Raises:
        SettingError: If the value is of another type, out of range, or not one of the choices.
    """
    value = value.item() if isinstance(value, np.generic) else value
    ending = "."
    for kind, limits in _alternatives(hint):
        if get_origin(kind) is Literal:
            if any(value == choice and type(value) is type(choice) for choice in get_args(kind)):
                return value
            if isinstance(value, str):
                ending = f".{nearest(value, map(str, get_args(kind)))}"
        elif get_origin(kind) is tuple and isinstance(value, list | tuple):
            hints = get_args(kind)
            hints = hints if hints[-1] is not Ellipsis else hints[:1] * len(value)
            if len(hints) == len(value):
                pairs = zip(value, hints, strict=True)
                return tuple(validate(name, item, one, in_list=True) for item, one in pairs)
        elif get_origin(kind) is Mapping and isinstance(value, Mapping):
            hint_of_items = get_args(kind)[1]
            if hint_of_items is Any:
                return value
            return {key: validate(str(key), one, hint_of_items) for key, one in value.items()}
        elif value is None and limits.null is not None:
            return limits.null
        elif is_dataclass(kind) and isinstance(value, dict):
            return _from_table(name, value, kind)
        elif kind in (int, float) and type(value) in (int, kind):
            _check_64_bits(name, value)
            if value in limits:
                return kind(value)
            ending = f": {limits.why}." if limits.why else "."
        elif kind in (str, Path) and isinstance(value, str | Path):
            if kind is Path or str(value) in limits:
                return kind(value)
        elif isinstance(kind, type) and type(value) is kind:
            return value
    verb, subject = ("holds", "each") if in_list else ("is", "it")
    raise SettingError(
        f"`{name}` {verb} {shown(value)}; {subject} must be {describe_type(hint)}{ending}"
    )


def describe_type(hint: Any) -> str:
    """Return the declared type of a setting in words, for messages.

    >>> describe_type(PositiveFloat | Literal["auto"] | None)
    'a number above 0 or auto'
    """
    words = []
    for kind, limits in _alternatives(hint):
        if get_origin(kind) is Literal:
            choices = ", ".join(map(str, get_args(kind)))
            words.append(f"one of {choices}" if len(get_args(kind)) > 1 else choices)
        elif kind in KINDS:
            length = "" if kind is not str or limits.le is None else " characters"
            words.append(f"{KINDS[kind]} {limits}".rstrip() + length)
        elif kind is not NoneType:
            words.append("a list" if get_origin(kind) is tuple else "a table")
    return " or ".join(words)


def as_in_file(error: Exception) -> str:
    """Return a message about a file: settings in quotes, which the command line leaves as they are.

    >>> as_in_file(ValueError("`hidden_size` is 0"))
    "'hidden_size' is 0"
    """
    return re.sub(r"`([\w-]+)`", r"'\1'", str(error)).replace("`", "")


def shown(value: Any) -> str:
    """Return the representation of a value for a message, shortened where it is long."""
    try:
        text = repr(value)
    except ValueError:  # Python refuses to convert integers of thousands of digits to text.
        return "a number of thousands of digits"
    return text if len(text) <= LONGEST_SHOWN else f"{text[:LONGEST_SHOWN]} ..."


_known: dict[int, tuple[Any, tuple[tuple[Any, Range], ...]]] = {}
"""Cache of ``_alternatives`` by the type's id: two unions are equal also in another order, so the
type itself cannot be the key. The type is kept, so that no other one gets the same id."""
MOST_KNOWN = 1000
"""Most types in the cache: some are created for each call. All settings together have hundreds."""


def _alternatives(hint: Any) -> tuple[tuple[Any, Range], ...]:
    """Return the types of a union, each with its range; cached, for a training asks hundreds."""
    found = _known.get(id(hint))
    if found is None:
        if len(_known) >= MOST_KNOWN:
            _known.clear()
        found = _known[id(hint)] = hint, tuple(_parts(hint))
    return found[1]


def _parts(hint: Any, limits: Range = Range()) -> Iterator[tuple[Any, Range]]:
    """Yield the types of a union, each with the range of the innermost annotation around it."""
    if get_origin(hint) is Annotated:
        kind, *extras = get_args(hint)
        limits = next((extra for extra in extras if isinstance(extra, Range)), limits)
        yield from _parts(kind, limits)
    elif get_origin(hint) in (Union, UnionType):
        for part in get_args(hint):
            yield from _parts(part, limits)
    else:
        yield hint, limits


def _check_64_bits(name: str, value: float) -> None:
    if isinstance(value, int) and not -(1 << 63) <= value < 1 << 63:
        raise SettingError(f"`{name}` is a whole number of more than 64 bits.")


def _number(value: float | None) -> str:
    """Return a limit as people write it; "" for None.

    >>> _number(1000), _number((1 << 63) - 1)
    ('1,000', '2^63 - 1')
    """
    if value is None:
        return ""
    bits = int(value).bit_length()
    return f"2^{bits} - 1" if bits > 30 and value == (1 << bits) - 1 else f"{value:,}"


def from_json(kind: type[Kind], content: Any) -> Kind:
    """Return a dataclass made from saved values; fields that it does not declare are left out.

    Raises:
        SettingError: If a field is missing, or its value does not fit the declared type.
    """
    if not isinstance(content, dict):
        raise SettingError(f"it is {shown(content)}, no table.")
    return cast(Kind, _from_table("it", content, kind))


def check_parts(table: Mapping[str, Any], hints: Mapping[str, Any]) -> None:
    """Check the values of a table whose types are declared in ``hints``; it may have others.

    Raises:
        SettingError: If a value is missing, or does not fit the declared type.
    """
    for name, hint in hints.items():
        if name not in table and all(kind is not NoneType for kind, _ in _alternatives(hint)):
            raise SettingError(f"it does not say its '{name}'.")
        validate(name, table.get(name), hint)


def _from_table(name: str, table: Mapping[str, Any], kind: Any) -> Any:
    """Return a dataclass made from a table; unknown fields are an error except for ``Saved``."""
    hints = declared_types(kind)
    if issubclass(kind, Saved):
        table = {key: value for key, value in table.items() if key in hints}
    elif unknown := table.keys() - hints.keys():
        raise SettingError(f"`{name}` has an unknown part '{min(unknown)}'.")
    needed = [one.name for one in fields(kind) if one.default is one.default_factory is MISSING]
    if missing := [part for part in needed if part not in table]:
        raise SettingError(f"`{name}` lacks its part '{missing[0]}'.")
    return kind(**{key: validate(key, value, hints[key]) for key, value in table.items()})
