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
over all documents at once (``linear_fit.py``).

Sources: S. Wang and C. Manning 2012, "Baselines and bigrams: simple, good sentiment and topic
classification"; with logistic regression: G. Mesnil, T. Mikolov, M. Ranzato and Y. Bengio 2014,
"Ensemble of generative and discriminative techniques for sentiment analysis of movie reviews".
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from thence.array_types import Bool, Float32
from thence.batches.bags import (
    BagOptions,
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
from thence.models.base import Array, Classes, class_log_probs, log_probs_of_truth
from thence.models.memory_guard import Size
from thence.settings import NonNegativeFloat, PositiveFloat, Settings
from thence.tokens import Texts

STRENGTH = 30.0
"""Strength that is tried first, and used where there is no dev split."""
STRONGER_STRENGTHS, WEAKER_STRENGTHS = (100.0, 300.0), (10.0, 3.0, 1.0)
"""Strengths that are tried next: larger ones while dev gets likelier, else smaller ones."""
TOLERANCE = 1e-3
"""L-BFGS stops when five iterations gain less than this, in nats per document."""
MAX_WEIGHTS = 40_000_000
"""Weights at most: each takes some 120 bytes while they are learned."""


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
        columns = classes.num_columns
        size = number_of_features(vocabulary_size, options.bags)
        self.table = FeatureTable(np.arange(vocabulary_size), size)
        # NumPy's zeros take no memory until they are written to, and these never are.
        self._weights: Array = np.zeros((vocabulary_size, columns), np.float32)
        self._bias: Array = np.zeros(columns, np.float32)
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
        from thence.models.labels.linear_fit import Regression  # With torch.

        options = self.options
        bags = bags_of(texts, options.bags).distinct()
        self.table = learn_table(bags, self.vocabulary_size, options.bags, options.min_ngram_count)
        self._check_memory()
        rows, num_rows = self.table.rows(bags), len(self.table.kept)
        del bags
        regression = Regression(
            rows, num_rows, labels, sample_weight, self.classes, options.naive_bayes
        )

        def attempt(strength: float, start: Array) -> _Attempt:
            learned = regression.minimize(strength, start, self._tolerance, should_stop)
            self._take(regression.ratios, learned, strength)
            return _Attempt(strength, learned, 0.0 if dev is None else self._likelihood(*dev))

        start = np.zeros((num_rows + 1, self.classes.num_columns), np.float32)
        first = best = attempt(options.strength or STRENGTH, start)
        if dev is not None and options.strength is None:
            best = _likeliest(first, STRONGER_STRENGTHS, attempt, should_stop)
            if best is first:
                best = _likeliest(first, WEAKER_STRENGTHS, attempt, should_stop)
        self._take(regression.ratios, best.learned, best.strength)

    def _take(self, ratios: Array, learned: Array, strength: float) -> None:
        """Use these weights from now on: naive Bayes times what L-BFGS learned, and the biases."""
        self._weights, self._bias = ratios * learned[:-1], learned[-1]
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

    def _logits(self, columns: Array) -> Float32[np.ndarray, "documents classes"]:
        if self.classes.is_difference:
            return np.concatenate([np.zeros_like(columns), columns], axis=1)
        return columns

    def classify(self, texts: Texts) -> Float32[np.ndarray, "documents classes"]:
        """Return the log-probability of each label for each document."""
        bags = self.table.rows(bags_of(texts, self.options.bags).distinct())
        scale = np.sqrt(np.maximum(bags.sizes, 1)).astype(np.float32)
        columns = bags.sums(self._weights) / scale[:, None] + self._bias
        return class_log_probs(self._logits(columns), self.classes)

    def token_weights(self) -> Float32[np.ndarray, "vocab classes"]:
        """Return how much each token adds to the logit of each label.

        With one label per document the mean over all labels is subtracted: a softmax depends only
        on differences.
        """
        # Each token has a row, whatever runs have one, and tokens come first.
        weights = self._logits(self._weights[: self.vocabulary_size])
        if not self.classes.multilabel:
            weights = weights - weights.mean(1, keepdims=True)
        return weights

    def knows_characters(self, texts: Texts) -> Bool[np.ndarray, " documents"]:
        """Return whether each document has a run of characters that train has too."""
        if not self.options.character_ngrams:
            return np.zeros(len(texts), bool)
        return self.table.rows(character_bags(texts, self.options.bags)).sizes > 0

    def tensors(self) -> dict[str, Array]:
        """Return the weights, and which features have one."""
        return {
            "weights": self._weights,
            "bias": self._bias,
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
        self._weights, self._bias = weights, bias

    def num_parameters(self) -> int:
        """Return how many numbers were learned."""
        return self._weights.size + self._bias.size
