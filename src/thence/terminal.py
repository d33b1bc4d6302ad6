"""Remarks for people, on standard error: lines, and the consoles of tables and bars.

A remark is never worth an error: where standard error is closed, or its disk is full, the work goes
on in silence.
"""

import os
import sys
from collections.abc import Iterable
from contextlib import suppress
from typing import IO, Any, cast

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment

from thence.printable import printable


def print_note(text: str) -> None:
    """Print a remark, apart from the results, its control characters shown as codes."""
    StderrFile(sys.stderr).write(printable(text) + "\n")


def stderr_console() -> Console:
    """Return a console that draws on standard error."""
    return SafeConsole(file=cast(IO[str], StderrFile(sys.stderr)))


class SafeConsole(Console):
    """A console that sends its own colours and movements to the terminal, but none from a text."""

    def render(
        self, renderable: RenderableType, options: ConsoleOptions | None = None
    ) -> Iterable[Segment]:
        """Yield the pieces to print, the control characters of texts shown as codes."""
        for piece in super().render(renderable, options):
            yield piece if piece.control else Segment(printable(piece.text), piece.style)


class StderrFile:
    """Standard error as a file that takes everything, though it may not be able to write it.

    Args:
        stream: Standard error as it is now; None where it is closed.
    """

    def __init__(self, stream: IO[str] | None) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Write, and at once."""
        if self._stream is not None:
            try:
                self._stream.write(text)
                self._stream.flush()
            except (OSError, ValueError):
                discard_buffer(self._stream)
        return len(text)

    def flush(self) -> None:
        """Do nothing: it was written at once."""

    def isatty(self) -> bool:
        """Whether a person sees the remarks as they come."""
        return self._stream is not None and self._stream.isatty()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def discard_buffer(stream: IO[str]) -> None:
    """Send what waits in the buffer of a stream to nowhere, so that Python can exit in peace."""
    with suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)
