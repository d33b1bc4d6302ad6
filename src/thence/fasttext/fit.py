"""From the arguments of a training function to a trained model."""

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
from thence.fasttext.settings import Asked
from thence.models.fasttext.contents import Arguments, FastTextModel, Quantised
from thence.models.fasttext.corpus import Corpus, read_corpus, read_with_dictionary
from thence.models.fasttext.files import read_fasttext
from thence.models.fasttext.quantising import Quantisation, keep_rows, quantise
from thence.models.fasttext.training import (
    Descent,
    Progress,
    Vectors,
    descend,
    train_model,
)
from thence.terminal import StderrFile

SHOWN_EVERY = 0.2
"""Seconds between two states of a line of progress."""


def fit_supervised(asked: Asked) -> FastTextModel:
    """Return a model that finds labels.

    Raises:
        FastTextError: If the file cannot be read, or has no words or no labels.
        FastTextTrainingError: If the learning rate is too high.
    """
    return fit(asked, asked.arguments("supervised"), read(asked.values["input"]))


def fit_unsupervised(asked: Asked) -> FastTextModel:
    """Return a model of the vectors of words.

    Raises:
        FastTextError: If the file cannot be read, or has no words.
        FastTextTrainingError: If the learning rate is too high.
    """
    kind = asked.values["model"]
    if kind not in ("cbow", "skipgram"):
        raise FastTextError("Unrecognized model name")
    return fit(asked, asked.arguments(kind), read(asked.values["input"]))


def fit(asked: Asked, arguments: Arguments, text: UInt8[np.ndarray, " bytes"]) -> FastTextModel:
    """Return a model that was trained on a text."""
    values = asked.values
    vectors = read_vectors_file(values["pretrainedVectors"], arguments.dim)
    corpus = read_corpus(
        text, arguments.min_count, values["minCountLabel"], values["label"],
        () if vectors is None else vectors[0],
    )  # fmt: skip
    refuse_empty(corpus, arguments, values["label"])
    with watching(values["verbose"], corpus) as progress:
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
    """Return a small model.

    Args:
        model: One with labels.
        cutoff: Words and n-grams that are kept; 0: all.
        again: To train these again: the file, epochs, the rate, how labels begin, and whether to
            show the progress; None: they are not.
        part_size: Numbers that become a byte.
        with_norms: Keep the lengths of vectors apart.
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
        model = keep_rows(model, cutoff)
        if again is not None:
            path, epochs, rate, prefix, verbose = again
            model = replace(model, arguments=replace(model.arguments, epoch=epochs))
            corpus = read_with_dictionary(read(path), model.dictionary, prefix)
            with watching(verbose or 0, corpus) as progress:
                descend(model, corpus, Descent(rate, progress=progress), fresh=False)
    try:
        return quantise(model, Quantisation(part_size, with_norms, output_too))
    except SettingError as error:
        raise FastTextError(str(error)) from None


def load(path: str | Path) -> FastTextModel:
    """Return the model of a file.

    Raises:
        FastTextError: If there is none, or it is damaged.
    """
    if not Path(path).is_file():
        raise FastTextError(f"{path} cannot be opened for loading!")
    try:
        return read_fasttext(Path(path))
    except ThenceError as error:
        raise FastTextError(f"{path} has wrong file format! {error}") from None


def read(path: Any) -> UInt8[np.ndarray, " bytes"]:
    """Return the bytes of a file to learn from."""
    if not path or not Path(path).is_file():
        raise FastTextError(f"{path} cannot be opened for training!")
    try:
        return np.frombuffer(read_whole(Path(path)), np.uint8)
    except ThenceError as error:
        raise FastTextError(f"{path} cannot be opened for training! ({error})") from None


def refuse_empty(corpus: Corpus, arguments: Arguments, prefix: str) -> None:
    """Raise if there is nothing to learn.

    Raises:
        FastTextError: Says what is missing.
    """
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
    """Return the words and vectors of a ``.vec`` file; None: no file is named.

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
def watching(verbose: int, corpus: Corpus) -> Iterator[Progress | None]:
    """Show how far a training is, if that is wanted.

    Raises:
        FastTextTrainingError: If its loss is no number any more.
    """
    watched = Watched(verbose, corpus) if verbose > 0 else None
    try:
        yield None if watched is None else watched.show
    except TrainingError as error:
        raise FastTextTrainingError(f"Encountered NaN. {error}") from None
    finally:
        if watched is not None:
            watched.close()


class Watched:
    """Shows on standard error how far a training is, as fastText does.

    Args:
        verbose: 1: what was read; 2: the progress too.
        corpus: What was read.
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
        """Show the share that is done, the rate and the mean loss."""
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
        """End the line of progress."""
        if self._shown:
            self._file.write("\n")
