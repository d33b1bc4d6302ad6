"""A deadline for all that is done within a block, however deep in calls it is asked for.

    with deadline(time.monotonic() + 3):
        for chunk in chunks:
            check_deadline()  # raises DeadlineError once the three seconds are over

Long loops call ``check_deadline`` each time round, about every tenth of a second of work, so that
whoever has little time need not pass a clock through every function. What can end early with what
it has reached asks ``past_deadline``. Without a deadline both cost a tenth of a microsecond. This
is the cancel scope of trio and anyio, for one thread: other threads have none.
"""

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_ENDS: ContextVar[float] = ContextVar("deadline", default=math.inf)


class DeadlineError(Exception):
    """The deadline has passed; what was being done is given up."""


@contextmanager
def deadline(ends: float) -> Iterator[None]:
    """Set a deadline for a block; it never puts off an earlier one.

    Args:
        ends: When, by ``time.monotonic``.
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
