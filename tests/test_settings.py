"""Settings: what is converted, what is refused, and how messages say it."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import pytest

from thence import settings
from thence.cli.messages import in_flags
from thence.errors import SettingError
from thence.settings import (
    NonNegativeFloat,
    PositiveFloat,
    PositiveInt,
    Range,
    Settings,
    as_in_file,
    describe_type,
    validate,
)


@dataclass(frozen=True)
class Base(Settings):
    size: PositiveInt = 3


@dataclass(frozen=True)
class Example(Base):
    rate: PositiveFloat | Literal["auto"] | None = None
    widths: tuple[Annotated[int, Range(ge=1, le=9, why="nine is plenty")], ...] = ()
    file: str | None = None
    clip: Annotated[float, Range(gt=0, finite=False)] = math.inf


def test_values_are_converted() -> None:
    made = Example(size=np.int64(2), rate=1, widths=[1, 2], file=Path("a"))  # type: ignore[arg-type]
    assert made == Example(2, 1.0, (1, 2), "a")
    assert (type(made.size), type(made.rate), made.clip) == (int, float, math.inf)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"size": 0}, "`size` is 0; it must be a whole number of at least 1."),
        ({"size": True}, "`size` is True; it must be a whole number of at least 1."),
        ({"rate": "fast"}, "`rate` is 'fast'; it must be a number above 0 or auto."),
        ({"rate": "aut"}, "`rate` is 'aut'; it must be a number above 0 or auto. Did you mean "
         "'auto'?"),
        ({"rate": math.nan}, "`rate` is nan; it must be a number above 0 or auto."),
        ({"rate": 10**30}, "`rate` is a whole number of more than 64 bits."),
        ({"widths": (3, 10)}, "`widths` holds 10; each must be a whole number from 1 to 9: nine is "
         "plenty."),
        ({"widths": 3}, "`widths` is 3; it must be a list."),
        ({"clip": 0.0}, "`clip` is 0.0; it must be a number above 0."),
    ],
)  # fmt: skip
def test_a_message_has_the_name_the_value_and_all_that_is_allowed(
    given: dict[str, Any], message: str
) -> None:
    with pytest.raises(SettingError) as caught:
        Example(**given)
    assert str(caught.value) == message


def test_tables_become_dataclasses() -> None:
    assert validate("base", {"size": 2}, Base) == Base(2)
    assert validate("base", {"size": 2}, Mapping[str, Any]) == {"size": 2}
    with pytest.raises(SettingError, match="`base` has an unknown part 'sise'"):
        validate("base", {"sise": 2}, Base)


@pytest.mark.parametrize(
    ("hint", "words"),
    [
        (NonNegativeFloat, "a number of at least 0"),
        (Annotated[float, Range(gt=0, le=1)], "a number above 0 and at most 1"),
        (Annotated[float, Range(ge=0, lt=1)] | None, "a number from 0 to below 1"),
        (Annotated[int, Range(ge=0, le=(1 << 63) - 1)], "a whole number from 0 to 2^63 - 1"),
        (Literal["a", "b"], "one of a, b"),
    ],
)
def test_types_in_words(hint: Any, words: str) -> None:
    assert describe_type(hint) == words


def test_a_setting_is_written_as_its_user_wrote_it() -> None:
    error = SettingError("`hidden_size` is 0; use `softmax='full'` or `tied=False`.")
    assert in_flags(str(error)) == "--hidden-size is 0; use --softmax full or --no-tied."
    assert as_in_file(error) == "'hidden_size' is 0; use softmax='full' or tied=False."


def test_unions_that_differ_in_their_order_alone_are_told_apart(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for hint, kind in ((str | Path, str), (Path | str, Path), (Path | str, Path)):
        assert isinstance(validate("path", "a", hint), kind)
    monkeypatch.setattr(settings, "MOST_KNOWN", 0)
    assert isinstance(validate("path", "a", str | Path), str)
