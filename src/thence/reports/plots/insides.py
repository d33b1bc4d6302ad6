"""Plots of the inside of networks: gates, attention weights, and gradient norms by lag."""

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from thence.array_types import Float
from thence.inspection import Look, look
from thence.inspection.hidden import AttentionMaps, GatedLayer
from thence.inspection.lenses import lenses_of
from thence.inspection.why import GradientFlow
from thence.reports import style
from thence.reports.insides import MOST_TOKENS, dev_text
from thence.reports.symbols import BOUNDARY_MARK
from thence.runs import LanguageRun

LENSES = ("gates", "attention", "flow")
UNITS = 24
"""Units of a layer that are drawn: those with the largest standard deviation over the text."""
BOUNDED = ("input", "forget", "output", "update", "reset")
"""Gates from 0 (closed) to 1 (open); cells and states may be negative."""
MOST_HEADS = 64
"""Attention heads that are drawn, from the first layer on."""


def inside_plots(run: LanguageRun) -> list[style.Plot]:
    """Draw the inside of a run's networks on a document of dev; nothing for other models."""
    available = [lens.name for lens in lenses_of(run) if lens.name in LENSES]
    text = dev_text(run) if available else None
    if text is None:
        return []
    found = look(run, text, lenses=available, places=(0, MOST_TOKENS))
    assert isinstance(found, Look)
    drawn = []
    if "gates" in available:
        layers = [layer for layer in found.lenses["gates"].layers if len(layer.gates) > 1]
        drawn += [plot_gates(found, layer) for layer in layers]
    if "attention" in available:
        drawn.append(plot_attention(found))
    if "flow" in available:
        drawn.append(plot_flow(found))
    return drawn


def _names(found: Look) -> list[str]:
    return [style.drawable(token.text) for token in found.shown]


def _heading(found: Look) -> str:
    first, stop = found.places
    spans = found.tokens.spans[first:stop]
    return style.shortened(found.text[: int(spans[-1, 1]) if len(spans) else 0])


def plot_gates(found: Look, layer: GatedLayer) -> style.Plot:
    """Draw the gates of a recurrent layer as heat maps: rows are units, columns are tokens."""
    changes = sum(np.std(values, axis=0) for values in layer.gates.values())
    units = np.sort(np.argsort(-np.asarray(changes), kind="stable")[:UNITS])
    gates = {name: values[:, units].T for name, values in layer.gates.items()}
    tokens = _names(found)
    height = 0.5 + 1.7 * len(gates)
    figure, stack = style.new_stack(max(5.0, 2 + 0.22 * len(tokens)), height, [1.0] * len(gates))
    for axes, (name, values) in zip(stack, gates.items(), strict=True):
        _draw_units(axes, name, values)
    stack[-1].set_xticks(range(len(tokens)), tokens, fontsize=9, **style.plain())
    title = f"{layer.name[0].upper()}{layer.name[1:]} reads “{_heading(found)}”"
    style.add_titles(stack[0], title, "", next(iter(gates)))
    stack[-1].set_xlabel(f"token just read; {len(units)} units that change most", color=style.INK)
    means = ", ".join(f"{name} {layer.gates[name].mean():.2f}" for name in gates if name in BOUNDED)
    description = f"Gates and states of {layer.name} by token. Means: {means}."
    name = "gates-" + "-".join(layer.name.replace(":", "").split())
    return style.Plot(name, f"Gates of {layer.name}", description, figure)


def _draw_units(axes: Axes, name: str, values: Float[np.ndarray, "units tokens"]) -> None:
    """Draw a gate on a scale from 0 to 1, or a state on a diverging scale around 0."""
    most = max(float(np.abs(values).max(initial=0)), 1e-9)
    look: dict[str, Any] = {"cmap": "Blues", "vmin": 0, "vmax": 1}
    if name not in BOUNDED:
        look = {"cmap": "RdBu_r", "vmin": -most, "vmax": most}
    image = axes.imshow(values, aspect="auto", interpolation="none", **look)
    axes.set_yticks([])
    axes.set_ylabel(name, color=style.INK)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    style.add_colour_bar(axes, image, "", shrink=0.9)


def plot_attention(found: Look) -> style.Plot:
    """Draw the attention weights: a heat map for each head, rows are queries, columns are keys."""
    lens: AttentionMaps = found.lenses["attention"]
    layers = lens.layers[: max(1, MOST_HEADS // max(len(layer.heads) for layer in lens.layers))]
    columns = max(len(layer.heads) for layer in layers)
    looking = _names(found)[: lens.places[1] - lens.places[0]]
    keys = [BOUNDARY_MARK] * (lens.starts < 0) + looking
    side = 0.6 + 0.085 * max(len(keys), 12)
    size = (1 + side * columns, 1 + side * len(layers))
    figure = Figure(figsize=size, layout="constrained", facecolor=style.PAPER)
    grid = figure.subplots(len(layers), columns, squeeze=False)
    for row, layer in zip(grid, layers, strict=True):
        for number, axes in enumerate(row):
            axes.set_axis_off()
            if number < len(layer.heads):
                axes.set_axis_on()
                axes.imshow(layer.heads[number], cmap="Blues", vmin=0, vmax=1, aspect="auto")
                _name_places(axes, looking, keys, number == 0)
                title = f"{layer.name}, head {number + 1}"
                axes.set_title(title, color=style.INK, fontsize=8, loc="left", **style.plain())
    title = f"Which tokens of “{_heading(found)}” each one looks at"
    figure.suptitle(title, color=style.INK, x=0.01, ha="left", **style.plain())
    description = (
        f"Attention of {sum(len(layer.heads) for layer in layers)} heads in {len(layers)} layers: "
        "a row for each token, a column for what it looks at; each row sums to one."
    )
    return style.Plot("attention", "Attention", description, figure)


def _name_places(axes: Axes, looking: list[str], keys: list[str], is_first: bool) -> None:
    size = 7 if len(keys) <= 24 else 5
    upright = max(map(len, keys), default=0) > 2
    look: dict[str, Any] = {"fontsize": size, "color": style.INK, **style.plain()}
    axes.set_xticks(range(len(keys)), keys, rotation=90 if upright else 0, **look)
    axes.set_yticks(range(len(looking)), looking if is_first else [""] * len(looking), **look)
    axes.tick_params(length=0)
    axes.spines[:].set_color(style.FAINT)


def plot_flow(found: Look) -> style.Plot:
    """Draw the gradient norms of recurrent layers by lag."""
    lens: GradientFlow = found.lenses["flow"]
    figure, axes = style.new_figure(7.5, 4)
    for number, layer in enumerate(lens.layers):
        colour = style.COLOURS[number % len(style.COLOURS)]
        marker = style.MARKERS[number % len(style.MARKERS)]
        lags = np.arange(len(layer.norms))
        axes.plot(lags, layer.norms, color=colour, marker=marker, markersize=4, label=layer.name)
    axes.set_yscale("log")
    style.add_grid(axes)
    style.add_legend(axes)
    title = f"How far back gradients reach in “{_heading(found)}”"
    x = "tokens before the one that a token is predicted from"
    style.add_titles(axes, title, x, "length of the gradient (nats, log scale)")
    ends = "; ".join(
        f"{layer.name} from {layer.norms[0]:.2g} to {layer.norms[-1]:.2g}" for layer in lens.layers
    )
    description = f"Mean length of the gradient of a token's surprisal by distance: {ends}."
    return style.Plot("gradient-flow", "Reach of gradients", description, figure)
