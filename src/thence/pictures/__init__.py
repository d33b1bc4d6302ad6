"""Pictures: curves, heat maps and maps of a run, and the report that shows them all.

Importing this package imports matplotlib.
"""

from thence.pictures.plot import plot
from thence.pictures.report import report

__all__ = ["plot", "report"]
