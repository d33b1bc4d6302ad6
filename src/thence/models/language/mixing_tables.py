"""The tables of context mixing: what they hold before anything is learned, and what they may hold.

Their sizes are those of the kernel (``_core/mixing.h``).
"""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from thence.array_types import Float32
from thence.models.base import MAX_WEIGHT, Array
from thence.models.language.bit_history import STATES, empty_slots
from thence.models.memory_guard import check_memory

CONTEXTS, MATCHES, LANES, SETS, MODELS = 19, 2, 8, 6, 16
"""Contexts; matches; floats that are added at once; sets of weight vectors; other models at most:
those of the kernel."""
LENGTHS, CELLS, MAPS, ROWS = 64, 33, 3, 256
"""Distinct lengths of a match; cells of an adaptive map, from -8 to 8 in log-odds; maps; symbols
and nodes that have weights of their own."""
WEIGHT_ROWS = 3 * ROWS + 18 * 2 * 8 + 9 * 8 + 16 * ROWS
"""Weight vectors of all sets: by node, last symbol, the one before; by match and depth; by the
longest context seen and depth; by the length of the word and node."""
OWN_INPUTS = CONTEXTS + MATCHES + 1
"""Inputs of the mixers but for other models: contexts, matches and a constant."""
FIRST_WEIGHT = 0.2
"""Weight of each context and match before anything is learned; other models share one such."""
SLOT_BITS = (12, 24)
"""Least and most of ``slot_bits`` where none is given."""
SLOTS_PER_SYMBOL = 8
"""Slots for each symbol of train, as far as ``SLOT_BITS`` allows: with fewer, some are lost."""
BOUNDS: Mapping[str, tuple[float, float]] = {
    "f": (-MAX_WEIGHT, MAX_WEIGHT), "u": (0, 255), "i": (0, 1 << 62),
    "probs": (1 / 4096, 4095 / 4096), "match_probs": (1 / 4096, 4095 / 4096),
}  # fmt: skip
"""Least and largest number of a tensor, by its name or the kind of its type."""


def first_tables(symbols: int, size: int, slot_bits: int | None, models: int) -> dict[str, Array]:
    """Return the tables before anything is learned.

    Args:
        symbols: Number of ids (V).
        size: Symbols of the text that is to be learned.
        slot_bits: There are 2^slot_bits slots; None: as many as suit the text.
        models: Other models whose distributions are inputs.
    """
    least, most = SLOT_BITS
    wanted = math.ceil(math.log2(max(size * SLOTS_PER_SYMBOL, 1)))
    slot_bits = slot_bits or min(max(wanted, least), most)
    map_bits = min(max(math.ceil(math.log2(max(size, 1))) - 6, 8), 16)
    match_bits = map_bits + 6
    check_memory((8 << slot_bits) * 2, "The table of contexts", "Use fewer `slot_bits`.")
    levels = 1 / (1 + np.exp(-(np.arange(CELLS) - CELLS // 2) / 2))
    return {
        "separators": np.zeros(symbols, np.uint8),
        "slots": empty_slots(1 << slot_bits),
        "probs": np.full((CONTEXTS, STATES), 0.5, np.float32),
        "counts": np.zeros((CONTEXTS, STATES), np.float32),
        "places": np.zeros((MATCHES, 1 << match_bits), np.int32),
        "match_probs": np.full((MATCHES, LENGTHS), 0.75, np.float32),
        "match_counts": np.zeros((MATCHES, LENGTHS), np.float32),
        "weights": first_weights(models),
        "final_weights": np.full((ROWS, LANES), 1 / SETS, np.float32),
        "maps": np.tile(levels.astype(np.float32), (MAPS, 1 << map_bits, 1)),
        "learned": np.zeros(1, np.int64),
    }


def first_weights(models: int) -> Float32[np.ndarray, "rows inputs"]:
    """Return the weight vectors before anything is learned, padded to whole ``LANES``."""
    inputs = OWN_INPUTS + models
    weights = np.zeros((WEIGHT_ROWS, -(-inputs // LANES) * LANES), np.float32)
    weights[:, :inputs] = FIRST_WEIGHT
    weights[:, OWN_INPUTS:inputs] /= max(models, 1)
    return weights


def check_tables(learned: Mapping[str, Array], own: Mapping[str, Array], models: int) -> None:
    """Refuse tables that the kernel could not read.

    Args:
        learned: Tables by name.
        own: Tables of a model with as many symbols.
        models: Other models whose distributions are inputs, at least.

    Raises:
        ValueError: If there are any.
    """
    slots, places = _bits(learned["slots"], 0), _bits(learned["places"], 1)
    maps = _bits(learned["maps"], 1)
    inputs = learned["weights"].shape[-1] // LANES * LANES
    free = {
        "slots": (1 << slots, 8),
        "places": (MATCHES, 1 << places),
        "maps": (MAPS, 1 << maps, CELLS),
        "weights": (WEIGHT_ROWS, max(inputs, first_weights(models).shape[1])),
    }
    for name, expected in own.items():
        shape: tuple[int, ...] = free.get(name) or expected.shape
        bounds = BOUNDS.get(name) or BOUNDS[expected.dtype.kind]
        check(learned, name, shape, expected.dtype, bounds)


def _bits(array: Array, axis: int) -> int:
    """Return the logarithm of the size of a table along an axis, which is a power of two."""
    return max(array.shape[axis] if array.ndim > axis else 1, 1).bit_length() - 1


def check(
    tensors: Mapping[str, Array],
    name: str,
    shape: tuple[int, ...],
    dtype: np.dtype[Any] | type,
    bounds: tuple[float, float],
) -> None:
    """Refuse a tensor of another shape or type, or with numbers out of bounds or none.

    Raises:
        ValueError: If it is one.
    """
    array = tensors[name]
    if array.shape != shape or array.dtype != dtype:
        raise ValueError(f"{name} holds {array.dtype} {array.shape}, not {dtype} {shape}")
    if array.size and not (array.min() >= bounds[0] and array.max() <= bounds[1]):
        raise ValueError(f"{name} holds numbers that no learning gives")
