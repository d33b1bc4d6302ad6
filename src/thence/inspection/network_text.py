"""The lenses of networks as tables in 80 columns."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from thence.inspection.columns import LensTable, cut, short
from thence.inspection.hidden import Activations, AttentionMaps, Gates, Predictions
from thence.inspection.shapes import Shapes
from thence.inspection.tokens import Token
from thence.inspection.units import TrackingUnits
from thence.inspection.why import Attribution, GradientFlow
from thence.results import bar
from thence.tokens.vocabulary import BOUNDARY

SOURCES = 3
"""Earlier tokens that are shown beside each token, those with the largest attributions."""
LEAST_BITS = 0.05
"""Smallest attribution that is shown, in bits."""
LAGS = 20
"""Rows of the table of gradient norms by lag."""
UNITS = 6
"""Units of a layer in the columns of a table."""
HEADS = 4
"""Attention heads in the columns of a table."""
KEY = len(BOUNDARY)
"""Columns of an attended token."""

Tokens = Sequence[Token]


def _activation_tables(tokens: Tokens, lens: Activations) -> Iterator[LensTable]:
    """Yield a table for each layer: the units with the largest range of values over the tokens."""
    for layer in lens.layers:
        units = np.argsort(-np.ptp(layer.values, axis=0), kind="stable")[:UNITS]
        rows = [
            [short(token.text), *(f"{value:+.2f}" for value in row)]
            for token, row in zip(tokens, layer.values[:, units], strict=False)
        ]
        columns = [f"unit {unit + 1}" for unit in units.tolist()]  # Counted from 1.
        count = layer.values.shape[1]
        title = f"{layer.name}: the {len(units)} of its {count:,} units that change most"
        yield LensTable(title, ["token", *columns], rows)


def _gate_tables(tokens: Tokens, lens: Gates) -> Iterator[LensTable]:
    """Yield a table for each layer: the mean of each gate over the layer's units."""
    for layer in lens.layers:
        names = [name for name in layer.gates if name not in ("candidate", "cell", "hidden")]
        if not names:
            title = f"{layer.name} has no gates; its units are in the lens activations"
            yield LensTable(title, [], [])
            continue
        means = [layer.gates[name].mean(axis=1) for name in names]
        rows = []
        for token, row in zip(tokens, np.transpose(means), strict=False):
            shown = [part for value in row for part in (f"{value:.2f}", bar(value))]
            rows.append([short(token.text), *shown])
        columns = [part for name in names for part in (name, "")]
        title = f"{layer.name}: how open its gates are, as the mean over units (1: all are open)"
        yield LensTable(title, ["token", *columns], rows)


def _attention_tables(tokens: Tokens, lens: AttentionMaps) -> Iterator[LensTable]:
    """Yield tables of the token with the largest attention weight, by token and head."""
    names = _keys(tokens, lens.places, lens.starts)
    for layer in lens.layers:
        for first in range(0, len(layer.heads), HEADS):
            heads = layer.heads[first : first + HEADS]
            rows = []
            for token, row in zip(tokens, heads.swapaxes(0, 1), strict=False):
                pairs = zip(row.argmax(axis=1).tolist(), row.max(axis=1).tolist(), strict=True)
                found = [f"{cut(names[key], KEY)} {share:.2f}" for key, share in pairs]
                rows.append([short(token.text), *found])
            columns = [f"head {first + number}" for number in range(1, len(heads) + 1)]
            title = f"{layer.name}: the token that each head looks at most, and its share"
            yield LensTable(title, ["token", *columns], rows, words=1 + len(columns))


def _keys(tokens: Tokens, places: tuple[int, int], starts: int) -> list[str]:
    """Return names for the source tokens from place ``starts`` on.

    Those before the first token that is shown are named by their place, such as ``#12``.
    """
    first, stop = places
    named = {first + number: short(token.text) for number, token in enumerate(tokens)}
    named[-1] = BOUNDARY
    return [named.get(place, f"#{place}") for place in range(starts, stop)]


def _why_tables(tokens: Tokens, lens: Attribution) -> Iterator[LensTable]:
    """Yield a table of the earlier tokens with the largest attributions, by token."""
    names = _keys(tokens, lens.places, lens.starts)
    rows = []
    for token, row in zip(tokens, lens.matrix, strict=False):
        best = np.argsort(-np.abs(row), kind="stable")[:SOURCES].tolist()
        said = [
            f"{cut(names[at], KEY)} {row[at]:+.2f}" for at in best if abs(row[at]) >= LEAST_BITS
        ]
        rows.append([short(token.text), "  ".join(said)])
    title = f"Largest attributions to earlier tokens ({lens.method})"
    yield LensTable(title, ["token", "bits from"], rows, lens.about, words=2)


def _prediction_tables(tokens: Tokens, lens: Predictions) -> Iterator[LensTable]:
    """Yield a table of each layer's prediction of each token: surprisal, rank and likeliest."""
    rows = []
    for number, token in enumerate(tokens):
        of_token = [layer.tokens[number] for layer in lens.layers if number < len(layer.tokens)]
        for layer, one in zip(lens.layers, of_token, strict=False):
            name = short(token.text) if layer is lens.layers[0] else ""
            likeliest = " ".join(short(item.text) for item in one.top[:3])
            rows.append([name, layer.name, likeliest, f"{one.bits:5.2f}", f"{one.rank:,}"])
    title = "Logit lens: predictions of each token if a layer were the last"
    yield LensTable(title, ["token", "layer", "likeliest", "bits", "rank"], rows, words=3)


def _flow_tables(tokens: Tokens, lens: GradientFlow) -> Iterator[LensTable]:
    """Yield a table of the mean gradient norm by lag, with a column for each layer."""
    if not lens.layers:
        return
    most = [max(float(layer.norms.max()), 1e-12) for layer in lens.layers]
    rows = []
    for lag in range(min(LAGS, len(lens.targets))):
        cells = [
            part
            for layer, top in zip(lens.layers, most, strict=True)
            for part in (f"{layer.norms[lag]:.2g}", bar(float(layer.norms[lag]) / top))
        ]
        rows.append([str(lag), *cells])
    columns = [part for layer in lens.layers for part in (layer.name, "")]
    title = "Norm of the gradient of a token's surprisal (nats), by distance in tokens"
    yield LensTable(title, ["before", *columns], rows)


def _unit_tables(tokens: Tokens, lens: TrackingUnits) -> Iterator[LensTable]:
    """Yield a table of the units that correlate with features of the text."""
    rows = [
        [
            one.feature,
            one.layer,
            str(one.unit + 1),  # Counted from 1, as layers and heads are.
            f"{one.correlation:+.2f}",
            bar(abs(one.correlation)),
        ]
        for one in lens.units
    ]
    title = "Units that correlate with features of the text"
    columns = ["feature", "layer", "unit", "correlation", ""]
    yield LensTable(title, columns, rows, lens.about, words=2)


def _shape_tables(tokens: Tokens, lens: Shapes) -> Iterator[LensTable]:
    """Yield a table of the shape of each stage, and one of the context of each token."""
    rows = [[one.name, one.about, " x ".join(map(str, one.shape))] for one in lens.stages]
    yield LensTable(
        "Shapes of the values at each stage", ["stage", "what it is", "shape"], rows, words=2
    )
    if lens.contexts:
        rows = [
            [cut(" ".join(map(short, context)), 60), short(token.text)]
            for context, token in zip(lens.contexts, tokens, strict=False)
        ]
        yield LensTable("What each token is predicted from", ["context", "target"], rows, words=2)


NETWORK_TABLES: Mapping[str, Callable[[Tokens, Any], Iterator[LensTable]]] = {
    "activations": _activation_tables,
    "attention": _attention_tables,
    "flow": _flow_tables,
    "gates": _gate_tables,
    "layers": _prediction_tables,
    "occlusion": _why_tables,
    "shapes": _shape_tables,
    "units": _unit_tables,
    "why": _why_tables,
}
"""Functions from tokens and the result of a lens to tables, by the name of the lens."""
