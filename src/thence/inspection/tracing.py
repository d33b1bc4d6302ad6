"""What is known of a network after it has read a document, in whatever way it computes."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

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
