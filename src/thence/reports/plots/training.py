"""Plots of a training: loss, accuracy, learning rate and gradient norm against the steps."""

from thence.reports import style
from thence.reports.plots.charts import to_figure
from thence.reports.training import curves
from thence.runs import Run


def training_plots(run: Run) -> list[style.Plot]:
    """Draw the curves of a training; none for a model that was fitted in one step."""
    return [to_figure(name, chart) for name, chart in curves(run, in_bits=False).items()]


def plot_loss(run: Run) -> style.Plot | None:
    """Draw the loss on train and dev against the steps; None for a model fitted in one step."""
    return next(iter(training_plots(run)), None)
