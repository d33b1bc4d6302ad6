"""Asks a model about one line at a time, in a fraction of the time that several at once take each.

The numbers are those of ``predictions.py`` but for rounding. It needs the compiled core.
"""

import numpy as np

from thence._core import fasttext as core
from thence._core.fasttext_one import OneText
from thence.array_types import Float32
from thence.models.fasttext.contents import FastTextModel
from thence.models.fasttext.features import core_dictionary, room_for
from thence.models.fasttext.predictions import ADDED, FLAT, core_matrix, probabilities
from thence.models.fasttext.tree import paths

Scores = Float32[np.ndarray, " labels"]


class OneLine:
    """A model that is asked about one line at a time; several threads may ask.

    Args:
        model: It; one with labels.
    """

    def __init__(self, model: FastTextModel) -> None:
        self._model = model
        self._text = OneText(
            core_dictionary(model), core_matrix(model.input),
            lambda size: room_for(model, size, 1),
        )  # fmt: skip
        self._loss = model.arguments.loss if len(model.targets) > 1 else None
        if self._loss == "hs":
            path, turns, bounds = paths(model.tree, len(model.targets))
            # Answers stand in a row, all "left" first, so that a step to the right is further on.
            self._steps = path + turns.astype(np.int64) * (len(model.targets) - 1)
            self._starts = bounds[:-1]

    def ask(self, text: bytes) -> tuple[Scores, int]:
        """Return the probability of each label for a line, and how many features the line has.

        Raises:
            TextError: If the weights hold what is no finite number.
        """
        mean, size = self._text.mean(text)
        vector = mean[None]
        if self._loss not in ("softmax", "hs"):
            return probabilities(self._model, vector)[0], size
        scores = core.scores(self._model.columns, vector)[0]
        if self._model.norms is not None:
            scores *= self._model.norms
        if not np.isfinite(scores.sum()):
            return probabilities(self._model, vector)[0], size  # It says what is wrong.
        if self._loss == "softmax":
            scores -= scores.max()
            np.exp(scores, out=scores)
            scores /= scores.sum()
            scores += ADDED
            return scores, size
        right = 1 / (1 + np.exp(-np.minimum(np.maximum(scores[:-1], -FLAT), FLAT)))
        logs = np.log(np.concatenate([1 - right, right]) + ADDED)
        return np.exp(np.add.reduceat(logs[self._steps], self._starts)), size
