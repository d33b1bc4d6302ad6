"""What a search may spend: a time, or a number of training steps."""

import math
import os
import time
from dataclasses import dataclass
from pathlib import Path

from thence.errors import SettingError
from thence.recipes.options import seconds_of
from thence.settings import PositiveInt, validate

STEPS_PER_SECOND = 50.0
"""Exchange rate with ``--steps``: so many steps count as a second where families say from how many
seconds on they are worth training (``Candidate.seconds``). It is no measurement, and the same on
every machine, so that the same steps give the same result."""


@dataclass(frozen=True)
class Budget:
    """The budget of a search: seconds; or training steps, with which the result is reproducible.

    Attributes:
        seconds: In all, from ``began`` on; infinite where steps count.
        steps: Of training, of all networks together; None where time counts.
        began: By ``time.monotonic``.
    """

    seconds: float
    steps: int | None
    began: float

    @property
    def counts_steps(self) -> bool:
        """Whether steps are counted, and nothing may depend on a clock."""
        return self.steps is not None

    def spent(self) -> float:
        """Return the seconds since the beginning."""
        return time.monotonic() - self.began

    def left(self) -> float:
        """Return the seconds that are left."""
        return self.seconds - self.spent()

    def after(self, seconds: float | None) -> float:
        """Return what will be spent after so many seconds from now; infinity for None."""
        return math.inf if seconds is None else self.spent() + seconds

    def for_training(self) -> float:
        """Return the seconds that models may be trained for; nominal ones for steps."""
        return self.left() if self.steps is None else self.steps / STEPS_PER_SECOND


def make_budget(limit: str | None, steps: int | None, began: float | None) -> Budget:
    """Return what may be spent.

    Raises:
        SettingError: If neither or both are given, or one makes no sense.
    """
    if (limit is None) == (steps is None):
        raise SettingError(
            "Say how long it may take: either `time`, such as 5m, or `steps`, for a result that "
            "does not depend on the machine's speed."
        )
    validate("steps", steps, PositiveInt | None)
    seconds = seconds_of(limit)
    seconds = math.inf if seconds is None else seconds
    return Budget(seconds, steps, time.monotonic() if began is None else began)


def process_began() -> float:
    """Return when this process began, by ``time.monotonic``.

    Linux says so; elsewhere the processor time is taken, which a busy machine makes too short.
    """
    now = time.monotonic()
    least = now - time.process_time()
    try:
        fields = Path("/proc/self/stat").read_text("utf-8").rpartition(")")[2].split()
        ticks = int(fields[19])  # The 22nd of all: since the machine was started.
        age = time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / os.sysconf("SC_CLK_TCK")
    except (OSError, AttributeError, ValueError, IndexError):
        return least
    return min(least, now - max(age, 0.0))
