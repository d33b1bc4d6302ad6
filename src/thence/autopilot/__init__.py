"""The autopilot: the best model of a text that can be made in a given time.

The order of the files: ``clock`` is what may be spent, ``text`` looks at the text, ``candidates``
say what is tried for it and ``sizes`` how large, ``networks`` trains one, ``blending`` mixes those
that pay, ``language`` goes this road, ``search`` keeps what was tried and ends in a run, ``result``
is what comes out.
"""

from thence.autopilot.best import best
from thence.autopilot.result import Best, Tried, read_best

__all__ = ["Best", "Tried", "best", "read_best"]
