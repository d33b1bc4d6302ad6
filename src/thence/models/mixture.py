"""Mixtures: several models' probabilities, averaged with weights that were learned on dev.

    p(w | h) = sum_m l_m(b) p_m(w | h),     sum_m l_m(b) = 1

with b the bucket of the context h: how long a context the longest n-gram member knows, and how many
different words it has seen after it (Bengio et al. 2003, section 3: weights by how often the
context was seen). Without an n-gram member, or by choice, the weights are the same everywhere.

Source: F. Jelinek and R. Mercer 1980, "Interpolated estimation of Markov source parameters from
sparse data"; the weights by expectation maximisation.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float, Int64, Integer

from thence.models import family
from thence.models.interface import Array, LanguageModel, State
from thence.models.ngram import NGram
from thence.tokens import TokenStore

ITERATIONS = 100
IMAGINED_TARGETS = 10.0
"""How many targets the overall weights count for in each bucket, so that rare ones stay sane."""


@dataclass(frozen=True)
class Member:
    """One model of a mixture.

    Attributes:
        model: Name of its family.
        options: Its own settings.
        carry_context: Whether it sees the documents before.
    """

    model: str
    options: Mapping[str, Any]
    carry_context: bool = False


@dataclass(frozen=True)
class MixtureOptions:
    """Settings of the ``mixture`` model, made by ``thence mix``."""

    members: tuple[Member, ...] = ()
    """The models that are mixed."""
    buckets: bool = True
    """Learn weights for each kind of context instead of one set for all."""


class Mixture:
    """A weighted average of models.

    Args:
        options: The members.
        vocabulary_size: Number of ids (V).
    """

    def __init__(self, options: MixtureOptions, vocabulary_size: int) -> None:
        self.options = options
        self.vocabulary_size = vocabulary_size
        self.models: list[LanguageModel] = []
        for member in options.members:
            settings = {
                k: tuple(v) if isinstance(v, list) else v for k, v in member.options.items()
            }
            entry = family(member.model)
            self.models.append(entry.create(entry.options_class()(**settings), vocabulary_size))
        judges = [model for model in self.models if isinstance(model, NGram)]
        judge = max(judges, key=lambda model: model.options.order, default=None)
        self._judge = judge if options.buckets else None
        count = len(self.models)
        self.weights = np.full((self._num_buckets(), count), 1 / max(count, 1))

    def _num_buckets(self) -> int:
        return self._judge.num_context_kinds if self._judge else 1

    def learn_weights(self, dev: TokenStore, carry_context: bool = False) -> None:
        """Find the weights under which dev is likeliest, by expectation maximisation."""
        scores = self._scores(dev, carry_context)  # (T, M)
        chances = np.exp(scores - scores.max(axis=1, keepdims=True))
        overall = _weights(chances, np.zeros(len(chances), np.int64), 1)
        kinds = self._kinds(dev, carry_context)
        self.weights = _weights(chances, kinds, self._num_buckets(), overall[0])

    def _scores(
        self, store: TokenStore, carry_context: bool
    ) -> Float[np.ndarray, "targets models"]:
        return np.stack(
            [
                model.score(store, carry_context and member.carry_context).astype(np.float64)
                for model, member in zip(self.models, self.options.members, strict=True)
            ],
            axis=1,
        )

    def _kinds(self, store: TokenStore, carry_context: bool) -> Int64[np.ndarray, " targets"]:
        """Return the bucket of each target's context."""
        if self._judge is None:
            return np.zeros(store.num_targets, np.int64)
        carried = self.options.members[self.models.index(self._judge)].carry_context
        numbers = self._judge.contexts(store, carry_context and carried)
        return self._judge.context_kinds(numbers)

    def start(self, batch_size: int) -> list[State]:
        """Return the states of all members before any text."""
        return [model.start(batch_size) for model in self.models]

    def step(
        self, ids: Integer[np.ndarray, " batch"], state: Sequence[State]
    ) -> tuple[Float[np.ndarray, "batch vocab"], list[State]]:
        """Read one id per row; return the log-probabilities of the next and the new state."""
        begins = np.asarray(ids) == self.vocabulary_size - 1
        log_probs, states = [], []
        for model, member, old in zip(self.models, self.options.members, state, strict=True):
            if begins.any() and not member.carry_context:
                old = _restart(old, model.start(len(ids)), begins)
            member_log_probs, new = model.step(ids, old)
            log_probs.append(member_log_probs)
            states.append(new)
        kinds = np.zeros(len(ids), np.int64)
        if self._judge is not None:
            kinds = self._judge.context_kinds(states[self.models.index(self._judge)])
        with np.errstate(divide="ignore"):
            log_weights = np.log(self.weights[kinds])
        parts = [p + log_weights[:, [m]] for m, p in enumerate(log_probs)]
        return np.logaddexp.reduce(parts, axis=0), states

    def score(
        self, store: TokenStore, carry_context: bool = False
    ) -> Float[np.ndarray, " targets"]:
        """Return the log-probability of every target, in nats.

        Of carried context, only those members take note that were trained with it.
        """
        with np.errstate(divide="ignore"):
            log_weights = np.log(self.weights[self._kinds(store, carry_context)])
        scores = self._scores(store, carry_context)
        mixed: Array = np.logaddexp.reduce(scores + log_weights, axis=1)
        return mixed

    def tensors(self) -> dict[str, Array]:
        """Return the weights and every member's tensors, numbered."""
        named = {"weights": self.weights}
        for number, model in enumerate(self.models):
            named |= {f"{number}/{name}": value for name, value in model.tensors().items()}
        return named

    def load_tensors(self, tensors: Mapping[str, Array]) -> None:
        """Take back the weights and the members' tensors."""
        for number, model in enumerate(self.models):
            mark = f"{number}/"
            own = {n.removeprefix(mark): v for n, v in tensors.items() if n.startswith(mark)}
            model.load_tensors(own)
        others = [name for name in tensors if "/" not in name]
        if others != ["weights"] or tensors["weights"].shape != (
            self._num_buckets(),
            len(self.models),
        ):
            raise ValueError("the weights do not fit the members")
        self.weights = tensors["weights"]

    def num_parameters(self) -> int:
        """Return what the members learned or counted, and the weights."""
        return sum(model.num_parameters() for model in self.models) + self.weights.size


def _restart(state: State, fresh: State, rows: Array) -> State:
    """Return a state in which some rows are as before any text."""
    if state is None:
        return None
    if isinstance(state, list | tuple):
        return [_restart(part, new, rows) for part, new in zip(state, fresh, strict=True)]
    mixed = state.clone() if hasattr(state, "clone") else state.copy()
    mixed[rows] = fresh[rows]
    return mixed


def _weights(
    chances: Float[np.ndarray, "targets models"],
    kinds: Int64[np.ndarray, " targets"],
    num_kinds: int,
    prior: Float[np.ndarray, " models"] | None = None,
) -> Float[np.ndarray, "kinds models"]:
    """Return the weights of each bucket under which the targets are likeliest.

    Args:
        chances: Each model's probability of each target, up to a factor per target.
        kinds: The bucket of each target.
        num_kinds: How many buckets there are.
        prior: Weights that every bucket starts from and is drawn to.
    """
    count = chances.shape[1]
    base = np.full(count, 1 / count) if prior is None else prior
    imagined = 0.0 if prior is None else IMAGINED_TARGETS
    weights = np.tile(base, (num_kinds, 1))
    sizes = np.bincount(kinds, minlength=num_kinds)[:, None] + imagined
    for _ in range(ITERATIONS):
        shares = weights[kinds] * chances
        shares /= shares.sum(axis=1, keepdims=True)
        credit = [np.bincount(kinds, shares[:, model], num_kinds) for model in range(count)]
        weights = (np.stack(credit, axis=1) + imagined * base) / np.maximum(sizes, 1e-300)
        weights[sizes[:, 0] == 0] = base
    return weights


def create(options: MixtureOptions, vocabulary_size: int) -> Mixture:
    """Make the model, its members untrained."""
    return Mixture(options, vocabulary_size)
