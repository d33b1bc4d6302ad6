"""The page of ``thence best``: what was tried, what each second bought, what more may buy."""

import math
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.ticker import NullFormatter, StrMethodFormatter

from thence.atomic import write_atomically
from thence.autopilot import Best
from thence.autopilot.result import COLUMNS, PAGE, about_rows, frontier, tried_rows
from thence.reports import style
from thence.reports.content import Block, Folded, Note, Pairs, Plots, Section, Table, Title
from thence.reports.markup import page

NARROW = 10
"""Ratio of the longest time to the shortest below which the times between are named too."""
GUESSED = (
    "What more time would likely buy is a guess: for each doubling of the time, a quarter of what "
    "the networks have brought beyond the counts."
)
HELD_OUT_LABELS = (
    "Accuracies and losses are on dev, those of averages of each half of it under weights that "
    "were learned on the other half. What has next to no weight is dropped."
)
HELD_OUT = (
    "Losses are on dev, those of mixtures of each half of it under weights that were learned on "
    "the other half; curves are of the beginning of dev. What brings less than a thousandth of a "
    "nat does not pay for its place and is dropped."
)


def write_page(done: Best) -> Path:
    """Write ``best.html`` into the folder of the run."""
    path = done.folder / PAGE
    write_atomically(path, best_html(done).encode("utf-8"))
    return path


def best_html(done: Best) -> str:
    """Return the page; it reads nothing but the result."""
    name = done.folder.resolve().name
    return page(f"{name}: how it was found", [Title(name), found_section(done)])


def found_section(done: Best) -> Section:
    """Return what was tried and what it bought."""
    settings = [
        (one.name, ", ".join(f"{name} {_shown(value)}" for name, value in one.settings.items()))
        for one in done.tried
        if one.curve  # A network.
    ]
    blocks: list[Block] = [Pairs(about_rows(done)), Plots([plot_best_so_far(done)])]
    blocks += [Note(GUESSED)] if done.outlook() else []
    blocks += [Table(COLUMNS, tried_rows(done))]
    blocks += [Note(HELD_OUT if done.accuracy is None else HELD_OUT_LABELS)]
    blocks += [Folded("settings of the networks", [Pairs(settings)])] if settings else []
    return Section("How it was found", blocks)


def _shown(setting: Any) -> str:
    """Return a setting as it is given to a command."""
    is_many = isinstance(setting, list | tuple)
    return " ".join(map(str, setting)) or "none" if is_many else str(setting)


def plot_best_so_far(done: Best) -> style.Plot:
    """Draw every model that was tried and the best so far against the time."""
    if done.accuracy is None:
        figure, losses = style.new_figure(8.5, 4.4)
        reached = ""
    else:
        figure, (accuracies, losses) = style.new_stack(8.5, 6.6, [1, 1])
        _draw_accuracies(accuracies, done)
        reached = f", with an accuracy of {done.accuracy:.2%},"
    _draw_losses(losses, done)
    figure.axes[0].legend(
        *losses.get_legend_handles_labels(),
        frameon=False,
        labelcolor=style.INK,
        prop={"family": style.plain()["fontfamily"], "size": 8},
        loc="upper left",
        bbox_to_anchor=(1.01, 1),
    )
    losses.set_xlabel("seconds", color=style.INK, **style.plain())
    title = "What each second bought"
    figure.axes[0].set_title(title, color=style.INK, loc="left", pad=10)
    description = (
        f"Loss on dev of the {len(done.tried)} models that were tried, and of the best so far, "
        f"against the time. It ends at {done.nats:.4f}{reached} after {done.seconds:.1f} seconds."
    )
    return style.Plot("best-so-far", title, description, figure)


def _draw_losses(axes: Axes, done: Best) -> None:
    for place, one in enumerate(done.tried):
        colour = style.COLOURS[place % len(style.COLOURS)]
        if one.curve:
            seconds, nats = zip(*one.curve, strict=True)
            axes.plot(seconds, nats, color=colour, linewidth=0.8, alpha=0.8)
        label = style.shortened(one.name, 24)
        marker = style.MARKERS[place // len(style.COLOURS) % len(style.MARKERS)]
        axes.plot([one.ended], [one.nats], marker, color=colour, markersize=5, label=label)
    x, y = zip(*frontier(done.tried), (done.seconds, done.nats), strict=True)
    axes.plot(x, y, color=style.INK, drawstyle="steps-post", linewidth=1.8, label="best so far")
    outlook = [(done.seconds, done.nats), *done.outlook()]
    if len(outlook) > 1:
        x, y = zip(*outlook, strict=True)
        axes.plot(x, y, color=style.INK, linestyle=":", label="with more time, likely")
    axes.set_ylim(*_loss_limits(done))
    style.add_titles(axes, "", "", f"dev loss (nats per {done.unit})")
    _scale_seconds(axes)


def _draw_accuracies(axes: Axes, done: Best) -> None:
    for place, one in enumerate(done.tried):
        colour = style.COLOURS[place % len(style.COLOURS)]
        axes.plot([one.ended], [_share(one.accuracy)], "o", color=colour, markersize=5)
    x = [*(one.ended for one in done.tried), done.seconds]
    y = [_share(one) for one in (*(one.accuracy_so_far for one in done.tried), done.accuracy)]
    axes.plot(x, y, color=style.INK, drawstyle="steps-post", linewidth=1.8)
    axes.set_ylim(top=min(1.0, axes.get_ylim()[1]))
    style.in_percent(axes.yaxis)
    style.add_titles(axes, "", "", "dev accuracy")
    _scale_seconds(axes)


def _share(accuracy: float | None) -> float:
    return math.nan if accuracy is None else accuracy


def _scale_seconds(axes: Axes) -> None:
    """Let each time be as far from its double as any other, in plain numbers."""
    axes.set_xscale("log")
    low, high = axes.get_xlim()
    plainly = StrMethodFormatter("{x:g}")
    axes.xaxis.set_major_formatter(plainly)
    axes.xaxis.set_minor_formatter(plainly if high < NARROW * low else NullFormatter())
    style.add_grid(axes)


def _loss_limits(done: Best) -> tuple[float, float]:
    """Return the losses to show: from the best to a little above most models."""
    own = sorted(one.nats for one in done.tried if math.isfinite(one.nats))
    shown = [*own, *(one.so_far for one in done.tried), done.nats]
    losses = sorted(nats for nats in shown if math.isfinite(nats)) or [0.0]
    low = min([losses[0], *(nats for _, nats in done.outlook())])
    own = own or losses
    high = own[min(len(own) - 1, len(own) * 3 // 4)]
    margin = 0.06 * max(high - low, 0.01)
    return low - margin, high + 3 * margin
