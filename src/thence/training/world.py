"""The processes that train together, and their communication; see ``distributed.py``.

A single process communicates with nobody, and does not import torch here.
"""

import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, TypeVar, cast

from thence.batches import Step
from thence.errors import ThenceError, TrainingError
from thence.models.base import State, map_state

if TYPE_CHECKING:
    from torch import Tensor

AnyStep = TypeVar("AnyStep", bound=Step)


@dataclass(frozen=True)
class World:
    """The processes that train together; by default this one alone.

    Attributes:
        rank: Number of this process, from 0; process 0 writes.
        size: Number of processes.
    """

    rank: int = 0
    size: int = 1

    @property
    def is_writer(self) -> bool:
        """Whether this process writes the run folder."""
        return self.rank == 0

    def rows(self, total: int) -> slice:
        """Return the slice of this process's rows of a batch with ``total`` rows."""
        return slice(total * self.rank // self.size, total * (self.rank + 1) // self.size)

    def shard(self, batch: AnyStep) -> AnyStep:
        """Return this process's rows of a batch."""
        return batch if self.size == 1 else cast(AnyStep, batch.take(self.rows(len(batch))))

    def all_reduce(self, tensors: "Sequence[Tensor]") -> None:
        """Replace each tensor by its sum over all processes."""
        if self.size == 1 or not tensors:
            return
        import torch

        # One message for all tensors, as each message has its latency.
        flat = torch.cat([tensor.reshape(-1) for tensor in tensors])
        _all_reduce(flat)
        sizes = [tensor.numel() for tensor in tensors]
        for tensor, part in zip(tensors, torch.split(flat, sizes), strict=True):
            tensor.copy_(part.view_as(tensor))

    def sum(self, values: Sequence[float]) -> list[float]:
        """Return the sums of some numbers over all processes, in double precision."""
        if self.size == 1:
            return list(values)
        import torch

        summed = torch.tensor(values, dtype=torch.float64)
        _all_reduce(summed)
        found: list[float] = summed.tolist()
        return found

    def gather_rows(self, state: State, total: int) -> State:
        """Return the state of all rows of a batch, gathered from all processes."""
        if self.size == 1:
            return state

        def gathered(own: "Tensor") -> "Tensor":
            whole = own.new_zeros(total, *own.shape[1:])
            whole[self.rows(total)] = own
            _all_reduce(whole)
            return whole

        return map_state(gathered, state)

    def shard_rows(self, state: State, total: int) -> State:
        """Return this process's rows of the state of all rows."""
        return map_state(lambda whole: whole[self.rows(total)], state)

    def gather(self, text: str) -> list[str]:
        """Return the texts of all processes, by rank."""
        if self.size == 1:
            return [text]
        import torch

        # all_reduce is the only operation used: each writes its bytes where others have zeros.
        content = text.encode("utf-8")
        sizes = self.sum([len(content) if r == self.rank else 0 for r in range(self.size)])
        starts = [int(sum(sizes[:rank])) for rank in range(self.size + 1)]
        codes = torch.zeros(starts[-1], dtype=torch.int32)
        codes[starts[self.rank] : starts[self.rank + 1]] = torch.tensor(list(content)).int()
        _all_reduce(codes)
        joint = bytes(codes.tolist())
        return [joint[start:end].decode("utf-8") for start, end in pairwise(starts)]

    def broadcast(self, text: str) -> str:
        """Return the first process's text in all processes."""
        return self.gather(text if self.is_writer else "")[0]

    @contextmanager
    def fail_together(self) -> Iterator[None]:
        """Context manager: if the block fails in one process, all raise an error.

        The block must not wait for other processes.

        Raises:
            TrainingError: If another process has failed; the message says which, and why.
        """
        failed: ThenceError | None = None
        try:
            yield
        except ThenceError as error:
            failed = error
        own = "" if failed is None else f"Process {self.rank} ({socket.gethostname()}): {failed}"
        messages = [text for text in self.gather(own) if text]
        if failed is not None:
            raise failed
        if messages:
            raise TrainingError(messages[0])


def _all_reduce(tensor: "Tensor") -> None:
    """Replace a tensor by the sum of all processes' tensors."""
    import torch
    from torch import distributed as dist

    try:
        dist.all_reduce(tensor)
    except torch.OutOfMemoryError:
        raise
    except RuntimeError as error:
        raise connection_lost(error) from error


def connection_lost(error: RuntimeError) -> TrainingError:
    """Return the error for a lost connection to another process, from that of torch."""
    reason = str(error).partition("\n")[0].partition(". This is")[0].rpartition(".cc:")[2]
    return TrainingError(
        "Another of the processes that train together has ended, or its machine cannot be reached "
        f"({reason}). See what it says. From the last checkpoint, if there is one, the training "
        "continues with torchrun and thence resume RUN."
    )
