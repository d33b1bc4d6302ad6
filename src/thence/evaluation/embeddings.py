"""The embeddings of a run's tokens, whatever kind of model has learned them."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from thence.errors import RunError
from thence.runs.run import Run

TABLES = ("network.embedding.weight", "network.encoder.embedding.weight", "embeddings")
"""What models call their table: networks, those that start from a language model, and word
averaging, where features follow the tokens."""


@dataclass(frozen=True)
class WordEmbeddings:
    """The embeddings of the symbols that text is made of; special ones are left out.

    Attributes:
        words: The symbols by id, most frequent first where they are words.
        matrix: Their embeddings.
    """

    words: tuple[str, ...]
    matrix: Float[np.ndarray, "words embedding"]


def embedding_table(run: Run) -> Float[np.ndarray, "vocab embedding"] | None:
    """Return the embeddings of all ids, the special ones included; None for a run without any."""
    tensors = run.load().tensors()
    found = next((tensors[name] for name in TABLES if name in tensors), None)
    return None if found is None else found[: len(run.tokenizer.vocabulary)]


def word_embeddings(run: Run) -> WordEmbeddings:
    """Return the embeddings of a run's words, or of whatever its tokens are.

    Raises:
        RunError: If its model has no embeddings, or its tokens are bytes.
    """
    table, words = embedding_table(run), run.tokenizer.vocabulary.symbols
    if table is None:
        raise RunError(
            f"{run.folder} is a run of the model '{run.recipe.model}', which has no embeddings. "
            "Perceptrons, recurrent networks and transformers have some, and all classifiers but "
            "linear; of a mixture, ask the runs it was made of."
        )
    if not words:
        raise RunError(
            f"The tokens of {run.folder} are bytes, not words; its embeddings are of no use to "
            "other programs. Train with `tokens='words'`."
        )
    return WordEmbeddings(words, table[: len(words)])
