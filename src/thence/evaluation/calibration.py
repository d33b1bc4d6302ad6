"""Calibration: whether a classifier is right as often as it says it will be."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int64

BINS = 15


@dataclass(frozen=True)
class Calibration:
    """Predictions in bins of equal width by their confidence, from 0 to 1.

    Source: C. Guo, G. Pleiss, Y. Sun, K. Q. Weinberger 2017, "On calibration of modern neural
    networks", section 2: bins and the expected calibration error (equation 3).

    Attributes:
        confidence: Mean confidence in each bin, not a number in an empty one.
        accuracy: Share of the predictions in each bin that are right, likewise.
        count: Predictions in each bin.
    """

    confidence: Float[np.ndarray, " bins"]
    accuracy: Float[np.ndarray, " bins"]
    count: Int64[np.ndarray, " bins"]

    @property
    def error(self) -> float:
        """Expected calibration error: mean distance of accuracy from confidence, from 0 to 1."""
        distance = np.nan_to_num(np.abs(self.accuracy - self.confidence))
        return float(distance @ self.count / self.count.sum())

    def to_json(self) -> dict[str, Any]:
        """Return the error, and each bin that is not empty, for a program."""
        width = 1 / len(self.count)
        bins = [
            {
                "from": at * width,
                "to": (at + 1) * width,
                "confidence": float(self.confidence[at]),
                "accuracy": float(self.accuracy[at]),
                "count": int(self.count[at]),
            }
            for at in np.flatnonzero(self.count).tolist()
        ]
        return {"expected_calibration_error": self.error, "bins": bins}


def calibrate(
    confidence: Float[np.ndarray, " predictions"],
    right: Bool[np.ndarray, " predictions"],
    bins: int = BINS,
) -> Calibration:
    """Sort predictions into bins; a bin holds its upper bound, as in the source.

    Args:
        confidence: Probability that each prediction is right, says the classifier.
        right: Whether it is.
        bins: How many.
    """
    confidence = confidence.astype(np.float64)
    place = np.clip(np.ceil(confidence * bins).astype(np.int64) - 1, 0, bins - 1)
    count = np.bincount(place, minlength=bins)
    number = np.where(count > 0, count, np.nan)
    return Calibration(
        np.bincount(place, confidence, bins) / number,
        np.bincount(place, right.astype(np.float64), bins) / number,
        count,
    )
