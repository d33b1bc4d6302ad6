"""The page of the autopilot: what was tried, what each second bought, what more may buy."""

import html
import math
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.ticker import NullFormatter, PercentFormatter, StrMethodFormatter

from thence.atomic import write_atomically
from thence.autopilot import Best
from thence.autopilot.result import COLUMNS, PAGE, about_rows, frontier, tried_rows
from thence.reports.comparison_curves import COLOURS, MARKERS
from thence.reports.drawing import (
    FAINT,
    INK,
    Picture,
    new_figure,
    new_stack,
    plain,
    set_titles,
    shortened,
)
from thence.reports.page import embedded, grid, note, page, section, table

NARROW = 10
"""From the shortest time to one so many times as long, the times between are named too."""
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
    return page(f"{name}: how it was found", f"<h1>{html.escape(name)}</h1>\n{found_section(done)}")


def found_section(done: Best) -> str:
    """Return what was tried and what it bought, as a section of a page."""
    networks = [one for one in done.tried if one.curve]
    settings = [
        (one.name, ", ".join(f"{name} {_shown(value)}" for name, value in one.settings.items()))
        for one in networks
    ]
    content = [table(about_rows(done)), embedded(seconds_picture(done))]
    content += [note(GUESSED)] if done.outlook() else []
    content += [
        grid(COLUMNS, tried_rows(done)),
        note(HELD_OUT if done.accuracy is None else HELD_OUT_LABELS),
    ]
    if settings:
        folded = f"<summary>settings of the networks</summary>{table(settings)}"
        content.append(f"<details>{folded}</details>")
    return section("How it was found", "\n".join(content))


def _shown(setting: Any) -> str:
    """Return a setting as it is given to a command."""
    is_many = isinstance(setting, list | tuple)
    return " ".join(str(one) for one in setting) or "none" if is_many else str(setting)


def seconds_picture(done: Best) -> Picture:
    """Draw every model that was tried and the best so far against the time."""
    if done.accuracy is None:
        figure, losses = new_figure(8.5, 4.4)
    else:
        figure, (accuracies, losses) = new_stack(8.5, 6.6, [1, 1])
        _draw_accuracies(accuracies, done)
    _draw_losses(losses, done)
    top = figure.axes[0]
    handles, names = losses.get_legend_handles_labels()
    font = {"family": plain()["fontfamily"], "size": 8}
    top.legend(
        handles,
        names,
        frameon=False,
        labelcolor=INK,
        prop=font,
        loc="upper left",
        bbox_to_anchor=(1.01, 1),
    )
    losses.set_xlabel("seconds", color=INK, **plain())
    told = "" if done.accuracy is None else f", with an accuracy of {done.accuracy:.2%},"
    description = (
        f"Loss on dev of the {len(done.tried)} models that were tried, and of the best so far, "
        f"against the time. It ends at {done.nats:.4f}{told} after {done.seconds:.1f} seconds."
    )
    return Picture("best-so-far", "What each second bought", description, figure)


def _draw_losses(axes: Axes, done: Best) -> None:
    for place, one in enumerate(done.tried):
        colour = COLOURS[place % len(COLOURS)]
        if one.curve:
            seconds, nats = zip(*one.curve, strict=True)
            axes.plot(seconds, nats, color=colour, linewidth=0.8, alpha=0.8)
        label = shortened(one.name, 24)
        marker = MARKERS[place // len(COLOURS) % len(MARKERS)]
        axes.plot([one.ended], [one.nats], marker, color=colour, markersize=5, label=label)
    x, y = zip(*frontier(done.tried), (done.seconds, done.nats), strict=True)
    axes.plot(x, y, color=INK, drawstyle="steps-post", linewidth=1.8, label="best so far")
    outlook = [(done.seconds, done.nats), *done.outlook()]
    if len(outlook) > 1:
        x, y = zip(*outlook, strict=True)
        axes.plot(x, y, color=INK, linestyle=":", label="with more time, likely")
    axes.set_ylim(*_heights(done))
    title = "What each second bought" if done.accuracy is None else ""
    set_titles(axes, title, "", f"dev loss (nats per {done.unit})")
    _seconds_axis(axes)


def _draw_accuracies(axes: Axes, done: Best) -> None:
    for place, one in enumerate(done.tried):
        colour = COLOURS[place % len(COLOURS)]
        axes.plot([one.ended], [_share(one.accuracy)], "o", color=colour, markersize=5)
    x = [*(one.ended for one in done.tried), done.seconds]
    y = [_share(one) for one in (*(one.accuracy_so_far for one in done.tried), done.accuracy)]
    axes.plot(x, y, color=INK, drawstyle="steps-post", linewidth=1.8)
    axes.set_ylim(top=min(1.0, axes.get_ylim()[1]))
    axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=None))
    set_titles(axes, "What each second bought", "", "dev accuracy")
    _seconds_axis(axes)


def _share(accuracy: float | None) -> float:
    return math.nan if accuracy is None else accuracy


def _seconds_axis(axes: Axes) -> None:
    """Let each time be as far from its double as any other, in plain numbers."""
    axes.set_xscale("log")
    low, high = axes.get_xlim()
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    narrow = high < NARROW * low
    axes.xaxis.set_minor_formatter(StrMethodFormatter("{x:g}") if narrow else NullFormatter())
    axes.grid(color=FAINT, linewidth=0.5)


def _heights(done: Best) -> tuple[float, float]:
    """Return the losses to show: from the best to a little above most models."""
    losses = [nats for one in done.tried for nats in (one.nats, one.so_far)]
    losses = sorted(nats for nats in (*losses, done.nats) if math.isfinite(nats)) or [0.0]
    low = min([losses[0], *(nats for _, nats in done.outlook())])
    own = sorted(one.nats for one in done.tried if math.isfinite(one.nats)) or losses
    high = own[min(len(own) - 1, len(own) * 3 // 4)]
    margin = 0.06 * max(high - low, 0.01)
    return low - margin, high + 3 * margin
