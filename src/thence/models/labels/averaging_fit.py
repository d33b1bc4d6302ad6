"""Training of word averaging in the compiled core, without torch.

The equations are in ``averaging.py``. Steps, initial weights and names in checkpoints are those of
``averaging_network.py`` with Adagrad, up to rounding, so that either can resume a training of the
other. Without hidden layers and dropout only.
"""

import math
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import numpy as np

from thence._core.averaging import AveragingSteps
from thence.array_types import Bool, Float32
from thence.batches.bags import Bags, bags_of, learn_table
from thence.batches.labelled import DocumentBatch, DocumentBatches
from thence.corpus.documents import Labels
from thence.models.base import Array, Classes, check_weights
from thence.models.labels.averaging import INITIAL_RANGE, AveragingOptions, classify_rows
from thence.models.memory_guard import BYTES_PER_WEIGHT, SMALLER, check_memory
from thence.tokens import Texts

EPSILON = 1e-16
"""Added to a sum of squared gradients before its root, to avoid a division by zero: the square of
that in ``training/optimizers.py``."""
TORCH_DRAWS = 1 << 24
"""Number of distinct values of a uniform float in torch, which uses 24 bits of each draw."""
DRAWN_AT_ONCE = 1 << 12
"""Embeddings drawn at once, so that the draws are still in the cache when they are converted."""
CACHE_LINE = 16
"""Single-precision numbers in a line of the processor's cache, which has 64 bytes on most."""
NAMES = ("embeddings", "output.weight", "output.bias")
"""Names of the weights E, W and b in files."""


class AveragingFit:
    """The training of word averaging, with the interface of ``Learner`` in ``learner.py``.

    Args:
        options: The settings of the classifier.
        vocabulary_size: Number of token ids (V).
        classes: The labels that it predicts.
        texts: The train documents.
        labels: Their labels.
        sample_weight: The weight of each document in the loss.
        rows: Documents per step (B).
        seed: Seed of the initial embeddings and of the order of documents.
        decay: Decoupled weight decay: each step subtracts this share of a weight, times the
            learning rate.
    """

    def __init__(
        self,
        options: AveragingOptions,
        vocabulary_size: int,
        classes: Classes,
        texts: Texts,
        labels: Labels,
        sample_weight: Float32[np.ndarray, " documents"],
        rows: int,
        seed: int,
        decay: float,
    ) -> None:
        self.options, self.classes, self._decay, self._loss = options, classes, decay, 0.0
        self._marks: list[tuple[float, float]] = []
        bags = bags_of(texts, options.bags)
        self._table = learn_table(bags, vocabulary_size, options.bags, options.min_ngram_count)
        known = self._table.rows(bags)
        self._weights = new_weights(options, vocabulary_size, len(self._table.kept), classes, seed)
        embeddings, output, bias = (
            np.zeros((len(part), 1)[: part.ndim], np.float32) for part in self._weights
        )
        self._totals = embeddings, output, bias
        self.batches = DocumentBatches(known.sizes, sample_weight, rows, seed)
        targets = labels.matrix() if labels.multilabel else labels.single
        room = int(np.sort(known.sizes)[-rows:].sum())
        self._steps = AveragingSteps(
            self._weights, self._totals, known.features, known.offsets, targets, sample_weight, room
        )
        self._read: tuple[Texts, Bags] | None = None  # The last classified texts (dev), cached.

    @staticmethod
    def fits(options: AveragingOptions) -> bool:
        """Return whether the core can train it: without hidden layers and dropout."""
        return not (options.hidden_sizes or options.dropout or options.word_dropout)

    def load_vectors(
        self, matrix: Float32[np.ndarray, "vocab embedding"], found: Bool[np.ndarray, " vocab"]
    ) -> None:
        """Initialise the embeddings of tokens with pretrained vectors."""
        self._weights[0][np.flatnonzero(found)] = matrix[found]

    def start_from(self, tensors: Mapping[str, Array]) -> None:
        """Initialise with the weights of another training, for the features that both have."""
        _, own, others = np.intersect1d(
            self._table.kept, tensors["kept"], assume_unique=True, return_indices=True
        )
        self._weights[0][own] = tensors[NAMES[0]][others]
        for name, value in zip(NAMES[1:], self._weights[1:], strict=True):
            value[...] = tensors[name]

    def classify(self, texts: Texts) -> Float32[np.ndarray, "documents classes"]:
        """Return the log-probability of each label for each document."""
        if self._read is None or self._read[0] is not texts:
            self._read = texts, self._table.rows(bags_of(texts, self.options.bags))
        weights = dict(zip(NAMES, self._weights, strict=True))
        return classify_rows(self._read[1], self.options, weights, self.classes)

    def step(
        self,
        batches: Sequence[DocumentBatch],
        rate: float,
        progress: float,
        measure: bool = False,
    ) -> bool:
        """Make one step; return whether the gradient was clipped, which it never is.

        There is no gradient as a whole: the core updates row by row.
        """
        (batch,) = batches
        self._loss += self._steps.step(batch.documents, batch.weight, rate, self._decay, EPSILON)
        return False

    def add_loss(self, batch: DocumentBatch) -> None:
        """Add the loss of a batch to the sum, without a step."""
        self._loss += self._steps.step(batch.documents, batch.weight, 0, 0, EPSILON, learn=False)

    def loss_sum(self) -> float:
        """Return the summed loss of all batches since ``clear_loss``, in nats."""
        return self._loss

    def clear_loss(self) -> None:
        """Set the sum of losses to zero."""
        self._loss = 0.0

    def mark_curve_point(self) -> None:
        """Store the current sum of losses; the norm of the gradient is not measured."""
        self._marks.append((self._loss, math.nan))

    def take_curve_points(self) -> list[tuple[float, float]]:
        """Return and clear the stored pairs (sum of losses, NaN)."""
        taken, self._marks = self._marks, []
        return taken

    def is_finite(self) -> bool:
        """Return whether all weights are finite."""
        return all(bool(np.isfinite(end)) for w in self._weights for end in (w.min(), w.max()))

    def computing(self) -> AbstractContextManager[Any]:
        """Context manager of computation: it does nothing."""
        return nullcontext()

    def averaged(self) -> AbstractContextManager[Any]:
        """Context manager of averaged weights: there is no average."""
        return nullcontext()

    def on_dev_losses(self, losses: Sequence[float]) -> None:
        """Do nothing."""

    def tensors(self) -> dict[str, Array]:
        """Return copies of the weights by name, and the features that have an embedding."""
        weights = {name: w.copy() for name, w in zip(NAMES, self._weights, strict=True)}
        return {**weights, "kept": self._table.kept.astype(np.int32)}

    def state(self) -> dict[str, Array]:
        """Return the state for a checkpoint; weights and totals are not copied."""
        totals = {f"optimizer.{place}": total for place, total in enumerate(self._totals)}
        weights = {f"model.{name}": w for name, w in zip(NAMES, self._weights, strict=True)}
        weights["model.kept"] = self._table.kept.astype(np.int32)
        return {**weights, **totals, "loss_sum": np.array(self._loss)}

    def load_state(self, tensors: Mapping[str, Array], step: int) -> None:
        """Restore the state of a checkpoint, of this class or of a training by torch.

        Raises:
            KeyError: If a tensor is missing.
            ValueError: If a tensor has another shape, or values that are not finite.
        """
        if not np.array_equal(tensors["model.kept"], self._table.kept):
            raise ValueError("other features have an embedding")
        found = {name: tensors[f"model.{name}"] for name in NAMES}
        check_weights(found)
        totals = {f"optimizer.{at}": tensors[f"optimizer.{at}"] for at in range(len(NAMES))}
        if any(not np.all(np.isfinite(total) & (total >= 0)) for total in totals.values()):
            raise ValueError("a sum of squared gradients is no usable number")
        given = {**found, **totals}
        for (name, value), own in zip(given.items(), (*self._weights, *self._totals), strict=True):
            if value.shape != own.shape or value.dtype != own.dtype:
                raise ValueError(f"{name} has shape {value.shape}")
            own[...] = value
        loss = float(tensors["loss_sum"])
        if not np.isfinite(loss):
            raise ValueError("a loss is no finite number")
        self._loss = loss


def new_weights(
    options: AveragingOptions,
    vocabulary_size: int,
    num_embeddings: int,
    classes: Classes,
    seed: int,
) -> tuple[Array, Array, Array]:
    """Return the initial weights: E random, W and b zero.

    E equals that of ``AveragingNetwork`` after ``torch.manual_seed(seed)`` up to rounding, so that
    a recipe gives the same model with and without the core: both use the Mersenne Twister. Only
    rows that are new in a training from another run's weights differ.

    Raises:
        SettingError: If training needs more memory than there is.
    """
    size, num_classes = options.embedding_size, classes.num_classes
    numbers = num_embeddings * size + num_classes * (size + 1)
    what = f"Training the {numbers:,} numbers of this model (averaging)"
    check_memory(numbers * BYTES_PER_WEIGHT, what, SMALLER)
    random = np.random.RandomState(seed & 0xFFFFFFFF)  # torch seeds its generator with 32 bits.
    # Skip the draws that the network makes for W, b and the embeddings of all tokens, before it
    # chooses the features.
    random.randint(0, TORCH_DRAWS, num_classes * (size + 1) + vocabulary_size * size, np.uint32)
    embeddings = in_cache_lines(num_embeddings, size)
    for first in range(0, num_embeddings, DRAWN_AT_ONCE):
        part = embeddings[first : first + DRAWN_AT_ONCE]
        part[...] = random.randint(0, TORCH_DRAWS, part.shape, np.uint32)
    embeddings *= np.float32(2 * INITIAL_RANGE / size / TORCH_DRAWS)
    embeddings -= np.float32(INITIAL_RANGE / size)
    return embeddings, np.zeros((num_classes, size), np.float32), np.zeros(num_classes, np.float32)


def in_cache_lines(rows: int, columns: int) -> Float32[np.ndarray, "rows columns"]:
    """Return an uninitialised table whose memory is aligned to a line of the processor's cache.

    A row of 16 numbers is then in one line; in NumPy's own arrays it may be in two.
    """
    room = np.empty(rows * columns + CACHE_LINE, np.float32)
    first = -room.ctypes.data // room.itemsize % CACHE_LINE
    return room[first : first + rows * columns].reshape(rows, columns)
