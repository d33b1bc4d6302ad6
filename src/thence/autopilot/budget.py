"""The budget of a search: a time, or a number of training steps."""

import math
import os
import time
from dataclasses import dataclass
from pathlib import Path

from thence.errors import SettingError
from thence.recipes.options import seconds_of
from thence.settings import PositiveInt, validate

STEPS_PER_SECOND = 50.0
"""Steps that count as one second with ``--steps``, to compare with the least seconds that families
declare (``Candidate.seconds``). A fixed exchange rate, not a measurement, so that the same steps
give the same result on every machine."""


@dataclass(frozen=True)
class Budget:
    """The budget of a search: seconds, or training steps, with which the result is reproducible.

    Attributes:
        seconds: Total seconds from ``began`` on; infinity where steps are counted.
        steps: Training steps of all networks together; None where time is counted.
        began: The start, by ``time.monotonic``.
    """

    seconds: float
    steps: int | None
    began: float

    @property
    def counts_steps(self) -> bool:
        """Whether steps are counted; then nothing may depend on a clock."""
        return self.steps is not None

    def spent(self) -> float:
        """Return the seconds since the start."""
        return time.monotonic() - self.began

    def left(self) -> float:
        """Return the seconds that are left."""
        return self.seconds - self.spent()

    def after(self, seconds: float | None) -> float:
        """Return what ``spent`` returns in ``seconds`` from now; infinity for None."""
        return math.inf if seconds is None else self.spent() + seconds

    def for_training(self) -> float:
        """Return the seconds left for training models; for steps, at ``STEPS_PER_SECOND``."""
        return self.left() if self.steps is None else self.steps / STEPS_PER_SECOND


def make_budget(limit: str | None, steps: int | None, began: float | None) -> Budget:
    """Return the budget.

    Args:
        limit: A time such as ``5m``, or None.
        steps: A number of steps, or None.
        began: When the time began, by ``time.monotonic``; None for now.

    Raises:
        SettingError: If neither or both of ``limit`` and ``steps`` are given, or one is not valid.
    """
    if (limit is None) == (steps is None):
        both = f"`time` is {limit!r} and `steps` is {steps}, but only one of them can be given. "
        raise SettingError(
            f"{both if limit else ''}Say how long it may take: either `time`, such as 5m, or "
            "`steps`, for a result that does not depend on the machine's speed."
        )
    validate("steps", steps, PositiveInt | None)
    seconds = seconds_of(limit)
    seconds = math.inf if seconds is None else seconds
    return Budget(seconds, steps, time.monotonic() if began is None else began)


def process_began() -> float:
    """Return when this process was started, by ``time.monotonic``.

    Read from ``/proc`` on Linux. Elsewhere, now minus the processor time used so far, which is too
    late on a busy machine.
    """
    now = time.monotonic()
    least = now - time.process_time()
    try:
        fields = Path("/proc/self/stat").read_text("utf-8").rpartition(")")[2].split()
        ticks = int(fields[19])  # Field 22, starttime: clock ticks since boot.
        age = time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / os.sysconf("SC_CLK_TCK")
    except (OSError, AttributeError, ValueError, IndexError):
        return least
    return min(least, now - max(age, 0.0))
