"""What there is to spend: seconds, or steps where the result must not depend on a clock."""

import time
from dataclasses import dataclass

STEP = 0.02
"""Seconds that a step is taken for where only steps are counted."""


@dataclass(frozen=True)
class Budget:
    """How much may be spent.

    Attributes:
        seconds: In all, from ``began`` on; infinite where steps count.
        steps: Of training, of all networks together; None where time counts.
        began: By the clock of ``time.monotonic``.
    """

    seconds: float
    steps: int | None
    began: float

    @property
    def counts_steps(self) -> bool:
        """Whether steps are counted, and nothing may depend on a clock."""
        return self.steps is not None

    def spent(self) -> float:
        """Return the seconds that are gone."""
        return time.monotonic() - self.began

    def left(self) -> float:
        """Return the seconds that are left."""
        return self.seconds - self.spent()

    def for_networks(self) -> float:
        """Return the seconds that networks may be trained for; nominal ones for steps."""
        return self.left() if self.steps is None else self.steps * STEP
