"""Training with several processes, on one machine or many; ``torchrun`` starts them.

Each process reads the whole text and has the whole network. Of every batch it reads its share of
the rows (strands of running text, documents or windows); the gradients, the losses and the counts
of all are added up, so a step is the same, within rounding, as that of one process with the same
batch size. Only dropout draws other masks. The first process writes the run folder, which all must
be able to read, and decides what depends on a clock.

The gradients are added up by one ``all_reduce`` of all of them, after the backward pass:
``DistributedDataParallel`` would average them evenly, though shares may hold different numbers of
targets, and wants to own the forward pass.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn

from thence.batches import Step
from thence.models import State
from thence.models.states import map_state
from thence.processes import number_of_processes

AnyStep = TypeVar("AnyStep", bound=Step)


@dataclass(frozen=True)
class World:
    """The processes that train together.

    Attributes:
        rank: Number of this one; 0 writes.
        size: How many there are.
    """

    rank: int = 0
    size: int = 1

    @property
    def is_writer(self) -> bool:
        """Whether this process writes the run folder."""
        return self.rank == 0

    def rows(self, total: int) -> slice:
        """Return which of the rows of a batch are this process's."""
        return slice(total * self.rank // self.size, total * (self.rank + 1) // self.size)

    def share(self, batch: AnyStep) -> AnyStep:
        """Return this process's rows of a batch."""
        return batch if self.size == 1 else batch.take(self.rows(len(batch)))

    def add_up(self, tensors: Sequence[Tensor]) -> None:
        """Put into each tensor the sum of all processes' tensors in its place."""
        if self.size == 1 or not tensors:
            return
        flat = torch.cat([tensor.reshape(-1) for tensor in tensors])
        dist.all_reduce(flat)
        sizes = [tensor.numel() for tensor in tensors]
        for tensor, part in zip(tensors, torch.split(flat, sizes), strict=True):
            tensor.copy_(part.view_as(tensor))

    def add_up_gradients(self, parameters: Sequence[nn.Parameter]) -> None:
        """Add up the gradients of all processes; one that read nothing counts as zero."""
        if self.size == 1:
            return
        for parameter in parameters:
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
            elif parameter.grad.is_sparse:
                parameter.grad = parameter.grad.to_dense()
        self.add_up([parameter.grad for parameter in parameters if parameter.grad is not None])

    def agree(self, values: Sequence[float], device: torch.device) -> list[float]:
        """Return the sums over all processes of some numbers, in double precision."""
        if self.size == 1:
            return list(values)
        summed = torch.tensor(values, dtype=torch.float64, device=device)
        dist.all_reduce(summed)
        found: list[float] = summed.tolist()
        return found

    def join_rows(self, state: State, total: int) -> State:
        """Return the state of all rows, of which each process has its own."""
        if self.size == 1:
            return state

        def joined(own: Tensor) -> Tensor:
            whole = own.new_zeros(total, *own.shape[1:])
            whole[self.rows(total)] = own
            dist.all_reduce(whole)
            return whole

        return map_state(joined, state)

    def own_rows(self, state: State, total: int) -> State:
        """Return this process's rows of the state of all."""
        return map_state(lambda whole: whole[self.rows(total)], state)

    def tell(self, text: str) -> str:
        """Return the first process's text to all."""
        if self.size == 1:
            return text
        device = torch.device("cuda") if dist.get_backend() == "nccl" else torch.device("cpu")
        content = text.encode("utf-8")
        (size,) = self.agree([len(content) if self.is_writer else 0], device)
        codes = torch.zeros(int(size), dtype=torch.int32, device=device)
        if self.is_writer:
            codes += torch.tensor(list(content), dtype=torch.int32, device=device)
        dist.all_reduce(codes)
        return bytes(codes.tolist()).decode("utf-8")


@contextmanager
def joined(device: torch.device) -> Iterator[World]:
    """Join the other processes that ``torchrun`` has started, if any, for a while.

    Args:
        device: Where the network is: decides how the processes talk (nccl or gloo).
    """
    if number_of_processes() == 1:
        yield World()
        return
    dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
    try:
        yield World(dist.get_rank(), dist.get_world_size())
    finally:
        dist.destroy_process_group()
