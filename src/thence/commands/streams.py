"""The two streams of a command: results on standard output, remarks on standard error."""

import os
import sys
from contextlib import suppress

from thence.errors import ThenceError


class OutputError(ThenceError):
    """Standard output takes nothing more: its disk is full, for example."""


def prepare_streams() -> None:
    """Make both streams write any text, whatever the encoding of the terminal."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(encoding="utf-8", errors="replace")


def say(text: str) -> None:
    """Print a result.

    Raises:
        OutputError: If it cannot be written; a reader that has gone is a ``BrokenPipeError``.
    """
    try:
        sys.stdout.write(text + "\n")
    except BrokenPipeError:
        raise
    except OSError as error:
        raise _cannot_write(error) from error


def remark(text: str) -> None:
    """Print a remark for the person at the terminal, apart from the results."""
    sys.stderr.write(text + "\n")


def is_at_terminal() -> bool:
    """Whether a person sees the remarks as they come."""
    return sys.stderr.isatty()


def finish_output() -> None:
    """Write out what waits in the buffer, lest Python find out at exit that it cannot.

    Raises:
        OutputError: If it cannot be written.
    """
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        raise _cannot_write(error) from error


def drop_output() -> None:
    """Send what waits in the buffer to nowhere, so that Python can exit in peace."""
    with suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())


def _cannot_write(error: OSError) -> OutputError:
    return OutputError(
        f"The results could not be written to standard output: {error.strerror}. Free some space "
        "or send them elsewhere."
    )
