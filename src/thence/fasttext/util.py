"""The module ``fasttext.util``, without downloads."""

from collections.abc import Sequence
from typing import Any, NoReturn

import numpy as np

from thence.errors import DownloadError

MAPPED = 100_000
"""Rows of the input matrix (the most frequent words) from which principal axes are computed."""


def test(
    predictions: Sequence[Sequence[str]], labels: Sequence[Sequence[str]], k: int = 1
) -> tuple[float, float]:
    """Return precision and recall of predicted labels, with k predictions per text.

    >>> test([["a"], ["b"]], [["a"], ["a", "b"]])
    (1.0, 0.6666666666666666)
    """
    pairs = list(zip(predictions, labels, strict=False))
    right = sum(label in gold for found, gold in pairs for label in found)
    return right / (k * len(pairs)), right / sum(len(gold) for _, gold in pairs)


def find_nearest_neighbor(query: Any, vectors: Any, ban_set: Any, cossims: Any = None) -> int:
    """Return the index of the row with the largest dot product with a query.

    Args:
        query: A vector.
        vectors: A matrix.
        ban_set: Rows to leave out.
        cossims: An array for the products; None to allocate one.
    """
    products = np.matmul(vectors, query, out=cossims).copy()
    products[list(ban_set)] = -np.inf
    return int(np.argmax(products))


def reduce_model(ft_model: Any, target_dim: int) -> Any:
    """Reduce the dimension of a model's vectors in place by PCA; return the model."""
    rows = ft_model.get_input_matrix()
    some = rows[:MAPPED] - rows[:MAPPED].mean(axis=0)
    covariance = some.T @ some / max(len(some) - 1, 1)
    axes = np.linalg.eigh(covariance)[1][:, ::-1][:, :target_dim]  # The largest spread first.
    ft_model.set_matrices(rows @ axes, ft_model.get_output_matrix() @ axes)
    return ft_model


def download_model(lang_id: str, if_exists: str = "strict", dimension: Any = None) -> NoReturn:
    """Raise DownloadError: thence does not download models; the message says where they are."""
    name = f"cc.{lang_id}.300.bin.gz"
    raise DownloadError(
        f"{name} is not downloaded by thence. Fetch it from fastText's page of vectors, unpack it, "
        "and read it with load_model."
    )
