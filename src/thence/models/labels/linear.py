"""A linear classifier on the words, word n-grams and character n-grams of a document.

With x the values of a document's features, binary or TF-IDF (``design.py``), and r the log-count
ratio of naive Bayes for each label and feature,

    r = log( (p / sum p) / (q / sum q) )
    p = a + number of documents with the label that have the feature,  q = a + number of others

a document's logits are

    s = b + w . (r * x)

Without naive Bayes r is 1. The weights minimise the summed loss plus |w|^2 / (2 strength). The loss
is that of logistic regression (softmax over the labels; a single logit for two labels; a sigmoid
per label if multilabel), minimised by L-BFGS (``linear_fit.py``), or the hinge loss of a support
vector machine for each label (``dual_descent.py``). Or the weights are differences of centroids
(``linear_fit.py``). With latent dimensions they lie in the span of a few directions
(``latent.py``). How the strength is chosen, and how logits of the latter two become probabilities,
is in ``linear_choice.py``.

Sources: S. Wang and C. Manning 2012, "Baselines and bigrams: simple, good sentiment and topic
classification"; with logistic regression: G. Mesnil, T. Mikolov, M. Ranzato and Y. Bengio 2014,
"Ensemble of generative and discriminative techniques for sentiment analysis of movie reviews".
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated

import numpy as np

from thence.array_types import Bool, Float32
from thence.batches.bags import (
    BagOptions,
    Bags,
    Buckets,
    FeatureTable,
    NGramLength,
    bags_of,
    character_bags,
    join,
    learn_table,
    number_of_features,
)
from thence.corpus.documents import Labels
from thence.deadline import check_deadline, past_deadline
from thence.errors import SettingError
from thence.models.base import Array, Classes, class_log_probs
from thence.models.labels.design import (
    Design,
    Weighting,
    inverse_document_frequency,
    make_design,
)
from thence.models.labels.latent import LatentDesign, latent_directions
from thence.models.labels.linear_choice import (
    FIRST,
    WEAKER,
    RunTrial,
    best_trial,
    folds_of,
    logits_of,
    on_dev,
    on_folds,
)
from thence.models.labels.linear_fit import LinearWeights, Loss, Problem, label_columns
from thence.models.memory_guard import Size
from thence.settings import NonNegativeFloat, PositiveFloat, Range, Settings
from thence.tokens import Texts

TOLERANCE = 1e-3
"""L-BFGS stops when five iterations gain less than this, in nats per document."""
MAX_WEIGHTS = 40_000_000
"""Largest number of weights: each takes some 120 bytes of memory in training."""
FOLDS = 5
"""Number of cross-validation folds for the temperature of a hinge loss without a dev split."""
Folds = Annotated[int, Range(ge=2, le=100, why="each fold is a training of its own")]


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
    weighting: Weighting = "binary"
    """Values of features: whether a document has them (binary), or TF-IDF."""
    naive_bayes: NonNegativeFloat = 1.0
    """What is added to every count of naive Bayes, by whose log ratios values are multiplied; 0 \
leaves naive Bayes out."""
    loss: Loss = "log_loss"
    """Logistic regression (log_loss), a support vector machine (squared_hinge, hinge), or which \
label's mean is nearer (centroid), for a few documents."""
    strength: PositiveFloat | None = None
    """How closely the train documents are followed, as C of scikit-learn (default: chosen on dev, \
from 1 to 300 for log_loss and 0.03 to 10 for others; 30 or 1 without a dev split)."""
    latent_dimensions: Size | None = None
    """Learn weights in so many latent dimensions, found in train and unlabelled documents (latent \
semantic analysis), and without naive Bayes; for few labels."""
    cv: Folds | None = None
    """Choose by cross-validation in so many folds of train, instead of on dev: for few documents, \
so no strength below 30 or 1 is tried."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.latent_dimensions is not None and self.loss != "log_loss":
            raise SettingError(
                f"`latent_dimensions` needs `loss='log_loss'`, not {self.loss!r}; leave one out."
            )

    @property
    def bags(self) -> BagOptions:
        """What is in the bags."""
        lengths = tuple(sorted(set(self.character_ngrams)))
        return BagOptions(self.ngrams, lengths, self.buckets)


class Linear:
    """The linear classifier.

    Args:
        options: Its settings.
        vocabulary_size: Number of token ids (V).
        classes: The labels that it predicts.
        tolerance: See ``TOLERANCE``.
        max_weights: See ``MAX_WEIGHTS``.
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
        columns = classes.num_logits
        size = number_of_features(vocabulary_size, options.bags)
        self.table = FeatureTable(np.arange(vocabulary_size), size)
        # NumPy's zeros take no memory until they are written to, and these never are.
        self._weights: Array = np.zeros((vocabulary_size, columns), np.float32)
        self._bias: Array = np.zeros(columns, np.float32)
        self._idf: Array = np.ones(vocabulary_size, np.float32)
        self.strength = 0.0
        """The strength that was chosen; 0 before ``fit``."""
        self._temperature = 1.0
        self._directions: Array | None = None  # Of latent dimensions; known only after ``fit``.
        self.cross_validated: Array | None = None
        """Log-probabilities of the train documents, each by the fold that did not learn from it.

        None without cross-validation.
        """

    def fit(
        self,
        texts: Texts,
        labels: Labels,
        sample_weight: Float32[np.ndarray, " documents"],
        dev: tuple[Texts, Labels] | None = None,
        should_stop: Callable[[], bool] = lambda: False,
        unlabelled: Texts | None = None,
    ) -> None:
        """Fit the classifier; see ``FittedClassifier``.

        With latent dimensions, the features, their document frequencies and the dimensions are
        learned from documents without labels too.
        """
        options = self.options
        problem = self._problem(
            self._learn_features(texts, unlabelled, should_stop), labels, should_stop
        )
        run_trial = self._choice(problem, labels, sample_weight, dev)
        if run_trial is None:
            self.strength = options.strength or FIRST[options.loss]
            self._take(problem.learn(self.strength, sample_weight), 1.0)
            return
        # With few documents, a lower strength would predict only the most frequent label.
        weaker = WEAKER if options.cv is None else ()
        best = best_trial(run_trial, options.loss, options.strength, should_stop, weaker)
        self.strength, learned = best.strength, best.learned[0]
        if len(best.learned) > 1:
            self.cross_validated = best.log_probs
            learned = problem.learn(best.strength, sample_weight, learned.solution)
        self._take(learned, best.temperature)

    def refitted(
        self, texts: Texts, labels: Labels, sample_weight: Float32[np.ndarray, " documents"]
    ) -> "Linear":
        """Return a classifier fitted to other texts with this strength and temperature.

        Only right after ``fit``: the temperature is not saved.
        """
        other = Linear(self.options, self.vocabulary_size, self.classes, self._tolerance)
        if self._directions is None:
            design: Design | LatentDesign = other._learn_features(texts, None, past_deadline)
        else:  # They come from documents without labels too, which are not here.
            other.table, other._idf, other._directions = self.table, self._idf, self._directions
            design = other._in_latent_dimensions(other._features(texts))
        problem = other._problem(design, labels, past_deadline)
        other.strength, learned = self.strength, problem.learn(self.strength, sample_weight)
        check_deadline()  # Weights of a fit that was cut short would be worse than these.
        other._take(learned, self._temperature)
        return other

    def _problem(
        self, design: Design | LatentDesign, labels: Labels, should_stop: Callable[[], bool]
    ) -> Problem:
        """Return the problem of learning the weights."""
        options = self.options
        naive_bayes = 0.0 if options.latent_dimensions is not None else options.naive_bayes
        return Problem(
            design, label_columns(labels, self.classes), self.classes,
            options.loss, naive_bayes, self._tolerance, should_stop,
        )  # fmt: skip

    def _learn_features(
        self, texts: Texts, unlabelled: Texts | None, should_stop: Callable[[], bool]
    ) -> Design | LatentDesign:
        """Choose the features that have a weight; return the design matrix of the documents."""
        options = self.options
        labelled = bags_of(texts, options.bags).distinct()
        bags = labelled
        if unlabelled is not None and options.latent_dimensions is not None:
            bags = join([labelled, bags_of(unlabelled, options.bags).distinct()])
        self.table = learn_table(bags, self.vocabulary_size, options.bags, options.min_ngram_count)
        self._check_memory()
        rows, num_rows = self.table.rows(bags), len(self.table.kept)
        self._idf = np.ones(num_rows, np.float32)
        if options.weighting == "tfidf":
            self._idf = inverse_document_frequency(rows, num_rows)
        if options.latent_dimensions is not None:
            self._directions = latent_directions(
                self._design(rows), options.latent_dimensions, should_stop
            )
        return self._in_latent_dimensions(self._design(self.table.rows(labelled)))

    def _in_latent_dimensions(self, design: Design) -> Design | LatentDesign:
        """Return documents by their latent dimensions; as they are where there are none."""
        if self._directions is None:
            return design
        return LatentDesign(design.dot(self._directions))

    def _design(self, rows: Bags) -> Design:
        return make_design(rows, self.options.weighting, self._idf, len(self.table.kept))

    def _features(self, texts: Texts) -> Design:
        """Return the design matrix of texts."""
        return self._design(self.table.rows(bags_of(texts, self.options.bags).distinct()))

    def _choice(
        self,
        problem: Problem,
        labels: Labels,
        sample_weight: Float32[np.ndarray, " documents"],
        dev: tuple[Texts, Labels] | None,
    ) -> RunTrial | None:
        """Return the function that evaluates a strength, on dev or by cross-validation.

        None if there is no data to choose by.
        """
        folds = self.options.cv
        if dev is None and self.options.loss != "log_loss":
            folds = folds or FOLDS
        if folds is not None:
            return on_folds(problem, sample_weight, labels, folds_of(labels, folds))
        if dev is None:
            return None
        documents = self._in_latent_dimensions(self._features(dev[0]))
        return on_dev(problem, sample_weight, (documents, dev[1]))

    def _take(self, learned: LinearWeights, temperature: float) -> None:
        """Set the weights, divided by the temperature."""
        self._temperature = temperature
        weights = learned.weights
        if self._directions is not None:  # w = V u
            weights = self._directions @ weights
        self._weights = weights / np.float32(temperature)
        self._bias = learned.bias / np.float32(temperature)

    def _check_memory(self) -> None:
        """Check that L-BFGS can hold its history of so many weights in memory.

        Raises:
            SettingError: If not; names settings that need less.
        """
        rows, columns = len(self.table.kept), len(self._bias)
        if rows * columns > self._max_weights:
            raise SettingError(
                f"The linear classifier would need {rows:,} features x {columns:,} labels, too "
                "many to keep in memory. Use a higher `min_ngram_count`, `ngrams=1`, or "
                "`model='averaging'`."
            )

    def classify(self, texts: Texts) -> Float32[np.ndarray, "documents classes"]:
        """Return the log-probability of each label for each document."""
        columns = self._features(texts).dot(self._weights) + self._bias
        return class_log_probs(logits_of(columns, self.classes), self.classes)

    def token_weights(self) -> Float32[np.ndarray, "vocab classes"]:
        """Return the weight of each token for the logit of each label.

        With one label per document the mean over the labels is subtracted, since a softmax depends
        only on differences.
        """
        # The first rows are those of all tokens; rows of n-grams follow.
        weights = logits_of(self._weights[: self.vocabulary_size], self.classes)
        if not self.classes.multilabel:
            weights = weights - weights.mean(1, keepdims=True)
        return weights

    def knows_characters(self, texts: Texts) -> Bool[np.ndarray, " documents"]:
        """Return whether each document has a character n-gram that occurred in train."""
        if not self.options.character_ngrams:
            return np.zeros(len(texts), bool)
        return self.table.rows(character_bags(texts, self.options.bags)).sizes > 0

    def tensors(self) -> dict[str, Array]:
        """Return the weights, and which features have one."""
        found = {
            "weights": self._weights,
            "bias": self._bias,
            "kept": self.table.kept.astype(np.int32),
            "strength": np.array(self.strength),
        }
        return found | ({"idf": self._idf} if self.options.weighting == "tfidf" else {})

    def load_tensors(self, tensors: Mapping[str, Array]) -> None:
        """Set what ``tensors`` returned."""
        if tensors.keys() != self.tensors().keys():
            raise ValueError(f"{', '.join(tensors)} are not the tensors of a linear classifier")
        table = self.table.restored(tensors["kept"])
        weights, bias = tensors["weights"], tensors["bias"]
        columns = len(self._bias)
        if weights.shape != (len(table.kept), columns) or bias.shape != (columns,):
            raise ValueError(f"weights have shape {weights.shape}, the bias {bias.shape}")
        idf = tensors.get("idf", np.ones(len(table.kept), np.float32))
        if idf.shape != table.kept.shape or not np.all(idf >= 1):
            raise ValueError("idf does not hold a number from 1 on for each feature")
        if any(array.dtype != np.float32 for array in (weights, bias, idf)):
            raise ValueError("weights do not hold single-precision numbers")
        if not all(np.isfinite(array).all() for array in (weights, bias, idf)):
            raise ValueError("weights hold what is no finite number")
        if tensors["strength"].shape != () or tensors["strength"].dtype.kind != "f":
            raise ValueError("the strength is no number")
        self.table, self.strength = table, float(tensors["strength"])
        self._weights, self._bias, self._idf = weights, bias, idf

    def num_parameters(self) -> int:
        """Return the number of weights and biases."""
        return self._weights.size + self._bias.size
