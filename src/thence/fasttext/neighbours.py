"""Nearest words to a vector, by cosine similarity."""

from collections.abc import Sequence

import numpy as np

from thence.array_types import Float32
from thence.models.fasttext.contents import FastTextModel
from thence.models.fasttext.predictions import word_vectors

Rows = Float32[np.ndarray, "words dim"]
Vector = Float32[np.ndarray, " dim"]


def directions(model: FastTextModel) -> Rows:
    """Return the normalised vector of each word of the dictionary (length 1, or 0)."""
    vectors = word_vectors(model, model.dictionary.words.encoded())
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    vectors /= np.where(lengths > 0, lengths, 1)
    return vectors


def analogy(model: FastTextModel, a: str, b: str, c: str) -> Vector:
    """Return the vector a - b + c of three words' normalised vectors."""
    vectors = word_vectors(model, [a, b, c])
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True) + 1e-8
    result: Vector = vectors[0] - vectors[1] + vectors[2]
    return result


def nearest(
    table: Rows, words: Sequence[str], query: Vector, k: int, left_out: set[str]
) -> list[tuple[float, str]]:
    """Return the k words nearest to a vector as (cosine, word), without those in ``left_out``."""
    length = float(np.linalg.norm(query))
    cosines = table @ (query / (length if length > 1e-8 else 1))
    most = min(len(words), k + len(left_out))
    found = np.argpartition(-cosines, most - 1)[:most] if most else np.zeros(0, np.int64)
    found = found[np.argsort(-cosines[found], kind="stable")]
    named = [(float(cosines[place]), words[place]) for place in found]
    return [(cosine, word) for cosine, word in named if word not in left_out][:k]
