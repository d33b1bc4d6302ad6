"""Sweeps: many trainings of one recipe with other settings, and which of them is best.

``recipe`` and ``space`` say what to try. ``sweep`` opens the ``folder`` and the ``study``, the list
of trials that all processes share. A ``worker`` trains trial after trial and holds the lease of
each, so that no trial is lost or made twice. ``best`` keeps the best run, and
``results`` is what comes out.
"""

from thence.sweeps.results import Sweep, Trial, read_sweep
from thence.sweeps.sweep import sweep

__all__ = ["Sweep", "Trial", "read_sweep", "sweep"]
