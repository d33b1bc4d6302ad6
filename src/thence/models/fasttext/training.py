"""Training of models in fastText's format: labels of texts, or vectors of words.

The settings, the order of steps and the falling rate are fastText's. Three things differ: documents
are read in a new random order in each epoch, so a file that is sorted by label does no harm;
everything is added in one order, so the same seed gives the same weights; and buckets that no
document has stay zero, so that unseen n-grams add no noise.
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
"""Tokens between two reports of how far a training is."""
DRAWS_PER_ROW, MOST_DRAWS = 100, 10_000_000
"""Entries of the table that negative samples are drawn from: enough that each row has its share."""
FILL = 1 << 22
"""Numbers that are drawn at a time for the first weights."""

Vectors = tuple[list[bytes], Float32[np.ndarray, "words size"]]
Progress = Callable[[float, float, float], None]
"""Called with the share that is done (0 to 1), the rate now, and the mean loss in nats."""


@dataclass(frozen=True)
class Descent:
    """How weights are learned, beyond what the file keeps.

    Attributes:
        rate: The learning rate at the beginning; it falls to 0.
        seed: Of the first weights, of the order of documents, and of what is drawn.
        progress: Is told how far the training is.
    """

    rate: float = 0.1
    seed: int = 0
    progress: Progress | None = None


def train_model(
    corpus: Corpus, arguments: Arguments, descent: Descent, vectors: Vectors | None = None
) -> FastTextModel:
    """Return a model that was trained on a text.

    Args:
        corpus: The text.
        arguments: The settings.
        descent: How weights are learned.
        vectors: Pretrained vectors to begin with, by word.

    Raises:
        TrainingError: If the weights are no longer finite numbers.
    """
    words, labels = len(corpus.dictionary.words), len(corpus.dictionary.labels)
    buckets = arguments.bucket if arguments.hashes else 0
    supervised = arguments.model == "supervised"
    # Pages of zeros take no memory until they are written to: most buckets of a small text.
    matrix = np.zeros((words + buckets, arguments.dim), np.float32)
    output = np.zeros((labels if supervised else words, arguments.dim), np.float32)
    model = FastTextModel(arguments, corpus.dictionary, Dense(matrix), Dense(output))
    return descend(model, corpus, descent, vectors)


def descend(
    model: FastTextModel, corpus: Corpus, descent: Descent, vectors: Vectors | None = None,
    fresh: bool = True,
) -> FastTextModel:  # fmt: skip
    """Change the weights of a model in place; return it."""
    job = job_of(model, corpus, descent.seed)
    learner = steps.steps_of(job)
    if fresh:
        used = rows_of_words(job) if job.target_offsets is None else learner.used()
        fill(model, used, descent.seed, vectors)
    if model.arguments.model == "supervised":
        learn_labels(learner, model.arguments.epoch, corpus, descent)
    else:
        learn_words(learner, np.diff(job.offsets), model.arguments, corpus, descent)
    return model


def learn_labels(learner: Any, epochs: int, corpus: Corpus, descent: Descent) -> None:
    """Make the steps on all documents, as many times as there are epochs."""
    lengths = np.diff(corpus.offsets) + np.diff(corpus.target_offsets)
    total = float(max(lengths.sum() * epochs, 1))
    for epoch in range(epochs):
        order = np.random.default_rng((descent.seed, epoch)).permutation(len(lengths))
        for part in in_slices(lengths[order]):
            learner.documents(order[part], descent.rate, total)
            report(learner, total, descent)


def learn_words(
    learner: Any,
    lengths: Int64[np.ndarray, " lines"],
    arguments: Arguments,
    corpus: Corpus,
    descent: Descent,
) -> None:
    """Make the steps on all words of a text, as many times as there are epochs."""
    counts = np.maximum(np.append(corpus.dictionary.words.counts, 0)[corpus.ids], 1)
    share = counts / max(corpus.dictionary.num_tokens, 1)
    chance = np.sqrt(arguments.t / share) + arguments.t / share
    kept = np.minimum(chance * 2.0**32, 2.0**32 - 1).astype(np.uint32)
    total = float(max(len(corpus.tokens) * arguments.epoch, 1))
    for _ in range(arguments.epoch):
        for part in in_slices(lengths):
            cbow = arguments.model == "cbow"
            learner.words(
                part.start, part.stop, kept, arguments.ws, cbow, descent.rate, total
            )  # fmt: skip
            report(learner, total, descent)


def report(learner: Any, total: float, descent: Descent) -> None:
    """Report the progress of the training.

    Raises:
        DeadlineError: If the deadline has passed.
        TrainingError: If the loss is no finite number.
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


def in_slices(lengths: Int64[np.ndarray, " documents"]) -> list[slice]:
    """Return slices of documents, of some ``SLICE`` tokens each."""
    number = np.cumsum(lengths) // SLICE
    ends = [*(np.flatnonzero(np.diff(number)) + 1), len(lengths)]
    return [slice(int(a), int(b)) for a, b in zip([0, *ends], ends, strict=False) if a < b]


def job_of(model: FastTextModel, corpus: Corpus, seed: int) -> steps.Job:
    """Return what the steps work on."""
    arguments = model.arguments
    supervised = arguments.model == "supervised"
    offsets = corpus.offsets if supervised else shorter_lines(corpus)
    word_rows, word_bounds = parts_of_words(model, corpus)
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
        job = replace(job, bucket_rows=rows_of_buckets(model))
    if arguments.loss == "ns":
        job = replace(job, draws=table_of_draws(output.counts), negatives=arguments.neg)
    elif arguments.loss == "hs":
        path, turns, bounds = paths(model.tree, len(model.targets))
        job = replace(job, path=path, turns=turns, path_bounds=bounds)
    return replace(job, room=room_of(job, arguments))


def weights_of(
    model: FastTextModel,
) -> tuple[Float32[np.ndarray, "rows dim"], Float32[np.ndarray, "outputs dim"]]:
    """Return E and W, which are learned."""
    assert isinstance(model.input, Dense)
    assert isinstance(model.output, Dense)
    return model.input.values, model.output.values


def rows_of_buckets(model: FastTextModel) -> Int32[np.ndarray, " buckets"]:
    """Return the row of each bucket, counted from the first one, or -1, where not all have one."""
    found = np.full(model.arguments.bucket, -1, np.int32)
    pruned = model.dictionary.pruned
    assert pruned is not None
    found[pruned[:, 0]] = pruned[:, 1]
    return found


def room_of(job: steps.Job, arguments: Arguments) -> int:
    """Return the most rows that an example has."""
    parts = np.diff(job.word_bounds)
    if job.target_offsets is None:
        return int(parts.max(initial=0)) * 2 * max(arguments.ws, 1)
    sums = np.concatenate([[0], np.cumsum(parts[job.tokens])])
    runs = np.diff(job.offsets) * (job.run - 1)
    return int((sums[job.offsets[1:]] - sums[job.offsets[:-1]] + runs).max(initial=0))


def parts_of_words(
    model: FastTextModel, corpus: Corpus
) -> tuple[Int32[np.ndarray, " parts"], Int64[np.ndarray, " bounds"]]:
    """Return rows of each distinct word, its own and those of its n-grams, and where they begin."""
    if model.arguments.maxn > 0:
        bags = subword_bags(model, corpus.distinct)
        return bags.features, bags.offsets
    known = corpus.ids >= 0
    return corpus.ids[known], np.concatenate([[0], np.cumsum(known)]).astype(np.int64)


def shorter_lines(corpus: Corpus) -> Int64[np.ndarray, " bounds"]:
    """Return where documents begin if long ones are cut, since files may have no lines."""
    cuts = [np.arange(a, b, LONGEST_LINE) for a, b in
            zip(corpus.offsets[:-1], corpus.offsets[1:], strict=True)
            if b - a > LONGEST_LINE]  # fmt: skip
    return np.unique(np.concatenate([corpus.offsets, *cuts]))


def rows_of_words(job: steps.Job) -> UInt8[np.ndarray, " rows"]:
    """Return 1 for each row of the input that a word which is read has."""
    used = np.zeros(len(job.input), np.uint8)
    used[job.word_rows[np.repeat(job.targets >= 0, np.diff(job.word_bounds))]] = 1
    return used


def table_of_draws(counts: Int64[np.ndarray, " rows"]) -> Int32[np.ndarray, " draws"]:
    """Return rows, each as often as the root of its count asks for, and at least once."""
    roots = np.sqrt(np.maximum(counts, 1))
    size = min(DRAWS_PER_ROW * len(counts), MOST_DRAWS)
    times = np.maximum(np.rint(roots * size / roots.sum()), 1).astype(np.int64)
    return np.repeat(np.arange(len(counts), dtype=np.int32), times)


def fill(
    model: FastTextModel, used: UInt8[np.ndarray, " rows"], seed: int, vectors: Vectors | None
) -> None:
    """Draw the first weights of all words and of the buckets that the text has."""
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
