r"""The two streams of a command: results on standard output, remarks on standard error.

| what is printed                         | control characters                                  |
|-----------------------------------------|-----------------------------------------------------|
| remarks, errors, progress, tables       | always shown as codes, such as ``\x1b``              |
| JSON                                    | always as escapes of JSON: nothing is lost          |
| texts as they are (``thence sample``)   | codes at a terminal; unchanged for files and pipes  |
"""

import os
import sys
from collections.abc import Callable
from io import BytesIO, TextIOWrapper
from typing import Any

from rich.console import Console

from thence.errors import ThenceError
from thence.printable import printable
from thence.terminal import SafeConsole, StderrFile, discard_buffer, print_note

__all__ = [
    "OutputError",
    "drop_output",
    "finish_output",
    "is_at_terminal",
    "prepare_streams",
    "print_note",
    "print_styled",
    "print_text",
    "result_console",
]
CLOSED = "it is closed"


class OutputError(ThenceError):
    """Standard output cannot be written to: it is closed, or its disk is full."""


def prepare_streams() -> None:
    """Set both streams to UTF-8, and replace closed ones by the null device."""
    _fill_closed_numbers()
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(encoding="utf-8", errors="replace")


def _fill_closed_numbers() -> None:
    """Open the null device for each closed standard stream.

    Otherwise the next file that is opened gets the stream's file descriptor, and C code that writes
    to standard error would write into that file.
    """
    for number, stream in enumerate((sys.stdin, sys.stdout, sys.stderr)):
        if stream is None:
            try:
                os.fstat(number)
            except OSError:
                nowhere = os.open(os.devnull, os.O_RDWR)
                if nowhere != number:
                    os.dup2(nowhere, number)
                    os.close(nowhere)
    if sys.stdin is None:
        sys.stdin = TextIOWrapper(BytesIO(), encoding="utf-8")  # An empty stream.


def print_text(text: str) -> None:
    """Print a result; at a terminal its control characters are shown as codes.

    Raises:
        OutputError: If it cannot be written; a reader that has gone is a ``BrokenPipeError``.
    """
    print_styled(printable(text) if result_file.isatty() else text)


def print_styled(text: str) -> None:
    """Print text that a ``SafeConsole`` has drawn, without escaping its colour codes.

    Raises:
        OutputError: If it cannot be written; a reader that has gone is a ``BrokenPipeError``.
    """
    result_file.write(text + "\n")


def is_at_terminal() -> bool:
    """Return whether standard error is a terminal."""
    return StderrFile(sys.stderr).isatty()


def finish_output() -> None:
    """Flush standard output now, so that a failure is reported as an error of the command.

    Raises:
        OutputError: If it cannot be written.
    """
    if sys.stdout is not None:
        result_file.flush()


def drop_output() -> None:
    """Discard the buffer of standard output, so that Python does not fail to flush it at exit."""
    if sys.stdout is not None:
        discard_buffer(sys.stdout)


def result_console() -> Console:
    """Return a console that draws on standard output."""
    return SafeConsole(file=result_file)


class _ResultFile:
    """The current ``sys.stdout`` as a file whose errors are OutputErrors."""

    def write(self, text: str) -> Any:
        return _attempt(lambda: sys.stdout.write(text))

    def flush(self) -> None:
        _attempt(lambda: sys.stdout.flush())

    def isatty(self) -> bool:
        return hasattr(sys.stdout, "isatty") and sys.stdout.isatty()

    def __getattr__(self, name: str) -> Any:
        return getattr(sys.stdout, name)


result_file: Any = _ResultFile()


def _attempt(write: Callable[[], Any]) -> Any:
    if sys.stdout is None:
        raise _cannot_write(CLOSED)
    try:
        return write()
    except BrokenPipeError:
        raise
    except OSError as error:
        raise _cannot_write(error.strerror or str(error)) from error


def _cannot_write(reason: str) -> OutputError:
    way_out = "Open it" if reason == CLOSED else "Free some space"
    return OutputError(
        f"The results could not be written to standard output: {reason}. {way_out} "
        "or send them elsewhere."
    )
