"""Compression of fastText models: pruning of rows, and product quantisation.

Product quantisation cuts the rows of a matrix into parts of a few numbers, and stores each part as
the index of the nearest of 256 centres, found by k-means (H. Jégou, M. Douze and C. Schmid 2011,
"Product quantization for nearest neighbor search"). Pruning keeps the rows with the largest norms
(A. Joulin et al. 2016, "FastText.zip: compressing text classification models").
"""

from dataclasses import dataclass, replace

import numpy as np

from thence._core import library
from thence._core.nearest import nearest_centres
from thence.array_types import Float32, Int64, UInt8
from thence.errors import SettingError
from thence.models.fasttext.contents import (
    CENTROIDS,
    Dense,
    Dictionary,
    Entries,
    FastTextModel,
    Quantised,
)
from thence.models.fasttext.corpus import END_OF_LINE

SAMPLE = 1 << 14
"""Largest number of rows from which the centres are learned: with four times as many, as in
fastText, the mean squared error is an eighth smaller, and it takes four times as long."""
STEPS = 25
"""Largest number of iterations of k-means, as in fastText."""
SPLIT = np.float32(1e-4)
"""A centre without points is replaced by a copy of a large one; the two are moved apart by this."""
CHUNK = 1 << 12
"""Points whose distances to all centres NumPy computes at once (4 MB)."""

Points = Float32[np.ndarray, "points size"]
Centres = Float32[np.ndarray, "256 size"]


@dataclass(frozen=True)
class Quantisation:
    """Settings of product quantisation.

    Attributes:
        part_size: Columns in each part (``dsub``).
        with_norms: Quantise the norms of rows separately, in a byte each (``qnorm``).
        output_too: Quantise the output matrix too, in parts of 2 (``qout``).
        seed: Seed of the initial centres.
    """

    part_size: int = 2
    with_norms: bool = False
    output_too: bool = False
    seed: int = 0


def quantise(model: FastTextModel, how: Quantisation) -> FastTextModel:
    """Return the model with a quantised input matrix and, if ``output_too``, output matrix.

    Raises:
        SettingError: If a matrix has fewer than 256 rows.
    """
    assert isinstance(model.input, Dense)
    output = model.output
    if how.output_too and isinstance(output, Dense):
        output = quantise_matrix(output.values, replace(how, part_size=2))
    return replace(model, input=quantise_matrix(model.input.values, how), output=output)


def quantise_matrix(matrix: Float32[np.ndarray, "rows dim"], how: Quantisation) -> Quantised:
    """Return a product-quantised matrix.

    Raises:
        SettingError: If it has fewer than 256 rows.
    """
    matrix = np.require(matrix, np.float32, "A")  # Those of a mapped file may be unaligned.
    rows, dim = matrix.shape
    if rows < CENTROIDS:
        raise SettingError(
            f"Matrix too small for quantization, must have at least 256 rows; it has {rows}"
        )
    norm_codes = norms = None
    if how.with_norms:
        lengths = np.linalg.norm(matrix, axis=1, keepdims=True).astype(np.float32)
        matrix = matrix / np.where(lengths > 0, lengths, 1)
        norms, codes = quantise_part(lengths, how.seed)
        norms, norm_codes = norms.reshape(-1), codes
    firsts = range(0, dim, how.part_size)
    parts = [quantise_part(matrix[:, a : a + how.part_size], how.seed + a) for a in firsts]
    centroids = np.concatenate([centres.reshape(-1) for centres, _ in parts])
    codes = np.stack([codes for _, codes in parts], axis=1)
    return Quantised(codes, centroids, dim, min(how.part_size, dim), norm_codes, norms)


def quantise_part(points: Points, seed: int) -> tuple[Centres, UInt8[np.ndarray, " points"]]:
    """Return the centres of one part, and the index of each row's nearest centre.

    Rows of zeros, as unseen buckets have, get a centre of their own and do not influence others.
    """
    draw = np.random.default_rng(seed)
    used = np.flatnonzero(points.any(axis=1))
    sample = points[draw.permutation(used)[:SAMPLE]]
    centres = k_means(sample, draw)
    if len(used) < len(points):
        centres[np.argmin((centres**2).sum(1))] = 0
    return centres, nearest(points, centres)


def k_means(points: Points, draw: np.random.Generator) -> Centres:
    """Return 256 centres of points in random order, by Lloyd's algorithm."""
    centres = np.zeros((CENTROIDS, points.shape[1]), np.float32)
    if len(points):
        centres[:] = np.resize(points, centres.shape)
    for _ in range(STEPS if len(points) > CENTROIDS else 0):
        codes = nearest(points, centres)
        counts = np.bincount(codes, minlength=CENTROIDS)
        sums = [np.bincount(codes, column, CENTROIDS) for column in points.T]
        new = (np.stack(sums, 1) / np.maximum(counts, 1)[:, None]).astype(np.float32)
        split(new, counts, draw)
        if np.array_equal(new, centres):
            break
        centres = new
    return centres


def split(centres: Centres, counts: Int64[np.ndarray, " 256"], draw: np.random.Generator) -> None:
    """Replace each centre without points by half of another one, drawn by its count, in place."""
    for empty in np.flatnonzero(counts == 0):
        spare = np.maximum(counts - 1, 0)  # Not all zero: there are more points than centres.
        full = draw.choice(CENTROIDS, p=spare / spare.sum())
        sign = np.where(np.arange(centres.shape[1]) % 2, -SPLIT, SPLIT)
        centres[empty], centres[full] = centres[full] + sign, centres[full] - sign
        counts[empty] = counts[full] // 2
        counts[full] -= counts[empty]


def nearest(points: Points, centres: Centres) -> UInt8[np.ndarray, " points"]:
    """Return the index of each point's nearest centre; the first of equally near ones."""
    return (
        nearest_in_numpy(points, centres) if library() is None else nearest_centres(points, centres)
    )


def nearest_in_numpy(points: Points, centres: Centres) -> UInt8[np.ndarray, " points"]:
    """Return the same as ``nearest``: the NumPy twin of the kernel in ``_core/nearest.c``."""
    found = np.empty(len(points), np.uint8)
    for first in range(0, len(points), CHUNK):
        part = points[first : first + CHUNK]
        far = np.zeros((len(part), CENTROIDS), np.float32)
        for column in range(points.shape[1]):
            far += (part[:, column, None] - centres[None, :, column]) ** 2
        found[first : first + CHUNK] = far.argmin(1)
    return found


def prune_rows(model: FastTextModel, cutoff: int) -> FastTextModel:
    """Return a pruned model: the ``cutoff`` input rows of largest norm, and always ``</s>``.

    Its matrices are copies, so that it can be trained further.
    """
    assert isinstance(model.input, Dense)
    assert isinstance(model.output, Dense)
    matrix, dictionary = model.input.values, model.dictionary
    words = dictionary.words.encoded()
    lengths = np.linalg.norm(matrix, axis=1)
    if END_OF_LINE in words:
        lengths[words.index(END_OF_LINE)] = np.inf
    kept = np.argsort(-lengths, kind="stable")[:cutoff]
    of_words = np.sort(kept[kept < len(words)])
    buckets = kept[kept >= len(words)] - len(words)
    pairs = np.stack([buckets, np.arange(len(buckets))], 1).astype(np.int32)
    entries = Entries.of([words[row] for row in of_words], dictionary.words.counts[of_words])
    rows = np.concatenate([of_words, buckets + len(words)])
    smaller = Dictionary(entries, dictionary.labels, dictionary.num_tokens, pairs)
    output = Dense(np.array(model.output.values))
    return replace(model, dictionary=smaller, input=Dense(matrix[rows]), output=output)
