"""What a model says could stand at some places of a text, and no others: whole distributions."""

from collections.abc import Iterator

import numpy as np

from thence.array_types import Float, Float64, Int64
from thence.models.base import LanguageModel
from thence.models.language.cache import Cache
from thence.models.language.distributions import distributions_of
from thence.models.language.mixture import Mixture
from thence.models.mixture_weights import adapt_gate, log_weights_of
from thence.models.ngram import NGram
from thence.tokens import TokenStore

CELLS = 1 << 20
"""Log-probabilities of a model of counts that are held at once (8 MB)."""
MIXED_CELLS = 1 << 23
"""Probabilities of a mixture that are held at once (64 MB)."""

Rows = Iterator[tuple[Int64[np.ndarray, " read"], Float[np.ndarray, "read vocab"]]]


def distributions_at(
    model: LanguageModel, store: TokenStore, carries: bool, first: int, stop: int
) -> Rows:
    """Yield places of targets from first to before stop, in any order, and log-probabilities (V).

    Args:
        model: Any language model.
        store: The text.
        carries: Whether documents see those before them.
        first: The first place.
        stop: The place after the last.
    """
    if isinstance(model, NGram):
        yield from _of_ngrams(model, until(store, stop), carries, first, stop)
    elif isinstance(model, Cache):
        for place in range(first, stop):
            yield np.array([place]), model.log_probs_at(store, place, carries)[None]
    elif isinstance(model, Mixture) and not any(one.inputs for one in model.options.members):
        at_once = max(1, MIXED_CELLS // model.vocabulary_size)
        log_weights = weights_before(model, store, carries, stop)
        for begin in range(first, stop, at_once):
            end = min(begin + at_once, stop)
            yield np.arange(begin, end), _mixed(model, store, carries, begin, end, log_weights)
    else:
        yield from _read(model, store, carries, first, stop)


def _of_ngrams(model: NGram, store: TokenStore, carries: bool, first: int, stop: int) -> Rows:
    contexts = model.contexts(store, carries)
    at_once = max(1, CELLS // model.vocabulary_size)
    for begin in range(first, stop, at_once):
        places = np.arange(begin, min(begin + at_once, stop))
        yield places, model.queries.distributions(contexts[places])


def _mixed(
    model: Mixture,
    store: TokenStore,
    carries: bool,
    first: int,
    stop: int,
    log_weights: Float64[np.ndarray, "targets models"],
) -> Float64[np.ndarray, "places vocab"]:
    """Return the weighted mean of what the members say at some places, as logarithms."""
    total = np.zeros((stop - first, model.vocabulary_size))
    for number, (one, member) in enumerate(zip(model.models, model.options.members, strict=True)):
        sees = carries and member.carry_context
        if member.dynamic is not None and sees:
            rows: Rows = distributions_of(one, until(store, stop), True, model.rule(number))
        else:
            rows = distributions_at(one, store, sees, first, stop)
        for places, log_probs in rows:
            asked = (places >= first) & (places < stop)
            chosen = places[asked]
            weights = np.exp(log_weights[chosen, number])[:, None]
            total[chosen - first] += weights * np.exp(log_probs[asked].astype(np.float64))
    with np.errstate(divide="ignore"):
        return np.log(total)


def _read(model: LanguageModel, store: TokenStore, carries: bool, first: int, stop: int) -> Rows:
    shift = 0
    if not carries:  # What is before the document of the first place does not matter.
        document = int(np.searchsorted(store.offsets - 1, first, "right")) - 1
        shift = int(store.offsets[document]) - 1
        store = store.take(np.arange(document, store.num_documents))
    for places, log_probs in distributions_of(model, until(store, stop - shift), carries):
        asked = places + shift >= first
        if asked.any():
            yield places[asked] + shift, log_probs[asked]


def weights_before(
    model: Mixture, store: TokenStore, carries: bool, stop: int | None = None
) -> Float64[np.ndarray, "targets models"]:
    """Return the logarithm of each member's weight before each target, as ``score`` mixes them.

    Args:
        model: The mixture.
        store: The text.
        carries: Whether documents see those before them.
        stop: Only those before this place are wanted.
    """
    store = store if stop is None else until(store, stop)
    found = [np.zeros((0, len(model.models)))]
    rate = model.options.adapt
    if not (rate and carries and model.options.weights == "gated"):
        return np.concatenate([*found, *(part for _, part in model.log_weights(store, carries))])
    gate, scores = model.weights.astype(np.float64), model.member_scores(store, carries)
    for block, features in model.gate_features(store, carries):
        for row, target in enumerate(range(*block.indices(len(scores)))):
            seen = features[row : row + 1]
            found.append(log_weights_of(gate, seen))
            adapt_gate(gate, scores[target : target + 1], seen, rate)
    return np.concatenate(found)


def until(store: TokenStore, stop: int) -> TokenStore:
    """Return a store that ends with the target before a place."""
    if stop >= store.num_targets:
        return store
    kept = int(np.searchsorted(store.offsets, stop + 1))
    offsets = np.append(store.offsets[:kept], stop + 1)
    return TokenStore(
        store.ids[: stop + 1],
        offsets,
        store.byte_counts[: len(offsets) - 1],
        store.character_counts[: len(offsets) - 1],
        store.boundary_id,
    )
