"""Conversion of fastText models to and from the named arrays of a run's weights file."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import numpy as np

from thence.errors import SettingError
from thence.models.base import MAX_WEIGHT, Array
from thence.models.fasttext.contents import (
    CENTROIDS,
    Arguments,
    Dense,
    Dictionary,
    Entries,
    FastTextModel,
    Matrix,
    Quantised,
)

KEPT = ("ws", "epoch", "min_count", "neg", "bucket", "lr_update_rate", "t")
"""Settings that are saved with the arrays: most matter only for training, but fastText files need
them."""


def to_tensors(model: FastTextModel) -> dict[str, Array]:
    """Return a model as named arrays, without the settings that a run has in its config."""
    dictionary, settings = model.dictionary, asdict(model.arguments)
    found = {
        "settings": np.array([settings[name] for name in KEPT], np.float64),
        "num_tokens": np.array([dictionary.num_tokens], np.int64),
        **_of_entries("words", dictionary.words),
        **_of_entries("labels", dictionary.labels),
        **_of_matrix("input", model.input),
        **_of_matrix("output", model.output),
    }
    return found | ({} if dictionary.pruned is None else {"pruned": dictionary.pruned})


def _of_entries(name: str, entries: Entries) -> dict[str, Array]:
    return {
        name: entries.text,
        f"{name}.offsets": entries.offsets,
        f"{name}.counts": entries.counts,
    }


def _of_matrix(name: str, matrix: Matrix) -> dict[str, Array]:
    if isinstance(matrix, Dense):
        return {name: matrix.values}
    found = {
        f"{name}.codes": matrix.codes,
        f"{name}.centroids": matrix.centroids,
        f"{name}.part_size": np.array([matrix.part_size], np.int64),
    }
    if matrix.norm_codes is not None and matrix.norms is not None:
        found |= {f"{name}.norm_codes": matrix.norm_codes, f"{name}.norms": matrix.norms}
    return found


def from_tensors(tensors: Mapping[str, Array], settings: Mapping[str, Any]) -> FastTextModel:
    """Return the model of named arrays, which may come from a stranger's file and are checked.

    Args:
        tensors: What ``to_tensors`` returned.
        settings: The settings of ``Arguments`` that are not in the arrays.

    Raises:
        ValueError: If an array is missing, or has a wrong dtype, shape or value.
    """
    left = dict(tensors)
    kept = taken(left, "settings", np.float64, (len(KEPT),))
    if not np.all(np.abs(kept) < 1 << 62):
        raise ValueError("settings hold what is no finite number, or a huge one")
    rest = dict(zip(KEPT, kept.tolist(), strict=True))
    whole = {name: value if name == "t" else int(value) for name, value in rest.items()}
    tokens = int(taken(left, "num_tokens", np.int64, (1,))[0])
    words, labels = (_entries(left, name) for name in ("words", "labels"))
    pruned = taken(left, "pruned", np.int32, (None, 2)) if "pruned" in left else None
    matrices = [_matrix(left, name, int(settings["dim"])) for name in ("input", "output")]
    if left:
        raise ValueError(f"{', '.join(left)} are no arrays of such a model")
    try:
        arguments = Arguments(**{**whole, **settings})
    except SettingError as error:
        raise ValueError(str(error)) from error
    return FastTextModel(arguments, Dictionary(words, labels, tokens, pruned), *matrices)


def taken(left: dict[str, Array], name: str, dtype: Any, shape: tuple[int | None, ...]) -> Array:
    """Remove an array from ``left`` and return it, checked; None in ``shape`` is any size.

    Raises:
        ValueError: If it is missing, or has another dtype or shape.
    """
    if name not in left:
        raise ValueError(f"{name} is missing")
    found = left.pop(name)
    sizes = [own if size is None else size for own, size in zip(found.shape, shape, strict=False)]
    if found.dtype != dtype or found.shape != (*sizes,) or found.ndim != len(shape):
        raise ValueError(f"{name} is of the type {found.dtype} and the shape {found.shape}")
    return found


def _entries(left: dict[str, Array], name: str) -> Entries:
    text = taken(left, name, np.uint8, (None,))
    offsets = taken(left, f"{name}.offsets", np.int64, (None,))
    counts = taken(left, f"{name}.counts", np.int64, (len(offsets) - 1,))
    if offsets[0] != 0 or offsets[-1] != len(text) or np.any(offsets[1:] < offsets[:-1]):
        raise ValueError(f"{name}.offsets do not cut {name} into strings")
    return Entries(text, offsets, counts)


def _matrix(left: dict[str, Array], name: str, dim: int) -> Matrix:
    if name in left:
        return Dense(_weights(left, name, (None, dim)))
    codes = taken(left, f"{name}.codes", np.uint8, (None, None))
    centroids = _weights(left, f"{name}.centroids", (CENTROIDS * dim,))
    part_size = int(taken(left, f"{name}.part_size", np.int64, (1,))[0])
    if part_size < 1 or not 0 < dim - (codes.shape[1] - 1) * part_size <= part_size:
        raise ValueError(f"{name} has {codes.shape[1]} parts of {part_size}, which are not {dim}")
    if f"{name}.norms" not in left:
        return Quantised(codes, centroids, dim, part_size)
    norm_codes = taken(left, f"{name}.norm_codes", np.uint8, (len(codes),))
    norms = _weights(left, f"{name}.norms", (CENTROIDS,))
    return Quantised(codes, centroids, dim, part_size, norm_codes, norms)


def _weights(left: dict[str, Array], name: str, shape: tuple[int | None, ...]) -> Array:
    found = taken(left, name, np.float32, shape)
    # Both ends are NaN if a weight is.
    if found.size and not (found.min() >= -MAX_WEIGHT and found.max() <= MAX_WEIGHT):
        raise ValueError(
            f"{name} holds what is no finite number, or a weight beyond {MAX_WEIGHT:g}"
        )
    return found
