"""Errors that a user can correct: a small class tree, raised where the input is read.

Commands print such an error as one line on standard error and exit with code 2. Anything
else that escapes is a bug and keeps its traceback.
"""

from collections.abc import Iterable
from difflib import get_close_matches
from importlib import import_module
from typing import Any

from thence.printable import printable


class ThenceError(Exception):
    """An error that the user can correct: it says what failed, the value, the cause, the remedy."""

    exit_code = 2

    def __str__(self) -> str:
        """Return the message, safe to print: control characters in it are shown as codes."""
        return printable(super().__str__())


class TextError(ThenceError):
    """The text cannot be read or used: missing, empty, badly encoded, too short."""


class SettingError(ThenceError):
    """A setting is unknown, out of range, or contradicts another."""


class UnknownSymbolError(ThenceError):
    """The text has a symbol that a closed vocabulary lacks."""


class RunError(ThenceError):
    """A run folder is missing, damaged, or cannot be written."""


class TrainingError(ThenceError):
    """Training cannot go on: a loss that is not finite, for example."""


class DownloadError(ThenceError):
    """A data set could not be downloaded, or its checksum is wrong."""


class MissingExtraError(ThenceError):
    """An optional library is not installed; the message names the extra that brings it."""


class ThenceWarning(UserWarning):
    """The input may have been misunderstood, for example a table that was read as plain text.

    Raised as ``warnings.warn(message, ThenceWarning, stacklevel=2)``; commands print it as a note.
    """

    def __str__(self) -> str:
        """Return the message, safe to print: control characters in it are shown as codes."""
        return printable(super().__str__())


def nearest(name: str, choices: Iterable[str], quote: str = "'") -> str:
    """Return ``" Did you mean 'x'?"`` for the nearest choice, or ``""`` if none is near.

    Settings are quoted in backticks (see ``thence.settings``).

    >>> nearest("LSTM", ["rnn", "lstm"])
    " Did you mean 'lstm'?"
    """
    in_lower_case = {choice.lower(): choice for choice in choices}
    found = get_close_matches(name.lower(), list(in_lower_case), n=1, cutoff=0.6)
    return f" Did you mean {quote}{in_lower_case[found[0]]}{quote}?" if found else ""


def import_extra(module: str, extra: str, purpose: str) -> Any:  # as untyped as the libraries are
    """Import and return a module of an optional library.

    Args:
        module: Its full name.
        extra: The extra of ``pyproject.toml`` that installs it.
        purpose: What needs it, for the message.

    Raises:
        MissingExtraError: If it is not installed.
    """
    try:
        return import_module(module)
    except ImportError:
        library = module if module.startswith("backports.") else module.partition(".")[0]
        raise MissingExtraError(
            f"{purpose} needs {library}, which is not installed: pip install 'thence[{extra}]'"
        ) from None
