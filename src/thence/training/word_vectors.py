"""Pretrained word vectors that initialise the embedding of a classifier."""

from pathlib import Path

import numpy as np

from thence.errors import TextError
from thence.models.fasttext.files import is_fasttext, vectors_in
from thence.recipes.recipe import Recipe
from thence.tokens import Tokenizer, TokenStore, WordVectors, read_vectors

MAX_VECTOR_VALUE = 1e10
"""Largest accepted value of a pretrained vector: usual values are about 1, and sums of squares must
fit into float32."""


def load_word_vectors(recipe: Recipe, tokenizer: Tokenizer) -> WordVectors | None:
    """Read the pretrained vectors that a recipe names; None without any.

    Raises:
        TextError: If the file is invalid, or has none of the words.
    """
    path = recipe.vectors
    if path is None or recipe.from_run is not None:  # The parent's embedding has them already.
        return None
    names, symbols = tokenizer.vocabulary.names(), tokenizer.vocabulary.symbols
    if is_fasttext(Path(path)):
        vectors = vectors_in(Path(path), names, len(symbols))
    else:
        vectors = read_vectors(path, names)
    if not vectors.found.any():
        raise TextError(
            f"{path} has a vector for none of the {len(vectors.found):,} tokens of {recipe.text}. "
            f"Are they {recipe.tokens.tokens} of the same language?"
        )
    largest = np.abs(vectors.matrix).max(axis=1)
    if largest.max() > MAX_VECTOR_VALUE:
        word = tokenizer.vocabulary.names()[int(largest.argmax())]
        raise TextError(
            f"{path}: the vector of {word!r} has a value of {largest.max():.3g}, and no network "
            f"can compute with values beyond {MAX_VECTOR_VALUE:.0e}. Is the file damaged?"
        )
    return vectors


def vector_coverage(vectors: WordVectors, train: TokenStore, tokenizer: Tokenizer) -> str:
    """Return in words how much of the train text has pretrained vectors."""
    counts = train.id_counts(len(vectors.found))
    counts[train.boundary_id] = 0
    share = vectors.token_coverage(counts)
    words = len(tokenizer.vocabulary.symbols)
    found = f"{vectors.found[:words].sum():,} of {words:,} words, {share:.1%} of train tokens"
    return " ".join([f"{found}.", *vectors.remarks()])
