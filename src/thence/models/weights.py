"""The weights of a network as arrays by name, for files; the same for all networks."""

from collections.abc import Mapping
from typing import cast

import numpy as np
import torch
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
