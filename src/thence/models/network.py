"""What networks of all families share: weights as arrays by name for files, and dropout."""

from collections.abc import Mapping
from typing import Any, cast

import torch
from torch import Tensor, nn

from thence.array_types import Float
from thence.models.base import Array, State, check_weights
from thence.models.memory_guard import count_parameters

count_parameters()


class NetworkModel(nn.Module):
    """A model that is a torch module: its weights are those of the module."""

    @property
    def device(self) -> torch.device:
        """The device of the weights."""
        # Cached: finding the first weight takes as long as a small operator, several times a step.
        if "_first_weight" not in self.__dict__:
            self.__dict__["_first_weight"] = (next(self.parameters()),)
        first: Tensor = self.__dict__["_first_weight"][0]
        return first.device

    def batch_loss(self, batch: Any, state: State = None) -> tuple[Float[Tensor, ""], State]:
        """Return the summed loss of a batch in nats, for training, and the state after it."""
        raise NotImplementedError

    def to_device(self, *arrays: Array) -> list[Tensor]:
        """Return arrays as tensors on the device of the weights."""
        return [torch.from_numpy(array).to(self.device) for array in arrays]

    def tensors(self) -> dict[str, Array]:
        """Return copies of the weights by name, which further training does not change."""
        state = cast(dict[str, Tensor], self.state_dict())
        return {name: tensor.detach().cpu().numpy().copy() for name, tensor in state.items()}

    def load_tensors(self, tensors: Mapping[str, Array]) -> None:
        """Set the weights in place, so that an optimizer that holds them stays valid.

        Raises:
            ValueError: If a name, a shape or a type does not fit this network.
        """
        check_weights(tensors)
        try:
            self.load_state_dict({name: torch.tensor(value) for name, value in tensors.items()})
        except RuntimeError as error:
            raise ValueError(str(error)) from error

    def num_parameters(self) -> int:
        """Return the number of trainable parameters; frozen ones do not count."""
        return sum(weights.numel() for weights in self.parameters() if weights.requires_grad)


class Dropout(nn.Module):
    """Dropout with the mask drawn as bytes: eight mask values from each 64-bit random number.

    On a CPU this takes a tenth of the time of PyTorch's own dropout, which costs more than the
    matrix product before it.

    Source: N. Srivastava et al. 2014, "Dropout: a simple way to prevent neural networks from
    overfitting".

    Args:
        p: Probability that a value is dropped; rounded to a multiple of 1/256, at most 255/256.
    """

    def __init__(self, p: float) -> None:
        super().__init__()
        self._dropped = min(round(256 * p), 255)

    def forward(self, values: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
        """Return the values, while training with some set to zero and the others scaled up."""
        if not self.training or self._dropped == 0:
            return values
        words = torch.empty((values.numel() + 7) // 8, dtype=torch.int64, device=values.device)
        draws = words.random_(-(2**63), None).view(torch.uint8)[: values.numel()]
        kept = (draws >= self._dropped).view(values.shape)
        return values * kept * (256 / (256 - self._dropped))


class LockedDropout(nn.Module):
    """Dropout with one mask for all places of a sequence (variational dropout).

    Source: Y. Gal and Z. Ghahramani 2016, "A theoretically grounded application of dropout in
    recurrent neural networks".

    Args:
        p: Probability that a feature of a row is dropped, at all of its times.
    """

    def __init__(self, p: float) -> None:
        super().__init__()
        self._p = p

    def forward(self, values: Float[Tensor, "batch time size"]) -> Float[Tensor, "batch time size"]:
        """Return the values, while training with random features of each row set to zero."""
        if not self.training or self._p == 0:
            return values
        rows, _, size = values.shape
        kept = torch.rand(rows, 1, size, device=values.device) >= self._p
        return values * (kept.to(values.dtype) / (1 - self._p))
