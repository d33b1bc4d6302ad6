"""What Python would print by itself, printed as everything else is: warnings, and bugs."""

import traceback
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import TextIO

from thence.cli.usage import in_flags
from thence.errors import ThenceWarning
from thence.processes import local_number
from thence.terminal import print_note


@contextmanager
def warnings_as_remarks() -> Iterator[None]:
    """Print our own warnings as remarks, each once; those of other libraries as Python does."""
    said: set[str] = set()
    with warnings.catch_warnings():
        warnings.simplefilter("always", ThenceWarning)
        usual = warnings.showwarning

        def show(
            message: Warning | str,
            category: type[Warning],
            filename: str,
            lineno: int,
            file: TextIO | None = None,
            line: str | None = None,
        ) -> None:
            if not issubclass(category, ThenceWarning):
                usual(message, category, filename, lineno, file, line)
            elif str(message) not in said and local_number() == 0:
                said.add(str(message))
                print_note(in_flags(str(message)))

        warnings.showwarning = show
        yield


def show_bug(kind: type[BaseException], bug: BaseException, trace: TracebackType | None) -> None:
    """Print the traceback of an error that is nobody's but ours."""
    print_note("".join(traceback.format_exception(kind, bug, trace)).rstrip("\n"))
