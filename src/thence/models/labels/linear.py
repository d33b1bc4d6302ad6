"""A linear classifier on which features a document has, weighted by naive Bayes (as in NBSVM).

With f the 0/1 vector of features of a document, |f| their number, and for each label the log ratio
of how common each feature is with the label and without,

    r = log( (p / sum p) / (q / sum q) )
    p = a + the sum of f over the documents with the label,  q = a + that over the others

a document's logits are

    s = b + w . (r * f) / sqrt|f|

and w and b are learned by logistic regression: the softmax of s over the labels (one difference
where there are two), or one yes or no each where a document may have several. The squared weights,
divided by twice the strength, are added to the summed loss, which L-BFGS (``lbfgs.py``) minimises
over all documents at once.

Sources: S. Wang and C. Manning 2012, "Baselines and bigrams: simple, good sentiment and topic
classification"; with logistic regression: G. Mesnil, T. Mikolov, M. Ranzato and Y. Bengio 2014,
"Ensemble of generative and discriminative techniques for sentiment analysis of movie reviews".
"""

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from thence.array_types import Bool, Float, Float32
from thence.batches.bags import (
    BagOptions,
    Bags,
    Buckets,
    FeatureTable,
    NGramLength,
    bags_of,
    character_bags,
    learn_table,
    number_of_features,
)
from thence.corpus.documents import Labels
from thence.errors import SettingError
from thence.lbfgs import minimize
from thence.models.base import Array, Classes, log_probs_of_truth
from thence.models.labels.neural import label_log_probs, label_loss
from thence.models.memory_guard import Size
from thence.settings import NonNegativeFloat, PositiveFloat, Settings
from thence.tokens import Texts
from thence.tokens.parallel import in_threads

STRENGTH = 30.0
"""Strength that is tried first, and used where there is no dev split."""
STRONGER_STRENGTHS, WEAKER_STRENGTHS = (100.0, 300.0), (10.0, 3.0, 1.0)
"""Strengths that are tried next: larger ones while dev gets likelier, else smaller ones."""
MAX_ITERATIONS = 100
"""Iterations of L-BFGS at most."""
HISTORY = 10
"""Pairs of steps and gradient changes that L-BFGS estimates the curvature from."""
TOLERANCE = 1e-3
"""L-BFGS stops when five iterations gain less than this, in nats per document."""
MAX_WEIGHTS = 40_000_000
"""Weights at most: each takes some 120 bytes while they are learned."""


SORT_PARTS = 8
"""The features are sorted by row in so many parts, which threads share."""


@dataclass(frozen=True)
class LinearOptions(Settings):
    """Settings of the linear classifier."""

    ngrams: NGramLength = 3
    """The longest runs of tokens that are features; 1 for tokens alone."""
    character_ngrams: tuple[NGramLength, ...] = ()
    """Lengths of runs of characters that are features too, such as 3 4 5."""
    buckets: Buckets = 1 << 24
    """Buckets that runs are hashed into."""
    min_ngram_count: Size = 2
    """Buckets that occur in fewer train documents are left out."""
    naive_bayes: NonNegativeFloat = 1.0
    """What is added to every count of naive Bayes; 0 leaves naive Bayes out."""
    strength: PositiveFloat | None = None
    """How closely the train documents are followed (default: chosen on dev from 1 to 300; 30 \
without a dev split)."""

    @property
    def bags(self) -> BagOptions:
        """What is in the bags."""
        lengths = tuple(sorted(set(self.character_ngrams)))
        return BagOptions(self.ngrams, lengths, self.buckets)


@dataclass(frozen=True)
class _Design:
    """The design matrix, sorted by document and by row: both its products are sums of rows.

    Attributes:
        rows: Of all documents, one document after another.
        starts: Where each document's begin.
        owners: Documents that have each row, one row after another.
        owner_starts: Where each row's begin.
        scale: One by the root of each document's number of features.
    """

    rows: Tensor
    starts: Tensor
    owners: Tensor
    owner_starts: Tensor
    scale: Tensor

    def to_documents(self, weights: Float[Tensor, "rows columns"]) -> Tensor:
        """Return each document's sum of weights, scaled."""
        return functional.embedding_bag(self.rows, weights, self.starts, mode="sum") * self.scale

    def to_rows(self, values: Float[Tensor, "documents columns"]) -> Tensor:
        """Return for each row the sum of its documents' values, scaled."""
        scaled = values * self.scale
        return functional.embedding_bag(self.owners, scaled, self.owner_starts, mode="sum")


def _design(bags: Bags, num_rows: int) -> _Design:
    counts = np.bincount(bags.features, minlength=num_rows)
    owner_starts = np.cumsum(counts) - counts
    scale = 1 / np.sqrt(np.maximum(bags.sizes, 1))
    arrays = (
        bags.features,
        bags.offsets[:-1].astype(np.int32),
        _owners(bags, owner_starts),
        owner_starts.astype(np.int32),
        scale.astype(np.float32)[:, None],
    )
    return _Design(*(torch.from_numpy(array) for array in arrays))


def _owners(bags: Bags, starts: Array) -> Array:
    """Return the documents that have each row, one row after another, sorted a part at a time."""
    owners = np.repeat(np.arange(len(bags.sizes)), bags.sizes)
    parts = np.linspace(0, len(owners), SORT_PARTS + 1)[1:-1]
    bounds = [0, *np.searchsorted(starts, parts).tolist(), len(starts)]

    def owners_of(rows: tuple[int, int]) -> Array:
        at = np.flatnonzero((bags.features >= rows[0]) & (bags.features < rows[1]))
        keys = (bags.features[at].astype(np.int64) << 32) + owners[at]
        keys.sort()
        return (keys & 0xFFFFFFFF).astype(np.int32)

    return np.concatenate(list(in_threads(owners_of, itertools.pairwise(bounds))))


@dataclass(frozen=True)
class _Data:
    """What the weights are learned from.

    Attributes:
        design: The train documents.
        ratios: Of naive Bayes, for each row and column.
        targets: The labels.
        sample_weight: How much each document counts.
    """

    design: _Design
    ratios: Tensor
    targets: Tensor
    sample_weight: Tensor

    def curvature(self) -> Array:
        """Return an upper bound of the loss's second derivative by each weight and each bias.

        The second derivative of a log-sigmoid or log-softmax is at most 1/4 by each logit, so the
        diagonal of the Hessian is at most a quarter of the summed squares of the features. L-BFGS
        divides by it (a Jacobi preconditioner): rare and frequent features then learn alike.
        """
        squares = self.design.to_rows(self.sample_weight[:, None] * self.design.scale)
        biases = self.sample_weight.sum().expand(1, self.ratios.shape[1])
        found: Array = (torch.cat([self.ratios.square() * squares, biases]) / 4).numpy()
        return found


@dataclass(frozen=True)
class _Attempt:
    """Weights of one strength, and the log-likelihood of dev under them."""

    strength: float
    learned: Array
    likelihood: float


def _likeliest(
    best: _Attempt,
    strengths: Sequence[float],
    attempt: Callable[[float, Array], _Attempt],
    should_stop: Callable[[], bool],
) -> _Attempt:
    """Return the attempt under which dev is likeliest; stop at the first that is no better."""
    for strength in strengths:
        if should_stop():
            break
        made = attempt(strength, best.learned)
        if made.likelihood <= best.likelihood:
            break
        best = made
    return best


class Linear:
    """The linear classifier.

    Args:
        options: Its settings.
        vocabulary_size: Number of token ids (V).
        classes: The labels that it predicts.
        tolerance: L-BFGS stops when five iterations gain less than this, in nats per document.
        max_weights: Weights at most: each takes some 120 bytes while they are learned.
    """

    def __init__(
        self,
        options: LinearOptions,
        vocabulary_size: int,
        classes: Classes,
        tolerance: float = TOLERANCE,
        max_weights: int = MAX_WEIGHTS,
    ) -> None:
        self._tolerance, self._max_weights = tolerance, max_weights
        self.options, self.classes, self.vocabulary_size = options, classes, vocabulary_size
        self._is_difference = classes.num_classes == 2 and not classes.multilabel
        columns = 1 if self._is_difference else classes.num_classes
        size = number_of_features(vocabulary_size, options.bags)
        self.table = FeatureTable(np.arange(vocabulary_size), size)
        # NumPy's zeros take no memory until they are written to, and these never are.
        self._weights = torch.from_numpy(np.zeros((vocabulary_size, columns), np.float32))
        self._bias = torch.zeros(columns)
        self.strength = 0.0
        """The strength that was chosen; 0 before ``fit``."""

    def fit(
        self,
        texts: Texts,
        labels: Labels,
        sample_weight: Float32[np.ndarray, " documents"],
        dev: tuple[Texts, Labels] | None = None,
        should_stop: Callable[[], bool] = lambda: False,
    ) -> None:
        """Learn from labelled texts; see ``FittedClassifier``."""
        options = self.options
        bags = bags_of(texts, options.bags).distinct()
        self.table = learn_table(bags, self.vocabulary_size, options.bags, options.min_ngram_count)
        self._check_memory()
        design = _design(self.table.rows(bags), len(self.table.kept))
        del bags
        targets = torch.from_numpy(labels.matrix() if labels.multilabel else labels.single)
        weights = torch.from_numpy(sample_weight)
        ratios = self._ratios(design, targets, weights)
        data = _Data(design, ratios, targets, weights)

        def attempt(strength: float, start: Array) -> _Attempt:
            learned = self._minimize(data, strength, start, should_stop)
            self._take(ratios, learned, strength)
            return _Attempt(strength, learned, 0.0 if dev is None else self._likelihood(*dev))

        start = np.zeros((len(self.table.kept) + 1, ratios.shape[1]), np.float32)
        first = best = attempt(options.strength or STRENGTH, start)
        if dev is not None and options.strength is None:
            best = _likeliest(first, STRONGER_STRENGTHS, attempt, should_stop)
            if best is first:
                best = _likeliest(first, WEAKER_STRENGTHS, attempt, should_stop)
        self._take(ratios, best.learned, best.strength)

    def _take(self, ratios: Tensor, learned: Array, strength: float) -> None:
        """Use these weights from now on: naive Bayes times what L-BFGS learned, and the biases."""
        self._weights = ratios * torch.from_numpy(learned[:-1])
        self._bias = torch.from_numpy(learned[-1])
        self.strength = strength

    def _check_memory(self) -> None:
        """Refuse more weights than L-BFGS can keep its history of.

        Raises:
            SettingError: Says what would need less.
        """
        rows, columns = len(self.table.kept), len(self._bias)
        if rows * columns > self._max_weights:
            raise SettingError(
                f"The linear classifier would need {rows:,} features x {columns:,} labels, too "
                "many to keep in memory. Use a higher `min_ngram_count`, `ngrams=1`, or "
                "`model='averaging'`."
            )

    def _likelihood(self, texts: Texts, labels: Labels) -> float:
        return float(log_probs_of_truth(self.classify(texts), labels).sum())

    def _ratios(self, design: _Design, targets: Tensor, sample_weight: Tensor) -> Tensor:
        """Return the log ratio of each row for each column; ones without naive Bayes."""
        is_label = targets
        if targets.dim() == 1:
            is_label = functional.one_hot(targets, self.classes.num_classes).float()
        counted = is_label * sample_weight[:, None]
        others = (1 - is_label) * sample_weight[:, None]
        # to_rows scales each document; naive Bayes counts it whole.
        if not self.options.naive_bayes:
            return torch.ones(len(self.table.kept), self._weights.shape[1])
        with_label = self.options.naive_bayes + design.to_rows(counted / design.scale)
        without = self.options.naive_bayes + design.to_rows(others / design.scale)
        ratios = (with_label / with_label.sum(0)).log() - (without / without.sum(0)).log()
        return ratios[:, 1:] if self._is_difference else ratios

    def _logits(self, columns: Tensor) -> Float[Tensor, "documents classes"]:
        if self._is_difference:
            return torch.cat([torch.zeros_like(columns), columns], dim=1)
        return columns

    def _minimize(
        self, data: _Data, strength: float, start: Array, should_stop: Callable[[], bool]
    ) -> Array:
        """Return the weights and, in the last row, the biases with the lowest loss."""
        ratios, sample_weight = data.ratios, data.sample_weight

        def loss(learned: Array) -> tuple[float, Array]:
            weights, biases = torch.from_numpy(learned[:-1]), torch.from_numpy(learned[-1])
            columns = data.design.to_documents(ratios * weights) + biases
            columns = columns.double().requires_grad_(True)
            summed = label_loss(self._logits(columns), data.targets, sample_weight)
            (by_logit,) = torch.autograd.grad(summed, columns)
            by_logit = by_logit.float()
            gradient = np.empty_like(learned)
            gradient[:-1] = ratios * data.design.to_rows(by_logit) + weights / strength
            gradient[-1] = by_logit.sum(0)
            penalty = float(weights.square().sum()) / (2 * strength)
            return summed.item() + penalty, gradient

        curvature = data.curvature() + 1 / strength
        tolerance = self._tolerance * float(sample_weight.sum())
        return minimize(
            loss,
            start,
            lambda gradient: gradient / curvature,
            tolerance,
            MAX_ITERATIONS,
            HISTORY,
            should_stop,
        )

    @torch.inference_mode()
    def classify(self, texts: Texts) -> Float[np.ndarray, "documents classes"]:
        """Return the log-probability of each label for each document."""
        bags = self.table.rows(bags_of(texts, self.options.bags).distinct())
        starts = torch.from_numpy(bags.offsets[:-1].astype(np.int32))
        sums = functional.embedding_bag(
            torch.from_numpy(bags.features), self._weights, starts, mode="sum"
        )
        scale = torch.from_numpy(np.sqrt(np.maximum(bags.sizes, 1)).astype(np.float32))
        return label_log_probs(self._logits(sums / scale[:, None] + self._bias), self.classes)

    def token_weights(self) -> Float32[np.ndarray, "vocab classes"]:
        """Return how much each token adds to the logit of each label.

        With one label per document the mean over all labels is subtracted: a softmax depends only
        on differences.
        """
        # Each token has a row, whatever runs have one, and tokens come first.
        weights = self._logits(self._weights[: self.vocabulary_size])
        if not self.classes.multilabel:
            weights = weights - weights.mean(1, keepdim=True)
        found: Array = weights.numpy()
        return found

    def knows_characters(self, texts: Texts) -> Bool[np.ndarray, " documents"]:
        """Return whether each document has a run of characters that train has too."""
        if not self.options.character_ngrams:
            return np.zeros(len(texts), bool)
        return self.table.rows(character_bags(texts, self.options.bags)).sizes > 0

    def tensors(self) -> dict[str, Array]:
        """Return the weights, and which features have one."""
        return {
            "weights": self._weights.numpy(),
            "bias": self._bias.numpy(),
            "kept": self.table.kept.astype(np.int32),
            "strength": np.array(self.strength),
        }

    def load_tensors(self, tensors: Mapping[str, Array]) -> None:
        """Set what ``tensors`` returned."""
        if tensors.keys() != self.tensors().keys():
            raise ValueError(f"{', '.join(tensors)} are not the tensors of a linear classifier")
        table = self.table.restored(tensors["kept"])
        weights, bias = tensors["weights"], tensors["bias"]
        columns = len(self._bias)
        if weights.shape != (len(table.kept), columns) or bias.shape != (columns,):
            raise ValueError(f"weights have shape {weights.shape}, the bias {bias.shape}")
        if weights.dtype != np.float32 or bias.dtype != np.float32:
            raise ValueError("weights do not hold single-precision numbers")
        if not (np.isfinite(weights).all() and np.isfinite(bias).all()):
            raise ValueError("weights hold what is no finite number")
        if tensors["strength"].shape != () or tensors["strength"].dtype.kind != "f":
            raise ValueError("the strength is no number")
        self.table, self.strength = table, float(tensors["strength"])
        self._weights, self._bias = torch.tensor(weights), torch.tensor(bias)

    def num_parameters(self) -> int:
        """Return how many numbers were learned."""
        return self._weights.numel() + self._bias.numel()
