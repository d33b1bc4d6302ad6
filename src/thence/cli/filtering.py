"""Flags and output of ``thence filter``."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Annotated, Any, TypeVar

from cyclopts import Parameter
from rich.progress import TaskProgressColumn, TextColumn

from thence.cli.output import Json, print_json, print_table, progress_bar
from thence.cli.streams import is_at_terminal, print_note
from thence.errors import SettingError
from thence.filtering import Filtered
from thence.filtering.filter import OnPart

Value = TypeVar("Value")
Several = tuple[str, ...]
SECONDS_BETWEEN_LINES = 30.0
"""Seconds between two lines of progress where standard error is not a terminal."""


def print_filtered(
    call: Callable[..., Filtered],
    given: SimpleNamespace,
    *,
    below: Annotated[
        Several,
        Parameter(
            negative=(),
            show_default=False,
            help="Keep documents with a smaller perplexity per token; en=300 for one model.",
        ),
    ] = (),
    above: Annotated[
        Several,
        Parameter(
            negative=(),
            show_default=False,
            help="Keep documents with a larger perplexity per token; en=300 for one model.",
        ),
    ] = (),
    quantile: Annotated[
        Several,
        Parameter(
            negative=(),
            show_default=False,
            help="Keep documents between two quantiles of the perplexities: 0.2..0.8, or "
            "en=0.2..0.8 for one model.",
        ),
    ] = (),
    model: Annotated[
        Several,
        Parameter(
            negative=(),
            show_default=False,
            help="A language model and the label that --by gives to its documents: en=RUN; may be "
            "repeated. There is no RUN before the files then.",
        ),
    ] = (),
    json: Json = False,
) -> None:
    """Print how many documents were kept, and the quantiles of all perplexities."""
    run, texts = given.run, tuple(given.texts)
    if model:
        run, texts = dict(pair("model", one, Path) for one in model), (str(run), *texts)
    bounds: dict[str, Any] = {
        "below": per_model("below", below, float),
        "above": per_model("above", above, float),
        "quantile": per_model("quantile", quantile, shares),
    }
    try:
        with shown_progress(texts) as progress:
            one_or_all = texts[0] if len(texts) == 1 else texts
            found = call(run=run, texts=one_or_all, **bounds, progress=progress)
    except KeyboardInterrupt:
        print_note("Interrupted; the same command continues from there.")
        raise
    if json:
        print_json(found.to_json())
        return
    print_table(*found.table())
    print_note(found.in_words())


def per_model(
    name: str, given: Several, read: Callable[[str], Value]
) -> Value | dict[str, Value] | None:
    """Return the value of a flag for all models, or the values by label.

    >>> per_model("below", ("300",), float), per_model("below", ("en=300", "de=500"), float)
    (300.0, {'en': 300.0, 'de': 500.0})
    """
    if not given:
        return None
    if len(given) == 1 and "=" not in given[0]:
        return value_of(name, given[0], read)
    return dict(pair(name, one, read) for one in given)


def pair(name: str, written: str, read: Callable[[str], Value]) -> tuple[str, Value]:
    """Return a label and its value from ``en=300``."""
    label, sign, value = written.rpartition("=")
    if not (label and sign and value):
        raise SettingError(f"`{name}` is '{written}'; write a label and a value, such as en=...")
    return label, value_of(name, value, read)


def value_of(name: str, written: str, read: Callable[[str], Value]) -> Value:
    """Return the parsed value of a flag; raises SettingError if it is not valid."""
    try:
        return read(written)
    except ValueError:
        form = "two shares, such as 0.2..0.8" if read is shares else "a number"
        raise SettingError(f"`{name}` is '{written}'; write {form}.") from None


def shares(written: str) -> tuple[float, float]:
    """Return the two quantiles of ``0.2..0.8``."""
    low, _, high = written.partition("..")
    return float(low), float(high)


@contextmanager
def shown_progress(texts: tuple[str, ...]) -> Iterator[OnPart]:
    """Context manager: show progress as a bar at a terminal, else as a line now and then."""
    name = texts[0] if texts else ""
    if not is_at_terminal():
        yield lines_of_progress(name)
        return
    columns = (TaskProgressColumn(), TextColumn("{task.fields[documents]:,} documents"))
    with progress_bar(name, *columns) as bar:
        yield lambda documents, share: bar(completed=share, documents=documents)


def lines_of_progress(name: str, every: float = SECONDS_BETWEEN_LINES) -> OnPart:
    """Return a progress callback that prints a line at most every ``every`` seconds."""
    last = time.monotonic()

    def show(documents: int, share: float) -> None:
        nonlocal last
        if time.monotonic() - last >= every:
            last = time.monotonic()
            print_note(f"{name}: {100 * share:.0f} %, {documents:,} documents judged")

    return show
