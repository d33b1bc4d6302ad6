"""What is known of a network after it has read documents, in whatever way it computes."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache

import numpy as np

from thence.array_types import Float


@dataclass(frozen=True)
class Trace:
    """What a network computes of the ids of a document on the way to its predictions.

    Attributes:
        stages: What each id became at each stage, shape (T, numbers), by name in order:
            ``embedding``, ``layer 1`` and so on.
        predictions: Gives the log-probabilities (T, V) that would follow each id if the output
            layer read a stage in place of the last.
        readable: The stages that it can read; the last gives what the network itself predicts.
        gates: Of each recurrent layer, by name and then by gate, shape (T, H).
        attention: Of each layer: how much each id looks at the places up to the last of them, and
            at none after itself, shape (heads, T, places).
    """

    stages: Mapping[str, Float[np.ndarray, "time numbers"]]
    predictions: Callable[[str], Float[np.ndarray, "time vocab"]]
    readable: tuple[str, ...]
    gates: Mapping[str, Mapping[str, Float[np.ndarray, "time hidden"]]] = field(
        default_factory=dict
    )
    attention: Mapping[str, Float[np.ndarray, "heads time places"]] = field(default_factory=dict)


@dataclass(frozen=True)
class SideBySide:
    """What a network computes of documents that are read side by side; see ``Trace``.

    Attributes:
        stages: Shape (B, T, numbers).
        predictions: Gives them of shape (B, T, V).
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
        """Return what was computed of each document, of so many ids."""
        predictions = cache(self.predictions)  # All documents of a stage at once.
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
