"""Notes, tables and progress bars for people, on standard error.

They never raise: where standard error is closed or its disk is full, nothing is shown.
"""

import os
import sys
from collections.abc import Iterable, Sequence
from contextlib import suppress
from textwrap import fill
from typing import IO, Any, cast

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment

from thence.printable import printable

BARS = "▁▂▃▄▅▆▇█"
"""Bars of a sparkline, from the lowest to the highest."""


def print_note(text: str) -> None:
    """Print a line to standard error, with control characters as codes."""
    StderrFile(sys.stderr).write(printable(text) + "\n")


def print_prose(text: str) -> None:
    """Print sentences to standard error; at a terminal they are wrapped between words."""
    console = stderr_console()
    if console.is_terminal:
        text = fill(text, console.width, break_long_words=False, break_on_hyphens=False)
    print_note(text)


def stderr_console() -> Console:
    """Return a console that writes to standard error."""
    return SafeConsole(file=cast(IO[str], StderrFile(sys.stderr)))


def sparkline(values: Sequence[float]) -> str:
    """Return numbers as a line of bars between the lowest and the highest of them.

    >>> sparkline([4, 3, 2.5, 2.2, 2.1])
    '█▄▂▁▁'
    """
    low, high = min(values, default=0.0), max(values, default=0.0)
    scale = (len(BARS) - 1) / (high - low) if high > low else 0.0
    return "".join(BARS[int((value - low) * scale + 0.5)] for value in values)


class SafeConsole(Console):
    """A console of rich that keeps its own control sequences and escapes those in texts."""

    def render(
        self, renderable: RenderableType, options: ConsoleOptions | None = None
    ) -> Iterable[Segment]:
        """Yield the segments to print, with control characters in texts as codes."""
        for piece in super().render(renderable, options):
            yield piece if piece.control else Segment(printable(piece.text), piece.style)


class StderrFile:
    """Standard error as a file to which writing never fails.

    Args:
        stream: Standard error as it is now; None where it is closed.
    """

    def __init__(self, stream: IO[str] | None) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Write and flush; errors are ignored."""
        if self._stream is not None:
            try:
                self._stream.write(text)
                self._stream.flush()
            except (OSError, ValueError):
                discard_buffer(self._stream)
        return len(text)

    def flush(self) -> None:
        """Do nothing, as ``write`` flushes."""

    def isatty(self) -> bool:
        """Return whether standard error is a terminal."""
        return self._stream is not None and self._stream.isatty()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def discard_buffer(stream: IO[str]) -> None:
    """Redirect a stream that cannot be written to nowhere: Python would raise at exit otherwise."""
    with suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)
