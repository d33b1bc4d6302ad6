"""``similar``: the nearest neighbours of a word in the embedding space of a run."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np

from thence.array_types import Float, Float32
from thence.errors import RunError, SettingError, UnknownSymbolError, nearest
from thence.models.fasttext.files import is_fasttext, read_fasttext
from thence.models.fasttext.predictions import word_vectors
from thence.models.registry import get_family
from thence.printable import printable_symbol
from thence.results import Listing
from thence.runs.metrics import best_line
from thence.runs.run import Run, open_run
from thence.settings import PositiveInt, validate
from thence.tokens import Tokenizer, nearest_words
from thence.tokens.tokenizer import normalize

TABLES = ("network.embedding.weight", "network.encoder.embedding.weight", "embeddings")
"""Names of the tensor with the embeddings: in networks, in classifiers that start from a language
model, and in word averaging, where rows of other features follow those of the tokens."""


FEWEST_READ = 10
"""Average number of times that each symbol must be read in training; with fewer, embeddings are
still close to their random initialisation, and a remark says so."""
SAME_COSINE = 0.02
"""Least distance of the nearest word's cosine from the median of all words; with less, a remark
says that no word is near."""


@runtime_checkable
class GivesWordVectors(Protocol):
    """A model that computes word vectors, as from subwords, instead of looking up a table."""

    def word_vectors(self, words: Sequence[str]) -> Float32[np.ndarray, "words embedding"]:
        """Return the vector of each word."""


@dataclass(frozen=True)
class WordEmbeddings:
    """The embeddings of all symbols but the special ones.

    Attributes:
        words: The symbols by id; words are sorted by falling frequency.
        matrix: Their embeddings.
    """

    words: Sequence[str]
    matrix: Float[np.ndarray, "words embedding"]


def embedding_table(run: Run) -> Float[np.ndarray, "vocab embedding"] | None:
    """Return the embeddings of all ids, special ones included; None if the run has none."""
    model = run.load()
    if isinstance(model, GivesWordVectors):
        return model.word_vectors(run.tokenizer.vocabulary.names())
    tensors = model.tensors()
    found = next((tensors[name] for name in TABLES if name in tensors), None)
    return None if found is None else found[: len(run.tokenizer.vocabulary)]


def has_embeddings(run: Run) -> bool:
    """Return whether ``embedding_table`` returns a table, without computing it."""
    model = run.load()
    return isinstance(model, GivesWordVectors) or any(name in TABLES for name in model.tensors())


def word_embeddings(run: Run) -> WordEmbeddings:
    """Return the embeddings of a run's words, or of its other kind of tokens.

    Raises:
        RunError: If its model has no embeddings, or its tokens are bytes.
    """
    table, words = embedding_table(run), run.tokenizer.vocabulary.symbols
    if table is None:
        raise RunError(
            f"{run.folder} is a run of the model '{run.recipe.model}', which has no embeddings. "
            "Perceptrons, recurrent networks and transformers have some, and all classifiers but "
            "linear; of a mixture, use the runs it was made of."
        )
    if not words:
        raise RunError(
            f"The tokens of {run.folder} are bytes, not words; its embeddings are of no use to "
            "other programs. Train with `tokens='words'`."
        )
    return WordEmbeddings(words, table[: len(words)])


@dataclass(frozen=True)
class SimilarWords(Listing[tuple[str, float]]):
    """The nearest words of a word.

    Attributes:
        word: The word, as the run has it.
        words: Each word and the cosine of its embedding, from -1 to 1; the nearest first.
        remark: A warning where the neighbours are meaningless, since the embeddings are nearly
            untrained or no word is nearer than others; else None.
    """

    _listed = "words"

    word: str
    words: list[tuple[str, float]]
    remark: str | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the word, its neighbours with their cosines, and the remark."""
        found = [{"word": word, "cosine": cosine} for word, cosine in self.words]
        return {"word": self.word, "similar": found, "remark": self.remark}

    def __str__(self) -> str:
        shown = [(printable_symbol(word), cosine) for word, cosine in self.words]
        width = max((len(word) for word, _ in shown), default=0)
        return "\n".join(f"{word:<{width}}  {cosine:.4f}" for word, cosine in shown)


def similar(run: Run | str | Path, word: str, count: int = 10) -> SimilarWords:
    """Return the words whose embeddings are nearest to that of a word, by the cosine.

    Args:
        run: The run of a network, or of a classifier with embeddings, or its folder; or a file of
            fastText, ``.bin`` or ``.ftz``.
        word: A word of its vocabulary; a character where its tokens are characters. Of a file with
            subwords, any word.
        count: How many words to return.

    Raises:
        SettingError: If the vocabulary lacks the word.
        RunError: If the run has no embeddings.
        TextError: If the file is damaged.
    """
    validate("count", count, PositiveInt)
    if not isinstance(run, Run) and is_fasttext(Path(run)):
        return _similar_in_file(Path(run), word, count)
    run = open_run(run)
    embeddings = word_embeddings(run)
    # Of subwords the one that begins a word holds the space before it.
    forms = (word, f" {word}") if run.tokenizer.options.tokens == "subwords" else (word,)
    places = (_single_token(run.tokenizer, form, len(embeddings.words)) for form in forms)
    index = next((place for place in places if place is not None), None)
    if index is None:
        tokens, near = run.tokenizer.options.tokens, normalize(word, run.tokenizer.options)
        raise SettingError(
            f"{run.name} has no embedding for {word!r}: its tokens are {tokens}, and it knows "
            f"those of its train text.{nearest(near, embeddings.words)}"
        )
    found = nearest_words(embeddings.matrix, embeddings.words, index, count)
    return SimilarWords(embeddings.words[index], found, _remark(run, embeddings.matrix, index))


def _tokens_read(run: Run) -> float:
    """Return the number of targets read in training up to the step of the loaded weights."""
    lines = run.curve()
    step = best_line(run.metrics()).get("step", 0) if run.step is None else run.step
    return float(max((line["tokens"] for line in lines if line["step"] <= step), default=0))


def _remark(run: Run, matrix: Float[np.ndarray, "words embedding"], index: int) -> str | None:
    """Return a warning if the neighbours of a word are meaningless, else None."""
    recipe, family = run.recipe, get_family(run.recipe.model)
    begins_at_random = recipe.vectors is None and recipe.from_run is None and not family.pretrained
    if family.method == "train" and begins_at_random:
        read = _tokens_read(run) / len(matrix)
        if read < FEWEST_READ:
            return (
                f"In training each of the {len(matrix):,} symbols was read {read:.2g} times on "
                "average: the embeddings are still near their random beginning, and the neighbours "
                "are chance."
            )
    lengths = np.linalg.norm(matrix, axis=1)
    cosines = matrix @ matrix[index] / np.maximum(lengths * lengths[index], 1e-30)
    others = np.delete(cosines, index)
    if len(others) > 2 and others.max() - np.median(others) < SAME_COSINE:
        return (
            f"No word is nearer than the others: half of all words have a cosine above "
            f"{np.median(others):.4f}. The embeddings have learned too little to be compared."
        )
    return None


def _similar_in_file(path: Path, word: str, count: int) -> SimilarWords:
    """Return the nearest words in a file of fastText, as ``fasttext nn`` prints them."""
    model = read_fasttext(path)
    words = model.dictionary.words
    (vector,) = word_vectors(model, [word])
    if not vector.any():
        near = nearest(word, words.names())
        raise SettingError(
            f"{path} has no vector for {word!r}, nor for runs of its characters.{near}"
        )
    found = nearest_words(word_vectors(model, words.encoded()), words.names(), vector, count + 1)
    return SimilarWords(word, [(name, cosine) for name, cosine in found if name != word][:count])


def _single_token(tokenizer: Tokenizer, text: str, number: int) -> int | None:
    """Return the id of a text that is a single token with an id below ``number``, else None."""
    try:
        ids = tokenizer.encode([text]).document(0)
    except UnknownSymbolError:
        return None
    return int(ids[0]) if len(ids) == 1 and ids[0] < number else None
