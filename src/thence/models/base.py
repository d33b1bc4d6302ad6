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
from thence.tokens import Tokenizer, TokenStore
from thence.tokens.texts import Texts

State = Any
"""What a model remembers of the text so far; ``step`` returns a new one and changes none."""

Array = np.ndarray[Any, np.dtype[Any]]
MIN_LOG_PROB, MAX_LOG_PROB = -700.0, -1e-30
"""Log-probabilities of a classifier's answers are kept between these: none is wholly certain, so
that the loss of a wrong one is finite."""

MAX_WEIGHT = 1e6
"""Weights of networks beyond this are refused in files: no training comes near it, and far larger
ones make probabilities that are not numbers."""


class Learned(Protocol):
    """What any model has learned, as its weights file holds it."""

    def tensors(self) -> dict[str, Array]:
        """Return everything learned, by name, for the weights file."""

    def load_tensors(self, tensors: Mapping[str, Array]) -> None:
        """Set everything learned to what ``tensors`` returned.

        Raises:
            ValueError: If a name or shape does not fit this model.
        """

    def num_parameters(self) -> int:
        """Return how many numbers were learned or counted."""


@runtime_checkable
class LanguageModel(Learned, Protocol):
    """Next-token distributions, step by step, and the score of a whole store.

    ``step`` and ``score`` give the same numbers: the score of a target is the log-probability
    that ``step`` gave it after everything before. No score depends on what comes later, and
    without carried context none depends on another document.
    """

    vocabulary_size: int

    def start(self, batch_size: int) -> State:
        """Return the state before any text; the first id to step with is the boundary."""

    def step(
        self, ids: Integer[np.ndarray, " batch"], state: State
    ) -> tuple[Float[np.ndarray, "batch vocab"], State]:
        """Read one id per row; return log-probabilities of the next and the new state."""

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
    """A language model made by counting, in one pass and without a training loop."""

    def fit(
        self, store: TokenStore, carry_context: bool = False, dev: TokenStore | None = None
    ) -> float | None:
        """Count a store; what was counted before is forgotten.

        Args:
            store: The train tokens.
            carry_context: Whether context reaches across documents.
            dev: Tokens on which parameters are fitted that cannot be counted, if there are any.

        Returns:
            The log-probability of the whole store in nats, if counting gives it; else None, and
            the store has to be scored.
        """


@runtime_checkable
class Adapts(Protocol):
    """A language model that may remember or learn from the text that it scores, as caches do.

    It learns from each target after that was scored, only from text that its context reaches, and
    is as before when ``score`` returns.
    """

    @property
    def adapting(self) -> tuple[str, ...]:
        """Names of the parts that adapt, which every result states; none if it is static."""

    def static(self) -> LanguageModel | None:
        """Return the model without adapting; None where nothing is left, as of a cache.

        It may share arrays with this one, which stays as it is.
        """


def static_model(model: LanguageModel) -> LanguageModel | None:
    """Return a model that does not adapt to what it scores; None if nothing is left of it."""
    return model.static() if isinstance(model, Adapts) else model


def map_state(function: Callable[..., Any], state: State, *others: State) -> State:
    """Return the tree of what a function gives for each leaf, and the others' leaves there."""
    if state is None:
        return None
    if isinstance(state, list | tuple):
        parts = zip(state, *others, strict=True)
        return type(state)(map_state(function, *part) for part in parts)
    return function(state, *others)


def take_rows(state: State, rows: Int64[np.ndarray, " chosen"]) -> State:
    """Return the state of the chosen rows, in that order."""
    return map_state(lambda leaf: leaf[rows], state)


def join_rows(states: Sequence[State]) -> State:
    """Return the state of all rows of several states, one after another."""

    def join(*leaves: Any) -> Any:
        if isinstance(leaves[0], np.ndarray):
            return np.concatenate(leaves)
        import torch  # A model with tensors has imported it long since; counts never wait for it.

        return torch.cat(leaves)

    return map_state(join, *states)


def restart(state: State, fresh: State, rows: Bool[np.ndarray, " batch"]) -> State:
    """Return a state in which some rows are as in a fresh one."""

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
        multilabel: Whether a document may have any number of them: each label is then a question of
            its own, answered yes or no.
    """

    num_classes: int
    multilabel: bool = False

    @property
    def is_difference(self) -> bool:
        """Whether one logit tells two labels apart, since a softmax depends on differences."""
        return self.num_classes == 2 and not self.multilabel

    @property
    def num_columns(self) -> int:
        """How many logits the labels need."""
        return 1 if self.is_difference else self.num_classes


@runtime_checkable
class Classifier(Learned, Protocol):
    """Predicts the labels of texts."""

    classes: Classes

    def classify(self, texts: Texts) -> Float[np.ndarray, "documents classes"]:
        """Return the log-probability of each label for each document.

        With one label per document a row's probabilities sum to one; where there may be several,
        each is the probability of a yes.
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
        """Learn from labelled texts; what was learned before is forgotten.

        Args:
            texts: The train documents.
            labels: Theirs.
            sample_weight: How much each document counts.
            dev: Documents on which settings are chosen that were not given, if there are any.
            should_stop: Asked from time to time whether to stop with what is learned so far.
        """


def check_weights(tensors: Mapping[str, Array]) -> None:
    """Refuse weights of a network that no training gives.

    Raises:
        ValueError: If some are no finite numbers, or larger than ``MAX_WEIGHT``.
    """
    for name, value in tensors.items():
        if value.dtype.kind != "f":
            raise ValueError(f"{name} holds {value.dtype}, not floating-point numbers")
        # Both ends are NaN if a weight is, which is not within the bounds either.
        if value.size and not (value.min() >= -MAX_WEIGHT and value.max() <= MAX_WEIGHT):
            finite = np.isfinite(value).all()
            what = f"a weight beyond {MAX_WEIGHT:g}" if finite else "what is no finite number"
            raise ValueError(f"{name} holds {what}")


def join_tensors(models: Sequence[Learned]) -> dict[str, Array]:
    """Return the tensors of several models, the names of each after its number and a slash."""
    return {
        f"{number}/{name}": value
        for number, model in enumerate(models)
        for name, value in model.tensors().items()
    }


def load_joined(models: Sequence[Learned], tensors: Mapping[str, Array]) -> dict[str, Array]:
    """Set the tensors of several models to those of ``join_tensors``; return the others.

    Raises:
        ValueError: If a name or shape does not fit a model.
    """
    parts: dict[str, dict[str, Array]] = {str(number): {} for number in range(len(models))}
    others: dict[str, Array] = {}
    for name, value in tensors.items():
        number, _, own = name.partition("/")
        parts.get(number, others)[own or name] = value
    for model, part in zip(models, parts.values(), strict=True):
        model.load_tensors(part)
    return others


@runtime_checkable
class Refits(Protocol):
    """A classifier that can learn from other texts what it learned, with what it has chosen."""

    def refitted(
        self, texts: Texts, labels: Labels, sample_weight: Float32[np.ndarray, " documents"]
    ) -> Classifier:
        """Return a classifier with the same settings that was fitted to these texts."""


def class_log_probs(
    logits: Float32[np.ndarray, "documents classes"], classes: Classes
) -> Float32[np.ndarray, "documents classes"]:
    """Return the log-probability of each label: of a softmax, or of a yes to each."""
    if classes.multilabel:  # log(1 / (1 + exp(-x))), without overflow.
        yes: Array = np.minimum(logits, 0) - np.log1p(np.exp(-np.abs(logits)))
        return yes
    shifted: Array = logits - logits.max(axis=1, keepdims=True)
    shifted -= np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    return shifted


def log_probs_of_truth(
    log_probs: Float[np.ndarray, "documents classes"], labels: Labels
) -> Float64[np.ndarray, " questions"]:
    """Return the log-probability of every true answer; labels that train lacks are left out.

    Where a document may have several labels, each is a question of its own.

    Args:
        log_probs: Of each label for each document, by a classifier.
        labels: The true labels; the first names are the classes.
    """
    classes = log_probs.shape[1]
    likely = np.clip(log_probs.astype(np.float64), MIN_LOG_PROB, MAX_LOG_PROB)
    found: Float64[np.ndarray, " questions"]
    if labels.multilabel:
        no = np.maximum(np.log(-np.expm1(likely)), MIN_LOG_PROB)
        found = np.where(labels.matrix()[:, :classes] > 0, likely, no).ravel()
    else:
        known = np.flatnonzero(labels.single < classes)
        found = likely[known, labels.single[known]]
    return found


@runtime_checkable
class ReadsAtOnce(Protocol):
    """A language model with a forward pass over several ids, faster than steps."""

    def read(
        self, ids: Integer[np.ndarray, "batch time"], state: State, last: bool = False
    ) -> tuple[Float[np.ndarray, "batch places vocab"], State]:
        """Return log-probabilities after each id, or after the last only, and the state."""


@runtime_checkable
class GivesDistributions(Protocol):
    """A language model with a way to the distributions of a whole store, faster than steps."""

    def distributions(
        self, store: TokenStore, carry_context: bool = False
    ) -> Iterator[tuple[Int64[np.ndarray, " read"], Float[np.ndarray, "read vocab"]]]:
        """Yield places of targets, in any order, and the log-probabilities of what could follow.

        Those of the targets are what ``score`` gives.
        """


class TextScore(Protocol):
    """The score of one text, a document of its own.

    Attributes:
        log_prob: Of the text and its end, in nats.
        targets: Its tokens and its end.
        unknown: How many of them are the unknown symbol.
    """

    log_prob: float
    targets: int
    unknown: int


@runtime_checkable
class ScoresText(Protocol):
    """A language model with a short way from one text to its score."""

    def text_scorer(self, tokenizer: Tokenizer) -> Callable[[str], TextScore | None] | None:
        """Return what scores a text as ``score`` would, to the bit; it gives None for some texts.

        None: there is no short way for this model, or for this tokenizer.
        """


@cache
def _reads_at_once(kind: type) -> bool:
    """Return whether models of a class have ``read``; asking its protocol takes a while."""
    return issubclass(kind, ReadsAtOnce)


def read(
    model: LanguageModel,
    ids: Integer[np.ndarray, "batch time"],
    state: State,
    last: bool = False,
) -> tuple[Float[np.ndarray, "batch places vocab"], State]:
    """Read ids; return the log-probabilities of what follows each, and the state after the last.

    Args:
        model: Any language model.
        ids: At least one per row.
        state: Of as many rows.
        last: Whether only what follows the last id is wanted, which costs less.
    """
    if _reads_at_once(type(model)):
        return cast(ReadsAtOnce, model).read(ids, state, last)
    steps = []
    for column in ids.T:
        log_probs, state = model.step(column, state)
        steps.append(log_probs)
    return np.stack(steps[-1:] if last else steps, axis=1), state
