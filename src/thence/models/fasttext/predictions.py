"""Predictions of models in fastText's format, numerically as fastText computes them.

    h = (1 / n) sum_i E[f_i]                 over the n features of a text
    softmax:             p = softmax(W h)
    ns, ova:             p = sigmoid(W h)    of each label, from a table of 512 steps
    hs:                  p = product over the path to the label in a Huffman tree of
                         sigmoid(w h), or of one minus that

FastText uses log(p + 1e-5) in place of log(p), at each node of a tree, and so do we.

Sources: A. Joulin, E. Grave, P. Bojanowski and T. Mikolov 2017, "Bag of tricks for efficient text
classification"; P. Bojanowski, E. Grave, A. Joulin and T. Mikolov 2017, "Enriching word vectors
with subword information".
"""

from collections.abc import Sequence

import numpy as np

from thence._core import fasttext as core
from thence._core import library
from thence.array_types import Float32, Int64
from thence.batches.bags import Bags, bags_with, sum_rows_in_numpy
from thence.corpus import Documents
from thence.errors import TextError
from thence.models.fasttext.contents import Dense, FastTextModel, Matrix
from thence.models.fasttext.features import CHUNK, features, subword_bags
from thence.tokens.parallel import in_threads

ADDED = np.float32(1e-5)
"""Added to each probability before its logarithm, as in fastText."""
LARGEST_SCORE, STEPS = 8, 512
"""FastText's table of the sigmoid: it has so many steps from minus to plus the largest score;
beyond it the sigmoid is 0 or 1."""
FLAT = 80.0
"""Scores at nodes of a tree are clipped to this: beyond it the sigmoid in single precision is 0 or
1, and exp would overflow."""
CELLS_AT_ONCE = 1 << 20
"""Probabilities (texts times labels) that are computed at once."""

Hidden = Float32[np.ndarray, "lines dim"]
Scores = Float32[np.ndarray, "lines labels"]


def hidden(model: FastTextModel, bags: Bags) -> Hidden:
    """Return the mean of the input rows of each bag; zeros for an empty bag."""
    return _means(model.input, bags)


def _means(matrix: Matrix, bags: Bags) -> Hidden:
    shares = (1.0 / np.maximum(bags.sizes, 1)).astype(np.float32)
    found = sums(matrix, bags)
    found *= shares[:, None]
    return found


def sums(matrix: Matrix, bags: Bags) -> Hidden:
    """Return the sum of the rows of each bag, added from left to right."""
    if library() is None:
        nothing = np.zeros((0, matrix.shape[1]), np.float32)
        return np.concatenate([nothing, *(sums_in_numpy(matrix, part) for part in bags.pieces())])
    return core.sums(core_matrix(matrix), bags.features, bags.offsets)


def sums_in_numpy(matrix: Matrix, bags: Bags) -> Hidden:
    """Return the sum of the rows of each bag: the NumPy twin of the kernel."""
    rows, places = np.unique(bags.features, return_inverse=True)
    return sum_rows_in_numpy(matrix.rows(rows), places.astype(np.int32), bags.offsets)


def core_matrix(matrix: Matrix) -> core.Matrix:
    """Return a matrix as the compiled core reads it."""
    if isinstance(matrix, Dense):
        return core.Matrix.dense(matrix.values)
    return core.Matrix.coded(
        matrix.codes, matrix.centroids, matrix.dim, matrix.part_size, matrix.norm_codes,
        matrix.norms,
    )  # fmt: skip


def predict(
    model: FastTextModel, documents: Documents
) -> tuple[Float32[np.ndarray, "lines labels"], Int64[np.ndarray, " lines"]]:
    """Return the probability of each label for each text, and the number of features of each text.

    FastText itself predicts no label for a text without features.
    """

    def of_chunk(chunk: Documents) -> tuple[Float32[np.ndarray, "part labels"], Bags]:
        bags = features(model, chunk)
        return probabilities(model, hidden(model, bags)), bags

    found = list(in_threads(of_chunk, documents.chunks(CHUNK)))
    nothing = np.zeros((0, model.output.shape[0]), np.float32)
    sizes = [np.zeros(0, np.int64), *(bags.sizes for _, bags in found)]
    return np.concatenate([nothing, *(rows for rows, _ in found)]), np.concatenate(sizes)


def probabilities(model: FastTextModel, vectors: Hidden) -> Float32[np.ndarray, "lines labels"]:
    """Return the probability of each label for each hidden vector, plus fastText's 1e-5.

    Raises:
        TextError: If the weights are not all finite.
    """
    to_probs = {"softmax": _softmax, "hs": _tree_products}.get(model.arguments.loss, _sigmoids)
    at_once = max(1, CELLS_AT_ONCE // model.output.shape[0])
    found = [np.zeros((0, model.output.shape[0]), np.float32)]
    for first in range(0, len(vectors), at_once):
        scores = _scores(model, vectors[first : first + at_once])
        if not np.isfinite(scores).all():
            raise TextError(
                "The weights of this file of fastText hold what is no finite number: it is "
                "damaged, or its training diverged."
            )
        found.append(to_probs(model, scores))
    return np.concatenate(found)


def _scores(model: FastTextModel, vectors: Hidden) -> Scores:
    multiply = scores_in_numpy if library() is None else core.scores
    found = multiply(model.columns, vectors)
    if model.norms is not None:
        found *= model.norms
    return found


def scores_in_numpy(table: Float32[np.ndarray, "dim labels"], vectors: Hidden) -> Scores:
    """Return ``vectors @ table``, added up in the order of the kernel, whose NumPy twin this is."""
    found = np.zeros((len(vectors), table.shape[1]), np.float32)
    for row, column in zip(table, vectors.T, strict=True):
        found += row * column[:, None]
    return found


def _softmax(_: FastTextModel, scores: Scores) -> Scores:
    probs: Scores = np.exp(scores - scores.max(1, keepdims=True))
    probs /= probs.sum(1, keepdims=True)
    probs += ADDED
    return probs


def _sigmoids(_: FastTextModel, scores: Scores) -> Scores:
    """Return sigmoids by fastText's table; beyond its ends they are 0 and 1."""
    steps = np.arange(STEPS + 1, dtype=np.float32) * np.float32(2 * LARGEST_SCORE / STEPS)
    table = (1 / (1 + np.exp(LARGEST_SCORE - steps))).astype(np.float32)
    inside = np.clip(scores, -LARGEST_SCORE, LARGEST_SCORE) + LARGEST_SCORE
    found: Scores = table[(inside * (STEPS / LARGEST_SCORE / 2)).astype(np.int64)]
    found[scores < -LARGEST_SCORE], found[scores > LARGEST_SCORE] = 0, 1
    found += ADDED
    return found


def _tree_products(model: FastTextModel, scores: Scores) -> Scores:
    """Return the product of the probabilities on the path from the root to each label."""
    labels = scores.shape[1]
    found = np.zeros((2 * labels - 1, len(scores)), np.float32)
    right = 1 / (1 + np.exp(-np.clip(np.ascontiguousarray(scores.T[:-1]), -FLAT, FLAT)))
    go_left, go_right = np.log(1 - right + ADDED), np.log(right + ADDED)
    for level in model.tree:
        rows = level.nodes - labels
        found[level.left] = found[level.nodes] + go_left[rows]
        found[level.right] = found[level.nodes] + go_right[rows]
    probs: Scores = np.ascontiguousarray(np.exp(found[:labels]).T)
    return probs


def word_vectors(model: FastTextModel, words: Sequence[str | bytes]) -> Hidden:
    """Return the vector of each word: the mean of its rows; zeros for a word without any."""
    return hidden(model, subword_bags(model, words))


def sentence_vectors(model: FastTextModel, documents: Documents) -> Hidden:
    """Return a vector for each text.

    For a supervised model it is the hidden vector h; for others the mean of the words' vectors,
    each divided by its norm. Words are separated by ASCII white space.
    """
    if model.arguments.model == "supervised":
        return hidden(model, features(model, documents))
    words = [text.encode("utf-8").split() for text in documents]
    vectors = word_vectors(model, [word for some in words for word in some])
    lengths = np.linalg.norm(vectors, axis=1)
    has_length = lengths > 0
    owners = np.repeat(np.arange(len(words)), [len(some) for some in words])[has_length]
    unit = vectors[has_length] / lengths[has_length, None]
    places = np.arange(len(unit), dtype=np.int32)
    bags = bags_with(places, np.bincount(owners, minlength=len(words)))
    return _means(Dense(unit), bags)
