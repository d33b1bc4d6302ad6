"""Several classifiers as one: the logarithmic pool of what they say, made by ``thence mix``.

    p(y | x) = prod_m p_m(y | x)^{a_m} / Z(x),     a_m >= 0

that is, a softmax of the weighted sum of the members' log-probabilities; where a document may have
several labels, each is such a question of its own, answered yes or no. The weights a make dev
likeliest, each drawn a little to what a plain geometric mean would give it:

    - sum_n log p(y_n | x_n)  +  STRAYING / 2 * sum_m (a_m - 1/M)^2

This is convex, and Newton's steps end after a few. Weights need not add up to one: below one in all,
members that are too sure of themselves are taken less seriously, so a member's weight is also the
inverse of its temperature. Code names: ``log_probs`` is log p_m, ``weights`` is a.

Sources: G. Hinton 1999, "Products of experts", for the pool; C. Guo, G. Pleiss, Y. Sun and
K. Weinberger 2017, "On calibration of modern neural networks", for the temperature.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float, Float32, Float64, Int64

from thence.classifiers import CLASSIFIERS
from thence.classifiers.interface import Array, Classes, Classifier
from thence.corpus.labels import Labels
from thence.tokens.texts import Texts

STRAYING = 1.0
"""What a weight that strays by one from the geometric mean costs twice, in nats of all dev."""
STEPS = 100
CLOSE = 1e-9
"""The weights are learned when a step promises fewer nats than this, relative to all of dev's."""
TINY = 1e-12
ROUNDS = 1000
LOWEST = -700.0
"""The least log-probability that is taken from a member; no double of less has an exponential."""
SUREST = -1e-30
"""The highest one of a yes, which leaves a no."""
UNTOLD = ("encoder", "start_from", "vectors")
"""Settings that are too long for a name."""


@dataclass(frozen=True)
class Member:
    """One classifier of an ensemble.

    Attributes:
        model: Name of its family.
        options: Its own settings.
    """

    model: str
    options: Mapping[str, Any]


@dataclass(frozen=True)
class EnsembleOptions:
    """Settings of the ``ensemble`` classifier, made by ``thence mix``."""

    members: tuple[Member, ...] = ()
    """The classifiers that are mixed."""

    @property
    def names(self) -> list[str]:
        """What to call the members: their families, and what tells those of one family apart."""
        return [_name(member, self.members) for member in self.members]


@dataclass(frozen=True)
class Pool:
    """What was learned of the weights.

    Attributes:
        weights: Of each member, at least 0.
        nats: Per document with the weights; a document of a label that train lacks is left out.
    """

    weights: Float64[np.ndarray, " members"]
    nats: float


def learn_pool(log_probs: Sequence[Float[np.ndarray, "documents classes"]], labels: Labels) -> Pool:
    """Return the weights of the members, on these documents never worse than the best of them.

    Args:
        log_probs: What each member says of the documents; see ``Classifier.classify``.
        labels: What is true of them; the first names are the classes.

    Raises:
        ValueError: If there is no member, or the numbers of documents differ.
    """
    if not len(log_probs) or any(len(part) != len(labels) for part in log_probs):
        raise ValueError("the members must be at least one, and say something of each document")
    known = _documents_known(labels, log_probs[0].shape[1])
    answers, truth = _questions([part[known] for part in log_probs], labels, known)
    weights = _descend(answers, truth)
    # What keeps the weights sane on few documents may cost a little there.
    alone = np.eye(len(answers))
    best = min([weights, *alone], key=lambda tried: _loss(answers, truth, tried))
    return Pool(best, _loss(answers, truth, best) / max(len(known), 1))


def pooled(
    log_probs: Sequence[Float[np.ndarray, "documents classes"]],
    weights: Float64[np.ndarray, " members"],
    several: bool,
) -> Float32[np.ndarray, "documents classes"]:
    """Return the log-probability of each label for each document, of all members together.

    Args:
        log_probs: What each member says.
        weights: Of the members.
        several: Whether a document may have several labels.
    """
    logits = np.tensordot(weights, _answers(log_probs, several), 1)  # (documents, C, 2) or (.., C)
    found: Float32[np.ndarray, "documents classes"]
    found = (logits - np.logaddexp.reduce(logits, axis=-1, keepdims=True)).astype(np.float32)
    return found[..., 1] if several else found


def _answers(
    log_probs: Sequence[Float[np.ndarray, "documents classes"]], several: bool
) -> Float64[np.ndarray, "members *questions answers"]:
    """Return the log-probability of each answer: of each label, or of no and yes to each."""
    stacked = np.stack(log_probs).astype(np.float64)
    if several:
        yes = np.minimum(stacked, SUREST)
        stacked = np.stack([np.log(-np.expm1(yes)), yes], axis=-1)
    return np.maximum(stacked, LOWEST)


def _documents_known(labels: Labels, classes: int) -> Int64[np.ndarray, " known"]:
    """Return the documents that have a likelihood: not those of one label that train lacks."""
    if labels.several:
        return np.arange(len(labels))
    return np.flatnonzero(labels.single < classes)


def _questions(
    log_probs: Sequence[Float[np.ndarray, "known classes"]],
    labels: Labels,
    known: Int64[np.ndarray, " known"],
) -> tuple[Float64[np.ndarray, "members questions answers"], Int64[np.ndarray, " questions"]]:
    """Return what the members say of each answer to each question, and which one is true."""
    answers = _answers(log_probs, labels.several)
    if not labels.several:
        return answers, labels.single[known]
    truth = labels.matrix()[:, : log_probs[0].shape[1]].astype(np.int64)
    return answers.reshape(len(answers), -1, 2), truth.ravel()


def _loss(
    answers: Float64[np.ndarray, "members questions answers"],
    truth: Int64[np.ndarray, " questions"],
    weights: Float64[np.ndarray, " members"],
) -> float:
    """Return the nats of all true answers."""
    logits = np.tensordot(weights, answers, 1)
    right = logits[np.arange(len(truth)), truth]
    return float((np.logaddexp.reduce(logits, axis=1) - right).sum())


def _descend(
    answers: Float64[np.ndarray, "members questions answers"],
    truth: Int64[np.ndarray, " questions"],
) -> Float64[np.ndarray, " members"]:
    """Return the weights that bring the loss and the penalty down, by Newton's steps."""
    mean = 1 / len(answers)
    weights = np.full(len(answers), mean)

    def cost(tried: Float64[np.ndarray, " members"]) -> float:
        return _loss(answers, truth, tried) + STRAYING / 2 * float(np.square(tried - mean).sum())

    now = cost(weights)
    for _ in range(STEPS):
        slope, curvature = _derivatives(answers, truth, weights)
        slope += STRAYING * (weights - mean)
        curvature += STRAYING * np.eye(len(weights))
        change = _best_above_zero(slope, curvature, weights) - weights
        promised = -float(slope @ change)
        size = 1.0
        while promised > 0 and cost(weights + size * change) > now - size * promised / 4:
            size /= 2
            if size < TINY:
                return weights
        weights = np.maximum(weights + size * change, 0)
        now = cost(weights)
        if promised < CLOSE * (1 + now):
            break
    return weights


def _derivatives(
    answers: Float64[np.ndarray, "members questions answers"],
    truth: Int64[np.ndarray, " questions"],
    weights: Float64[np.ndarray, " members"],
) -> tuple[Float64[np.ndarray, " members"], Float64[np.ndarray, "members members"]]:
    """Return the slope and the curvature of the loss."""
    logits = np.tensordot(weights, answers, 1)
    chances = np.exp(logits - np.logaddexp.reduce(logits, axis=1, keepdims=True))
    expected = (answers * chances).sum(axis=2)  # (M, questions)
    slope = (expected - answers[:, np.arange(len(truth)), truth]).sum(axis=1)
    strayed = (answers - expected[..., None]) * np.sqrt(chances)
    strayed = strayed.reshape(len(answers), -1)
    return slope, strayed @ strayed.T


def _best_above_zero(
    slope: Float64[np.ndarray, " members"],
    curvature: Float64[np.ndarray, "members members"],
    weights: Float64[np.ndarray, " members"],
) -> Float64[np.ndarray, " members"]:
    """Return where the parabola at the weights is lowest, none below 0: one after another."""
    best = weights.copy()
    for _ in range(ROUNDS):
        before = best.copy()
        for at in range(len(best)):
            uphill = slope[at] + curvature[at] @ (best - weights)
            best[at] = max(best[at] - uphill / curvature[at, at], 0.0)
        if np.abs(best - before).max() < TINY:
            break
    return best


class Ensemble:
    """Several classifiers as one.

    Args:
        options: The members.
        vocabulary_size: Number of token ids (V).
        classes: What is told apart.
    """

    def __init__(self, options: EnsembleOptions, vocabulary_size: int, classes: Classes) -> None:
        self.options, self.classes = options, classes
        self.members = [_create(each, vocabulary_size, classes) for each in options.members]
        count = len(self.members)
        self.weights: Float64[np.ndarray, " members"] = np.full(count, 1 / max(count, 1))

    def classify(self, texts: Texts) -> Float[np.ndarray, "documents classes"]:
        """Return the log-probability of each label; members without weight are not asked."""
        asked = np.flatnonzero(self.weights)
        if not len(asked):
            return np.full((len(texts), self.classes.number), self._ignorance, np.float32)
        said = [self.members[at].classify(texts) for at in asked]
        return pooled(said, self.weights[asked], self.classes.several)

    @property
    def _ignorance(self) -> float:
        return -float(np.log(2 if self.classes.several else self.classes.number))

    def tensors(self) -> dict[str, Array]:
        """Return the weights and every member's tensors, numbered."""
        named: dict[str, Array] = {"weights": self.weights}
        for number, member in enumerate(self.members):
            named |= {f"{number}/{name}": value for name, value in member.tensors().items()}
        return named

    def load_tensors(self, tensors: Mapping[str, Array]) -> None:
        """Take back the weights and the members' tensors."""
        parts: list[dict[str, Array]] = [{} for _ in self.members]
        for name, value in tensors.items():
            number, mark, own = name.partition("/")
            if mark:
                parts[int(number)][own] = value
            elif name != "weights":
                raise ValueError(f"an ensemble has no tensor {name}")
        weights = tensors["weights"]
        if weights.shape != self.weights.shape or weights.dtype != np.float64:
            raise ValueError("the weights do not fit the members")
        if not np.all(np.isfinite(weights) & (weights >= 0)):
            raise ValueError("a weight of a member is below 0, or no finite number")
        for member, part in zip(self.members, parts, strict=True):
            member.load_tensors(part)
        self.weights = weights

    def num_parameters(self) -> int:
        """Return how many numbers the members learned, and the weights."""
        return sum(member.num_parameters() for member in self.members) + self.weights.size


def create(options: EnsembleOptions, vocabulary_size: int, classes: Classes) -> Ensemble:
    """Make an ensemble whose members have learned nothing yet."""
    return Ensemble(options, vocabulary_size, classes)


def _create(member: Member, vocabulary_size: int, classes: Classes) -> Classifier:
    settings = {k: tuple(v) if isinstance(v, list) else v for k, v in member.options.items()}
    family = CLASSIFIERS[member.model]
    return family.create(family.options_class()(**settings), vocabulary_size, classes)


def _name(member: Member, members: Sequence[Member]) -> str:
    """Return a member's family and those of its settings that others of the family do not share."""
    alike = [other.options for other in members if other.model == member.model]
    told = [
        f"{key} {_short(value)}"
        for key, value in member.options.items()
        if key not in UNTOLD and any(other.get(key) != value for other in alike)
    ]
    return " ".join([member.model, *told])


def _short(value: Any) -> str:
    return " ".join(map(_short, value)) if isinstance(value, list | tuple) else str(value)
