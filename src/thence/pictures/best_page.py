"""The page of the autopilot: what was tried, what each second bought, what more may buy."""

import html
import math
from pathlib import Path

from matplotlib.ticker import NullFormatter, StrMethodFormatter

from thence.autopilot import Best
from thence.autopilot.result import COLUMNS, PAGE, about_rows, frontier, tried_rows
from thence.pictures.comparison_curves import COLOURS
from thence.pictures.drawing import FAINT, INK, Picture, new_figure, plain, set_titles, shortened
from thence.pictures.page import embedded, grid, note, page, section, table
from thence.training.files import write_atomically

GUESSED = (
    "What more time would likely buy is a guess: for each doubling of the time, a quarter of what "
    "the networks have brought beyond the counts."
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
        (one.name, ", ".join(f"{name} {value}" for name, value in one.settings.items()))
        for one in networks
    ]
    content = [table(about_rows(done)), embedded(seconds_picture(done))]
    content += [note(GUESSED)] if done.outlook() else []
    content += [grid(COLUMNS, tried_rows(done)), note(HELD_OUT)]
    if settings:
        folded = f"<summary>settings of the networks</summary>{table(settings)}"
        content.append(f"<details>{folded}</details>")
    return section("How it was found", "\n".join(content))


def seconds_picture(done: Best) -> Picture:
    """Draw every model that was tried and the best so far against the time."""
    figure, axes = new_figure(7.5, 4.4)
    for place, one in enumerate(done.tried):
        colour = COLOURS[place % len(COLOURS)]
        if one.curve:
            seconds, nats = zip(*one.curve, strict=True)
            axes.plot(seconds, nats, color=colour, linewidth=0.8, alpha=0.8)
        label = shortened(one.name, 24)
        axes.plot([one.ended], [one.nats], "o", color=colour, markersize=5, label=label)
    points = [*frontier(done.tried), (done.seconds, done.nats)]
    x, y = zip(*points, strict=True)
    axes.plot(x, y, color=INK, drawstyle="steps-post", linewidth=1.8, label="best so far")
    outlook = [(done.seconds, done.nats), *done.outlook()]
    if len(outlook) > 1:
        x, y = zip(*outlook, strict=True)
        axes.plot(x, y, color=INK, linestyle=":", label="with more time, likely")
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_ylim(*_heights(done))
    axes.grid(color=FAINT, linewidth=0.5)
    axes.legend(frameon=False, labelcolor=INK, prop={"family": plain()["fontfamily"], "size": 8})
    set_titles(axes, "What each second bought", "seconds", f"dev loss (nats per {done.unit})")
    description = (
        f"Loss on dev of the {len(done.tried)} models that were tried, and of the best so far, "
        f"against the time. It ends at {done.nats:.4f} after {done.seconds:.1f} seconds."
    )
    return Picture("best-so-far", "What each second bought", description, figure)


def _heights(done: Best) -> tuple[float, float]:
    """Return the losses to show: from the best to a little above most models."""
    losses = sorted(one.nats for one in done.tried if math.isfinite(one.nats))
    low = min([done.nats, *(nats for _, nats in done.outlook())])
    high = losses[min(len(losses) - 1, len(losses) * 3 // 4)]
    margin = 0.06 * max(high - low, 0.01)
    return low - margin, high + 3 * margin
