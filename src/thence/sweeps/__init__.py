"""Search: many trainings of one recipe with other settings, and which of them is best.

The order of the files: ``recipe`` and ``space`` read what to try, ``study`` opens the list of
trials that all processes share, ``claims`` hands them out, ``work`` trains one, ``sweep`` goes on
until all are done, ``winner`` keeps the best, ``results`` is what comes out.
"""

from thence.sweeps.results import Sweep, Trial, read_sweep
from thence.sweeps.sweep import sweep

__all__ = ["Sweep", "Trial", "read_sweep", "sweep"]
