"""Measured durations: how long recurring work takes on this machine, and where the time went."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Literal

Work = Literal["reading", "counting", "training", "combining", "saving", "page"]
"""The kinds of work that the result reports the time of."""
SAFETY = 1.5
"""Factor on measured times when time is reserved, since the machine may be busier later."""

MIN_SLOPE = 0.3
"""Lower bound of the estimated seconds per unit, as a share of the mean seconds per unit."""


@dataclass
class Pace:
    """Linear models of durations: overhead + rate * units, for each kind of work.

    Attributes:
        rates: Seconds per unit.
        overheads: Fixed seconds, whatever the number of units.
        units: Number of units of the largest measurement.
        totals: Total seconds that each kind of work has taken so far.
    """

    rates: dict[str, float] = field(default_factory=dict)
    overheads: dict[str, float] = field(default_factory=dict)
    units: dict[str, float] = field(default_factory=dict)
    totals: dict[Work, float] = field(default_factory=dict)

    @contextmanager
    def timed(self, work: Work) -> Iterator[None]:
        """Context manager: add the duration of the block to the total of a kind of work."""
        began = time.monotonic()
        try:
            yield
        finally:
            self.totals[work] = self.totals.get(work, 0.0) + time.monotonic() - began

    def measured(self, kind: str, seconds: float, units: float = 1.0) -> None:
        """Record how long ``units`` units of a kind of work took.

        Measurements on fewer units than before are ignored, since a fixed overhead makes their
        units seem slower. Two measurements of different sizes tell the overhead from the rate.
        """
        before, units = self.units.get(kind, 0.0), max(units, 1.0)
        if units < before:
            return
        rate = seconds / units
        if units > before > 0:
            expected_before = self.overheads.get(kind, 0.0) + self.rates[kind] * before
            slope = (seconds - expected_before) / (units - before)
            rate = min(max(slope, MIN_SLOPE * rate), rate)
        self.rates[kind], self.units[kind] = rate, units
        self.overheads[kind] = seconds - rate * units

    def expected(self, kind: str, units: float = 1.0) -> float:
        """Return the seconds to reserve for ``units`` units; 0 for work that was never measured."""
        if kind not in self.rates:
            return 0.0
        return SAFETY * (self.overheads.get(kind, 0.0) + self.rates[kind] * units)
