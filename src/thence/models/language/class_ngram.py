"""N-grams of word classes: words of one class share their statistics.

    p(w | h) = p(c(w) | c(h)) p(w | c(w))

with c(w) the class of w (``class_of``) and c(h) the classes of the last N - 1 words. The first
factor is an n-gram model of classes (``ngram``), the second is counted:

    p(w | c) = (n(w) + k) / (n(c) + k |c|)

with n(w) how often w was seen (``counts``), n(c) and |c| the sum and the number of the words of c,
and k = ``ADDED``, for words that were never seen. The boundary has a class of its own; the other
classes are learned from the bigrams of the train text (``word_classes.py``). Alone it is a worse
model than n-grams of words; mixed with them it helps after rare contexts.

Source: P. Brown, V. Della Pietra, P. de Souza, J. Lai and R. Mercer 1992, "Class-based n-gram
models of natural language", section 3.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Annotated

import numpy as np

from thence.array_types import Float, Integer
from thence.models.base import Array
from thence.models.language.word_classes import exchange
from thence.models.memory_guard import check_memory
from thence.models.ngram.counting import count_ngrams
from thence.models.ngram.model import NGram, NGramOptions
from thence.models.ngram.queries import Numbers
from thence.models.ngram.smoothing import Smoothing
from thence.settings import Range, Settings
from thence.tokens import TokenStore

ADDED = 0.1
"""Number added to every count of a word within its class (k). On the Penn Treebank, where every
word was seen, its value hardly matters."""


@dataclass(frozen=True)
class ClassNGramOptions(Settings):
    """Settings of the ``class-ngram`` model."""

    classes: Annotated[int, Range(ge=1, le=20_000)] = 200
    """Number of word classes, without that of the boundary."""
    order: Annotated[int, Range(ge=2, le=100, why="longer n-grams hardly ever recur")] = 5
    """Symbols in the longest n-gram of classes: one less is the context."""
    smoothing: Smoothing = "modified-kneser-ney"
    """Smoothing of the n-grams of classes."""


class ClassNGram:
    """An n-gram model of classes with a unigram model of words within each class.

    Args:
        options: Its settings.
        vocabulary_size: Number of ids (V).
    """

    def __init__(self, options: ClassNGramOptions, vocabulary_size: int) -> None:
        self.options, self.vocabulary_size = options, vocabulary_size
        words = vocabulary_size - 1
        self.classes = max(min(options.classes, words), 1)
        self._set(
            np.append(np.arange(words) % self.classes, self.classes), np.zeros(vocabulary_size)
        )
        of_classes = NGramOptions(options.order, options.smoothing)
        self.ngram = NGram(of_classes, self.classes + 1)

    def _set(
        self, class_of: Integer[np.ndarray, " vocab"], counts: Integer[np.ndarray, " vocab"]
    ) -> None:
        """Set the class and the count of each word."""
        self.class_of, self.counts = class_of.astype(np.int32), counts.astype(np.int64)
        size = self.classes + 1
        totals = np.bincount(class_of, counts + ADDED, size)
        self.log_shares = np.log(counts + ADDED) - np.log(totals[class_of])

    @property
    def is_probability(self) -> bool:
        """Whether the scores sum to one; those of stupid back-off do not."""
        return self.ngram.is_probability

    def fit(
        self, store: TokenStore, carry_context: bool = False, dev: TokenStore | None = None
    ) -> float | None:
        """Learn the classes from word bigrams, then count the n-grams of classes.

        Raises:
            SettingError: If the smoothing needs a dev split and there is none.
        """
        self.ngram.check_fit(dev)
        size, boundary = self.vocabulary_size, store.boundary_id
        check_memory(16 * self.classes**2, f"{self.classes:,} classes", "Choose fewer `classes`.")
        pairs = count_ngrams(store, 2, size, carry_context)[1]
        class_of = exchange(pairs.keys, pairs.counts, size, self.classes, np.array([boundary]))
        self._set(class_of, store.id_counts(size))
        of_dev = None if dev is None else self.classes_in(dev)
        log_prob = self.ngram.fit(self.classes_in(store), carry_context, of_dev)
        return None if log_prob is None else log_prob + float(self.counts @ self.log_shares)

    def classes_in(self, store: TokenStore) -> TokenStore:
        """Return a store with the class of each token in its place."""
        ids = self.class_of.astype(np.min_scalar_type(self.classes))[store.ids]
        return replace(store, ids=ids, boundary_id=self.classes)

    def start(self, batch_size: int) -> Numbers:
        """Return the state before any text, which is that of the n-grams of classes."""
        return self.ngram.start(batch_size)

    def step(
        self, ids: Integer[np.ndarray, " batch"], state: Numbers
    ) -> tuple[Float[np.ndarray, "batch vocab"], Numbers]:
        """Read one id per row; return the log-probabilities of the next and the new state."""
        log_probs, state = self.ngram.step(self.class_of[ids], state)
        return log_probs[:, self.class_of] + self.log_shares, state

    def score(
        self, store: TokenStore, carry_context: bool = False
    ) -> Float[np.ndarray, " targets"]:
        """Return the log-probability of every target, in nats."""
        of_classes = self.ngram.score(self.classes_in(store), carry_context)
        scores: Float[np.ndarray, " targets"] = of_classes + self.log_shares[store.targets]
        return scores

    def facts(self, dev: TokenStore | None, carry_context: bool = False) -> list[tuple[str, str]]:
        """Return facts for reports: names and values as text."""
        sizes = np.bincount(self.class_of)[: self.classes]
        used = f"{np.count_nonzero(sizes):,}, the largest of {sizes.max():,} words"
        of_dev = None if dev is None else self.classes_in(dev)
        return [("classes of words", used), *self.ngram.facts(of_dev, carry_context)]

    def tensors(self) -> dict[str, Array]:
        """Return the class and the count of each word, and the n-grams of classes."""
        of_classes = {f"ngram.{name}": array for name, array in self.ngram.tensors().items()}
        return {"class_of": self.class_of, "counts": self.counts, **of_classes}

    def load_tensors(self, tensors: Mapping[str, Array]) -> None:
        """Set what ``tensors`` returned."""
        if not {"class_of", "counts"} <= set(tensors):
            raise ValueError(f"expected class_of and counts, found {', '.join(sorted(tensors))}")
        class_of, counts = tensors["class_of"], tensors["counts"]
        shape, last = (self.vocabulary_size,), self.classes
        for array in (class_of, counts):
            if array.shape != shape or array.dtype.kind != "i" or array.min(initial=0) < 0:
                raise ValueError("the classes do not fit the vocabulary")
        if class_of[-1] != last or class_of[:-1].max(initial=0) >= max(last, 1):
            raise ValueError("the boundary must have a class of its own, and no class is above it")
        others = {
            name.removeprefix("ngram."): array
            for name, array in tensors.items()
            if name not in ("class_of", "counts")
        }
        self.ngram.load_tensors(others)
        self._set(class_of, counts)

    def num_parameters(self) -> int:
        """Return the number of n-grams of classes, plus the number of words."""
        return self.ngram.num_parameters() + self.vocabulary_size
