"""Reports and plots of runs: pages that show everything, and each figure by itself.

Importing this package imports matplotlib.
"""

from thence.reports.plots import plot
from thence.reports.plots.bigrams import plot_bigrams
from thence.reports.plots.classification import plot_confusion_matrix, plot_reliability
from thence.reports.plots.embeddings import plot_embeddings
from thence.reports.plots.training import plot_loss
from thence.reports.report import report

__all__ = [
    "plot",
    "plot_bigrams",
    "plot_confusion_matrix",
    "plot_embeddings",
    "plot_loss",
    "plot_reliability",
    "report",
]
