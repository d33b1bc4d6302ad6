"""A deadline for everything called within a block, at any depth of the call stack.

    with deadline(time.monotonic() + 3):
        for chunk in chunks:
            check_deadline()  # raises DeadlineError once the three seconds are over

Long loops call ``check_deadline`` in every iteration, about every tenth of a second of work, so
that a time limit need not be passed through every function. Loops that can end early with a usable
result ask ``past_deadline``. Both cost a tenth of a microsecond. It works like the cancel scopes of
trio and anyio, for one thread only: other threads have no deadline.
"""

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_ENDS: ContextVar[float] = ContextVar("deadline", default=math.inf)


class DeadlineError(Exception):
    """The deadline has passed; the current work was abandoned."""


@contextmanager
def deadline(ends: float) -> Iterator[None]:
    """Context manager: set a deadline; an earlier one of an outer block still holds.

    Args:
        ends: The time in seconds of ``time.monotonic``.
    """
    token = _ENDS.set(min(ends, _ENDS.get()))
    try:
        yield
    finally:
        _ENDS.reset(token)


def past_deadline() -> bool:
    """Return whether the deadline has passed; False without one."""
    return time.monotonic() > _ENDS.get()


def check_deadline() -> None:
    """Raise ``DeadlineError`` if the deadline has passed."""
    if past_deadline():
        raise DeadlineError
