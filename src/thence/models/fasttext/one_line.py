"""Low-latency prediction for one line at a time; it needs the compiled core.

The probabilities are those of ``predictions.py``, which is for many lines at once.
"""

import numpy as np

from thence._core import fasttext as core
from thence._core.fasttext import OneText
from thence.array_types import Float32, Int32, Int64, UInt8
from thence.models.fasttext.contents import FastTextModel
from thence.models.fasttext.features import core_dictionary, max_features
from thence.models.fasttext.predictions import ADDED, FLAT, core_matrix, probabilities
from thence.models.fasttext.tree import paths

NOTHING = np.float32(0)
"""Log-probability that pads the paths of labels that are nearer to the root."""
Scores = Float32[np.ndarray, " labels"]


class OneLine:
    """A predictor for single lines; several threads may use it.

    Args:
        model: A supervised model.
    """

    def __init__(self, model: FastTextModel) -> None:
        self._model = model
        self._text = OneText(
            core_dictionary(model), core_matrix(model.input),
            lambda size: max_features(model, size, 1),
        )  # fmt: skip
        self._loss = model.arguments.loss if len(model.targets) > 1 else None
        if self._loss == "hs":
            self._steps = steps_down(*paths(model.tree, len(model.targets)))

    def predict(self, text: bytes) -> tuple[Scores, int]:
        """Return the probability of each label for a line, and the number of its features.

        Raises:
            TextError: If the weights are not all finite.
        """
        mean, size = self._text.mean(text)
        vector = mean[None]
        if self._loss not in ("softmax", "hs"):
            return probabilities(self._model, vector)[0], size
        scores = core.scores(self._model.columns, vector)[0]
        if self._model.norms is not None:
            scores *= self._model.norms
        if not np.isfinite(scores.sum()):
            return probabilities(self._model, vector)[0], size  # Raises the error.
        if self._loss == "softmax":
            scores -= scores.max()
            np.exp(scores, out=scores)
            scores /= scores.sum()
            scores += ADDED
            return scores, size
        right = 1 / (1 + np.exp(-np.minimum(np.maximum(scores[:-1], -FLAT), FLAT)))
        logs = np.log(np.concatenate([1 - right, right]) + ADDED)
        return np.exp(np.append(logs, NOTHING)[self._steps].sum(0)), size


def steps_down(
    path: Int32[np.ndarray, " steps"],
    turns: UInt8[np.ndarray, " steps"],
    bounds: Int64[np.ndarray, " bounds"],
) -> Int64[np.ndarray, "depth labels"]:
    """Return the indexes of the steps on each label's path in a vector of log-probabilities.

    The vector holds the log-probability of "left" at each inner node, then of "right", then a zero
    as padding. Row d of the result is the step at depth d, so that a sum over rows adds up what
    fastText does, in its order.
    """
    sizes, inner = np.diff(bounds), len(bounds) - 2
    steps = np.full((int(sizes.max()), len(sizes)), 2 * inner)
    owners = np.repeat(np.arange(len(sizes)), sizes)
    depth = bounds[owners + 1] - 1 - np.arange(len(path))
    steps[depth, owners] = path + turns.astype(np.int64) * inner
    return steps
