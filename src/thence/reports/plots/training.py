"""Plots of a training: loss, accuracy and learning rate against the steps."""

from thence.reports import style
from thence.reports.plots.charts import figure_of
from thence.reports.training import curves
from thence.runs import Run


def training_plots(run: Run) -> list[style.Plot]:
    """Draw how the training went; nothing for a model that was made in one step."""
    return [figure_of(name, chart) for name, chart in curves(run, in_bits=False).items()]


def plot_loss(run: Run) -> style.Plot | None:
    """Draw the loss on train and dev against the steps; None for a model made in one step."""
    return next(iter(training_plots(run)), None)
