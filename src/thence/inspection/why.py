"""The lenses ``why``, ``occlusion`` and ``flow``: attribution to earlier tokens, and how far back.

Two measures of how much an earlier token s made a token t likelier, in bits:

    gradient     -(d L_t / d x_s) . x_s    with L_t the surprisal of token t and x_s the embedding
                                           of token s: the cost of removing x_s, to first order
    occlusion    L_t(without s) - L_t      the text is read again without each token

The gradient is a linear approximation, but takes one backward pass per target; occlusion works for
any model, so count models and mixtures use it. Sources: J. Li et al. 2016, "Visualizing and
understanding neural models in NLP"; J. Li et al. 2016, "Understanding neural networks through
representation erasure".
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import numpy as np

from thence.array_types import Float64, Int64
from thence.inspection.hidden import MOST_CARRIED, is_recurrent
from thence.inspection.networks import (
    NetworkPart,
    as_torch_module,
    has_networks,
    networks_of,
    state_after,
)
from thence.inspection.subject import Subject
from thence.models.base import Array, CountedModel, LanguageModel, State
from thence.models.language.mixture import Mixture
from thence.tokens import TokenStore

if TYPE_CHECKING:
    from thence.models.language.neural import NeuralLanguageModel

MOST_TARGETS = 64
"""Tokens that are explained at most."""
MOST_BEFORE = 128
"""Sources before the first of them at most; tokens before these only set the state."""
DIGITS = 5
"""Decimal places of bits in results."""


@dataclass(frozen=True)
class Attribution:
    """The attribution of each token to each earlier token (source).

    Attributes:
        method: ``gradient`` or ``occlusion``.
        about: The meaning of the numbers, in a sentence.
        against: Text of the token that each token is contrasted with; None for none.
        matrix: Bits by which each source made each token likelier, shape (tokens, sources);
            negative where it made it less likely.
        norms: Gradient norms in bits: sensitivity of the token to the source's embedding in any
            direction; None for occlusion.
        places: First of the tokens that are explained, and the one after the last.
        starts: Place of the first source; the boundary before the text is place -1.
    """

    method: Literal["gradient", "occlusion"]
    about: str
    against: str | None
    matrix: Float64[np.ndarray, "tokens sources"]
    norms: Float64[np.ndarray, "tokens sources"] | None
    places: tuple[int, int]
    starts: int


@dataclass(frozen=True)
class FlowLayer:
    """Gradient norms of a recurrent layer by lag.

    Attributes:
        name: Name of the layer, preceded by the member's name in a mixture, followed by ``cell``
            for the cells of an LSTM.
        norms: Mean norm of the gradient of a token's surprisal (nats) with respect to the state
            that it is predicted from (lag 0), and to the states 1, 2, ... tokens before.
    """

    name: str
    norms: Float64[np.ndarray, " lags"]


@dataclass(frozen=True)
class GradientFlow:
    """Gradient norms of recurrent networks by lag, which show whether gradients vanish.

    Attributes:
        layers: The recurrent layers.
        targets: Number of tokens that each mean is over, by lag.
        places: First of the tokens whose surprisal is differentiated, and the one after the last.
    """

    layers: tuple[FlowLayer, ...]
    targets: Int64[np.ndarray, " lags"]
    places: tuple[int, int]


@dataclass(frozen=True)
class _Passage:
    """A part of a document with the tokens to explain. Position 0 is the boundary before the text.

    Attributes:
        row: Position of its first id; token t is at position t + 1.
        begins: Position of its document's boundary.
        ids: The ids from ``row`` on.
        targets: Indices in ``ids`` of the tokens to explain.
    """

    row: int
    begins: int
    ids: Int64[np.ndarray, " rows"]
    targets: range


def _passages(subject: Subject, shown: range, carries: bool) -> Iterator[_Passage]:
    """Yield a passage for each document with tokens that are shown."""
    first, stop = shown.start + 1, shown.stop + 1  # Token t is in row t + 1.
    starts = [0] if carries else (subject.store.offsets[:-1] - 1).tolist()
    for begins, end in zip(starts, [*starts[1:], stop - 1], strict=True):
        # The boundary that ends a document is a target of it.
        last = min(end + 1, stop)
        if begins + 1 >= stop or last <= first:
            continue
        target = max(first, begins + 1)
        row = max(begins, target - 1 - MOST_BEFORE)
        ids = subject.store.ids[row:last].astype(np.int64)
        yield _Passage(row, begins, ids, range(target - row, last - row))


def _state(subject: Subject, model: LanguageModel, passage: _Passage) -> State:
    """Return the state before a passage."""
    first = passage.begins
    if subject.carries:  # The text may be very long then.
        first = max(first, passage.row - MOST_CARRIED)
    return state_after(model, subject.store.ids[first : passage.row].astype(np.int64))


def _shown(subject: Subject) -> range:
    return range(subject.first, min(subject.stop, subject.first + MOST_TARGETS))


def why(subject: Subject) -> Attribution:
    """Return attributions by gradient for a single network, by occlusion for other models."""
    if has_networks(subject.run) and not isinstance(subject.model, Mixture):
        from thence.inspection.gradients import embedding_table

        (part,) = networks_of(subject.run, subject.model)
        model = as_torch_module(part)
        if embedding_table(model) is not None:
            return _by_gradient(subject, part, model)
    return occlusion(subject)


def _by_gradient(subject: Subject, part: NetworkPart, model: "NeuralLanguageModel") -> Attribution:
    """Return attributions by gradient times input."""
    from thence.inspection.gradients import input_gradients

    shown = _shown(subject)
    products, norms = [], []
    for passage in _passages(subject, shown, part.carries):
        state, index = _state(subject, model, passage), subject.against
        others = None if index is None else np.full(len(passage.targets), index)
        found = input_gradients(model, passage.ids, passage.targets, others, state)
        products.append((passage, -found.products / math.log(2)))
        norms.append((passage, found.norms / math.log(2)))
    (matrix, starts), (lengths, _) = _joined(products, shown), _joined(norms, shown)
    what, other = _compared(subject)
    about = (
        f"Gradient of the surprisal with respect to the embedding of the source, times that "
        f"embedding: to first order, by how many bits it made the token likelier{what}."
    )
    return Attribution("gradient", about, other, matrix, lengths, (shown.start, shown.stop), starts)


def _joined(
    found: list[tuple[_Passage, Float64[np.ndarray, "_ _"]]], shown: range
) -> tuple[Float64[np.ndarray, "tokens sources"], int]:
    """Return the passages' matrices as blocks of one matrix, and the place of its first column."""
    first = min((passage.row for passage, _ in found), default=shown.start + 1)
    whole = np.zeros((len(shown), shown.stop + 1 - first))
    for passage, values in found:
        row, column = passage.row + passage.targets.start - 1 - shown.start, passage.row - first
        targets, sources = values.shape
        whole[row : row + targets, column : column + sources] = values
    return np.round(whole, DIGITS) + 0.0, first - 1  # -0.0 + 0.0 is 0.0.


def occlusion(subject: Subject) -> Attribution:
    """Return attributions by occlusion: the text is scored again without each earlier token."""
    shown, unknown = _shown(subject), _stand_in(subject)
    found = []
    for passage in _passages(subject, shown, subject.carries):
        bits = _occlusion_bits(subject, passage, unknown)
        if subject.against is not None:
            bits -= _occlusion_bits_against(subject, passage, unknown, subject.against)
        found.append((passage, bits))
    matrix, starts = _joined(found, shown)
    way = "without the source" if unknown is None else "with the unknown symbol in its place"
    what, other = _compared(subject)
    about = (
        f"By how many bits the source made the token likelier{what}: the text is read again {way}."
    )
    return Attribution("occlusion", about, other, matrix, None, (shown.start, shown.stop), starts)


def _compared(subject: Subject) -> tuple[str, str | None]:
    """Return the token that each is contrasted with, as part of a sentence and as its text."""
    if subject.against is None:
        return "", None
    other = subject.token_text(subject.against)
    return f" than {other!r} in its place", other


def _occlusion_bits_against(
    subject: Subject, passage: _Passage, stand_in: int | None, other: int
) -> Float64[np.ndarray, "targets sources"]:
    """Return ``_occlusion_bits`` with another token in the place of each target."""
    found = np.zeros((len(passage.targets), len(passage.ids) - 1))
    for row, target in enumerate(passage.targets):
        ids = np.append(passage.ids[:target], other)
        lost = _occlusion_bits(
            subject, replace(passage, ids=ids, targets=range(target, target + 1)), stand_in
        )
        found[row, : lost.shape[1]] = lost
    return found


def _stand_in(subject: Subject) -> int | None:
    """Return the id that replaces an occluded token; None if the token is removed instead.

    Count models have no counts after the unknown symbol, unless train has it, so they back off to
    the tokens after it: exactly the effect of knowing nothing of the occluded token. A network
    whose train text had no unknown symbol would read an untrained embedding, so there tokens are
    removed.
    """
    tokenizer = subject.run.tokenizer
    known = tokenizer.options.tokens == "words" or isinstance(subject.model, CountedModel)
    return tokenizer.vocabulary.unknown_id if known else None


def _occlusion_bits(
    subject: Subject, passage: _Passage, stand_in: int | None
) -> Float64[np.ndarray, "targets sources"]:
    """Return the increase in bits of the surprisal of each target without each source."""
    tokens, size = passage.ids[1:], len(passage.ids) - 1
    others = np.repeat(tokens[None], size - 1, axis=0)
    np.fill_diagonal(others, -1 if stand_in is None else stand_in)
    variants = [tokens, *(row[row >= 0] for row in others)]
    boundary = subject.store.boundary_id
    lengths = np.array([len(variant) for variant in variants])
    ids = np.concatenate([part for variant in variants for part in ([boundary], variant)])
    store = TokenStore(
        np.append(ids, boundary).astype(subject.store.ids.dtype),
        np.concatenate([[1], 1 + np.cumsum(lengths + 1)]),
        np.ones_like(lengths),
        np.ones_like(lengths),
        boundary,
    )
    scores = np.asarray(subject.model.score(store, False), np.float64)
    first, *rest = np.split(scores, np.cumsum(lengths + 1)[:-1])
    found = np.zeros((len(passage.targets), size))
    for source, without in enumerate(rest):
        # The targets after this source; if it is removed, they are one place earlier.
        after = np.arange(max(passage.targets.start, source + 2), passage.targets.stop)
        moved = after - 1 - (stand_in is None)
        with np.errstate(invalid="ignore"):
            lost = first[after - 1] - without[moved]
        found[after - passage.targets.start, source + 1] = lost / math.log(2)
    return found


def flow(subject: Subject) -> GradientFlow:
    """Return the mean norms of the gradients of surprisals with respect to states, by lag."""
    from thence.inspection.gradients import state_gradients

    shown = _shown(subject)
    layers: list[FlowLayer] = []
    counts = np.zeros(0, np.int64)
    for part in filter(is_recurrent, networks_of(subject.run, subject.model)):
        model, lengths = as_torch_module(part), dict[str, list[Array]]()
        for passage in _passages(subject, shown, part.carries):
            state = _state(subject, model, passage)
            for name, found in state_gradients(model, passage.ids, passage.targets, state).items():
                lengths.setdefault(name, []).append(found)
        for name, several in lengths.items():
            lags = max(found.shape[1] for found in several)
            padded = [
                np.pad(found, ((0, 0), (0, lags - found.shape[1])), constant_values=np.nan)
                for found in several
            ]
            joined = np.concatenate(padded)
            counts = np.count_nonzero(np.isfinite(joined), axis=0)
            layers.append(FlowLayer(part.label(name), np.nanmean(joined, axis=0)))
    return GradientFlow(tuple(layers), counts, (shown.start, shown.stop))
