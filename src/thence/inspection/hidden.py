"""Lenses of networks: what their units say, their gates, attention, and what each layer predicts.

A network reads the boundary and then token 0, 1 and so on. What it has become after token t is
shown at place t; what predicts token t is one place before. Long texts are shown in part.
"""

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from thence.array_types import Float
from thence.inspection.following import followed
from thence.inspection.networks import Part, networks_of, trace, traces
from thence.inspection.subject import Subject
from thence.inspection.tokens import Likely
from thence.inspection.tracing import Trace
from thence.models.base import Array
from thence.models.language.options import RecurrentOptions, TransformerOptions

MOST_NUMBERS = 400_000
"""Numbers of a lens together, as many as 2 MB of JSON: of a longer text fewer places are shown."""
MOST_CARRIED = 2048
"""Tokens of running text that are read before the first that is shown, as streams are scored."""
MOST_CELLS = 1 << 23
"""Probabilities that the layers of a network give together, of which the likeliest are shown."""
DIGITS = 4
"""Decimals of what units and gates say: more than a picture can show."""
GATES = ("input", "forget", "output", "update", "reset", "candidate", "cell", "hidden")
"""The order in which they are shown."""
SHARE_DIGITS = 6
"""Decimals of shares of attention, of which many small ones add up."""


@dataclass(frozen=True)
class Layer:
    """What the units of a layer say after each token.

    Attributes:
        name: Of the layer, after the member's name where several networks are mixed.
        values: Each unit after each token, shape (tokens, units).
    """

    name: str
    values: Float[np.ndarray, "tokens units"]


@dataclass(frozen=True)
class Activations:
    """What the units of networks say over a text.

    Attributes:
        layers: Each layer, the embedding that the network reads first.
        places: First of the tokens that are shown, and the one after the last.
    """

    layers: tuple[Layer, ...]
    places: tuple[int, int]


@dataclass(frozen=True)
class GatedLayer:
    """The gates of a recurrent layer after each token.

    Attributes:
        name: Of the layer, after the member's name where several networks are mixed.
        gates: Of each unit by name, shape (tokens, units). Of an LSTM ``input``, ``forget`` and
            ``output`` (0 shut, 1 open), ``candidate`` (what the input gate lets in, -1 to 1),
            ``cell`` and ``hidden``; of a GRU ``update`` (1 keeps what was, 0 takes the candidate),
            ``reset``, ``candidate`` and ``hidden``; of a plain one ``hidden``.
    """

    name: str
    gates: Mapping[str, Float[np.ndarray, "tokens units"]]


@dataclass(frozen=True)
class Gates:
    """The gates of recurrent networks over a text.

    Attributes:
        layers: Each recurrent layer.
        places: First of the tokens that are shown, and the one after the last.
    """

    layers: tuple[GatedLayer, ...]
    places: tuple[int, int]


@dataclass(frozen=True)
class AttentiveLayer:
    """How much the tokens look at one another in a layer.

    Attributes:
        name: Of the layer, after the member's name where several networks are mixed.
        heads: For each head how much each token looks at each key, shape (heads, tokens, keys);
            each row sums to one.
    """

    name: str
    heads: Float[np.ndarray, "heads tokens keys"]


@dataclass(frozen=True)
class AttentionMaps:
    """How much tokens look at one another in a transformer.

    Attributes:
        layers: Each layer.
        places: First of the tokens that look, and the one after the last.
        starts: Place of the first key: keys are the tokens from there on, the boundary before the
            text being -1.
    """

    layers: tuple[AttentiveLayer, ...]
    places: tuple[int, int]
    starts: int


@dataclass(frozen=True)
class Predicted:
    """What a layer would predict at a place.

    Attributes:
        probability: That it gives to the token that stands there.
        bits: Its surprisal.
        rank: Of that token; 1 is the most probable.
        entropy: Of all that it gives, in bits.
        top: The tokens that it holds for the likeliest.
    """

    probability: float
    bits: float
    rank: int
    entropy: float
    top: tuple[Likely, ...]


@dataclass(frozen=True)
class PredictingLayer:
    """What would be predicted at each place if a layer were the last.

    Attributes:
        name: Of the layer, after the member's name where several networks are mixed.
        tokens: Of each token.
    """

    name: str
    tokens: tuple[Predicted, ...]


@dataclass(frozen=True)
class Predictions:
    """What each layer of networks would already predict: the logit lens.

    Attributes:
        layers: Each layer that the output layer can read; the last is what the network says.
        places: First of the tokens that are shown, and the one after the last.
    """

    layers: tuple[PredictingLayer, ...]
    places: tuple[int, int]


@dataclass(frozen=True)
class _Read:
    """What a network computed of one document.

    Attributes:
        row: The first of what it read, counted from the boundary before the text.
        trace: What it computed of that and what follows.
    """

    row: int
    trace: Trace


def activations(subject: Subject) -> Activations:
    """Return what the units of every layer say after each token."""
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


def is_recurrent(part: Part) -> bool:
    """Return whether a network is a recurrent one."""
    return isinstance(part.options, RecurrentOptions)


def units_of(trace: Trace) -> dict[Any, Array]:
    """Return what all stages say; a window of embeddings says what these say one by one."""
    return {name: values for name, values in trace.stages.items() if name != "concatenated"}


def gates_and_cells(trace: Trace) -> dict[Any, Array]:
    """Return the gates by layer and name, and the hidden states beside them."""
    return {
        (layer, gate): values
        for layer, found in trace.gates.items()
        for gate, values in sorted(
            {**found, "hidden": trace.stages[layer]}.items(), key=lambda pair: GATES.index(pair[0])
        )
    }


def _sample(subject: Subject, part: Part) -> Trace:
    """Return what a network computes of the boundary: how much there is of a token."""
    return trace(part, subject.store.ids[:1].astype(np.int64))


def _first_of(subject: Subject, places: int) -> range:
    """Return the places that are shown, at most so many."""
    return range(subject.first, min(subject.stop, subject.first + max(places, 1)))


def _rounded(values: Array, digits: int = DIGITS) -> Float[np.ndarray, "*shape"]:
    rounded: Array = np.round(values.astype(np.float64), digits)
    return rounded


def after_tokens(
    subject: Subject, part: Part, shown: range, kept: Callable[[Trace], dict[Any, Array]]
) -> dict[Any, Array]:
    """Return what is kept of the traces of all documents, a row after each token that is shown."""
    if not shown:
        return {name: values[:0] for name, values in kept(_sample(subject, part)).items()}
    found = [kept(one.trace) for one in _reads(subject, part, shown.start + 1, shown.stop)]
    return {name: np.concatenate([one[name] for one in found]) for name in found[0]}


def _reads(
    subject: Subject, part: Part, first: int, last: int, attention: bool = False
) -> Iterator[_Read]:
    """Yield what a network computes of each document, from one row to another.

    Args:
        subject: The text.
        part: The network.
        first: The first row: what is read is the boundary, in row 0, and then the tokens.
        last: The last row.
        attention: Whether that of a transformer is wanted.
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
    if bounds and bounds[0][0] < first:  # Of the first document only the end is wanted.
        begin, end = bounds.pop(0)
        yield _Read(first, trace(part, ids[begin:end], first - begin, attention))
    found = traces(part, [ids[begin:end] for begin, end in bounds], attention)
    for (begin, _), of_document in zip(bounds, found, strict=True):
        yield _Read(begin, of_document)


def attention(subject: Subject) -> AttentionMaps:
    """Return how much each token looks at each of those before it, and at itself."""
    parts = [p for p in networks_of(subject.run, subject.model) if is_transformer(p)]
    rows = sum(part.options.layers * part.options.heads for part in parts)
    before = min(subject.first + 1, max(part.options.context for part in parts))
    # So many tokens that with P of them P (P + before) numbers of each head are not too many.
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
            layers.append(AttentiveLayer(part.label(name), _rounded(heads, SHARE_DIGITS)))
    return AttentionMaps(tuple(layers), (shown.start, shown.stop), starts)


def is_transformer(part: Part) -> bool:
    """Return whether a network is a transformer."""
    return isinstance(part.options, TransformerOptions)


def _first_key(read: _Read) -> int:
    """Return the place of the first token that a document's tokens could look at."""
    rows, keys = next(iter(read.trace.attention.values())).shape[1:]
    return int(read.row + rows - keys - 1)


def layers(subject: Subject) -> Predictions:
    """Return what each layer would predict at each place, if the output layer read it."""
    parts = networks_of(subject.run, subject.model)
    readable = sum(len(_sample(subject, part).readable) for part in parts)
    most = min(
        MOST_NUMBERS // (4 * max(subject.top, 1)), MOST_CELLS // subject.model.vocabulary_size
    )
    shown = _first_of(subject, most // max(readable, 1))
    found = []
    for part in parts:
        tokens: dict[str, list[Predicted]] = {}
        for read in _reads(subject, part, shown.start, shown.stop - 1) if shown else ():
            for stage in read.trace.readable:
                rows = read.trace.predictions(stage)
                targets = subject.ids[read.row : read.row + len(rows)]
                tokens.setdefault(stage, []).extend(
                    _predicted(subject, row, int(target))
                    for row, target in zip(rows, targets, strict=True)
                )
        found += [PredictingLayer(part.label(name), tuple(of)) for name, of in tokens.items()]
    return Predictions(tuple(found), (shown.start, shown.stop))


def _predicted(subject: Subject, log_probs: Float[np.ndarray, " vocab"], target: int) -> Predicted:
    log_prob = float(log_probs[target])
    found = followed(subject, log_probs.astype(np.float64), target)
    bits = -log_prob / math.log(2)
    return Predicted(math.exp(log_prob), bits, found.rank or 0, found.entropy, found.top)
