"""The module ``fasttext.FastText``: the class of models, and the functions that make them."""

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
from thence.fasttext.evaluation import NOT_SUPERVISED, Meter, reaches, resolve_k, top_k, top_labels
from thence.fasttext.fit import fit_supervised, fit_unsupervised, load, quantized
from thence.fasttext.lines import BOW as BOW
from thence.fasttext.lines import EOS as EOS
from thence.fasttext.lines import EOW as EOW
from thence.fasttext.lines import PREFIX, one_line, words_and_labels
from thence.fasttext.lines import tokenize as tokenize
from thence.fasttext.settings import SHOWN, SUPERVISED, UNSUPERVISED, BoundArguments, bind_arguments
from thence.fasttext.settings import loss_name as loss_name
from thence.fasttext.settings import model_name as model_name
from thence.models.fasttext import features, predictions
from thence.models.fasttext.contents import Dense, Entries, FastTextModel, Quantised
from thence.models.fasttext.corpus import hash_of
from thence.models.fasttext.files import write_fasttext
from thence.models.fasttext.one_line import OneLine


def eprint(*args: Any, **kwargs: Any) -> None:
    """Print to standard error; programs replace this function to silence a warning of fastText."""
    print(*args, file=sys.stderr, **kwargs)  # noqa: T201


class _FastText:
    """A model of fastText, as ``load_model`` and the training functions return it.

    Args:
        model_path: A file to read.
        args: Ignored; for programs that pass it.
    """

    def __init__(self, model_path: str | Path | None = None, args: Any = None) -> None:
        self._model: FastTextModel | None = None
        self._arguments: BoundArguments | None = None
        if model_path is not None:
            self._set_model(load(model_path))

    def _set_model(self, model: FastTextModel, call: BoundArguments | None = None) -> "_FastText":
        """Replace the model in place; set the attributes that show its settings; return self."""
        self._model, self._arguments = model, call or self._arguments
        for kept in ("words", "labels", "_directions", "_label_names", "_one"):
            self.__dict__.pop(kept, None)
        known = model.arguments
        of_file = {
            "minCount": known.min_count, "wordNgrams": known.word_ngrams,
            "lrUpdateRate": known.lr_update_rate, "loss": loss_name[known.loss],
            **{name: getattr(known, name)
               for name in ("dim", "ws", "epoch", "neg", "bucket", "minn", "maxn", "t")},
        }  # fmt: skip
        trained = {} if self._arguments is None else self._arguments.values
        for name in SHOWN:
            if name in of_file or name in trained:
                setattr(self, name, of_file.get(name, trained.get(name)))
        return self

    @property
    def f(self) -> Any:
        """The wrapped C++ object of fastText, as far as programs use it: getArgs and predict."""
        known = self.model.arguments
        shown = {name: getattr(self, name, UNSUPERVISED[name]) for name in SHOWN}

        def predict(text: str, k: int, threshold: float, _: str = "strict") -> Any:
            labels, probabilities = self.predict(text.removesuffix("\n"), k, threshold)
            return list(zip(probabilities.tolist(), labels, strict=True))

        arguments = SimpleNamespace(**shown, model=model_name[known.model])
        return SimpleNamespace(predict=predict, getArgs=lambda: arguments)

    @property
    def model(self) -> FastTextModel:
        """The content of its file; FastTextError if no model was read or trained."""
        if self._model is None:
            raise FastTextError("the model is neither read nor trained")
        return self._model

    def is_quantized(self) -> bool:
        """Return whether its input matrix is quantised (``quantize``)."""
        return isinstance(self.model.input, Quantised)

    def get_dimension(self) -> int:
        """Return the size of the vectors."""
        return self.model.arguments.dim

    def get_word_vector(self, word: str) -> Float32[np.ndarray, " dim"]:
        """Return the vector of a word, also of an unknown one, from its character n-grams."""
        vector: Float32[np.ndarray, " dim"] = predictions.word_vectors(self.model, [word])[0]
        return vector

    def get_sentence_vector(self, text: str) -> Float32[np.ndarray, " dim"]:
        """Return the vector of a line of text.

        Raises:
            FastTextError: If it has a line end.
        """
        documents = Documents.from_strings([one_line(text)])
        vector: Float32[np.ndarray, " dim"] = predictions.sentence_vectors(self.model, documents)[0]
        return vector

    def get_nearest_neighbors(
        self, word: str, k: int = 10, on_unicode_error: str = "strict"
    ) -> list[tuple[float, str]]:
        """Return the k words with the largest cosine similarity to a word, as (cosine, word)."""
        query = self.get_word_vector(word)
        return neighbours.nearest(
            self._directions, self.get_words(on_unicode_error=on_unicode_error), query, k, {word}
        )

    def get_analogies(
        self, wordA: str, wordB: str, wordC: str, k: int = 10, on_unicode_error: str = "strict"
    ) -> list[tuple[float, str]]:  # fmt: skip
        """Return the k words with the largest cosine similarity to A - B + C."""
        query = neighbours.analogy(self.model, wordA, wordB, wordC)
        words = self.get_words(on_unicode_error=on_unicode_error)
        return neighbours.nearest(self._directions, words, query, k, {wordA, wordB, wordC})

    @cached_property
    def _directions(self) -> Float32[np.ndarray, "words dim"]:
        return neighbours.directions(self.model)

    def get_word_id(self, word: str) -> int:
        """Return the id of a word; -1 if the dictionary lacks it."""
        return int(features.word_ids(self.model, [word])[0])

    def get_label_id(self, label: str) -> int:
        """Return the id of a label; -1 if there is none of that name."""
        found = self.get_word_id(label) - len(self.model.dictionary.words)
        return max(found, -1)

    def get_subword_id(self, subword: str) -> int:
        """Return the row of the input matrix to which a character n-gram is hashed."""
        buckets = max(self.model.arguments.bucket, 1)
        return len(self.model.dictionary.words) + hash_of(subword.encode()) % buckets

    def get_subwords(
        self, word: str, on_unicode_error: str = "strict"
    ) -> tuple[list[str], Int64[np.ndarray, " subwords"]]:
        """Return a word (if known) and its character n-grams, and their rows of the input."""
        names, rows = features.subwords(self.model, word)
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
            k: Largest number of labels; -1: all.
            threshold: Labels that are less probable are left out.
            on_unicode_error: How to treat labels that are no UTF-8, as in ``bytes.decode``.

        Returns:
            For a line, a tuple of labels and an array of their probabilities; for a list, a list of
            lists and a list of arrays.

        Raises:
            FastTextError: If a text has a line end, or the model has no labels.
        """
        if self.model.arguments.model != "supervised":
            raise FastTextError(NOT_SUPERVISED)
        names = self._names(self.model.dictionary.labels, on_unicode_error)
        if isinstance(text, str) and self._one is not None:
            scores, size = self._one.predict(one_line(text).encode())
            return top_labels(scores, size, names, k, threshold)
        several = not isinstance(text, str)
        lines = Documents.from_strings(map(one_line, text if several else [text]))
        scores, sizes = predictions.predict(self.model, lines)
        if not several:
            return top_labels(scores[0], int(sizes[0]), names, k, threshold)
        rows = top_k(scores, resolve_k(k, len(names)))
        probabilities = np.take_along_axis(scores, rows, 1)
        counts = reaches(probabilities, threshold).sum(1) * (sizes > 0)
        labels = [
            [names[label] for label in found[:count]]
            for found, count in zip(rows.tolist(), counts.tolist(), strict=True)
        ]
        return labels, [
            row[:count] for row, count in zip(probabilities, counts.tolist(), strict=True)
        ]

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
        """Compress the model in place by product quantisation, for a ``.ftz`` file.

        Args:
            input: The train file, for ``retrain``.
            qout: Quantise the output matrix too.
            cutoff: Number of words and n-grams to keep; 0: all.
            retrain: Train the kept ones again.
            epoch: Epochs of that training; None: as in the first one.
            lr: Its initial learning rate; None: as in the first one.
            thread: Ignored; training uses one thread.
            verbose: Whether to show the progress.
            dsub: Number of components of a vector that become one byte.
            qnorm: Quantise the norms of vectors separately.

        Raises:
            FastTextError: If the model has no labels, is quantised, or has fewer than 256 rows.
        """
        epoch, lr = (
            epoch or self.model.arguments.epoch,
            lr or getattr(self, "lr", UNSUPERVISED["lr"]),
        )
        again = (input, epoch, lr, getattr(self, "label", PREFIX), verbose) if retrain else None
        self._set_model(quantized(self.model, cutoff, again, dsub, qnorm, qout))

    def set_matrices(self, input_matrix: Any, output_matrix: Any) -> None:
        """Replace both matrices; their rows may have another size than before."""
        new = [
            Dense(np.ascontiguousarray(one, np.float32)) for one in (input_matrix, output_matrix)
        ]
        arguments = replace(self.model.arguments, dim=new[0].shape[1])
        dictionary = self.model.dictionary
        self._set_model(FastTextModel(arguments, dictionary, new[0], new[1]))

    def get_words(self, include_freq: bool = False, on_unicode_error: str = "strict") -> Any:
        """Return the words of the dictionary; with include_freq also their counts."""
        return self._listed(self.model.dictionary.words, include_freq, on_unicode_error)

    def get_labels(self, include_freq: bool = False, on_unicode_error: str = "strict") -> Any:
        """Return the labels; of a model without labels the words."""
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
        """Return the words and the labels of a line, or of each of several lines."""
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
        """Return the number of lines of a labelled file, the precision, and the recall."""
        return evaluation.precision_and_recall(
            evaluation.score_labels(self.model, path), k, threshold
        )

    def test_label(
        self, path: str | Path, k: int = 1, threshold: float = 0.0
    ) -> dict[str, dict[str, float]]:
        """Return precision, recall and F1 of each label of a file."""
        found = evaluation.score_labels(self.model, path)
        return evaluation.by_label(found, self._label_names, k, threshold)

    def get_meter(self, path: str | Path, k: int = -1) -> Meter:
        """Return the scores of all labels of a file, for curves of precision and recall."""
        return Meter(evaluation.score_labels(self.model, path), self._label_names, k)

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
    """Return a copy of a matrix; FastTextError if it is quantised."""
    if isinstance(matrix, Quantised):
        raise FastTextError("Can't get quantized Matrix")
    return np.array(matrix.values)


def load_model(path: str | Path) -> _FastText:
    """Return the model of a ``.bin`` or ``.ftz`` file."""
    return _FastText(path)


def train_supervised(*args: Any, **kwargs: Any) -> _FastText:
    """Train a classifier on a file of labelled lines; return the model.

    The arguments are fastText's: ``input, lr, dim, ws, epoch, minCount, minCountLabel, minn, maxn,
    neg, wordNgrams, loss, bucket, thread, lrUpdateRate, t, label, verbose, pretrainedVectors,
    seed`` and those of ``autotune``.

    Raises:
        FastTextError: If the file cannot be read, or has no words or labels.
        TypeError: If an argument is unknown.
    """
    call = bind_arguments(SUPERVISED, args, kwargs)
    if call.values["autotuneValidationFile"]:
        return _FastText()._set_model(*autotune(call))
    return _FastText()._set_model(fit_supervised(call), call)


def train_unsupervised(*args: Any, **kwargs: Any) -> _FastText:
    """Train word vectors on a file; return the model.

    The arguments are fastText's: ``input, model`` (``skipgram`` or ``cbow``), and those of
    ``train_supervised`` but for ``autotune``.

    Raises:
        FastTextError: If the file cannot be read, or has no words.
        TypeError: If an argument is unknown.
    """
    call = bind_arguments(UNSUPERVISED, args, kwargs)
    return _FastText()._set_model(fit_unsupervised(call), call)
