"""Hyperparameter search: train one recipe with many settings and keep the best run.

``recipe`` and ``space`` declare the search space. ``sweep`` opens the ``folder`` and the ``study``,
the list of trials that all processes share. A ``worker`` trains one trial after another and holds a
lease on each, so that no trial is lost or trained twice. ``best`` copies the best run and evaluates
it on test; ``results`` is what the search returns.
"""

from thence.sweeps.results import Sweep, Trial, read_sweep
from thence.sweeps.sweep import sweep

__all__ = ["Sweep", "Trial", "read_sweep", "sweep"]
