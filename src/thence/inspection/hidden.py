"""The lenses ``activations``, ``gates``, ``attention`` and ``layers`` (logit lens) of networks.

A network reads the boundary and then token 0, 1 and so on. Its values after token t are shown at
place t; token t itself is predicted from those at place t - 1. Long texts are shown in part.
"""

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from thence.array_types import Float
from thence.inspection.following import summarize
from thence.inspection.networks import NetworkPart, networks_of, trace, traces
from thence.inspection.subject import Subject
from thence.inspection.tokens import Likely
from thence.inspection.tracing import Trace
from thence.models.base import Array
from thence.models.language.options import RecurrentOptions, TransformerOptions

MOST_NUMBERS = 400_000
"""Numbers in the result of a lens, about 2 MB of JSON; fewer places of a longer text are shown."""
MOST_CARRIED = 2048
"""Tokens of running text that are read before the first that is shown, to set the state."""
MOST_CELLS = 1 << 23
"""Probabilities computed by the logit lens: layers times places times vocabulary size."""
DIGITS = 4
"""Decimal places of activations and gates: more than a picture can show."""
GATES = ("input", "forget", "output", "update", "reset", "candidate", "cell", "hidden")
"""The order in which gates and states are shown."""
SHARE_DIGITS = 6
"""Decimal places of attention weights; more than ``DIGITS``, since many small ones add up."""


@dataclass(frozen=True)
class Layer:
    """The activations of a layer.

    Attributes:
        name: Name of the layer, preceded by the member's name in a mixture.
        values: Activation of each unit after each token, shape (tokens, units).
    """

    name: str
    values: Float[np.ndarray, "tokens units"]


@dataclass(frozen=True)
class Activations:
    """The activations of networks over a text.

    Attributes:
        layers: All layers, the embedding first.
        places: First of the tokens that are shown, and the one after the last.
    """

    layers: tuple[Layer, ...]
    places: tuple[int, int]


@dataclass(frozen=True)
class GatedLayer:
    """The gates of a recurrent layer after each token.

    Attributes:
        name: Name of the layer, preceded by the member's name in a mixture.
        gates: Gate values by name, shape (tokens, units). LSTM: ``input``, ``forget`` and
            ``output`` (0 closed, 1 open), ``candidate`` (the new cell content, -1 to 1), ``cell``
            and ``hidden``. GRU: ``update`` (1 keeps the old state, 0 takes the candidate),
            ``reset``, ``candidate`` and ``hidden``. Plain RNN: ``hidden``.
    """

    name: str
    gates: Mapping[str, Float[np.ndarray, "tokens units"]]


@dataclass(frozen=True)
class Gates:
    """The gates of recurrent networks over a text.

    Attributes:
        layers: The recurrent layers.
        places: First of the tokens that are shown, and the one after the last.
    """

    layers: tuple[GatedLayer, ...]
    places: tuple[int, int]


@dataclass(frozen=True)
class AttentionLayer:
    """The attention weights of a layer.

    Attributes:
        name: Name of the layer, preceded by the member's name in a mixture.
        heads: Weight of each key for each token in each head, shape (heads, tokens, keys); each
            row sums to one.
    """

    name: str
    heads: Float[np.ndarray, "heads tokens keys"]


@dataclass(frozen=True)
class AttentionMaps:
    """The attention weights of a transformer over a text.

    Attributes:
        layers: All layers.
        places: First of the attending tokens (queries), and the one after the last.
        starts: Place of the first key; the boundary before the text is place -1.
    """

    layers: tuple[AttentionLayer, ...]
    places: tuple[int, int]
    starts: int


@dataclass(frozen=True)
class LayerPrediction:
    """A layer's prediction at a place, by the logit lens.

    Attributes:
        probability: Probability of the token that stands there.
        bits: Its surprisal.
        rank: Its rank; 1 is the most probable.
        entropy: Entropy of the distribution, in bits.
        top: The likeliest tokens.
    """

    probability: float
    bits: float
    rank: int
    entropy: float
    top: tuple[Likely, ...]


@dataclass(frozen=True)
class LayerPredictions:
    """The predictions at all places if a layer were the last.

    Attributes:
        name: Name of the layer, preceded by the member's name in a mixture.
        tokens: One prediction for each token.
    """

    name: str
    tokens: tuple[LayerPrediction, ...]


@dataclass(frozen=True)
class Predictions:
    """The logit lens: the predictions of each layer if the output layer read it.

    Attributes:
        layers: The layers that the output layer can read; the last is the network's prediction.
        places: First of the tokens that are shown, and the one after the last.
    """

    layers: tuple[LayerPredictions, ...]
    places: tuple[int, int]


@dataclass(frozen=True)
class _Read:
    """The trace of one document.

    Attributes:
        row: Position of its first id; position 0 is the boundary before the text.
        trace: Intermediate values from there on.
    """

    row: int
    trace: Trace


def activations(subject: Subject) -> Activations:
    """Return the activations of every layer after each token."""
    parts = networks_of(subject.run, subject.model)
    per_token = sum(row.size for part in parts for row in units_of(_sample(subject, part)).values())
    shown = _first_of(subject, MOST_NUMBERS // max(per_token, 1))
    layers = tuple(
        Layer(part.label(name), _rounded(values))
        for part in parts
        for name, values in after_tokens(subject, part, shown, units_of).items()
    )
    return Activations(layers, (shown.start, shown.stop))


def gates(subject: Subject) -> Gates:
    """Return the gates of every recurrent layer after each token."""
    parts = [part for part in networks_of(subject.run, subject.model) if is_recurrent(part)]
    per_token = sum(
        row.size for part in parts for row in gates_and_cells(_sample(subject, part)).values()
    )
    shown = _first_of(subject, MOST_NUMBERS // max(per_token, 1))
    layers = []
    for part in parts:
        named: dict[str, dict[str, Array]] = {}
        for (layer, gate), values in after_tokens(subject, part, shown, gates_and_cells).items():
            named.setdefault(layer, {})[gate] = _rounded(values)
        layers += [GatedLayer(part.label(layer), found) for layer, found in named.items()]
    return Gates(tuple(layers), (shown.start, shown.stop))


def is_recurrent(part: NetworkPart) -> bool:
    """Return whether a network is recurrent."""
    return isinstance(part.options, RecurrentOptions)


def units_of(trace: Trace) -> dict[Any, Array]:
    """Return the values of all stages but the concatenated window, which repeats embeddings."""
    return {name: values for name, values in trace.stages.items() if name != "concatenated"}


def gates_and_cells(trace: Trace) -> dict[Any, Array]:
    """Return the gates and hidden states by (layer, gate), in the order of ``GATES``."""
    return {
        (layer, gate): values
        for layer, found in trace.gates.items()
        for gate, values in sorted(
            {**found, "hidden": trace.stages[layer]}.items(), key=lambda pair: GATES.index(pair[0])
        )
    }


def _sample(subject: Subject, part: NetworkPart) -> Trace:
    """Return the trace of the boundary alone: it tells the names and sizes of all stages."""
    return trace(part, subject.store.ids[:1].astype(np.int64))


def _first_of(subject: Subject, places: int) -> range:
    """Return the places to show, at most ``places`` of them."""
    return range(subject.first, min(subject.stop, subject.first + max(places, 1)))


def _rounded(values: Array, digits: int = DIGITS) -> Float[np.ndarray, "*shape"]:
    rounded: Array = np.round(values.astype(np.float64), digits)
    return rounded


def after_tokens(
    subject: Subject, part: NetworkPart, shown: range, kept: Callable[[Trace], dict[Any, Array]]
) -> dict[Any, Array]:
    """Return arrays with a row after each shown token, joined over the traces of all documents.

    ``kept`` selects the arrays of a trace.
    """
    if not shown:
        return {name: values[:0] for name, values in kept(_sample(subject, part)).items()}
    found = [kept(one.trace) for one in _reads(subject, part, shown.start + 1, shown.stop)]
    return {name: np.concatenate([one[name] for one in found]) for name in found[0]}


def _reads(
    subject: Subject, part: NetworkPart, first: int, last: int, attention: bool = False
) -> Iterator[_Read]:
    """Yield the trace of each document between two positions.

    Args:
        subject: The text.
        part: The network.
        first: The first position: 0 is the boundary before the text, t + 1 is token t.
        last: The last position.
        attention: Whether to record attention weights of a transformer.
    """
    ids = subject.store.ids[: last + 1].astype(np.int64)
    starts = [max(0, first - MOST_CARRIED)]
    if not (part.carries and subject.carries):
        starts = (subject.store.offsets[:-1] - 1).tolist()
    bounds = [
        (begin, end)
        for begin, end in pairwise([*(start for start in starts if start <= last), last + 1])
        if end > first
    ]
    if bounds and bounds[0][0] < first:  # Only the end of the first document is needed.
        begin, end = bounds.pop(0)
        yield _Read(first, trace(part, ids[begin:end], first - begin, attention))
    found = traces(part, [ids[begin:end] for begin, end in bounds], attention)
    for (begin, _), of_document in zip(bounds, found, strict=True):
        yield _Read(begin, of_document)


def attention(subject: Subject) -> AttentionMaps:
    """Return the attention weights of each token on the tokens before it and on itself."""
    parts = [p for p in networks_of(subject.run, subject.model) if is_transformer(p)]
    rows = sum(part.options.layers * part.options.heads for part in parts)
    before = min(subject.first + 1, max(part.options.context for part in parts))
    # The largest P with P (P + before) numbers for each head within the limit.
    most = MOST_NUMBERS / rows
    shown = _first_of(subject, int(math.sqrt(before**2 / 4 + most) - before / 2))
    reads = [
        (part, list(_reads(subject, part, shown.start + 1, shown.stop, True)) if shown else [])
        for part in parts
    ]
    starts = min((_first_key(read) for _, found in reads for read in found), default=shown.start)
    layers = []
    for part, found in reads:
        for number in range(1, part.options.layers + 1):
            name = f"layer {number}"
            heads = np.zeros((part.options.heads, len(shown), shown.stop - starts))
            for read in found:
                shares = read.trace.attention[name]
                row, key = read.row - 1 - shown.start, _first_key(read) - starts
                _, looking, keys = shares.shape
                heads[:, row : row + looking, key : key + keys] = shares
            layers.append(AttentionLayer(part.label(name), _rounded(heads, SHARE_DIGITS)))
    return AttentionMaps(tuple(layers), (shown.start, shown.stop), starts)


def is_transformer(part: NetworkPart) -> bool:
    """Return whether a network is a transformer."""
    return isinstance(part.options, TransformerOptions)


def _first_key(read: _Read) -> int:
    """Return the place of the first key of a document."""
    rows, keys = next(iter(read.trace.attention.values())).shape[1:]
    return int(read.row + rows - keys - 1)


def layers(subject: Subject) -> Predictions:
    """Return the predictions of each layer at each place, by the logit lens."""
    parts = networks_of(subject.run, subject.model)
    readable = sum(len(_sample(subject, part).readable) for part in parts)
    most = min(
        MOST_NUMBERS // (4 * max(subject.top, 1)), MOST_CELLS // subject.model.vocabulary_size
    )
    shown = _first_of(subject, most // max(readable, 1))
    found = []
    for part in parts:
        tokens: dict[str, list[LayerPrediction]] = {}
        for read in _reads(subject, part, shown.start, shown.stop - 1) if shown else ():
            for stage in read.trace.readable:
                rows = read.trace.predictions(stage)
                targets = subject.ids[read.row : read.row + len(rows)]
                tokens.setdefault(stage, []).extend(
                    _predicted(subject, row, int(target))
                    for row, target in zip(rows, targets, strict=True)
                )
        found += [LayerPredictions(part.label(name), tuple(of)) for name, of in tokens.items()]
    return Predictions(tuple(found), (shown.start, shown.stop))


def _predicted(
    subject: Subject, log_probs: Float[np.ndarray, " vocab"], target: int
) -> LayerPrediction:
    log_prob = float(log_probs[target])
    found = summarize(subject, log_probs.astype(np.float64), target)
    bits = -log_prob / math.log(2)
    return LayerPrediction(math.exp(log_prob), bits, found.rank or 0, found.entropy, found.top)
