"""Lenses of why a token was likely or not: which earlier tokens mattered, and how far back.

Two ways to ask which earlier tokens made a token likelier, in bits:

    gradient     -(d L_t / d x_s) . x_s    with L_t the surprisal of token t and x_s the embedding
                                           of token s: about what taking x_s away would cost
    occlusion    L_t(without s) - L_t      the text is read again without each token

The first is exact for small changes only, but one pass gives all of it; the second is what counts
and mixtures have. Source: J. Li et al. 2016, "Visualizing and understanding neural models in NLP"
and "Understanding neural networks through representation erasure".
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import numpy as np

from thence.array_types import Float64, Int64
from thence.inspection.hidden import MOST_CARRIED, is_recurrent
from thence.inspection.networks import Part, has_networks, in_torch, networks_of, state_after
from thence.inspection.subject import Subject
from thence.models.base import Array, CountedModel, LanguageModel, State
from thence.models.language.mixture import Mixture
from thence.tokens import TokenStore

if TYPE_CHECKING:
    from thence.models.language.neural import NeuralLanguageModel

MOST_TARGETS = 64
"""Tokens that are explained at once."""
MOST_BEFORE = 128
"""Tokens before the first of them that may matter; those before that are read all the same."""
DIGITS = 5
"""Decimals of bits."""


@dataclass(frozen=True)
class Mattering:
    """How much each earlier token mattered for each token.

    Attributes:
        method: ``gradient`` or ``occlusion``.
        about: What the numbers say, in a sentence.
        against: Text of the token that each is compared with; None if with none.
        matrix: How many bits likelier each token was thanks to each source, shape (tokens,
            sources); below 0 where the source made it less likely.
        norms: Of gradients, their length in bits: how much the token depends on the embedding of
            the source, whichever way; None for occlusion.
        places: First of the tokens that are explained, and the one after the last.
        starts: Place of the first source: sources are the tokens from there on, the boundary before
            the text being -1.
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
    """How far back the gradient of a layer's states reaches.

    Attributes:
        name: Of the layer, after the member's name where several networks are mixed; ``cell``
            follows where it is the cells of an LSTM.
        norms: Mean length of the gradient of a token's surprisal (in nats) with respect to the
            state that it is predicted from, and to those 1, 2 and more tokens before.
    """

    name: str
    norms: Float64[np.ndarray, " lags"]


@dataclass(frozen=True)
class Flow:
    """How the gradient of recurrent networks vanishes, or not, on the way back.

    Attributes:
        layers: Each recurrent layer.
        targets: How many tokens each mean is of.
        places: First of the tokens whose surprisals are meant, and the one after the last.
    """

    layers: tuple[FlowLayer, ...]
    targets: Int64[np.ndarray, " lags"]
    places: tuple[int, int]


@dataclass(frozen=True)
class _Passage:
    """A part of a document, in which some tokens are looked at.

    Attributes:
        row: Its first row; what is read is the boundary, in row 0, and then the tokens.
        begins: The row of its document's boundary.
        ids: From the first row on.
        targets: Which of these are looked at.
    """

    row: int
    begins: int
    ids: Int64[np.ndarray, " rows"]
    targets: range


def _passages(subject: Subject, shown: range, carries: bool) -> Iterator[_Passage]:
    """Yield the parts of all documents in which tokens are shown."""
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
    if subject.carries:  # There a text may be very long.
        first = max(first, passage.row - MOST_CARRIED)
    return state_after(model, subject.store.ids[first : passage.row].astype(np.int64))


def _shown(subject: Subject) -> range:
    return range(subject.first, min(subject.stop, subject.first + MOST_TARGETS))


def why(subject: Subject) -> Mattering:
    """Return how much each earlier token mattered for the surprisal of each."""
    if has_networks(subject.run) and not isinstance(subject.model, Mixture):
        from thence.inspection.gradients import embedding_table

        (part,) = networks_of(subject.run, subject.model)
        model = in_torch(part)
        if embedding_table(model) is not None:
            return _by_gradient(subject, part, model)
    return occlusion(subject)


def _by_gradient(subject: Subject, part: Part, model: "NeuralLanguageModel") -> Mattering:
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
    return Mattering("gradient", about, other, matrix, lengths, (shown.start, shown.stop), starts)


def _joined(
    found: list[tuple[_Passage, Float64[np.ndarray, "_ _"]]], shown: range
) -> tuple[Float64[np.ndarray, "tokens sources"], int]:
    """Return the matrices of all passages in one, and the place of its first column."""
    first = min((passage.row for passage, _ in found), default=shown.start + 1)
    whole = np.zeros((len(shown), shown.stop + 1 - first))
    for passage, values in found:
        row, column = passage.row + passage.targets.start - 1 - shown.start, passage.row - first
        targets, sources = values.shape
        whole[row : row + targets, column : column + sources] = values
    return np.round(whole, DIGITS) + 0.0, first - 1  # Adding 0 turns a minus 0 into 0.


def occlusion(subject: Subject) -> Mattering:
    """Return how much each earlier token mattered, by reading the text without it."""
    shown, unknown = _shown(subject), _stand_in(subject)
    found = []
    for passage in _passages(subject, shown, subject.carries):
        bits = _lost_bits(subject, passage, unknown)
        if subject.against is not None:
            bits -= _lost_by_another(subject, passage, unknown, subject.against)
        found.append((passage, bits))
    matrix, starts = _joined(found, shown)
    way = "without the source" if unknown is None else "with the unknown symbol in its place"
    what, other = _compared(subject)
    about = (
        f"By how many bits the source made the token likelier{what}: the text is read again {way}."
    )
    return Mattering("occlusion", about, other, matrix, None, (shown.start, shown.stop), starts)


def _compared(subject: Subject) -> tuple[str, str | None]:
    """Return what each token is compared with, in words, and that token's text."""
    if subject.against is None:
        return "", None
    other = subject.token_text(subject.against)
    return f" than {other!r} in its place", other


def _lost_by_another(
    subject: Subject, passage: _Passage, stand_in: int | None, other: int
) -> Float64[np.ndarray, "targets sources"]:
    """Return what ``_lost_bits`` would if another token were each target."""
    found = np.zeros((len(passage.targets), len(passage.ids) - 1))
    for row, target in enumerate(passage.targets):
        ids = np.append(passage.ids[:target], other)
        lost = _lost_bits(
            subject, replace(passage, ids=ids, targets=range(target, target + 1)), stand_in
        )
        found[row, : lost.shape[1]] = lost
    return found


def _stand_in(subject: Subject) -> int | None:
    """Return the id that takes the place of a token; None if it is left out instead.

    Counts have never seen anything after the unknown symbol that is not in train, so they back off
    to what is nearer: just what it is to know nothing of a token. A network whose train text had
    no unknown symbol would read an embedding that was never learned.
    """
    tokenizer = subject.run.tokenizer
    known = tokenizer.options.tokens == "words" or isinstance(subject.model, CountedModel)
    return tokenizer.vocabulary.unknown_id if known else None


def _lost_bits(
    subject: Subject, passage: _Passage, stand_in: int | None
) -> Float64[np.ndarray, "targets sources"]:
    """Return by how many bits the surprisal of each target grows without each source."""
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
        # The targets after this source; where it is left out they stand one place before.
        after = np.arange(max(passage.targets.start, source + 2), passage.targets.stop)
        moved = after - 1 - (stand_in is None)
        with np.errstate(invalid="ignore"):
            lost = first[after - 1] - without[moved]
        found[after - passage.targets.start, source + 1] = lost / math.log(2)
    return found


def flow(subject: Subject) -> Flow:
    """Return how much the surprisal of tokens depends on states further and further back."""
    from thence.inspection.gradients import state_gradients

    shown = _shown(subject)
    layers: list[FlowLayer] = []
    counts = np.zeros(0, np.int64)
    for part in filter(is_recurrent, networks_of(subject.run, subject.model)):
        model, lengths = in_torch(part), dict[str, list[Array]]()
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
    return Flow(tuple(layers), counts, (shown.start, shown.stop))
