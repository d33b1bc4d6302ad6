"""How long recurring work takes on this machine, as it was measured last, and where time went."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Literal

Work = Literal["reading", "counting", "training", "combining", "saving", "page"]
"""What the time of a search goes to."""
SAFETY = 1.5
"""What was measured is multiplied by this where time is kept for it: the machine may have more to
do by then."""

LEAST_STEEP = 0.3
"""A further unit is taken to take at least this share of the mean of all that were measured."""


@dataclass
class Pace:
    """What was measured so far.

    Attributes:
        rates: Seconds per unit of each kind of work.
        begun: Seconds that it takes to begin, whatever the units.
        units: How many were measured.
        totals: Seconds that each kind of work has taken in all.
    """

    rates: dict[str, float] = field(default_factory=dict)
    begun: dict[str, float] = field(default_factory=dict)
    units: dict[str, float] = field(default_factory=dict)
    totals: dict[Work, float] = field(default_factory=dict)

    @contextmanager
    def timed(self, work: Work) -> Iterator[None]:
        """Add the seconds of a block to what a kind of work has taken."""
        began = time.monotonic()
        try:
            yield
        finally:
            self.totals[work] = self.totals.get(work, 0.0) + time.monotonic() - began

    def measured(self, kind: str, seconds: float, units: float = 1.0) -> None:
        """Remember how long so many units of some work took.

        What was measured on more units stays, since few of them seem to take longer than they do:
        part of the time is for beginning. How much, two measurements of different sizes tell.
        """
        before, units = self.units.get(kind, 0.0), max(units, 1.0)
        if units < before:
            return
        rate = seconds / units
        if units > before > 0:
            expected_before = self.begun.get(kind, 0.0) + self.rates[kind] * before
            steepness = (seconds - expected_before) / (units - before)
            rate = min(max(steepness, LEAST_STEEP * rate), rate)
        self.rates[kind], self.units[kind] = rate, units
        self.begun[kind] = seconds - rate * units

    def expected(self, kind: str, units: float = 1.0) -> float:
        """Return the seconds to keep for so many units; 0 for what was never measured."""
        if kind not in self.rates:
            return 0.0
        return SAFETY * (self.begun.get(kind, 0.0) + self.rates[kind] * units)
