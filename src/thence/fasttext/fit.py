"""Training, reading and quantising models, with the arguments and messages of fastText."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from thence.array_types import UInt8
from thence.corpus.opening import read_whole
from thence.errors import SettingError, ThenceError, TrainingError
from thence.fasttext.errors import FastTextError, FastTextTrainingError
from thence.fasttext.settings import BoundArguments
from thence.models.fasttext.contents import Arguments, FastTextModel, Quantised
from thence.models.fasttext.corpus import Corpus, read_corpus, read_with_dictionary
from thence.models.fasttext.files import read_fasttext
from thence.models.fasttext.quantising import Quantisation, prune_rows, quantise
from thence.models.fasttext.training import (
    Descent,
    Progress,
    Vectors,
    train_in_place,
    train_model,
)
from thence.terminal import StderrFile

SHOWN_EVERY = 0.2
"""Seconds between two updates of the progress line."""


def fit_supervised(call: BoundArguments) -> FastTextModel:
    """Return a trained classifier.

    Raises:
        FastTextError: If the file cannot be read, or has no words or no labels.
        FastTextTrainingError: If the learning rate is too high.
    """
    return fit(call, call.arguments("supervised"), read_text(call.values["input"]))


def fit_unsupervised(call: BoundArguments) -> FastTextModel:
    """Return trained word vectors.

    Raises:
        FastTextError: If the file cannot be read, or has no words.
        FastTextTrainingError: If the learning rate is too high.
    """
    kind = call.values["model"]
    if kind not in ("cbow", "skipgram"):
        raise FastTextError("Unrecognized model name")
    return fit(call, call.arguments(kind), read_text(call.values["input"]))


def fit(
    call: BoundArguments, arguments: Arguments, text: UInt8[np.ndarray, " bytes"]
) -> FastTextModel:
    """Return a model trained on the bytes of a text."""
    values = call.values
    vectors = read_vectors_file(values["pretrainedVectors"], arguments.dim)
    corpus = read_corpus(
        text, arguments.min_count, values["minCountLabel"], values["label"],
        () if vectors is None else vectors[0],
    )  # fmt: skip
    refuse_empty(corpus, arguments, values["label"])
    with showing_progress(values["verbose"], corpus) as progress:
        descent = Descent(float(values["lr"]), int(values["seed"]), progress)
        return train_model(corpus, arguments, descent, vectors)


def quantized(
    model: FastTextModel,
    cutoff: int,
    again: tuple[Any, int, float, str, int | None] | None,
    part_size: int,
    with_norms: bool,
    output_too: bool,
) -> FastTextModel:
    """Return a model compressed by product quantisation.

    Args:
        model: A classifier.
        cutoff: Number of words and n-grams to keep; 0: all.
        again: To train the kept ones again: the file, epochs, learning rate, prefix of labels, and
            verbosity; None for no training.
        part_size: Number of components of a vector that become one byte.
        with_norms: Quantise the norms of vectors separately.
        output_too: Quantise the output matrix too.

    Raises:
        FastTextError: If the model has no labels, is quantised, or has fewer than 256 rows.
    """
    if model.arguments.model != "supervised":
        raise FastTextError("For now we only support quantization of supervised models")
    if isinstance(model.input, Quantised):
        raise FastTextError("Model is already quantized")
    if again is not None and not again[0]:
        raise FastTextError("Need input file path if retraining")
    if 0 < cutoff < model.input.shape[0]:
        model = prune_rows(model, cutoff)
        if again is not None:
            path, epochs, rate, prefix, verbose = again
            model = replace(model, arguments=replace(model.arguments, epoch=epochs))
            corpus = read_with_dictionary(read_text(path), model.dictionary, prefix)
            with showing_progress(verbose or 0, corpus) as progress:
                train_in_place(model, corpus, Descent(rate, progress=progress), fresh=False)
    try:
        return quantise(model, Quantisation(part_size, with_norms, output_too))
    except SettingError as error:
        raise FastTextError(str(error)) from None


def load(path: str | Path) -> FastTextModel:
    """Return the model of a file.

    Raises:
        FastTextError: If the file is missing or damaged.
    """
    if not Path(path).is_file():
        raise FastTextError(f"{path} cannot be opened for loading!")
    try:
        return read_fasttext(Path(path))
    except ThenceError as error:
        raise FastTextError(f"{path} has wrong file format! {error}") from None


def read_text(path: Any) -> UInt8[np.ndarray, " bytes"]:
    """Return the bytes of a training file; FastTextError if it cannot be read."""
    if not path or not Path(path).is_file():
        raise FastTextError(f"{path} cannot be opened for training!")
    try:
        return np.frombuffer(read_whole(Path(path)), np.uint8)
    except ThenceError as error:
        raise FastTextError(f"{path} cannot be opened for training! ({error})") from None


def refuse_empty(corpus: Corpus, arguments: Arguments, prefix: str) -> None:
    """Raise FastTextError if there are no words or no labels to train on."""
    words, labels = len(corpus.dictionary.words), len(corpus.dictionary.labels)
    if words + labels == 0:
        raise FastTextError("Empty vocabulary. Try a smaller -minCount value.")
    if arguments.model == "supervised" and labels == 0:
        raise FastTextError(
            f"The file has no labels: each line needs at least one word that begins with {prefix}"
        )
    if arguments.model != "supervised" and words == 0:
        raise FastTextError("Empty vocabulary. Try a smaller -minCount value.")


def read_vectors_file(path: str, size: int) -> Vectors | None:
    """Return the words and vectors of a ``.vec`` file; None for an empty path.

    Raises:
        FastTextError: If it cannot be read, or its vectors are of another size.
    """
    if not path:
        return None
    words: list[bytes] = []
    try:
        with Path(path).open("rb") as file:
            stated = [int(number) for number in file.readline().split()]
            if len(stated) != 2 or stated[1] != size:
                raise FastTextError(
                    f"Dimension of pretrained vectors ({stated[-1] if stated else 0}) does not "
                    f"match dimension ({size})!"
                )
            rows = np.zeros((stated[0], size), np.float32)
            for row, line in enumerate(file):
                word, *values = line.rstrip().rsplit(b" ", size)
                rows[row] = [float(value) for value in values]
                words.append(word)
    except (OSError, ValueError, IndexError) as error:
        if isinstance(error, ThenceError):
            raise
        raise FastTextError(f"{path} cannot be opened for loading! ({error})") from None
    return words, rows[: len(words)]


@contextmanager
def showing_progress(verbose: int, corpus: Corpus) -> Iterator[Progress | None]:
    """Context manager: the progress callback of a training; None if verbose is 0.

    Raises:
        FastTextTrainingError: If the loss becomes NaN.
    """
    watched = TrainingProgress(verbose, corpus) if verbose > 0 else None
    try:
        yield None if watched is None else watched.show
    except TrainingError as error:
        raise FastTextTrainingError(f"Encountered NaN. {error}") from None
    finally:
        if watched is not None:
            watched.close()


class TrainingProgress:
    """Shows the progress of a training on standard error, as fastText does.

    Args:
        verbose: 1: the size of the corpus; 2: the progress too.
        corpus: The corpus.
    """

    def __init__(self, verbose: int, corpus: Corpus) -> None:
        self._verbose, self._file = verbose, StderrFile(sys.stderr)
        self._start, self._shown, self._tokens = time.monotonic(), 0.0, corpus.dictionary.num_tokens
        words, labels = len(corpus.dictionary.words), len(corpus.dictionary.labels)
        self._file.write(
            f"Read {self._tokens / 1e6:.0f}M words\nNumber of words:  {words}\n"
            f"Number of labels: {labels}\n"
        )

    def show(self, done: float, rate: float, loss: float) -> None:
        """Show the fraction done, the learning rate and the mean loss."""
        now = time.monotonic()
        if self._verbose < 2 or (now - self._shown < SHOWN_EVERY and done < 1):
            return
        self._shown = now
        left = (now - self._start) * (1 - done) / max(done, 1e-9)
        self._file.write(
            f"\rProgress: {done:6.1%} lr: {rate:9.6f} avg.loss: {loss:9.6f} "
            f"ETA: {int(left) // 60:3}m{int(left) % 60:2}s"
        )

    def close(self) -> None:
        """End the progress line."""
        if self._shown:
            self._file.write("\n")
