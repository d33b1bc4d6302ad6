"""The mixture: several models' probabilities, averaged.

    p(w | h) = sum_m l_m(h) p_m(w | h),     sum_m l_m(h) = 1

with weights l that depend on the context h (see ``mixture_weights``), by statistics of the n-gram
member of the highest order: which lengths of h were seen in train, how many different words
followed, and how much probability it reserves for unseen ones. A gate also reads the position in
the document, and the statistics of h in a cache with back-off: lengths seen, and counts.
"""

from collections.abc import Iterator, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from thence.array_types import Float, Float64, Int64, Integer
from thence.models.base import (
    Adapts,
    Array,
    LanguageModel,
    State,
    reset_rows,
    static_model,
)
from thence.models.language.cache import Cache
from thence.models.language.context_mixing import ContextMixing, LogOdds
from thence.models.language.distributions import distributions_of
from thence.models.language.members import (
    MixtureOptions,
    make_member,
    named_gradient_sizes,
    pop_gradient_sizes,
)
from thence.models.mixture_weights import (
    adapt_gate,
    join_tensors,
    learn_gate,
    learn_single,
    learn_table,
    load_joined,
    log_weights_of,
)
from thence.models.ngram import NGram
from thence.tokens import TokenStore

if TYPE_CHECKING:
    from thence.models.language.dynamic_evaluation import UpdateRule
    from thence.models.language.neural import NeuralLanguageModel

PLACES = 8
"""Number of first positions of a document that have a feature each; later ones have none."""
BLOCK = 1 << 16
"""Targets whose features are in memory at once."""
MAX_TARGETS = 100_000
"""Largest number of dev targets, evenly spaced, on which the weights are learned."""

Scores = Float[np.ndarray, "targets models"]


@dataclass(frozen=True)
class Contexts:
    """Statistics of the contexts of targets, on which the weights of a mixture depend.

    Attributes:
        ngram: The context ids of the n-gram member of the highest order, shape (B, order - 1).
        cache: The statistics of the cache with back-off of the highest order, shape (B, 3).
        place: The position in the document, shape (B,).
    """

    ngram: Int64[np.ndarray, "batch order-1"]
    cache: Int64[np.ndarray, "batch 3"]
    place: Int64[np.ndarray, " batch"]

    def __getitem__(self, chosen: Any) -> "Contexts":
        """Return the contexts of some of the targets."""
        return Contexts(self.ngram[chosen], self.cache[chosen], self.place[chosen])


class Mixture:
    """A weighted average of models.

    Args:
        options: Its settings.
        vocabulary_size: Number of ids (V).
    """

    def __init__(self, options: MixtureOptions, vocabulary_size: int) -> None:
        self.options = options
        self.vocabulary_size = vocabulary_size
        self.models: list[LanguageModel] = []
        for number in range(len(options.members)):
            self.models.append(make_member(options.members, number, self.models, vocabulary_size))
        # The members whose statistics of a context the weights depend on, if there are any.
        ngrams = [model for model in self.models if isinstance(model, NGram)]
        ngram = max(ngrams, key=lambda model: model.options.order, default=None)
        self.context_ngram = None if options.weights == "single" else ngram
        caches = [model for model in self.models if isinstance(model, Cache)]
        backing_off = [model for model in caches if model.options.discount is not None]
        cache = max(backing_off, key=lambda model: model.options.order, default=None)
        self._cache = cache if options.weights == "gated" else None
        self.weights = self.equal_weights()
        # Root mean square gradients of members with the rms rule (see ``dynamic_evaluation``).
        self.gradient_sizes: dict[int, Mapping[str, Array]] = {}

    def equal_weights(self) -> Float64[np.ndarray, "rows models"]:
        """Return weights of equal members; their number depends on what an n-gram has counted."""
        count, ngram = len(self.models), self.context_ngram
        if self.options.weights != "gated":  # A row of the table for each bucket of contexts.
            return np.full((ngram.num_buckets if ngram else 1, count), 1 / max(count, 1))
        of_contexts = [one for one in (ngram, self._cache) if one is not None]
        features = 1 + PLACES + sum(one.num_context_features for one in of_contexts)
        return np.zeros((features, count))

    def learn_weights(
        self,
        dev: TokenStore,
        carry_context: bool = False,
        scores: Scores | None = None,
        targets: Int64[np.ndarray, " chosen"] | None = None,
    ) -> None:
        """Set the weights to those with the highest likelihood of dev.

        Args:
            dev: The dev tokens.
            carry_context: Whether context reaches across documents.
            scores: What ``member_scores`` returned for dev, if it was computed already.
            targets: Indexes of the targets to learn from; by default all, or ``MAX_TARGETS`` of
                them, evenly spaced.
        """
        if targets is None:
            targets = np.arange(0, dev.num_targets, -(-dev.num_targets // MAX_TARGETS) or 1)
        scores = (self.member_scores(dev, carry_context) if scores is None else scores)[targets]
        probs = np.exp(scores - scores.max(axis=1, keepdims=True))
        contexts = self.contexts(dev, carry_context)[targets]
        if self.options.weights == "gated":
            self.weights = learn_gate(probs, self._features(contexts))
            return
        bucket_ids = self._bucket_ids(contexts)
        self.weights = learn_table(
            probs, bucket_ids, len(self.equal_weights()), learn_single(probs)
        )

    def member_scores(self, store: TokenStore, carry_context: bool = False) -> Scores:
        """Return each member's log-probability of every target, in nats."""
        members = range(len(self.models))
        scores = [self._member_score(number, store, carry_context) for number in members]
        return np.stack(scores, axis=1).astype(np.float64)

    def _member_score(
        self, number: int, store: TokenStore, carry_context: bool
    ) -> Float[np.ndarray, " targets"]:
        """Return a member's log-probability of every target, in nats."""
        model, member = self.models[number], self.options.members[number]
        carries = carry_context and member.carry_context
        if member.inputs:
            mixer = cast(ContextMixing, model)
            return mixer.score(store, carries, self.decisions(number, store, carry_context))
        if member.dynamic is None or not carries:
            return model.score(store, carries)
        from thence.models.language.dynamic_evaluation import score_dynamically

        return score_dynamically(cast("NeuralLanguageModel", model), store, self.rule(number))

    def decisions(self, number: int, store: TokenStore, carry_context: bool) -> LogOdds:
        """Return the log-odds of every decision of a store by the inputs of a context mixing."""
        distributions = []
        for of in self.options.members[number].inputs:
            member = self.options.members[of]
            carries = carry_context and member.carry_context
            rule = None if member.dynamic is None or not carries else self.rule(of)
            distributions.append(distributions_of(self.models[of], store, carries, rule))
        mixer = cast(ContextMixing, self.models[number])
        return mixer.log_odds(store.targets.astype(np.int32), distributions)

    def rule(self, number: int) -> "UpdateRule":
        """Return the update rule of a member with dynamic evaluation."""
        from thence.models.language.dynamic_evaluation import UpdateRule  # With torch.

        member = self.options.members[number]
        sizes = self.gradient_sizes.get(number)
        return UpdateRule(member.dynamic or 0.0, member.dynamic_decay, sizes)

    def contexts(self, store: TokenStore, carry_context: bool) -> Contexts:
        """Return the statistics of the context of each target, as in the states of ``step``."""
        ngram, cache = self.context_ngram, self._cache
        size = store.num_targets
        return Contexts(
            np.zeros((size, 0), np.int64)
            if ngram is None
            else ngram.contexts(store, carry_context and self._carries(ngram)),
            np.zeros((size, 3), np.int64)
            if cache is None
            else cache.contexts(store, carry_context and self._carries(cache)),
            store.places,
        )

    def _carries(self, model: LanguageModel) -> bool:
        """Return whether the context of a member reaches across documents."""
        return self.options.members[self.models.index(model)].carry_context

    def _log_weights(self, contexts: Contexts) -> Float[np.ndarray, "batch models"]:
        """Return the logarithm of each member's weight in each context."""
        if self.options.weights == "gated":
            return log_weights_of(self.weights, self._features(contexts))
        with np.errstate(divide="ignore"):
            log_weights: Array = np.log(self.weights)[self._bucket_ids(contexts)]
        return log_weights

    def _bucket_ids(self, contexts: Contexts) -> Int64[np.ndarray, " batch"]:
        """Return the bucket of each context."""
        if self.context_ngram is None:
            return np.zeros(len(contexts.place), np.int64)
        return self.context_ngram.bucket_ids(contexts.ngram)

    def _features(self, contexts: Contexts) -> Float[np.ndarray, "batch features"]:
        """Return the gate's features: a constant, the position, the context's statistics."""
        place = contexts.place
        features = np.zeros((len(place), 1 + PLACES))
        features[:, 0] = 1
        early = np.flatnonzero(place < PLACES)
        features[early, 1 + place[early]] = 1
        parts = [features]
        if self.context_ngram is not None:
            parts.append(self.context_ngram.context_features(contexts.ngram))
        if self._cache is not None:
            parts.append(self._cache.context_features(contexts.cache))
        return np.concatenate(parts, axis=1)

    def start(self, batch_size: int) -> list[State]:
        """Return the states of all members before any text, and the position in the document."""
        return [*(model.start(batch_size) for model in self.models), np.full(batch_size, -1)]

    def step(
        self, ids: Integer[np.ndarray, " batch"], state: Sequence[State]
    ) -> tuple[Float[np.ndarray, "batch vocab"], list[State]]:
        """Read one id per row; return the log-probabilities of the next and the new state.

        Dynamic members and an adapting gate do not learn here; they do so only in ``score``.
        """
        begins = np.asarray(ids) == self.vocabulary_size - 1
        log_probs: list[Array] = []
        states: list[State] = []
        for model, member, old in zip(self.models, self.options.members, state[:-1], strict=True):
            if begins.any() and not member.carry_context:
                old = reset_rows(old, model.start(len(ids)), begins)
            if member.inputs:
                inputs = [log_probs[of] for of in member.inputs]
                member_log_probs, new = cast(ContextMixing, model).step(ids, old, inputs)
            else:
                member_log_probs, new = model.step(ids, old)
            log_probs.append(member_log_probs)
            states.append(new)
        place = np.where(begins, 0, state[-1] + 1)
        ngram, cache = np.zeros((len(ids), 0), np.int64), np.zeros((len(ids), 3), np.int64)
        if self.context_ngram is not None:
            ngram = states[self.models.index(self.context_ngram)]
        if self._cache is not None:
            _, cache = states[self.models.index(self._cache)]
        log_weights = self._log_weights(Contexts(ngram, cache, place))
        parts = [p + log_weights[:, [m]] for m, p in enumerate(log_probs)]
        return np.logaddexp.reduce(parts, axis=0), [*states, place]

    def score(
        self, store: TokenStore, carry_context: bool = False
    ) -> Float[np.ndarray, " targets"]:
        """Return the log-probability of every target, in nats.

        Only members that were trained with carried context use it. On running text, dynamic members
        learn from each window, and an adapting gate from each target, after it was scored.
        """
        return self.mixed(self.member_scores(store, carry_context), store, carry_context)

    def mixed(
        self, scores: Scores, store: TokenStore, carry_context: bool = False
    ) -> Float[np.ndarray, " targets"]:
        """Return what ``score`` returns, from the result of ``member_scores``."""
        if self.options.adapt and self.options.weights == "gated" and carry_context:
            gate, rate = self.weights.astype(np.float64), self.options.adapt
            parts = [
                adapt_gate(gate, scores[block], features, rate)
                for block, features in self.gate_features(store, carry_context)
            ]
            return np.concatenate([np.zeros(0), *parts])
        scores = scores.copy()
        for block, log_weights in self.log_weights(store, carry_context):
            scores[block] += log_weights
        mixed: Array = np.logaddexp.reduce(scores, axis=1)
        return mixed

    def mean_weights(
        self, store: TokenStore, carry_context: bool = False
    ) -> Float[np.ndarray, " models"]:
        """Return the mean weight of each member over the targets of a store."""
        total = np.zeros(len(self.models))
        for _, log_weights in self.log_weights(store, carry_context):
            total = total + np.exp(log_weights).sum(axis=0)
        means: Array = total / max(store.num_targets, 1)
        return means

    def shares(
        self, store: TokenStore, carry_context: bool = False
    ) -> tuple[Scores, Float[np.ndarray, "targets models"]]:
        """Return the ``member_scores``, and each member's share in the probability of each target.

        The shares of a target sum to 1. An adapting gate has its initial weights throughout.
        """
        scores = self.member_scores(store, carry_context)
        parts = scores.copy()
        for block, log_weights in self.log_weights(store, carry_context):
            parts[block] += log_weights
        with np.errstate(invalid="ignore"):  # Where all probabilities are 0, the shares are NaN.
            return scores, np.exp(parts - np.logaddexp.reduce(parts, axis=1, keepdims=True))

    def log_weights(
        self, store: TokenStore, carry_context: bool
    ) -> Iterator[tuple[slice, Float[np.ndarray, "block models"]]]:
        """Yield blocks of targets, with the logarithm of each member's weight."""
        for block, contexts in self._blocks(store, carry_context):
            yield block, self._log_weights(contexts)

    def gate_features(
        self, store: TokenStore, carry_context: bool
    ) -> Iterator[tuple[slice, Float[np.ndarray, "block features"]]]:
        """Yield blocks of targets, with the gate's features of their contexts."""
        for block, contexts in self._blocks(store, carry_context):
            yield block, self._features(contexts)

    def _blocks(self, store: TokenStore, carry_context: bool) -> Iterator[tuple[slice, Contexts]]:
        contexts = self.contexts(store, carry_context)
        for start in range(0, store.num_targets, BLOCK):
            block = slice(start, start + BLOCK)
            yield block, contexts[block]

    @property
    def adapting(self) -> tuple[str, ...]:
        """Names of the members that adapt, and ``weights`` if these do."""
        members = [
            member.name
            for model, member in zip(self.models, self.options.members, strict=True)
            if member.dynamic is not None or (isinstance(model, Adapts) and model.adapting)
        ]
        return (*members, *(["weights"] if self.options.adapt else []))

    def static(self) -> "Mixture | None":
        """Return the mixture without adaptation and caches; None if nothing else is in it."""
        models = [static_model(model) for model in self.models]
        static = self.only([number for number, model in enumerate(models) if model is not None])
        static.models = [model for model in models if model is not None]
        members = tuple(replace(member, dynamic=None) for member in static.options.members)
        static.options = replace(self.options, members=members, adapt=None)
        static._cache, static.gradient_sizes = None, {}
        # The features of the cache are last, and a static mixture has no cache.
        static.weights = static.weights[: len(static.equal_weights())]
        return static if static.models else None

    def only(self, kept: Sequence[int]) -> "Mixture":
        """Return the mixture of some members, their weights scaled up to sum to 1.

        Args:
            kept: Indexes of the members. Members that are inputs of these, and the n-gram member
                that the weights depend on, must be among them.
        """
        found, members = copy(self), [self.options.members[number] for number in kept]
        members = [
            replace(member, inputs=tuple(kept.index(of) for of in member.inputs))
            for member in members
        ]
        found.options = replace(self.options, members=tuple(members))
        found.models = [self.models[number] for number in kept]
        found.weights = self.weights[:, kept]
        if self.options.weights != "gated" and kept:  # A gate divides by the sum anyway.
            total = found.weights.sum(axis=1, keepdims=True)
            found.weights = np.where(total > 0, found.weights, 1 / len(kept))
            found.weights /= found.weights.sum(axis=1, keepdims=True)
        return found

    def tensors(self) -> dict[str, Array]:
        """Return the weights, every member's tensors (``NUMBER/name``), and gradient sizes."""
        sizes = named_gradient_sizes(self.gradient_sizes)
        return {"weights": self.weights, **join_tensors(self.models), **sizes}

    def load_tensors(self, tensors: Mapping[str, Array]) -> None:
        """Set what ``tensors`` returned."""
        others = load_joined(self.models, tensors)
        self.gradient_sizes = pop_gradient_sizes(self.options.members, self.models, others)
        if others.keys() != {"weights"} or others["weights"].shape != self.equal_weights().shape:
            raise ValueError("the weights do not fit the members")
        weights = others["weights"]
        if weights.dtype.kind != "f" or not np.isfinite(weights).all():
            raise ValueError("the weights of the members are no finite numbers")
        if self.options.weights != "gated" and np.any(weights < 0):
            raise ValueError("a weight of a member is below 0")
        self.weights = weights

    def num_parameters(self) -> int:
        """Return the number of parameters of all members, and of the weights."""
        return sum(model.num_parameters() for model in self.models) + self.weights.size
