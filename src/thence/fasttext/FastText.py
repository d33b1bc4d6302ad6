"""What the module ``fasttext.FastText`` has: models that are asked, and what makes them."""

import sys
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from thence._core import library
from thence.array_types import Float32, Int64
from thence.corpus import Documents
from thence.errors import ThenceError
from thence.fasttext import evaluation, neighbours
from thence.fasttext.autotune import autotune
from thence.fasttext.errors import FastTextError
from thence.fasttext.evaluation import NOT_SUPERVISED, Meter, labels_asked, of_one, reach, top
from thence.fasttext.fit import fit_supervised, fit_unsupervised, load, quantized
from thence.fasttext.lines import BOW as BOW
from thence.fasttext.lines import EOS as EOS
from thence.fasttext.lines import EOW as EOW
from thence.fasttext.lines import PREFIX, one_line, words_and_labels
from thence.fasttext.lines import tokenize as tokenize
from thence.fasttext.settings import SHOWN, SUPERVISED, UNSUPERVISED, Asked, asked_for
from thence.fasttext.settings import loss_name as loss_name
from thence.fasttext.settings import model_name as model_name
from thence.models.fasttext import features as parts
from thence.models.fasttext import predictions
from thence.models.fasttext.contents import Dense, Entries, FastTextModel, Quantised
from thence.models.fasttext.corpus import hash_of
from thence.models.fasttext.files import write_fasttext
from thence.models.fasttext.one_line import OneLine


def eprint(*args: Any, **kwargs: Any) -> None:
    """Print to standard error; programs replace it to be rid of a warning of fastText's."""
    print(*args, file=sys.stderr, **kwargs)  # noqa: T201


class _FastText:
    """A model of fastText, as ``load_model`` and the training functions return it.

    Args:
        model_path: A file to read.
        args: Nothing here; for programs that give it.
    """

    def __init__(self, model_path: str | Path | None = None, args: Any = None) -> None:
        self._model: FastTextModel | None = None
        self._asked: Asked | None = None
        if model_path is not None:
            self._take(load(model_path))

    def _take(self, model: FastTextModel, asked: Asked | None = None) -> "_FastText":
        """Become another model, and show the settings of its training."""
        self._model, self._asked = model, asked or self._asked
        for kept in ("words", "labels", "_directions", "_label_names", "_one"):
            self.__dict__.pop(kept, None)
        known = model.arguments
        of_file = {
            "minCount": known.min_count, "wordNgrams": known.word_ngrams,
            "lrUpdateRate": known.lr_update_rate, "loss": loss_name[known.loss],
            **{name: getattr(known, name)
               for name in ("dim", "ws", "epoch", "neg", "bucket", "minn", "maxn", "t")},
        }  # fmt: skip
        trained = {} if self._asked is None else self._asked.values
        for name in SHOWN:
            if name in of_file or name in trained:
                setattr(self, name, of_file.get(name, trained.get(name)))
        return self

    @property
    def f(self) -> Any:
        """What programs reach for below the class: ``getArgs`` and ``predict``."""
        known = self.model.arguments
        shown = {name: getattr(self, name, UNSUPERVISED[name]) for name in SHOWN}

        def predict(text: str, k: int, threshold: float, _: str = "strict") -> Any:
            labels, chances = self.predict(text.removesuffix("\n"), k, threshold)
            return list(zip(chances.tolist(), labels, strict=True))

        arguments = SimpleNamespace(**shown, model=model_name[known.model])
        return SimpleNamespace(predict=predict, getArgs=lambda: arguments)

    @property
    def model(self) -> FastTextModel:
        """Everything that its file holds."""
        if self._model is None:
            raise FastTextError("the model is neither read nor trained")
        return self._model

    def is_quantized(self) -> bool:
        """Return whether its rows are made of codes (``quantize``)."""
        return isinstance(self.model.input, Quantised)

    def get_dimension(self) -> int:
        """Return the size of a vector."""
        return self.model.arguments.dim

    def get_word_vector(self, word: str) -> Float32[np.ndarray, " dim"]:
        """Return the vector of a word, known or not, from the runs of characters in it."""
        vector: Float32[np.ndarray, " dim"] = predictions.word_vectors(self.model, [word])[0]
        return vector

    def get_sentence_vector(self, text: str) -> Float32[np.ndarray, " dim"]:
        """Return the vector of a line of text.

        Raises:
            FastTextError: If there is a line end in it.
        """
        documents = Documents.from_strings([one_line(text)])
        vector: Float32[np.ndarray, " dim"] = predictions.sentence_vectors(self.model, documents)[0]
        return vector

    def get_nearest_neighbors(
        self, word: str, k: int = 10, on_unicode_error: str = "strict"
    ) -> list[tuple[float, str]]:
        """Return the k words whose vectors have the largest cosine with a word's."""
        query = self.get_word_vector(word)
        return neighbours.nearest(
            self._directions, self.get_words(on_unicode_error=on_unicode_error), query, k, {word}
        )

    def get_analogies(
        self, wordA: str, wordB: str, wordC: str, k: int = 10, on_unicode_error: str = "strict"
    ) -> list[tuple[float, str]]:  # fmt: skip
        """Return the k words that are nearest to A - B + C."""
        query = neighbours.analogy(self.model, wordA, wordB, wordC)
        words = self.get_words(on_unicode_error=on_unicode_error)
        return neighbours.nearest(self._directions, words, query, k, {wordA, wordB, wordC})

    @cached_property
    def _directions(self) -> Float32[np.ndarray, "words dim"]:
        return neighbours.directions(self.model)

    def get_word_id(self, word: str) -> int:
        """Return the number of a word, -1 if the dictionary lacks it."""
        return int(parts.word_ids(self.model, [word])[0])

    def get_label_id(self, label: str) -> int:
        """Return the number of a label, -1 if there is none of that name."""
        found = self.get_word_id(label) - len(self.model.dictionary.words)
        return max(found, -1)

    def get_subword_id(self, subword: str) -> int:
        """Return the row of the input matrix that a run of characters is hashed to."""
        buckets = max(self.model.arguments.bucket, 1)
        return len(self.model.dictionary.words) + hash_of(subword.encode()) % buckets

    def get_subwords(
        self, word: str, on_unicode_error: str = "strict"
    ) -> tuple[list[str], Int64[np.ndarray, " subwords"]]:
        """Return a word, if it is known, and its runs of characters; and the rows of each."""
        names, rows = parts.subwords(self.model, word)
        return names, rows.astype(np.int64)

    def get_input_vector(self, ind: int) -> Float32[np.ndarray, " dim"]:
        """Return a row of the input matrix.

        Raises:
            IndexError: If there is none.
        """
        if not 0 <= ind < self.model.input.shape[0]:
            raise IndexError(f"there is no row {ind} among {self.model.input.shape[0]:,}")
        vector: Float32[np.ndarray, " dim"] = self.model.input.rows(np.array([ind]))[0]
        return vector

    def predict(
        self, text: Any, k: int = 1, threshold: float = 0.0, on_unicode_error: str = "strict"
    ) -> tuple[Any, Any]:
        """Return the most probable labels of a line of text, or of each of several.

        Args:
            text: A line, or a list of lines.
            k: How many labels at most; -1: all.
            threshold: Labels that are less probable are left out.
            on_unicode_error: What to do about labels that are no UTF-8, as in ``bytes.decode``.

        Returns:
            For a line, a tuple of labels and an array of their probabilities; for a list, a list of
            lists and a list of arrays.

        Raises:
            FastTextError: If there is a line end in a text, or the model has no labels.
        """
        if self.model.arguments.model != "supervised":
            raise FastTextError(NOT_SUPERVISED)
        names = self._names(self.model.dictionary.labels, on_unicode_error)
        if isinstance(text, str) and self._one is not None:
            scores, size = self._one.predict(one_line(text).encode())
            return of_one(scores, size, names, k, threshold)
        several = not isinstance(text, str)
        lines = Documents.from_strings(map(one_line, text if several else [text]))
        scores, sizes = predictions.predict(self.model, lines)
        if not several:
            return of_one(scores[0], int(sizes[0]), names, k, threshold)
        rows = top(scores, labels_asked(k, len(names)))
        chances = np.take_along_axis(scores, rows, 1)
        counts = reach(chances, threshold).sum(1) * (sizes > 0)
        labels = [
            [names[label] for label in found[:count]]
            for found, count in zip(rows.tolist(), counts.tolist(), strict=True)
        ]
        return labels, [row[:count] for row, count in zip(chances, counts.tolist(), strict=True)]

    @cached_property
    def _one(self) -> OneLine | None:
        return None if library() is None else OneLine(self.model)

    def get_input_matrix(self) -> Float32[np.ndarray, "rows dim"]:
        """Return the input matrix: the rows of words, then those of buckets."""
        return dense(self.model.input)

    def get_output_matrix(self) -> Float32[np.ndarray, "outputs dim"]:
        """Return the output matrix."""
        return dense(self.model.output)

    def quantize(
        self,
        input: str | Path | None = None,
        qout: bool = False,
        cutoff: int = 0,
        retrain: bool = False,
        epoch: int | None = None,
        lr: float | None = None,
        thread: int | None = None,
        verbose: int | None = None,
        dsub: int = 2,
        qnorm: bool = False,
    ) -> None:
        """Make the model small, in place, for a ``.ftz`` file.

        Args:
            input: The train file, for ``retrain``.
            qout: Quantise the output matrix too.
            cutoff: Keep so many words and n-grams; 0: all.
            retrain: Train those that are kept again.
            epoch: How often; None: as at first.
            lr: The learning rate to begin with; None: as at first.
            thread: Nothing here; training runs in one.
            verbose: Whether to show the progress.
            dsub: Numbers in a part of a vector that becomes a byte.
            qnorm: Keep the lengths of vectors apart.

        Raises:
            FastTextError: If the model has no labels, is quantised, or has fewer than 256 rows.
        """
        epoch, lr = (
            epoch or self.model.arguments.epoch,
            lr or getattr(self, "lr", UNSUPERVISED["lr"]),
        )
        again = (input, epoch, lr, getattr(self, "label", PREFIX), verbose) if retrain else None
        self._take(quantized(self.model, cutoff, again, dsub, qnorm, qout))

    def set_matrices(self, input_matrix: Any, output_matrix: Any) -> None:
        """Replace both matrices, which may have rows of another size."""
        new = [
            Dense(np.ascontiguousarray(one, np.float32)) for one in (input_matrix, output_matrix)
        ]
        arguments = replace(self.model.arguments, dim=new[0].shape[1])
        dictionary = self.model.dictionary
        self._take(FastTextModel(arguments, dictionary, new[0], new[1]))

    def get_words(self, include_freq: bool = False, on_unicode_error: str = "strict") -> Any:
        """Return the words of the dictionary, and with include_freq how often each was seen."""
        return self._listed(self.model.dictionary.words, include_freq, on_unicode_error)

    def get_labels(self, include_freq: bool = False, on_unicode_error: str = "strict") -> Any:
        """Return the labels, or the words of a model without any."""
        return self._listed(self.model.targets, include_freq, on_unicode_error)

    def _listed(self, entries: Entries, include_freq: bool, errors: str) -> Any:
        names = self._names(entries, errors)
        return (names, np.array(entries.counts)) if include_freq else names

    def _names(self, entries: Entries, errors: str) -> list[str]:
        if errors == "strict" and entries is self.model.dictionary.labels:
            return self._label_names
        return [name.decode(errors=errors) for name in entries.encoded()]

    @cached_property
    def _label_names(self) -> list[str]:
        return [name.decode() for name in self.model.dictionary.labels.encoded()]

    def get_line(self, text: Any, on_unicode_error: str = "strict") -> tuple[Any, Any]:
        """Return the words and the labels of a line, or of each of several."""
        labels = self._names(self.model.dictionary.labels, on_unicode_error)
        if isinstance(text, str):
            return words_and_labels(text, labels)
        found = [words_and_labels(line, labels) for line in text]
        return [words for words, _ in found], [own for _, own in found]

    def save_model(self, path: str | Path) -> None:
        """Write a file that fastText reads: ``.bin``, or ``.ftz`` after ``quantize``.

        Raises:
            FastTextError: If it cannot be written.
        """
        if not Path(path).parent.is_dir():
            raise FastTextError(f"{path} cannot be opened for saving! There is no such folder.")
        try:
            write_fasttext(self.model, Path(path))
        except (OSError, ThenceError) as error:
            raise FastTextError(f"{path} cannot be opened for saving! {error}") from None

    def test(
        self, path: str | Path, k: int = 1, threshold: float = 0.0
    ) -> tuple[int, float, float]:
        """Return the lines of a labelled file, precision and recall."""
        return evaluation.precision_and_recall(evaluation.judged(self.model, path), k, threshold)

    def test_label(
        self, path: str | Path, k: int = 1, threshold: float = 0.0
    ) -> dict[str, dict[str, float]]:
        """Return precision, recall and F1 of each label of a file."""
        found = evaluation.judged(self.model, path)
        return evaluation.by_label(found, self._label_names, k, threshold)

    def get_meter(self, path: str | Path, k: int = -1) -> Meter:
        """Return the scores of all labels of a file, for curves of precision and recall."""
        return Meter(evaluation.judged(self.model, path), self._label_names, k)

    @cached_property
    def words(self) -> list[str]:
        """The words of the dictionary."""
        found: list[str] = self.get_words()
        return found

    @cached_property
    def labels(self) -> list[str]:
        """The labels."""
        found: list[str] = self.get_labels()
        return found

    def __getitem__(self, word: str) -> Float32[np.ndarray, " dim"]:
        return self.get_word_vector(word)

    def __contains__(self, word: str) -> bool:
        return 0 <= self.get_word_id(word) < len(self.model.dictionary.words)


def dense(matrix: Dense | Quantised) -> Float32[np.ndarray, "rows dim"]:
    """Return a copy of a matrix.

    Raises:
        FastTextError: If it is quantised.
    """
    if isinstance(matrix, Quantised):
        raise FastTextError("Can't get quantized Matrix")
    return np.array(matrix.values)


def load_model(path: str | Path) -> _FastText:
    """Return the model of a ``.bin`` or ``.ftz`` file."""
    return _FastText(path)


def train_supervised(*args: Any, **kwargs: Any) -> _FastText:
    """Train on a file whose lines have labels; return the model.

    The arguments are fastText's: ``input, lr, dim, ws, epoch, minCount, minCountLabel, minn, maxn,
    neg, wordNgrams, loss, bucket, thread, lrUpdateRate, t, label, verbose, pretrainedVectors,
    seed`` and those of ``autotune``.

    Raises:
        FastTextError: If the file cannot be read, or has no words or labels.
        TypeError: If there is no such argument.
    """
    asked = asked_for(SUPERVISED, args, kwargs)
    if asked.values["autotuneValidationFile"]:
        return _FastText()._take(*autotune(asked))
    return _FastText()._take(fit_supervised(asked), asked)


def train_unsupervised(*args: Any, **kwargs: Any) -> _FastText:
    """Learn vectors of the words of a file; return the model.

    The arguments are fastText's: ``input, model`` (``skipgram`` or ``cbow``), and those of
    ``train_supervised`` but for ``autotune``.

    Raises:
        FastTextError: If the file cannot be read, or has no words.
        TypeError: If there is no such argument.
    """
    asked = asked_for(UNSUPERVISED, args, kwargs)
    return _FastText()._take(fit_unsupervised(asked), asked)
