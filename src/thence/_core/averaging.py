"""Training of word averaging by the compiled core: see ``averaging.c``."""

import ctypes
from functools import cache
from typing import Any

import numpy as np

from thence._core import Pointer, Size, address, function
from thence.array_types import Float32, Int32, Int64

Array = np.ndarray[Any, np.dtype[Any]]
ARRAYS = ("embeddings", "embedding_totals", "output", "output_totals", "bias", "bias_totals")


class _Averaging(ctypes.Structure):
    """Weights, Adagrad totals and documents of a training; the struct of ``averaging.c``."""

    _fields_ = (
        *((name, Pointer) for name in ARRAYS),
        *((name, Size) for name in ("rows", "size", "classes")),
        *((name, Pointer) for name in ("features", "offsets", "labels", "matrix", "weights")),
        *((name, Size) for name in ("documents", "num_features")),
        *((name, Pointer) for name in ("slots", "touched", "gradients")),
        ("room", Size),
        ("work", Pointer),
    )


@cache
def _c(name: str) -> Any:
    """Return a function of ``averaging.c``."""
    real, double = ctypes.c_float, ctypes.c_double
    arguments: dict[str, tuple[Any, ...]] = {
        "averaging_fits": (Pointer,),
        "train_averaging": (
            Pointer, Pointer, Size, double, real, real, real, ctypes.c_int32, Pointer,
        ),
    }  # fmt: skip
    return function(name, *arguments[name])


class AveragingSteps:
    """Steps of a training of word averaging, which change its weights in place.

    Args:
        weights: E (rows, size), W (classes, size) and b (classes,).
        totals: Adagrad's accumulators of E, W and b: a sum of squared gradients per row.
        features: Rows of E of all documents, concatenated.
        offsets: Start of each document in ``features``, and the end of the last.
        targets: The label of each document (documents,); or multilabel 0 or 1 (documents, classes).
        sample_weight: Weight of each document in the loss.
        room: Maximum number of distinct rows in a batch.

    Raises:
        TypeError: If arrays are of other types or lengths.
        ValueError: If rows, offsets or labels are out of range.
    """

    def __init__(
        self,
        weights: tuple[Array, Array, Array],
        totals: tuple[Array, Array, Array],
        features: Int32[np.ndarray, " features"],
        offsets: Int64[np.ndarray, " bounds"],
        targets: Array,
        sample_weight: Float32[np.ndarray, " documents"],
        room: int,
    ) -> None:
        embeddings, output, bias = weights
        (rows, size), classes, documents = embeddings.shape, len(bias), len(sample_weight)
        is_multilabel = targets.ndim == 2
        sizes = (output.shape, *(part.size for part in totals), len(offsets), targets.shape)
        per_document = (documents, classes) if is_multilabel else (documents,)
        if sizes != ((classes, size), rows, classes, classes, documents + 1, per_document):
            raise TypeError("the arrays differ in length")
        room = min(room, rows)
        slots, touched = np.full(rows, -1, np.int32), np.empty(room, np.int32)
        gradients = np.empty((room, size), np.float32)
        work = np.empty(2 * size + classes * (size + 2), np.float32)
        learned = (embeddings, totals[0], output, totals[1], bias, totals[2])
        self._kept = (*learned, features, offsets, targets, sample_weight, slots, touched,
                      gradients, work)  # fmt: skip
        labels = None if is_multilabel else address(targets, np.int64)
        matrix = address(targets, np.float32) if is_multilabel else None
        self._model = _Averaging(
            *(address(array, np.float32) for array in learned), rows, size, classes,
            address(features, np.int32), address(offsets, np.int64), labels, matrix,
            address(sample_weight, np.float32), documents, len(features), slots.ctypes.data,
            touched.ctypes.data, gradients.ctypes.data, room, work.ctypes.data,
        )  # fmt: skip
        if not _c("averaging_fits")(ctypes.addressof(self._model)):
            raise ValueError("the rows, offsets or labels do not fit")

    def step(
        self,
        chosen: Int64[np.ndarray, " batch"],
        weight: float,
        rate: float,
        decay: float,
        epsilon: float,
        learn: bool = True,
    ) -> float:
        """Make a gradient step on a batch; return its summed loss before the step, in nats.

        Args:
            chosen: Indices of the documents of the batch.
            weight: Divisor of the summed loss, for the gradient of a mean.
            rate: The learning rate.
            decay: Decoupled weight decay per unit of learning rate.
            epsilon: Added to an accumulator before its square root.
            learn: Whether to change the weights; False only computes the loss.

        Raises:
            ValueError: If an index is out of range, or the batch has more than ``room`` rows.
        """
        loss = ctypes.c_double()
        if _c("train_averaging")(
            ctypes.addressof(self._model), address(chosen, np.int64), len(chosen), weight, rate,
            decay, epsilon, learn, ctypes.byref(loss),
        ):  # fmt: skip
            raise ValueError("there are no such documents, or no room for so many rows")
        return loss.value
