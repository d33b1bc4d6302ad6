"""The training steps of fastText in NumPy: the twin of ``_core/fasttext_training.c``.

The compiled core is a hundred times as fast, and equal up to rounding; its head has the equations.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from thence._core import library
from thence._core.fasttext_training import CoreSteps
from thence.array_types import Float32, Int32, Int64, UInt8, UInt32

HIERARCHICAL, NEGATIVE, SOFTMAX, ONE_VS_ALL = 1, 2, 3, 4
"""The losses, as files number them."""
TINY = 1e-5
"""Added to a probability before its logarithm, as in fastText."""
TRIES = 100
"""Draws after which a negative sample is given up if all were the target: there may be no other."""


@dataclass(frozen=True)
class Job:
    """The weights, texts and settings of a training.

    Attributes:
        input: The input matrix E, changed in place: rows of words, then of buckets.
        output: The output matrix W, changed in place.
        tokens: Words of all documents, as indexes of distinct words.
        offsets: The offset of each document in ``tokens``.
        targets: Rows of W: the labels of the documents; or that of each distinct word, -1 for rare
            words.
        target_offsets: The offset of each document in ``targets``; None: words are the targets.
        hashes: The hash of each distinct word.
        word_rows: Rows of E of each distinct word: its own and those of its character n-grams.
        word_bounds: The offset of each distinct word in ``word_rows``.
        first_bucket: The row of E of the first bucket.
        buckets: Number of buckets.
        run: Maximum length of word n-grams.
        loss: One of the four losses.
        room: Upper bound of the number of rows of an example.
        seed: Seed of all random draws.
        draws: For negative sampling: rows of W, each as often as its share of draws.
        bucket_rows: The row of each bucket, counted from the first, -1 for pruned ones; None: none
            are pruned.
        negatives: Negative samples per target.
        path: For hierarchical softmax: the rows of W from each target to the root.
        turns: 1 where the path goes right at that node, else 0.
        path_bounds: The offset of each target in ``path``.
    """

    input: Float32[np.ndarray, "rows size"]
    output: Float32[np.ndarray, "outputs size"]
    tokens: Int32[np.ndarray, " tokens"]
    offsets: Int64[np.ndarray, " bounds"]
    targets: Int32[np.ndarray, " targets"]
    target_offsets: Int64[np.ndarray, " bounds"] | None
    hashes: UInt32[np.ndarray, " distinct"]
    word_rows: Int32[np.ndarray, " parts"]
    word_bounds: Int64[np.ndarray, " word_bounds"]
    first_bucket: int
    buckets: int
    run: int
    loss: int
    room: int
    seed: int
    draws: Int32[np.ndarray, " draws"] | None = None
    bucket_rows: Int32[np.ndarray, " buckets"] | None = None
    negatives: int = 0
    path: Int32[np.ndarray, " path"] | None = None
    turns: UInt8[np.ndarray, " path"] | None = None
    path_bounds: Int64[np.ndarray, " path_bounds"] | None = None


def make_steps(job: Job) -> Any:
    """Return ``CoreSteps`` if the compiled core is there, else ``NumpySteps``."""
    return NumpySteps(job) if library() is None else CoreSteps(job)


class NumpySteps:
    """Training steps that change the weights of a job in place; the twin of ``CoreSteps``."""

    def __init__(self, job: Job) -> None:
        self._job, self._random = job, job.seed
        self.seen, self._loss, self._examples = 0.0, 0.0, 0

    @property
    def mean_loss(self) -> float:
        """The mean loss of all examples so far, in nats."""
        return self._loss / max(self._examples, 1)

    def used(self) -> UInt8[np.ndarray, " rows"]:
        """Return 1 for each row of E that occurs in a document, else 0."""
        used = np.zeros(len(self._job.input), np.uint8)
        for document in range(len(self._job.offsets) - 1):
            used[self._rows(document)] = 1
        return used

    def documents(self, chosen: Int64[np.ndarray, " chosen"], rate: float, total: float) -> None:
        """Make a step on each of some documents, for a supervised model.

        Args:
            chosen: Indexes of the documents, in order.
            rate: The initial learning rate, which falls linearly to 0.
            total: Number of words and labels in all epochs together.
        """
        job = self._job
        assert job.target_offsets is not None
        for document in chosen:
            targets = job.targets[job.target_offsets[document] : job.target_offsets[document + 1]]
            rows = self._rows(int(document)) if len(targets) else []
            if len(rows):
                now = rate * (1 - self.seen / total)
                self._learn(rows, targets, now, 1 / len(rows))
            length = job.offsets[document + 1] - job.offsets[document]
            self.seen += float(length + len(targets))

    def words(
        self,
        first: int,
        last: int,
        kept: UInt32[np.ndarray, " distinct"],
        window: int,
        cbow: bool,
        rate: float,
        total: float,
    ) -> None:
        """Make the steps on the words of documents ``first`` to ``last`` - 1, for word vectors.

        Args:
            first: Index of the first document.
            last: One more than the index of the last document.
            kept: Probability times 2^32 to keep an occurrence of each distinct word (subsampling).
            window: Largest size of the context window on each side; the size is drawn per word.
            cbow: Predict the word from its context (cbow), else the context from the word.
            rate: The initial learning rate, which falls linearly to 0.
            total: Number of words in all epochs together.
        """
        job = self._job
        for document in range(first, last):
            line = job.tokens[job.offsets[document] : job.offsets[document + 1]]
            now = rate * (1 - self.seen / total)
            sample = [w for w in line if job.targets[w] >= 0 and self._below(1 << 32) <= kept[w]]
            for place, word in enumerate(sample):
                reach = 1 + self._below(window)
                context = [*sample[max(place - reach, 0) : place],
                           *sample[place + 1 : place + reach + 1]]  # fmt: skip
                if cbow:
                    rows = [row for other in context for row in self._parts(other)]
                    examples = [word] if rows else []
                else:
                    rows, examples = list(self._parts(word)), context
                for target in examples if rows else []:
                    self._learn(rows, job.targets[target : target + 1], now, 1.0)
            self.seen += float(len(line))

    def _below(self, bound: int) -> int:
        """Return a random number below a bound; splitmix64 (Steele, Lea, Flood 2014)."""
        mask = (1 << 64) - 1
        z = self._random = (self._random + 0x9E3779B97F4A7C15) & mask
        z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9 & mask
        z = (z ^ z >> 27) * 0x94D049BB133111EB & mask
        return ((z ^ z >> 31) >> 32) * bound >> 32

    def _parts(self, word: int) -> Int32[np.ndarray, " rows"]:
        return self._job.word_rows[self._job.word_bounds[word] : self._job.word_bounds[word + 1]]

    def _rows(self, document: int) -> list[int]:
        """Return the rows of E of a document: words and their n-grams, then word n-grams."""
        job = self._job
        line = job.tokens[job.offsets[document] : job.offsets[document + 1]]
        rows = [int(row) for word in line for row in self._parts(word)]
        hashes = [int(h) for h in job.hashes[line].astype(np.int32)]
        for first in range(len(hashes) if job.run > 1 and job.buckets else 0):
            value = hashes[first]
            for other in hashes[first + 1 : first + job.run]:
                value = (value * 116049371 + other) % (1 << 64)
                row = value % job.buckets
                row = row if job.bucket_rows is None else int(job.bucket_rows[row])
                rows += [job.first_bucket + row] if row >= 0 else []
        return rows

    @np.errstate(all="ignore")
    def _learn(
        self, rows: list[int], targets: Int32[np.ndarray, " targets"], rate: float, share: float
    ) -> None:
        """Make a step on an example; if weights diverge, the loss is no longer finite."""
        job, rate = self._job, float(np.float32(rate))
        hidden = job.input[rows].sum(0) / np.float32(len(rows))
        # Of several labels one is drawn, as in fastText; one vs all learns from all of them.
        several = len(targets) > 1 and job.loss != ONE_VS_ALL
        target = int(targets[self._below(len(targets)) if several else 0])
        if job.loss == SOFTMAX:
            scores = job.output @ hidden
            p = np.exp(scores - scores.max())
            p /= p.sum()
            self._loss -= float(np.log(p[target] + TINY))
            by = -rate * p
            by[target] += rate
            back = by @ job.output
            job.output[...] += by[:, None] * hidden
        else:
            back = np.zeros_like(hidden)
            for row, answer in self._binary_targets(target, targets):
                p = 1 / (1 + np.exp(-(job.output[row] @ hidden)))
                self._loss -= float(np.log((p if answer else 1 - p) + TINY))
                by = np.float32(rate * (answer - p))
                back += by * job.output[row]
                job.output[row] += by * hidden
        np.add.at(job.input, rows, back * np.float32(share))
        self._examples += 1

    def _binary_targets(
        self, target: int, targets: Int32[np.ndarray, " targets"]
    ) -> list[tuple[int, int]]:
        """Return the rows of W that take part in an example, each with its target, 0 or 1."""
        job = self._job
        if job.loss == ONE_VS_ALL:
            return [(row, int(row in targets)) for row in range(len(job.output))]
        if job.path is not None and job.turns is not None and job.path_bounds is not None:
            way = range(job.path_bounds[target], job.path_bounds[target + 1])
            return [(int(job.path[i]), int(job.turns[i])) for i in way]
        assert job.draws is not None
        questions = [(target, 1)]
        for _ in range(job.negatives):
            tries = (int(job.draws[self._below(len(job.draws))]) for _ in range(TRIES))
            drawn = next((row for row in tries if row != target), None)
            questions += [] if drawn is None else [(drawn, 0)]
        return questions
