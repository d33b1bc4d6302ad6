"""The autopilot: automatic model selection, the best model of a text within a time budget.

``best`` is the function behind ``thence best``. ``profile`` finds out what kind of text it is,
``candidates`` schedules the models to train, ``networks`` chooses the size of a network and trains
it, ``combining`` and ``averaging`` choose the members of the final ensemble. ``language`` and
``labels`` are the strategies for language models and for classifiers, ``autopilot`` spends the
budget on them, and ``result`` is what the search returns.
"""

from thence.autopilot.best import best
from thence.autopilot.result import Best, Tried, read_best

__all__ = ["Best", "Tried", "best", "read_best"]
