"""Training of models in fastText's format: classifiers, or word vectors.

The settings, the steps and the falling learning rate are fastText's. Three things differ: documents
are shuffled in each epoch, so that a file sorted by label does no harm; updates are made in a fixed
order, so that the same seed gives the same weights; and buckets that occur in no document stay
zero, so that unseen n-grams add no noise.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from thence.array_types import Float32, Int32, Int64, UInt8
from thence.deadline import check_deadline
from thence.errors import TrainingError
from thence.models.fasttext import steps
from thence.models.fasttext.contents import LOSSES, Arguments, Dense, FastTextModel
from thence.models.fasttext.corpus import LONGEST_LINE, Corpus
from thence.models.fasttext.features import subword_bags
from thence.models.fasttext.tree import paths

SLICE = 1 << 17
"""Tokens between two progress reports."""
DRAWS_PER_ROW, MOST_DRAWS = 100, 10_000_000
"""Size of the table that negative samples are drawn from, per row of W and at most: large enough
for each row's share."""
FILL = 1 << 22
"""Initial weights that are drawn at a time (16 MB)."""

Vectors = tuple[list[bytes], Float32[np.ndarray, "words size"]]
Progress = Callable[[float, float, float], None]
"""Callback with the share done (0 to 1), the current learning rate, and the mean loss in nats."""


@dataclass(frozen=True)
class Descent:
    """Settings of a training that are not stored in a fastText file.

    Attributes:
        rate: The initial learning rate; it falls linearly to 0.
        seed: Seed of the initial weights, the order of documents, and all draws.
        progress: Progress callback.
    """

    rate: float = 0.1
    seed: int = 0
    progress: Progress | None = None


def train_model(
    corpus: Corpus, arguments: Arguments, descent: Descent, vectors: Vectors | None = None
) -> FastTextModel:
    """Train a new model on a text.

    Args:
        corpus: The text.
        arguments: The settings of the model.
        descent: The settings of the training.
        vectors: Pretrained vectors to start from: words and their vectors.

    Raises:
        TrainingError: If the loss is no longer finite.
    """
    words, labels = len(corpus.dictionary.words), len(corpus.dictionary.labels)
    buckets = arguments.bucket if arguments.hashes else 0
    supervised = arguments.model == "supervised"
    # Pages of zeros take no memory until they are written to; a small text leaves most unwritten.
    matrix = np.zeros((words + buckets, arguments.dim), np.float32)
    output = np.zeros((labels if supervised else words, arguments.dim), np.float32)
    model = FastTextModel(arguments, corpus.dictionary, Dense(matrix), Dense(output))
    return train_in_place(model, corpus, descent, vectors)


def train_in_place(
    model: FastTextModel, corpus: Corpus, descent: Descent, vectors: Vectors | None = None,
    fresh: bool = True,
) -> FastTextModel:  # fmt: skip
    """Train a model in place and return it; if ``fresh``, its weights are initialised first."""
    job = make_job(model, corpus, descent.seed)
    learner = steps.make_steps(job)
    if fresh:
        used = used_word_rows(job) if job.target_offsets is None else learner.used()
        init_input(model, used, descent.seed, vectors)
    if model.arguments.model == "supervised":
        train_classifier(learner, model.arguments.epoch, corpus, descent)
    else:
        train_word_vectors(learner, np.diff(job.offsets), model.arguments, corpus, descent)
    return model


def train_classifier(learner: Any, epochs: int, corpus: Corpus, descent: Descent) -> None:
    """Make the steps of all epochs for a classifier."""
    lengths = np.diff(corpus.offsets) + np.diff(corpus.target_offsets)
    total = float(max(lengths.sum() * epochs, 1))
    for epoch in range(epochs):
        order = np.random.default_rng((descent.seed, epoch)).permutation(len(lengths))
        for part in slices_by_tokens(lengths[order]):
            learner.documents(order[part], descent.rate, total)
            report(learner, total, descent)


def train_word_vectors(
    learner: Any,
    lengths: Int64[np.ndarray, " lines"],
    arguments: Arguments,
    corpus: Corpus,
    descent: Descent,
) -> None:
    """Make the steps of all epochs for word vectors."""
    counts = np.maximum(np.append(corpus.dictionary.words.counts, 0)[corpus.ids], 1)
    share = counts / max(corpus.dictionary.num_tokens, 1)
    # Frequent words are kept with probability sqrt(t / f) + t / f (Mikolov et al. 2013).
    chance = np.sqrt(arguments.t / share) + arguments.t / share
    kept = np.minimum(chance * 2.0**32, 2.0**32 - 1).astype(np.uint32)
    total = float(max(len(corpus.tokens) * arguments.epoch, 1))
    for _ in range(arguments.epoch):
        for part in slices_by_tokens(lengths):
            cbow = arguments.model == "cbow"
            learner.words(
                part.start, part.stop, kept, arguments.ws, cbow, descent.rate, total
            )  # fmt: skip
            report(learner, total, descent)


def report(learner: Any, total: float, descent: Descent) -> None:
    """Report the progress of the training.

    Raises:
        DeadlineError: If the deadline has passed.
        TrainingError: If the loss is not finite.
    """
    check_deadline()
    if not np.isfinite(learner.mean_loss):
        raise TrainingError(
            f"The loss is no finite number any more: the learning rate {descent.rate:g} is too "
            "high. Try a tenth of it."
        )
    if descent.progress is not None:
        done = learner.seen / total
        descent.progress(done, descent.rate * (1 - done), learner.mean_loss)


def slices_by_tokens(lengths: Int64[np.ndarray, " documents"]) -> list[slice]:
    """Return slices of documents, of about ``SLICE`` tokens each."""
    number = np.cumsum(lengths) // SLICE
    ends = [*(np.flatnonzero(np.diff(number)) + 1), len(lengths)]
    return [slice(int(a), int(b)) for a, b in zip([0, *ends], ends, strict=False) if a < b]


def make_job(model: FastTextModel, corpus: Corpus, seed: int) -> steps.Job:
    """Return the job (weights, text and settings) of a training."""
    arguments = model.arguments
    supervised = arguments.model == "supervised"
    offsets = corpus.offsets if supervised else cut_long_lines(corpus)
    word_rows, word_bounds = word_rows_of(model, corpus)
    run = arguments.word_ngrams if supervised else 1
    output = model.dictionary.labels if supervised else model.dictionary.words
    matrix, outputs = weights_of(model)
    job = steps.Job(
        matrix, outputs, corpus.tokens, offsets,
        corpus.targets if supervised else corpus.ids,
        corpus.target_offsets if supervised else None,
        corpus.hashes, word_rows, word_bounds, len(model.dictionary.words),
        arguments.bucket, run, LOSSES.index(arguments.loss) + 1, 0, seed,
    )  # fmt: skip
    if model.dictionary.pruned is not None:
        job = replace(job, bucket_rows=bucket_rows(model))
    if arguments.loss == "ns":
        job = replace(job, draws=negative_table(output.counts), negatives=arguments.neg)
    elif arguments.loss == "hs":
        path, turns, bounds = paths(model.tree, len(model.targets))
        job = replace(job, path=path, turns=turns, path_bounds=bounds)
    return replace(job, room=max_rows(job, arguments))


def weights_of(
    model: FastTextModel,
) -> tuple[Float32[np.ndarray, "rows dim"], Float32[np.ndarray, "outputs dim"]]:
    """Return the matrices E and W, which are dense while they are trained."""
    assert isinstance(model.input, Dense)
    assert isinstance(model.output, Dense)
    return model.input.values, model.output.values


def bucket_rows(model: FastTextModel) -> Int32[np.ndarray, " buckets"]:
    """Return the row of each bucket of a pruned model, counted from the first one; -1: none."""
    found = np.full(model.arguments.bucket, -1, np.int32)
    pruned = model.dictionary.pruned
    assert pruned is not None
    found[pruned[:, 0]] = pruned[:, 1]
    return found


def max_rows(job: steps.Job, arguments: Arguments) -> int:
    """Return an upper bound of the number of rows of an example."""
    parts = np.diff(job.word_bounds)
    if job.target_offsets is None:
        return int(parts.max(initial=0)) * 2 * max(arguments.ws, 1)
    sums = np.concatenate([[0], np.cumsum(parts[job.tokens])])
    runs = np.diff(job.offsets) * (job.run - 1)
    return int((sums[job.offsets[1:]] - sums[job.offsets[:-1]] + runs).max(initial=0))


def word_rows_of(
    model: FastTextModel, corpus: Corpus
) -> tuple[Int32[np.ndarray, " parts"], Int64[np.ndarray, " bounds"]]:
    """Return the rows of each distinct word (its own and its n-grams'), and their offsets."""
    if model.arguments.maxn > 0:
        bags = subword_bags(model, corpus.distinct)
        return bags.features, bags.offsets
    known = corpus.ids >= 0
    return corpus.ids[known], np.concatenate([[0], np.cumsum(known)]).astype(np.int64)


def cut_long_lines(corpus: Corpus) -> Int64[np.ndarray, " bounds"]:
    """Return the offsets of documents with long lines cut, since a file may have no line ends."""
    cuts = [np.arange(a, b, LONGEST_LINE) for a, b in
            zip(corpus.offsets[:-1], corpus.offsets[1:], strict=True)
            if b - a > LONGEST_LINE]  # fmt: skip
    return np.unique(np.concatenate([corpus.offsets, *cuts]))


def used_word_rows(job: steps.Job) -> UInt8[np.ndarray, " rows"]:
    """Return 1 for each row of E that belongs to a word in the dictionary, else 0."""
    used = np.zeros(len(job.input), np.uint8)
    used[job.word_rows[np.repeat(job.targets >= 0, np.diff(job.word_bounds))]] = 1
    return used


def negative_table(counts: Int64[np.ndarray, " rows"]) -> Int32[np.ndarray, " draws"]:
    """Return the table of negative samples: each row in proportion to the root of its count.

    Each row is in it at least once.
    """
    roots = np.sqrt(np.maximum(counts, 1))
    size = min(DRAWS_PER_ROW * len(counts), MOST_DRAWS)
    times = np.maximum(np.rint(roots * size / roots.sum()), 1).astype(np.int64)
    return np.repeat(np.arange(len(counts), dtype=np.int32), times)


def init_input(
    model: FastTextModel, used: UInt8[np.ndarray, " rows"], seed: int, vectors: Vectors | None
) -> None:
    """Initialise E: uniform in ± 1 / D for all words and used buckets, or pretrained vectors.

    Other rows stay zero.
    """
    matrix, words = weights_of(model)[0], model.dictionary.words
    used[: len(words)] = 1
    rows, size = np.flatnonzero(used), matrix.shape[1]
    draw = np.random.default_rng(seed)
    for start in range(0, len(rows), max(FILL // size, 1)):
        part = rows[start : start + max(FILL // size, 1)]
        values = draw.random((len(part), size), np.float32)
        values *= np.float32(2 / size)
        values -= np.float32(1 / size)
        matrix[part] = values
    if vectors is not None:
        places = {word: row for row, word in enumerate(words.encoded())}
        found = [(places[word], row) for row, word in enumerate(vectors[0]) if word in places]
        own, theirs = (list(rows) for rows in zip(*found, strict=True)) if found else ([], [])
        matrix[own] = vectors[1][theirs]
