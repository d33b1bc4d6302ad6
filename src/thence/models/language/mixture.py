"""The mixture: several models' probabilities, averaged.

    p(w | h) = sum_m l_m(h) p_m(w | h),     sum_m l_m(h) = 1

with weights l that depend on the context h (see ``mixture_weights``). What is known of a context is
what the n-gram member of the highest order says: which lengths of it were seen, how many different
words followed, and how much it leaves to what it has not seen. A gate also sees the place in the
document, and what a cache that backs off says of the context: lengths seen, and counts.
"""

from collections.abc import Iterator, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from thence.array_types import Float, Int64, Integer
from thence.models.base import (
    Adapts,
    Array,
    LanguageModel,
    State,
    join_tensors,
    load_joined,
    restart,
    static_model,
)
from thence.models.language.cache import Cache
from thence.models.language.context_mixing import ContextMixing, LogOdds
from thence.models.language.distributions import distributions_of
from thence.models.language.members import (
    MixtureOptions,
    make_member,
    named_gradient_sizes,
    take_gradient_sizes,
)
from thence.models.mixture_weights import (
    adapt_gate,
    learn_gate,
    learn_single,
    learn_table,
    log_weights_of,
)
from thence.models.ngram import NGram
from thence.tokens import TokenStore

if TYPE_CHECKING:
    from thence.models.language.dynamic_evaluation import Rule
    from thence.models.language.neural import NeuralLanguageModel

PLACES = 8
"""Places from the beginning of a document that a gate tells apart; all later ones are alike."""
BLOCK = 1 << 16
"""Targets whose features are held at once."""
MAX_TARGETS = 100_000
"""The weights are learned on so many targets of dev at most, evenly spaced."""

Scores = Float[np.ndarray, "targets models"]


@dataclass(frozen=True)
class Contexts:
    """What the weights of a mixture depend on, for each of some targets.

    Attributes:
        ngram: What the n-gram member of the highest order knows, shape (B, order - 1).
        cache: What the cache knows that backs off from the highest order, shape (B, 3).
        place: The place in the document, shape (B,).
    """

    ngram: Int64[np.ndarray, "batch order-1"]
    cache: Int64[np.ndarray, "batch 3"]
    place: Int64[np.ndarray, " batch"]

    def __getitem__(self, chosen: Any) -> "Contexts":
        """Return those of some of the targets."""
        return Contexts(self.ngram[chosen], self.cache[chosen], self.place[chosen])


class Mixture:
    """A weighted average of models.

    Args:
        options: The members, and what the weights depend on.
        vocabulary_size: Number of ids (V).
    """

    def __init__(self, options: MixtureOptions, vocabulary_size: int) -> None:
        self.options = options
        self.vocabulary_size = vocabulary_size
        self.models: list[LanguageModel] = []
        for number in range(len(options.members)):
            self.models.append(make_member(options.members, number, self.models, vocabulary_size))
        judges = [model for model in self.models if isinstance(model, NGram)]
        judge = max(judges, key=lambda model: model.options.order, default=None)
        self.judge = None if options.weights == "single" else judge
        caches = [model for model in self.models if isinstance(model, Cache)]
        backing_off = [model for model in caches if model.options.discount is not None]
        cache = max(backing_off, key=lambda model: model.options.order, default=None)
        self._cache = cache if options.weights == "gated" else None
        count = len(self.models)
        start = 0.0 if options.weights == "gated" else 1 / max(count, 1)
        self.weights = np.full((self._num_rows(), count), start)
        # Of each member that learns by the rms rule, by its number; see ``dynamic_evaluation``.
        self.gradient_sizes: dict[int, Mapping[str, Array]] = {}

    def _num_rows(self) -> int:
        """Return how many features a gate has, or how many buckets a table."""
        if self.options.weights == "gated":
            judges = [judge for judge in (self.judge, self._cache) if judge is not None]
            return 1 + PLACES + sum(judge.num_context_features for judge in judges)
        return self.judge.num_buckets if self.judge else 1

    def learn_weights(
        self,
        dev: TokenStore,
        carry_context: bool = False,
        scores: Scores | None = None,
        targets: Int64[np.ndarray, " chosen"] | None = None,
    ) -> None:
        """Find the weights under which dev is likeliest.

        Args:
            dev: What to learn from.
            carry_context: Whether its documents follow one another.
            scores: What ``member_scores`` gives of it, where that is known already.
            targets: Which of its targets to learn from; by default as many as there are, or
                ``MAX_TARGETS`` of them, evenly spaced.
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
        self.weights = learn_table(probs, bucket_ids, self._num_rows(), learn_single(probs))

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
        """Return what the inputs of a member say of every decision of a store."""
        said = []
        for of in self.options.members[number].inputs:
            member = self.options.members[of]
            carries = carry_context and member.carry_context
            rule = None if member.dynamic is None or not carries else self.rule(of)
            said.append(distributions_of(self.models[of], store, carries, rule))
        mixer = cast(ContextMixing, self.models[number])
        return mixer.log_odds(store.targets.astype(np.int32), said)

    def rule(self, number: int) -> "Rule":
        """Return how a dynamic member learns."""
        from thence.models.language.dynamic_evaluation import Rule  # With torch.

        member = self.options.members[number]
        return Rule(member.dynamic or 0.0, member.dynamic_decay, self.gradient_sizes.get(number))

    def contexts(self, store: TokenStore, carry_context: bool) -> Contexts:
        """Return what is known before each target, as in the states of ``step``."""
        ngram, cache = self.judge, self._cache
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
        """Return whether a member sees the documents before."""
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
        if self.judge is None:
            return np.zeros(len(contexts.place), np.int64)
        return self.judge.bucket_ids(contexts.ngram)

    def _features(self, contexts: Contexts) -> Float[np.ndarray, "batch features"]:
        """Return what a gate sees of each context: a constant, its place, what is known of it."""
        place = contexts.place
        features = np.zeros((len(place), 1 + PLACES))
        features[:, 0] = 1
        early = np.flatnonzero(place < PLACES)
        features[early, 1 + place[early]] = 1
        parts = [features]
        if self.judge is not None:
            parts.append(self.judge.context_features(contexts.ngram))
        if self._cache is not None:
            parts.append(self._cache.context_features(contexts.cache))
        return np.concatenate(parts, axis=1)

    def start(self, batch_size: int) -> list[State]:
        """Return the states of all members before any text, and the place in the document."""
        return [*(model.start(batch_size) for model in self.models), np.full(batch_size, -1)]

    def step(
        self, ids: Integer[np.ndarray, " batch"], state: Sequence[State]
    ) -> tuple[Float[np.ndarray, "batch vocab"], list[State]]:
        """Read one id per row; return the log-probabilities of the next and the new state.

        A dynamic member and the weights are as they were learned here: they go on learning only
        from what is scored.
        """
        begins = np.asarray(ids) == self.vocabulary_size - 1
        log_probs: list[Array] = []
        states: list[State] = []
        for model, member, old in zip(self.models, self.options.members, state[:-1], strict=True):
            if begins.any() and not member.carry_context:
                old = restart(old, model.start(len(ids)), begins)
            if member.inputs:
                said = [log_probs[of] for of in member.inputs]
                member_log_probs, new = cast(ContextMixing, model).step(ids, old, said)
            else:
                member_log_probs, new = model.step(ids, old)
            log_probs.append(member_log_probs)
            states.append(new)
        place = np.where(begins, 0, state[-1] + 1)
        ngram, cache = np.zeros((len(ids), 0), np.int64), np.zeros((len(ids), 3), np.int64)
        if self.judge is not None:
            ngram = states[self.models.index(self.judge)]
        if self._cache is not None:
            _, cache = states[self.models.index(self._cache)]
        log_weights = self._log_weights(Contexts(ngram, cache, place))
        parts = [p + log_weights[:, [m]] for m, p in enumerate(log_probs)]
        return np.logaddexp.reduce(parts, axis=0), [*states, place]

    def score(
        self, store: TokenStore, carry_context: bool = False
    ) -> Float[np.ndarray, " targets"]:
        """Return the log-probability of every target, in nats.

        Of carried context, only those members take note that were trained with it; a dynamic one,
        and the weights if they ``adapt``, learn from it as they go.
        """
        return self.mixed(self.member_scores(store, carry_context), store, carry_context)

    def mixed(
        self, scores: Scores, store: TokenStore, carry_context: bool = False
    ) -> Float[np.ndarray, " targets"]:
        """Return what ``score`` gives, of what ``member_scores`` gave."""
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
        """Return what ``member_scores`` gives, and each member's share in each probability.

        The shares of a target add up to 1; weights that ``adapt`` are as they were learned.
        """
        scores = self.member_scores(store, carry_context)
        parts = scores.copy()
        for block, log_weights in self.log_weights(store, carry_context):
            parts[block] += log_weights
        with np.errstate(invalid="ignore"):  # What all members take for impossible has no shares.
            return scores, np.exp(parts - np.logaddexp.reduce(parts, axis=1, keepdims=True))

    def log_weights(
        self, store: TokenStore, carry_context: bool
    ) -> Iterator[tuple[slice, Float[np.ndarray, "block models"]]]:
        """Yield block by block of the targets the logarithm of the members' weights there."""
        for block, contexts in self._blocks(store, carry_context):
            yield block, self._log_weights(contexts)

    def gate_features(
        self, store: TokenStore, carry_context: bool
    ) -> Iterator[tuple[slice, Float[np.ndarray, "block features"]]]:
        """Yield block by block of the targets what a gate sees of their contexts."""
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
        """Return the mixture of the members without adapting.

        Members of which nothing is left, such as caches, are left out; None where all are.
        """
        models = [static_model(model) for model in self.models]
        static = self.only([number for number, model in enumerate(models) if model is not None])
        static.models = [model for model in models if model is not None]
        members = tuple(replace(member, dynamic=None) for member in static.options.members)
        static.options = replace(self.options, members=members, adapt=None)
        static._cache, static.gradient_sizes = None, {}
        # What is known of a cache comes last, and a static mixture has none.
        static.weights = static.weights[: static._num_rows()]
        return static if static.models else None

    def only(self, kept: Sequence[int]) -> "Mixture":
        """Return the mixture of some members; the weights of the others are theirs in proportion.

        Args:
            kept: Their numbers. What they read, and what the weights depend on, is among them.
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
        """Return the weights, every member's tensors, numbered, and sizes of their gradients."""
        sizes = named_gradient_sizes(self.gradient_sizes)
        return {"weights": self.weights, **join_tensors(self.models), **sizes}

    def load_tensors(self, tensors: Mapping[str, Array]) -> None:
        """Set the weights, the members' tensors, and the sizes of their gradients."""
        others = load_joined(self.models, tensors)
        self.gradient_sizes = take_gradient_sizes(self.options.members, self.models, others)
        shape = (self._num_rows(), len(self.models))
        if others.keys() != {"weights"} or others["weights"].shape != shape:
            raise ValueError("the weights do not fit the members")
        weights = others["weights"]
        if weights.dtype.kind != "f" or not np.isfinite(weights).all():
            raise ValueError("the weights of the members are no finite numbers")
        if self.options.weights != "gated" and np.any(weights < 0):
            raise ValueError("a weight of a member is below 0")
        self.weights = weights

    def num_parameters(self) -> int:
        """Return what the members learned or counted, and the weights."""
        return sum(model.num_parameters() for model in self.models) + self.weights.size
