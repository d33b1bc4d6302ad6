"""Reports (HTML pages) and plots (figures of matplotlib) of runs, comparisons and sweeps.

Only the plots import matplotlib, so that a report is written without it.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from thence.reports.report import report

if TYPE_CHECKING:
    from thence.reports.plots import plot as plot
    from thence.reports.plots.bigrams import plot_bigrams as plot_bigrams
    from thence.reports.plots.charts import plot_loss as plot_loss
    from thence.reports.plots.classification import plot_confusion_matrix as plot_confusion_matrix
    from thence.reports.plots.classification import plot_reliability as plot_reliability
    from thence.reports.plots.embeddings import plot_embeddings as plot_embeddings

_HOMES = {
    "plot": "plots",
    "plot_bigrams": "plots.bigrams",
    "plot_confusion_matrix": "plots.classification",
    "plot_embeddings": "plots.embeddings",
    "plot_loss": "plots.charts",
    "plot_reliability": "plots.classification",
}
__all__ = [*_HOMES, "report"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
