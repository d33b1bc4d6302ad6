"""The tables of context mixing: their initial values, and checks of tables from files.

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
"""Numbers of contexts, of matches, of floats per vector instruction, of sets of weight vectors, and
the largest number of other models: those of the kernel."""
LENGTHS, CELLS, MAPS, ROWS = 64, 33, 3, 256
"""Numbers of distinct match lengths, of cells of an adaptive map (from -8 to 8 in log-odds), of
maps, and of symbols or nodes with weights of their own."""
WEIGHT_ROWS = 3 * ROWS + 18 * 2 * 8 + 9 * 8 + 16 * ROWS
"""Weight vectors of all sets: by node, last symbol, the one before; by match and depth; by the
longest context seen and depth; by the length of the word and node."""
OWN_INPUTS = CONTEXTS + MATCHES + 1
"""Number of inputs of the mixers without other models: contexts, matches and a constant."""
FIRST_WEIGHT = 0.2
"""Initial weight of each context and match; all other models together have the same."""
SLOT_BITS = (12, 24)
"""Bounds of ``slot_bits`` if it is not given."""
SLOTS_PER_SYMBOL = 8
"""Slots per symbol of train, within ``SLOT_BITS``: with fewer, histories are overwritten."""
BOUNDS: Mapping[str, tuple[float, float]] = {
    "f": (-MAX_WEIGHT, MAX_WEIGHT), "u": (0, 255), "i": (0, 1 << 62),
    "probs": (1 / 4096, 4095 / 4096), "match_probs": (1 / 4096, 4095 / 4096),
}  # fmt: skip
"""Smallest and largest value in a tensor, by its name or the kind of its dtype."""


def first_tables(symbols: int, size: int, slot_bits: int | None, models: int) -> dict[str, Array]:
    """Return the tables of an untrained model.

    Args:
        symbols: Number of ids (V).
        size: Number of symbols of the train text.
        slot_bits: There are 2^slot_bits slots; None: as many as suit the text.
        models: Number of other models that are inputs.
    """
    least, most = SLOT_BITS
    wanted = math.ceil(math.log2(max(size * SLOTS_PER_SYMBOL, 1)))
    slot_bits = slot_bits or min(max(wanted, least), most)
    map_bits = min(max(math.ceil(math.log2(max(size, 1))) - 6, 8), 16)
    match_bits = map_bits + 6
    check_memory((8 << slot_bits) * 2, "The table of contexts", "Use fewer `slot_bits`.")
    # Adaptive maps start as the identity: each cell holds the probability of its log-odds.
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
    """Return the initial weight vectors, padded with zeros to a multiple of ``LANES``."""
    inputs = OWN_INPUTS + models
    weights = np.zeros((WEIGHT_ROWS, -(-inputs // LANES) * LANES), np.float32)
    weights[:, :inputs] = FIRST_WEIGHT
    weights[:, OWN_INPUTS:inputs] /= max(models, 1)
    return weights


def check_tables(learned: Mapping[str, Array], own: Mapping[str, Array], models: int) -> None:
    """Check tables from a file, so that the kernel can read them without further checks.

    Args:
        learned: Tables by name.
        own: Tables of an untrained model with as many symbols.
        models: The smallest number of other models.

    Raises:
        ValueError: If a table has a wrong shape or dtype, or values out of bounds.
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
    """Return the base-2 logarithm, rounded down, of the size of a table along an axis."""
    return max(array.shape[axis] if array.ndim > axis else 1, 1).bit_length() - 1


def check(
    tensors: Mapping[str, Array],
    name: str,
    shape: tuple[int, ...],
    dtype: np.dtype[Any] | type,
    bounds: tuple[float, float],
) -> None:
    """Check the shape, dtype and values of a tensor from a file.

    Raises:
        ValueError: If they differ from what is expected, or a value is NaN or out of bounds.
    """
    array = tensors[name]
    if array.shape != shape or array.dtype != dtype:
        raise ValueError(f"{name} holds {array.dtype} {array.shape}, not {dtype} {shape}")
    if array.size and not (array.min() >= bounds[0] and array.max() <= bounds[1]):
        raise ValueError(f"{name} holds numbers that no learning gives")  # NaN fails both tests.
