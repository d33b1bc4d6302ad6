"""Ensembles of classifiers: a weighted average of their probabilities, made by ``thence mix``.

    p(y | x) ~ (sum_m w_m p_m(y | x))^{1/T},     w_m >= 0,  sum_m w_m = 1

If multilabel, the probability of each label is averaged separately. Expectation maximisation finds
the weights w with the highest likelihood of dev and of a few pseudo-documents that all members
predict equally well: on few documents these keep the weights nearly equal. Then the temperature T
is found (``temperature.py``): the more the members differ, the less certain is their average.

Sources: M. Stone 1961, "The opinion pool"; with a temperature, R. Ranjan and T. Gneiting 2010,
"Combining probability forecasts" (there the beta-transformed linear pool).

The logarithmic pool, p(y | x) ~ prod_m p_m(y | x)^{a_m}, also corrects overconfident members, but
did worse. Nats per document on dev by tenfold cross-validation of the weights, with linear,
averaging and convolution as members: on SST-2 0.403 for the average, 0.406 for the product and
0.417 for the best member; on AG News 0.275, 0.282 and 0.303. With weights from 25 documents the
product was often worse than the best member.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from thence.array_types import Bool, Float, Float32, Float64
from thence.corpus.documents import Labels
from thence.models.base import (
    MIN_LOG_PROB,
    Array,
    Classes,
    log_probs_of_truth,
)
from thence.models.labels.known import ReadsCharacters
from thence.models.labels.temperature import divided, learn_temperature, logits_of_probs
from thence.models.mixture_weights import join_tensors, learn_single, load_joined
from thence.models.registry import get_family
from thence.settings import PositiveFloat, Settings
from thence.tokens import Texts

PRIOR_DOCUMENTS = 5.0
"""Number of pseudo-documents that all members predict equally well: the prior of equal weights."""
CALIBRATED_DOCUMENTS = 20.0
"""Number of pseudo-documents that draw the temperature to 1. Chosen among 0, 5, 20 and 50 on parts
of train, with weights and temperature from 10 to 400 documents (``docs/experiments.md``)."""
ITERATIONS = 2000
"""Iterations of expectation maximisation, which converges slowly if members are alike."""
ROUNDING = 1e-6
"""Largest difference from 1 of the sum of weights from a file."""
LEFT_OUT_OF_NAMES = ("encoder", "start_from", "vectors")
"""Settings that are left out of a member's name, since their values are long."""


@dataclass(frozen=True)
class Member(Settings):
    """One classifier of an ensemble.

    Attributes:
        model: Name of its family.
        options: The settings of the classifier.
    """

    model: str
    options: Mapping[str, Any]


@dataclass(frozen=True)
class EnsembleOptions(Settings):
    """Settings of the ``ensemble`` classifier, made by ``thence mix``."""

    members: tuple[Member, ...] = ()
    """The classifiers that are mixed."""
    temperature: PositiveFloat = 1.0
    """By which the logits of the average are divided; thence mix finds it on dev."""

    @property
    def names(self) -> list[str]:
        """Names of the members: the family, and the settings by which members of it differ."""
        return [_name(member, self.members) for member in self.members]


@dataclass(frozen=True)
class Pool:
    """The learned weights of an ensemble.

    Attributes:
        weights: The weights of the members; they sum to 1.
        temperature: By which the logits of the average are divided.
        nats: Mean loss per document in nats, without documents whose label is not in train.
    """

    weights: Float64[np.ndarray, " members"]
    temperature: float
    nats: float


def learn_pool(log_probs: Sequence[Float[np.ndarray, "documents classes"]], labels: Labels) -> Pool:
    """Learn the weights; on these documents the ensemble is never worse than its best member.

    Args:
        log_probs: Log-probabilities of the classes by each member.
        labels: The true labels; the classes are the first of their names.

    Raises:
        ValueError: If there is no member, or the numbers of documents differ.
    """
    if not len(log_probs) or any(len(part) != len(labels) for part in log_probs):
        raise ValueError("there must be members, and each must say something of every document")
    truths = np.stack([log_probs_of_truth(part, labels) for part in log_probs], axis=1)
    count, documents = len(log_probs), max(len(labels), 1)
    if not labels.multilabel:
        documents = max(len(truths), 1)
    # If multilabel, a document counts as one target per label, and so does a pseudo-document.
    pseudo_targets = PRIOR_DOCUMENTS * len(truths) / documents
    probs = np.exp(truths - truths.max(axis=1, keepdims=True, initial=MIN_LOG_PROB))
    learned = learn_single(probs, pseudo_targets, ITERATIONS)

    def nats_of_average(weights: Float64[np.ndarray, " members"]) -> float:
        return -float(_average(truths.T, weights).sum()) / documents

    # Because of the pseudo-documents, one member alone may be better on the real ones.
    weights = min([learned, *np.eye(count)], key=nats_of_average)
    classes = Classes(log_probs[0].shape[1], labels.multilabel)
    averaged = _average(np.stack(log_probs), weights)
    logits = logits_of_probs(averaged, classes)
    found = learn_temperature(logits, labels, classes, calibrated=CALIBRATED_DOCUMENTS)
    tempered = divided(averaged, found, classes)
    nats = {
        1.0: nats_of_average(weights),
        found: -float(log_probs_of_truth(tempered, labels).sum()) / documents,
    }
    temperature = min(nats, key=lambda one: nats[one])  # For the same reason.
    return Pool(weights, temperature, nats[temperature])


def pooled(
    log_probs: Sequence[Float[np.ndarray, "documents classes"]],
    weights: Float64[np.ndarray, " members"],
    temperature: float = 1.0,
    multilabel: bool = False,
) -> Float32[np.ndarray, "documents classes"]:
    """Return the log-probability of each label by the weighted average of the members."""
    averaged = _average(np.stack(log_probs), weights)
    if temperature != 1:
        averaged = divided(averaged, temperature, Classes(averaged.shape[1], multilabel))
    found: Float32[np.ndarray, "documents classes"] = np.minimum(averaged, 0).astype(np.float32)
    return found  # Rounding may exceed 0.


def _average(
    log_probs: Float[np.ndarray, "members *rest"], weights: Float64[np.ndarray, " members"]
) -> Float64[np.ndarray, "*rest"]:
    """Return the logarithm of the weighted average of probabilities, given their logarithms."""
    found = np.full(log_probs.shape[1:], -np.inf)
    for part, weight in zip(log_probs, weights, strict=True):
        if weight:
            found = np.logaddexp(found, part + np.log(weight))
    return found


class Ensemble:
    """A weighted average of classifiers.

    Args:
        options: The members.
        vocabulary_size: Number of token ids (V).
        classes: The labels that it predicts.
    """

    def __init__(self, options: EnsembleOptions, vocabulary_size: int, classes: Classes) -> None:
        self.options, self.classes = options, classes
        families = [get_family(member.model) for member in options.members]
        self.members = [
            family.classifier(family.make_options(member.options), vocabulary_size, classes, True)
            for family, member in zip(families, options.members, strict=True)
        ]
        count = len(self.members)
        self.weights: Float64[np.ndarray, " members"] = np.full(count, 1 / max(count, 1))

    def classify(self, texts: Texts) -> Float32[np.ndarray, "documents classes"]:
        """Return the log-probability of each label; members of weight 0 are skipped."""
        used = np.flatnonzero(self.weights)
        said = [self.members[at].classify(texts) for at in used]
        return pooled(said, self.weights[used], self.options.temperature, self.classes.multilabel)

    def knows_characters(self, texts: Texts) -> Bool[np.ndarray, " documents"]:
        """Return whether each document has a character n-gram that a member knows."""
        knows = np.zeros(len(texts), bool)
        for member in self.members:
            if isinstance(member, ReadsCharacters):
                knows |= member.knows_characters(texts)
        return knows

    def tensors(self) -> dict[str, Array]:
        """Return the weights, and every member's tensors under names ``NUMBER/name``."""
        return {"weights": self.weights, **join_tensors(self.members)}

    def load_tensors(self, tensors: Mapping[str, Array]) -> None:
        """Set what ``tensors`` returned."""
        others = load_joined(self.members, tensors)
        if others.keys() != {"weights"}:
            raise ValueError(f"{', '.join(others)} are not the tensors of an ensemble")
        weights = others["weights"]
        if weights.shape != self.weights.shape or weights.dtype != np.float64:
            raise ValueError("the weights do not fit the members")
        if not (np.all(weights >= 0) and abs(weights.sum() - 1) < ROUNDING):
            raise ValueError("the weights of the members are no numbers from 0 on that sum to 1")
        self.weights = weights

    def num_parameters(self) -> int:
        """Return the number of parameters of all members, and of the weights."""
        return sum(member.num_parameters() for member in self.members) + self.weights.size


def _name(member: Member, members: Sequence[Member]) -> str:
    """Return a member's family, and the settings that others of the family do not share."""
    alike = [other.options for other in members if other.model == member.model]
    differing = [
        f"{key} {_short(value)}"
        for key, value in member.options.items()
        if key not in LEFT_OUT_OF_NAMES and any(other.get(key) != value for other in alike)
    ]
    return " ".join([member.model, *differing])


def _short(value: Any) -> str:
    """Return a setting's value as text, without brackets."""
    if isinstance(value, list | tuple):
        return " ".join(map(_short, value)) or "none"
    return str(value)
