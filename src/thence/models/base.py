"""The interfaces of all models: language models, classifiers, and the states of the former.

A language model is a state machine with a score, a classifier maps texts to the log-probabilities
of their labels. Counts, networks and whatever combines them satisfy these interfaces, so
evaluation, comparison, generation and serving are each written once. Arrays at this border are
NumPy's, so that a count model never needs torch; all log-probabilities are natural (nats).

A state is a value: a tree (lists and tuples) of arrays or tensors whose first axis is the batch.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Protocol, cast, runtime_checkable

import numpy as np

from thence.array_types import Bool, Float, Float32, Float64, Int64, Integer
from thence.corpus.documents import Labels
from thence.tokens import Texts, Tokenizer, TokenStore

State = Any
"""What a model remembers of the text so far; ``step`` returns a new one, and changes none in place.
"""

Array = np.ndarray[Any, np.dtype[Any]]
MIN_LOG_PROB, MAX_LOG_PROB = -700.0, -1e-30
"""Bounds, in nats, to which the log-probabilities of a classifier are clipped when they are judged,
so that a wrong answer given with certainty has a finite loss."""

MAX_WEIGHT = 1e6
"""Largest absolute weight of a network that is accepted from a file. No training comes near it, and
far larger weights overflow to probabilities that are NaN."""


class Model(Protocol):
    """Any model whose parameters are saved to a weights file and loaded from it."""

    def tensors(self) -> dict[str, Array]:
        """Return all learned parameters by name, as the weights file holds them."""

    def load_tensors(self, tensors: Mapping[str, Array]) -> None:
        """Set all learned parameters from what ``tensors`` returned.

        Raises:
            ValueError: If a name or shape does not fit this model.
        """

    def num_parameters(self) -> int:
        """Return the number of parameters that were learned or counted."""


@runtime_checkable
class LanguageModel(Model, Protocol):
    """Next-token distributions, step by step, and the score of a whole store.

    ``step`` and ``score`` give the same numbers: the score of a target is the log-probability
    that ``step`` gave it after everything before. No score depends on what comes later, and
    without carried context none depends on another document.
    """

    vocabulary_size: int

    def start(self, batch_size: int) -> State:
        """Return the initial state for so many rows; the boundary is the first id for ``step``."""

    def step(
        self, ids: Integer[np.ndarray, " batch"], state: State
    ) -> tuple[Float[np.ndarray, "batch vocab"], State]:
        """Read one id per row; return the log-probabilities of the next id and the new state."""

    def score(
        self, store: TokenStore, carry_context: bool = False
    ) -> Float[np.ndarray, " targets"]:
        """Return the log-probability of every target of a store, in order.

        Args:
            store: The tokens to score.
            carry_context: Whether context reaches into the documents before (running text), or
                each document starts afresh.
        """


@runtime_checkable
class CountedModel(LanguageModel, Protocol):
    """A language model that is fitted in one pass over the text, without a training loop."""

    def fit(
        self, store: TokenStore, carry_context: bool = False, dev: TokenStore | None = None
    ) -> float | None:
        """Fit the model to a store; an earlier fit is forgotten.

        Args:
            store: The train tokens.
            carry_context: Whether context reaches across documents.
            dev: Dev tokens for parameters that counts alone do not give, such as mixture weights.

        Returns:
            The log-probability of the whole store in nats if it comes at no cost with the counts;
            else None, and the caller scores the store.
        """


@runtime_checkable
class Adapts(Protocol):
    """A language model that may remember or learn from the text that it scores, as caches do.

    It learns from each target after that was scored, and only from text that its context reaches.
    When ``score`` returns, what it learned meanwhile is forgotten again.
    """

    @property
    def adapting(self) -> tuple[str, ...]:
        """Names of the parts that adapt, which every result states; none if it is static."""

    def static(self) -> LanguageModel | None:
        """Return the same model without adaptation; None for one that is nothing else (a cache).

        It may share arrays with this one, which does not change.
        """


def static_model(model: LanguageModel) -> LanguageModel | None:
    """Return the model without adaptation to the scored text; None if it is nothing else."""
    return model.static() if isinstance(model, Adapts) else model


def map_state(function: Callable[..., Any], state: State, *others: State) -> State:
    """Apply a function to each leaf of a state, together with the same leaf of other states.

    Returns:
        The results, in a tree of the same structure.
    """
    if state is None:
        return None
    if isinstance(state, list | tuple):
        parts = zip(state, *others, strict=True)
        return type(state)(map_state(function, *part) for part in parts)
    return function(state, *others)


def take_rows(state: State, rows: Int64[np.ndarray, " chosen"]) -> State:
    """Return the state of the chosen rows of the batch, in that order."""
    return map_state(lambda leaf: leaf[rows], state)


def join_rows(states: Sequence[State]) -> State:
    """Return several states concatenated along the batch axis."""

    def join(*leaves: Any) -> Any:
        if isinstance(leaves[0], np.ndarray):
            return np.concatenate(leaves)
        import torch  # Tensors are here, so it is loaded already; count models never load it.

        return torch.cat(leaves)

    return map_state(join, *states)


def reset_rows(state: State, fresh: State, rows: Bool[np.ndarray, " batch"]) -> State:
    """Return a copy of a state with some rows taken from a fresh one, where documents begin."""

    def mix(old: Any, new: Any) -> Any:
        mixed = old.copy() if isinstance(old, np.ndarray) else old.clone()
        mixed[rows] = new[rows]
        return mixed

    return map_state(mix, state, fresh)


def leaves(state: State) -> list[Any]:
    """Return the arrays or tensors of a state, always in the same order."""
    if state is None:
        return []
    if isinstance(state, list | tuple):
        return [leaf for part in state for leaf in leaves(part)]
    return [state]


@dataclass(frozen=True)
class Classes:
    """The labels that a classifier predicts.

    Attributes:
        num_classes: How many labels there are (C): at least 2, or at least 1 if multilabel.
        multilabel: Whether a document may have any number of labels: each is then predicted by a
            yes or no of its own.
    """

    num_classes: int
    multilabel: bool = False

    @property
    def is_binary(self) -> bool:
        """Whether one logit is enough: a softmax over two depends on their difference only."""
        return self.num_classes == 2 and not self.multilabel

    @property
    def num_logits(self) -> int:
        """Columns of logits that a model computes for the labels: 1 if binary, else C."""
        return 1 if self.is_binary else self.num_classes


@runtime_checkable
class Classifier(Model, Protocol):
    """Predicts the labels of texts."""

    classes: Classes

    def classify(self, texts: Texts) -> Float[np.ndarray, "documents classes"]:
        """Return the log-probability of each label for each document.

        With one label per document the probabilities of a row sum to one; if multilabel, each is
        the probability that the document has this label.
        """


@runtime_checkable
class FittedClassifier(Classifier, Protocol):
    """A classifier that is fitted to all texts at once, without the training loop."""

    def fit(
        self,
        texts: Texts,
        labels: Labels,
        sample_weight: Float32[np.ndarray, " documents"],
        dev: tuple[Texts, Labels] | None = None,
        should_stop: Callable[[], bool] = lambda: False,
    ) -> None:
        """Fit the classifier to labelled texts; an earlier fit is forgotten.

        Args:
            texts: The train documents.
            labels: The labels of each document.
            sample_weight: The weight of each document in the loss.
            dev: Dev documents and labels, by which settings that were not given are chosen.
            should_stop: Called now and then; if it returns true, the fit ends with the weights
                reached so far.
        """


def check_weights(tensors: Mapping[str, Array]) -> None:
    """Check the weights of a network that come from a file, which may be damaged or made up.

    Raises:
        ValueError: If some are not finite floating-point numbers, or exceed ``MAX_WEIGHT``.
    """
    for name, value in tensors.items():
        if value.dtype.kind != "f":
            raise ValueError(f"{name} holds {value.dtype}, not floating-point numbers")
        # Both ends are NaN if a weight is, which is not within the bounds either.
        if value.size and not (value.min() >= -MAX_WEIGHT and value.max() <= MAX_WEIGHT):
            finite = np.isfinite(value).all()
            what = f"a weight beyond {MAX_WEIGHT:g}" if finite else "what is no finite number"
            raise ValueError(f"{name} holds {what}")


@runtime_checkable
class Refits(Protocol):
    """A classifier that can be fitted to other texts with the settings its first fit chose."""

    def refitted(
        self, texts: Texts, labels: Labels, sample_weight: Float32[np.ndarray, " documents"]
    ) -> Classifier:
        """Return a new classifier with these settings, fitted to the given texts."""


def log_softmax(logits: Array, axis: int = 1) -> Array:
    """Return the log-softmax of logits along an axis."""
    shifted: Array = logits - logits.max(axis=axis, keepdims=True)
    shifted -= np.log(np.exp(shifted).sum(axis=axis, keepdims=True))
    return shifted


def log_sigmoid(logits: Array) -> Array:
    """Return log(1 / (1 + exp(-x))), without overflow."""
    return np.asarray(np.minimum(logits, 0) - np.log1p(np.exp(-np.abs(logits))))


def class_log_probs(
    logits: Float32[np.ndarray, "documents classes"], classes: Classes
) -> Float32[np.ndarray, "documents classes"]:
    """Return the log-probability of each label: log-softmax, or log-sigmoid if multilabel."""
    return log_sigmoid(logits) if classes.multilabel else log_softmax(logits)


def log_probs_of_truth(
    log_probs: Float[np.ndarray, "documents classes"], labels: Labels
) -> Float64[np.ndarray, " questions"]:
    """Return the log-probability of the true answers, in nats, clipped to finite numbers.

    There is one answer per document: its label. Documents whose label did not occur in train are
    left out. If multilabel, there is one answer per document and class: yes or no.

    Args:
        log_probs: Of each class for each document, by a classifier.
        labels: The true labels. The classes come first among their names, then those not in train.
    """
    classes = log_probs.shape[1]
    likely = np.clip(log_probs.astype(np.float64), MIN_LOG_PROB, MAX_LOG_PROB)
    found: Float64[np.ndarray, " questions"]
    if labels.multilabel:
        no = np.maximum(np.log(-np.expm1(likely)), MIN_LOG_PROB)  # log(1 - p)
        found = np.where(labels.matrix()[:, :classes] > 0, likely, no).ravel()
    else:
        known = np.flatnonzero(labels.single < classes)
        found = likely[known, labels.single[known]]
    return found


@runtime_checkable
class ReadsAtOnce(Protocol):
    """A language model with a forward pass over several ids, faster than one by one."""

    def read(
        self, ids: Integer[np.ndarray, "batch time"], state: State, last: bool = False
    ) -> tuple[Float[np.ndarray, "batch places vocab"], State]:
        """Return the log-probabilities after each id (or the last only), and the new state."""


@runtime_checkable
class GivesDistributions(Protocol):
    """A language model that computes all distributions of a store faster than by ``step``."""

    def distributions(
        self, store: TokenStore, carry_context: bool = False
    ) -> Iterator[tuple[Int64[np.ndarray, " read"], Float[np.ndarray, "read vocab"]]]:
        """Yield positions of targets, in any order, and the log-probabilities of all ids there.

        At the target's own id they equal what ``score`` returns.
        """


class TextScore(Protocol):
    """The score of one text that is a document of its own.

    Attributes:
        log_prob: Log-probability of the text and its end, in nats.
        targets: Number of tokens, and one for the end.
        unknown: How many of the tokens are the unknown symbol.
    """

    log_prob: float
    targets: int
    unknown: int


@runtime_checkable
class ScoresText(Protocol):
    """A language model with a fast path that scores one text, without a token store."""

    def text_scorer(self, tokenizer: Tokenizer) -> Callable[[str], TextScore | None] | None:
        """Return a function that scores a text, bit for bit as ``score`` would.

        The function returns None for a text that it cannot score. ``text_scorer`` itself returns
        None if this model, or this tokenizer, has no fast path.
        """


@cache
def _reads_at_once(kind: type) -> bool:
    """Return whether models of a class have ``read``; cached, since protocol checks are slow."""
    return issubclass(kind, ReadsAtOnce)


def read(
    model: LanguageModel,
    ids: Integer[np.ndarray, "batch time"],
    state: State,
    last: bool = False,
) -> tuple[Float[np.ndarray, "batch places vocab"], State]:
    """Return the log-probabilities after each of several ids, and the state after the last.

    Args:
        model: Any language model.
        ids: Ids to read, at least one per row.
        state: The model's state before them, of as many rows.
        last: Return only the log-probabilities after the last id, which costs less.
    """
    if _reads_at_once(type(model)):
        return cast(ReadsAtOnce, model).read(ids, state, last)
    steps = []
    for column in ids.T:
        log_probs, state = model.step(column, state)
        steps.append(log_probs)
    return np.stack(steps[-1:] if last else steps, axis=1), state
