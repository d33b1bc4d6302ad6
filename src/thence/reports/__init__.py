"""Pictures: curves, heat maps and maps of a run, and the report that shows them all.

Importing this package imports matplotlib.
"""

from thence.reports.plot import (
    confusion_picture,
    embedding_picture,
    heat_map_picture,
    loss_picture,
    plot,
    reliability_picture,
)
from thence.reports.report import report

__all__ = [
    "confusion_picture",
    "embedding_picture",
    "heat_map_picture",
    "loss_picture",
    "plot",
    "reliability_picture",
    "report",
]
