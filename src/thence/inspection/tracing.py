"""Traces: the intermediate values of networks, in one form for NumPy and PyTorch."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache

import numpy as np

from thence.array_types import Float


@dataclass(frozen=True)
class Trace:
    """The intermediate values of a network for a document of T ids.

    Attributes:
        stages: Output of each stage after each id, shape (T, size), by name in order:
            ``embedding``, ``layer 1`` and so on.
        predictions: Function from a stage to the log-probabilities (T, V) that the output layer
            gives when it reads this stage in place of the last.
        readable: Stages that the output layer can read; the last is the network's own prediction.
        gates: Gates of each recurrent layer, by layer and then by gate, shape (T, H).
        attention: Attention weights of each layer, shape (heads, T, places): the places are those
            that were cached, and then the T ids; weights of later places are 0.
    """

    stages: Mapping[str, Float[np.ndarray, "time numbers"]]
    predictions: Callable[[str], Float[np.ndarray, "time vocab"]]
    readable: tuple[str, ...]
    gates: Mapping[str, Mapping[str, Float[np.ndarray, "time hidden"]]] = field(
        default_factory=dict
    )
    attention: Mapping[str, Float[np.ndarray, "heads time places"]] = field(default_factory=dict)


@dataclass(frozen=True)
class BatchTrace:
    """The intermediate values of a network for a batch of padded documents; see ``Trace``.

    Attributes:
        stages: Shape (B, T, size).
        predictions: Returns log-probabilities of shape (B, T, V).
        readable: The stages that the output layer can read.
        gates: Shape (B, T, H).
        attention: Shape (B, heads, T, places).
    """

    stages: Mapping[str, Float[np.ndarray, "batch time numbers"]]
    predictions: Callable[[str], Float[np.ndarray, "batch time vocab"]]
    readable: tuple[str, ...]
    gates: Mapping[str, Mapping[str, Float[np.ndarray, "batch time hidden"]]] = field(
        default_factory=dict
    )
    attention: Mapping[str, Float[np.ndarray, "batch heads time places"]] = field(
        default_factory=dict
    )

    def documents(self, lengths: list[int]) -> list[Trace]:
        """Return the trace of each document without its padding, given their lengths in ids."""
        predictions = cache(self.predictions)  # Computed once per stage, for the whole batch.
        time = next(iter(self.stages.values())).shape[1]

        def document(row: int, length: int) -> Trace:
            return Trace(
                {name: values[row, :length] for name, values in self.stages.items()},
                lambda stage: predictions(stage)[row, :length],
                self.readable,
                {
                    layer: {gate: values[row, :length] for gate, values in gates.items()}
                    for layer, gates in self.gates.items()
                },
                {
                    layer: shares[row, :, :length, : shares.shape[3] - time + length]
                    for layer, shares in self.attention.items()
                },
            )

        return [document(row, length) for row, length in enumerate(lengths)]
