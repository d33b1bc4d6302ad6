"""What networks of all families share: weights as arrays by name, for files, and dropout."""

from collections.abc import Mapping
from typing import cast

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from thence.models.base import Array

LARGEST_WEIGHT = 1e6
"""No training comes near it; far larger ones make probabilities that are no numbers."""


def weights_of(network: nn.Module) -> dict[str, Array]:
    """Return the weights by name, copied: further training does not change them."""
    state = cast(dict[str, Tensor], network.state_dict())
    return {name: tensor.detach().cpu().numpy().copy() for name, tensor in state.items()}


def load_weights(network: nn.Module, tensors: Mapping[str, Array]) -> None:
    """Take back what ``weights_of`` gave, in place.

    Raises:
        ValueError: If a name, a shape or a type does not fit this network.
    """
    for name, value in tensors.items():
        if value.dtype.kind != "f":
            raise ValueError(f"{name} holds {value.dtype}, not floating-point numbers")
        if not np.isfinite(value).all():
            raise ValueError(f"{name} holds what is no finite number")
        if np.any(np.abs(value) > LARGEST_WEIGHT):
            raise ValueError(f"{name} holds a weight beyond {LARGEST_WEIGHT:g}")
    try:
        network.load_state_dict({name: torch.tensor(value) for name, value in tensors.items()})
    except RuntimeError as error:
        raise ValueError(str(error)) from error


class Dropout(nn.Module):
    """Sets random values to zero while training, and scales up the others.

    Args:
        chance: Of each value; rounded to a multiple of 1/256, at most 255/256.
    """

    def __init__(self, chance: float) -> None:
        super().__init__()
        self._dropped = min(round(256 * chance), 255)

    def forward(self, values: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
        """Return the values, some of them zero."""
        if not self.training or self._dropped == 0:
            return values
        words = torch.empty((values.numel() + 7) // 8, dtype=torch.int64, device=values.device)
        draws = words.random_(-(2**63), None).view(torch.uint8)[: values.numel()]
        kept = (draws >= self._dropped).view(values.shape)
        return values * kept * (256 / (256 - self._dropped))


class LockedDropout(nn.Module):
    """Dropout that leaves out the same numbers at every place of a sequence.

    Source: Y. Gal and Z. Ghahramani 2016, "A theoretically grounded application of dropout in
    recurrent neural networks".

    Args:
        chance: Of each number of a row.
    """

    def __init__(self, chance: float) -> None:
        super().__init__()
        self._chance = chance

    def forward(self, values: Float[Tensor, "batch time size"]) -> Float[Tensor, "batch time size"]:
        """Return the values, some columns of each row zero."""
        if not self.training or self._chance == 0:
            return values
        rows, _, size = values.shape
        kept = torch.rand(rows, 1, size, device=values.device) >= self._chance
        return values * (kept.to(values.dtype) / (1 - self._chance))
