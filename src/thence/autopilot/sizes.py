"""How large a network pays: settings by size, and the size for the time there is.

A network that reads D tokens while it is trained does best with about D / r weights: a larger one
would see too few tokens, a smaller one could hold more (J. Hoffmann et al. 2022, "Training
compute-optimal large language models": r = 20 for unlimited text and long trainings). A small text
is read many times over; there weights beyond a few per token overfit, and the more weights and
passes there are, the higher the dropout.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from thence.autopilot.candidates import Kind

HIDDEN_SIZES = (64, 96, 128, 192, 256, 320, 384, 512, 640, 768, 1024)
GATES = {"lstm": 4, "gru": 3}
"""Gates of a recurrent unit: matrices of its size per layer."""
TOKENS_PER_WEIGHT: dict[Kind, float] = {"names": 6.0, "characters": 10.0, "words": 5.0}
"""r, as it did best here on names, a megabyte of plays and the Penn Treebank, in a minute each."""
WEIGHTS_PER_TOKEN = 4.0
"""Weights at most for each token of the train text."""
DROPOUTS = ((2.0, 0.0), (6.0, 0.1), (15.0, 0.2), (35.0, 0.3), (math.inf, 0.4))
"""Dropout rates: each up to so many passes over the train text times weights per token of it."""


@dataclass(frozen=True)
class Size:
    """A size of a family of networks.

    Attributes:
        model: The family.
        kind: What is modelled.
        hidden: Units of each hidden layer.
        layers: Hidden layers.
    """

    model: str
    kind: Kind
    hidden: int
    layers: int = 1

    @property
    def embedding(self) -> int:
        """Numbers per symbol."""
        if self.kind == "words":
            return self.hidden if self.model != "mlp" else 64
        return max(16, min(64, self.hidden // 4))

    @property
    def context(self) -> int:
        """Symbols that a network with a window sees."""
        return {"names": 8, "characters": 10, "words": 4}[self.kind]

    @property
    def weights(self) -> int:
        """Weights that every token goes through, the output layer's apart."""
        if self.model == "mlp":
            return self.context * self.embedding * self.hidden
        inputs = self.embedding + (self.layers - 1) * self.hidden
        return GATES[self.model] * self.hidden * (inputs + self.layers * self.hidden)

    def options(self, passes: float, train_tokens: int) -> dict[str, Any]:
        """Return the settings of the model.

        Args:
            passes: Over the train text, from which the dropout follows.
            train_tokens: Tokens of the train text.
        """
        seen = passes * self.weights / train_tokens
        dropout = next(rate for most, rate in DROPOUTS if seen <= most)
        sizes = {
            "embedding_size": self.embedding,
            "hidden_size": self.hidden,
            "layers": self.layers,
            "dropout": dropout,
        }
        if self.model == "mlp":
            return {**sizes, "context": self.context, "embedding_dropout": dropout / 4}
        if self.kind == "words":
            more = {"tied": True, "softmax": "sampled", "embedding_dropout": dropout / 8}
            return {**sizes, **more, "input_dropout": dropout}
        return sizes

    def training(self) -> Mapping[str, Any]:
        """Return the settings of training that go with the size."""
        rate = 0.01 * math.sqrt(128 / self.hidden)
        rates = {"lr": min(rate, 0.01)} if self.model != "mlp" else {"lr": 0.015}
        if self.model == "mlp":
            return {**rates, "batch_size": 1024}
        if self.kind == "names":
            return {**rates, "batch_size": 256}
        if self.kind == "words":
            return {"lr": 0.8 * rates["lr"], "batch_size": 40, "window": 35, "vary_windows": True}
        return {**rates, "batch_size": 32, "window": 64, "vary_windows": True}


def largest_size(guess: Size, tokens_at: Mapping[int, float], train_tokens: int) -> Size:
    """Return the largest size that reads enough tokens for its weights.

    Args:
        guess: A size of the same family.
        tokens_at: How many tokens are read in the time, by the hidden size.
        train_tokens: Tokens of the train text.
    """
    best = replace(guess, hidden=HIDDEN_SIZES[0])
    for hidden, tokens in sorted(tokens_at.items()):
        size = replace(guess, hidden=hidden)
        if size.weights * TOKENS_PER_WEIGHT[size.kind] > tokens:
            break
        if size.weights > WEIGHTS_PER_TOKEN * train_tokens:
            break
        best = size
    return best
