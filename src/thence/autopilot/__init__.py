"""The autopilot: the best model of a text that can be made in a given time.

``best`` reads the text and writes the run. ``profile`` says what the text is like, ``candidates``
what is trained for it and when, ``networks`` how large a network is and how it is trained,
``combining`` and ``averaging`` which models are used together. ``language`` and ``labels`` put
these together for language models and for classifiers, ``autopilot`` spends the budget on them, and
``result`` is what comes out.
"""

from thence.autopilot.best import best
from thence.autopilot.result import Best, Tried, read_best

__all__ = ["Best", "Tried", "best", "read_best"]
