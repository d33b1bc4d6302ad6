"""Predictive distributions over the whole vocabulary at a range of places in a text."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Protocol, cast

import numpy as np

from thence.array_types import Float, Float64, Int64
from thence.models.base import GivesDistributions, LanguageModel
from thence.models.language.cache import Cache
from thence.models.language.context_mixing import WINDOW, ContextMixing, LogOdds
from thence.models.language.distributions import distributions_of
from thence.models.language.mixture import Mixture
from thence.models.mixture_weights import adapt_gate, log_weights_of
from thence.models.ngram import NGram
from thence.tokens import TokenStore

CELLS = 1 << 20
"""Log-probabilities of an n-gram model in memory at a time (8 MB)."""
MIXED_CELLS = 1 << 23
"""Probabilities of a mixture in memory at a time (64 MB)."""

Rows = Iterator[tuple[Int64[np.ndarray, " read"], Float[np.ndarray, "read vocab"]]]


class Network(Protocol):
    """A network that computes distributions only from a given target on."""

    def distributions(self, store: TokenStore, carry_context: bool, first: int) -> Rows:
        """Yield places and log-probabilities for the targets of a store from ``first`` on."""


def distributions_at(
    model: LanguageModel, store: TokenStore, carries: bool, first: int, stop: int
) -> Rows:
    """Yield places of targets from first to before stop, in any order, and log-probabilities (V).

    Args:
        model: Any language model.
        store: The text.
        carries: Whether context is carried across documents.
        first: The first place.
        stop: The place after the last.
    """
    if isinstance(model, NGram):
        yield from _of_ngrams(model, truncate_store(store, stop), carries, first, stop)
    elif isinstance(model, Cache):
        for place in range(first, stop):
            yield np.array([place]), model.log_probs_at(store, place, carries)[None]
    elif isinstance(model, ContextMixing):
        yield from _of_mixing(model, store, carries, first, stop)
    elif isinstance(model, Mixture):
        at_once = max(1, MIXED_CELLS // model.vocabulary_size)
        log_weights = weights_before(model, store, carries, stop)
        for begin in range(first, stop, at_once):
            end = min(begin + at_once, stop)
            yield np.arange(begin, end), _mixed(model, store, carries, begin, end, log_weights)
    elif hasattr(model, "read_hidden") and isinstance(model, GivesDistributions):
        yield from _of_network(cast(Network, model), store, carries, first, stop)
    else:
        yield from _by_steps(model, store, carries, first, stop)


def _of_ngrams(model: NGram, store: TokenStore, carries: bool, first: int, stop: int) -> Rows:
    contexts = model.contexts(store, carries)
    at_once = max(1, CELLS // model.vocabulary_size)
    for begin in range(first, stop, at_once):
        places = np.arange(begin, min(begin + at_once, stop))
        yield places, model.queries.distributions(contexts[places])


def _of_network(model: Network, store: TokenStore, carries: bool, first: int, stop: int) -> Rows:
    store, shift = _from_document(store, carries, first)
    for places, log_probs in model.distributions(
        truncate_store(store, stop - shift), carries, first - shift
    ):
        yield places + shift, log_probs


def _of_mixing(
    model: ContextMixing,
    store: TokenStore,
    carries: bool,
    first: int,
    stop: int,
    others: Sequence[Float[np.ndarray, "places vocab"]] = (),
    odds: LogOdds | None = None,
) -> Rows:
    """Yield the distributions of context mixing, after online learning on the text before them.

    Args:
        model: The model.
        store: The text.
        carries: Whether context is carried across documents.
        first: The first place.
        stop: The place after the last.
        others: Log-probabilities at these places by each model that is an input of it.
        odds: Log-odds by these models for all decisions of the store.
    """
    learns = carries and bool(model.adapting)
    ends = model.decision_ends(store)
    if learns:
        model = model.copied()
        model.learn(
            truncate_store(store, first), True, None if odds is None else odds[: ends[first]]
        )
    for place in range(first, stop):
        begin = 0 if carries else place - int(store.places[place])
        # A model that learns online continues from the end of its train text.
        read = model.history if learns else store.ids[begin : place + 1].astype(np.int32)
        recent = read[-1 - WINDOW : -1]
        state = np.full((1, WINDOW), -1, np.int32)
        state[0, WINDOW - len(recent) :] = recent
        said = [one[place - first][None] for one in others]
        yield np.array([place]), model.step(read[-1:], state, said)[0]
        if learns and place + 1 < stop:
            one = replace(store, ids=store.ids[place : place + 2])
            here = None if odds is None else odds[ends[place] : ends[place + 1]]
            model.learn(one, True, here)


def _mixed(
    model: Mixture,
    store: TokenStore,
    carries: bool,
    first: int,
    stop: int,
    log_weights: Float64[np.ndarray, "targets models"],
) -> Float64[np.ndarray, "places vocab"]:
    """Return log sum_k w_k p_k at some places, with the members' distributions p_k."""
    total = np.zeros((stop - first, model.vocabulary_size))
    members = model.options.members
    inputs = {of for member in members for of in member.inputs}
    kept: dict[int, Float[np.ndarray, "places vocab"]] = {}
    for number, member in enumerate(members):
        found = np.zeros(total.shape, np.float32)
        said = [kept[of] for of in member.inputs]
        for places, log_probs in _of_member(model, number, store, carries, first, stop, said):
            asked = (places >= first) & (places < stop)
            found[places[asked] - first] = log_probs[asked]
        if number in inputs:
            kept[number] = found
        total += np.exp(found + log_weights[first:stop, number, None])
    with np.errstate(divide="ignore"):
        return np.log(total)


def _of_member(
    mixture: Mixture,
    number: int,
    store: TokenStore,
    carries: bool,
    first: int,
    stop: int,
    said: Sequence[Float[np.ndarray, "places vocab"]],
) -> Rows:
    """Yield the distributions of a member of a mixture, given those of its input models."""
    model, member = mixture.models[number], mixture.options.members[number]
    sees = carries and member.carry_context
    if member.dynamic is not None and sees:
        return distributions_of(model, truncate_store(store, stop), True, mixture.rule(number))
    if isinstance(model, ContextMixing):
        before = truncate_store(store, stop)
        odds = mixture.decisions(number, before, carries) if member.inputs else None
        return _of_mixing(model, before, sees, first, stop, said, odds)
    return distributions_at(model, store, sees, first, stop)


def _by_steps(
    model: LanguageModel, store: TokenStore, carries: bool, first: int, stop: int
) -> Rows:
    store, shift = _from_document(store, carries, first)
    for places, log_probs in distributions_of(model, truncate_store(store, stop - shift), carries):
        asked = places + shift >= first
        if asked.any():
            yield places[asked] + shift, log_probs[asked]


def _from_document(store: TokenStore, carries: bool, first: int) -> tuple[TokenStore, int]:
    """Return a store without the documents before a place, and the number of dropped targets.

    Nothing is dropped if context is carried.
    """
    if carries:
        return store, 0
    document = int(np.searchsorted(store.offsets - 1, first, "right")) - 1
    shift = int(store.offsets[document]) - 1
    return store.take(np.arange(document, store.num_documents)), shift


def weights_before(
    model: Mixture, store: TokenStore, carries: bool, stop: int | None = None
) -> Float64[np.ndarray, "targets models"]:
    """Return the log-weight of each member at each target, as in the scoring of the mixture.

    Args:
        model: The mixture.
        store: The text.
        carries: Whether context is carried across documents.
        stop: Compute only those before this place; None for all.
    """
    store = store if stop is None else truncate_store(store, stop)
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


def truncate_store(store: TokenStore, stop: int) -> TokenStore:
    """Return a store truncated after the target before a place."""
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
