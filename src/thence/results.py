"""Base classes of results: sequences, comparisons and reports; and their form as plain text."""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import fields, is_dataclass
from typing import Any, ClassVar, Generic, TypeVar, cast, overload

import numpy as np

from thence.hooks import repr_html
from thence.printable import printable_line

Item = TypeVar("Item")
BAR = 10
"""Columns of the longest bar."""


class Serializable:
    """Base class of results that can be written as JSON.

    Attributes:
        _in_json: The keys of its JSON in order, as ``key`` or ``key=attribute``; by default the
            fields of the dataclass.
    """

    _in_json: ClassVar[tuple[str, ...]] = ()

    def to_json(self) -> Any:
        """Return the result in JSON's types; infinities and NaN become None."""
        names = self._in_json or [item.name for item in fields(cast(Any, self))]
        pairs = (name.partition("=") for name in names)
        return {name: json_value(getattr(self, other or name)) for name, _, other in pairs}


class Result(Serializable):
    """Base class of results that have a JSON form and a notebook display (``reports.displays``)."""

    _repr_html_ = repr_html


class Listing(Result, Sequence[Item]):
    """A result that behaves as a sequence: it is indexed and iterated like one of its fields.

    Attributes:
        _listed: The name of that field.
    """

    _listed: ClassVar[str]

    def items(self) -> Sequence[Item]:
        """Return the list."""
        found: Sequence[Item] = getattr(self, self._listed)
        return found

    @overload
    def __getitem__(self, place: int) -> Item: ...

    @overload
    def __getitem__(self, place: slice) -> Sequence[Item]: ...

    def __getitem__(self, place: int | slice) -> Item | Sequence[Item]:
        return self.items()[place]

    def __len__(self) -> int:
        return len(self.items())

    def __iter__(self) -> Iterator[Item]:
        return iter(self.items())


class Results(Sequence[Item], Generic[Item]):
    """A lazy sequence of results: each is computed when it is first needed, and then kept.

    It can be iterated any number of times, indexed and sliced. ``next`` returns the first item that
    it has not returned yet; ``once`` yields all without keeping them.

    Args:
        items: An iterable that computes the results.
        length: Their number; without it ``len`` computes all of them.
    """

    _repr_html_ = repr_html

    def __init__(self, items: Iterable[Item], length: int | None = None) -> None:
        self._items = iter(items)
        self._length = length
        self._kept: list[Item] = []
        self._given = 0
        self._error: Exception | None = None

    def once(self) -> Iterator[Item]:
        """Yield all results without keeping them, for very many; they cannot be read again."""
        yield from self._kept
        yield from self._items

    def first(self, count: int | None) -> list[Item]:
        """Return the first ``count`` results, or as many as there are; all for None."""
        self._compute(count)
        return self._kept[:count]

    def _compute(self, count: int | None) -> None:
        """Compute the first ``count`` results (all for None), unless they are computed already."""
        kept = self._kept
        if self._error is not None and (count is None or count > len(kept)):
            raise self._error
        try:
            if count is None:
                kept.extend(self._items)
            while count is not None and len(kept) < count:
                kept.append(next(self._items))
        except StopIteration:
            return
        except Exception as error:
            # A generator ends after an error: without this, the sequence would only seem shorter.
            self._error = error
            raise

    def __iter__(self) -> Iterator[Item]:
        kept, place = self._kept, 0
        while True:
            if place == len(kept):
                self._compute(place + 1)
                if place == len(kept):
                    return
            yield kept[place]
            place += 1

    def __next__(self) -> Item:
        self._compute(self._given + 1)
        if len(self._kept) == self._given:
            raise StopIteration
        self._given += 1
        return self._kept[self._given - 1]

    @overload
    def __getitem__(self, place: int) -> Item: ...

    @overload
    def __getitem__(self, place: slice) -> list[Item]: ...

    def __getitem__(self, place: int | slice) -> Item | list[Item]:
        if isinstance(place, int):
            self._compute(place + 1 if place >= 0 else None)
            return self._kept[place]
        ends = (place.start or 0, -1 if place.stop is None else place.stop)
        forward = min(ends) >= 0 and (place.step is None or place.step > 0)
        return self.first(max(ends) if forward else None)[place]

    def __len__(self) -> int:
        return len(self.first(None)) if self._length is None else self._length

    def __repr__(self) -> str:
        number = "some" if self._length is None else f"{self._length:,}"
        return f"<{number} results: iterate over them, index them, or list() them>"


class Score(dict[str, Any]):
    """The score of a text: the dictionary that ``score`` documents, with a notebook display.

    It has no ``__init__`` of its own, which would be slow for millions of texts.

    Attributes:
        display: For a notebook: the run's vocabulary size (surprisals are compared with its
            logarithm), the text between two tokens, and a function that computes the tokens of a
            text if they were not asked for; None if they depend on the texts before.
    """

    __slots__ = ("display",)
    _repr_html_ = repr_html

    display: tuple[int, str, Callable[[str], list[dict[str, Any]]] | None]


def json_value(value: Any) -> Any:
    """Return a result in JSON's types: dataclasses as objects, infinities and NaN as None.

    >>> json_value({"interval": (0.5, math.inf)})
    {'interval': [0.5, None]}
    """
    if isinstance(value, Serializable):
        return value.to_json()
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, np.ndarray):
        return json_value(value.tolist())
    if isinstance(value, list | tuple):
        return [json_value(item) for item in value]
    if is_dataclass(value) and not isinstance(value, type):
        shown = [item.name for item in fields(value) if item.metadata.get("_in_json", True)]
        return {name: json_value(getattr(value, name)) for name in shown}
    if isinstance(value, Mapping):
        return {name: json_value(item) for name, item in value.items()}
    return value


def bar(share: float) -> str:
    """Return a bar of block characters for a share from 0 to 1."""
    return "█" * round(BAR * min(max(share, 0.0), 1.0))


def format_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Return a line for the column names and one for each row, padded so that columns line up.

    >>> format_table(["run", "accuracy"], [["a", "90 %"], ["bigram", "8 %"]])
    ['run     accuracy', 'a       90 %', 'bigram  8 %']
    """
    lines = [[printable_line(cell) for cell in line] for line in (columns, *rows)]
    widths = [max(len(line[at]) for line in lines) for at in range(len(columns))]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    ]


def format_pairs(rows: Sequence[tuple[str, str]]) -> list[str]:
    """Return a line for each name and its value, padded so that values line up.

    >>> format_pairs([("run", "a"), ("accuracy", "90 %")])
    ['run       a', 'accuracy  90 %']
    """
    shown = [(printable_line(name), printable_line(value)) for name, value in rows]
    width = max(len(name) for name, _ in shown)
    return [f"{name:<{width}}  {value}" for name, value in shown]


class BestFirst(Result):
    """Base class of comparisons of models, sorted with the best first: their form as text."""

    text: str
    documents: int
    remark: str
    difference_interval: ClassVar[str] = "simultaneous 95 %"
    kind_of_documents: ClassVar[str] = "documents"

    def table(self) -> tuple[list[str], list[list[str]]]:
        """Return the column names and the rows to show."""
        raise NotImplementedError

    def __str__(self) -> str:
        shown = format_table(*self.table())
        return "\n".join([f"on {printable_line(self.text)}", *shown, self.remark])


def with_margin(difference: tuple[float, float, float], digits: int) -> str:
    """Return a difference (value, low, high) as ``+0.12 ± 0.03``; if low is NaN, as ``+0.12``."""
    middle, low, high = difference
    margin = "" if math.isnan(low) else f" ± {(high - low) / 2:.{digits}f}"
    return f"{middle:+.{digits}f}{margin}"
