"""Training with several processes, on one machine or many; ``torchrun`` starts them.

Each process reads the whole text and has the whole network. Of every batch it reads its share of
the rows (streams of running text, documents or windows). The gradients, the losses and the counts
are summed over all processes, so a step is the same, within rounding, as that of one process with
the same batch size; only the dropout masks differ. The first process writes the run folder, which
all must be able to read, and decides what depends on the time.

The gradients are summed by one ``all_reduce`` after the backward pass. ``DistributedDataParallel``
would take the mean over processes, though their shares may have different numbers of targets, and
wants to own the forward pass.

A process that fails must not leave the others waiting: what may fail before the first step is done
in ``World.fail_together``, and a process that dies later breaks its connections, which ends the
others.
"""

import socket
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from itertools import pairwise
from secrets import token_hex
from typing import TypeVar, cast

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.distributed_c10d import PrefixStore, Store
from torch.distributed.rendezvous import rendezvous

from thence.batches import Step
from thence.errors import ThenceError, TrainingError
from thence.models.base import State, map_state
from thence.processes import may_be_restarted, number_of_machines, number_of_processes

AnyStep = TypeVar("AnyStep", bound=Step)
TIMEOUT = timedelta(minutes=30)
"""How long processes wait for each other: the first may evaluate a large dev split, or a machine
may have gone without closing its connections."""
RENDEZVOUS_TIMEOUT = timedelta(minutes=5)
"""How long processes wait for each other at the beginning."""


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
        """Return which of the rows of a batch are this process's."""
        return slice(total * self.rank // self.size, total * (self.rank + 1) // self.size)

    def shard(self, batch: AnyStep) -> AnyStep:
        """Return this process's rows of a batch."""
        return batch if self.size == 1 else cast(AnyStep, batch.take(self.rows(len(batch))))

    def all_reduce(self, tensors: Sequence[Tensor]) -> None:
        """Replace each tensor by the sum of the tensors in its place over all processes."""
        if self.size == 1 or not tensors:
            return
        # One message for all: each has a latency of its own.
        flat = torch.cat([tensor.reshape(-1) for tensor in tensors])
        _all_reduce(flat)
        sizes = [tensor.numel() for tensor in tensors]
        for tensor, part in zip(tensors, torch.split(flat, sizes), strict=True):
            tensor.copy_(part.view_as(tensor))

    def sum_gradients(self, parameters: Sequence[nn.Parameter]) -> None:
        """Sum the gradients over all processes; a process that read no rows has zeros."""
        if self.size == 1:
            return
        for parameter in parameters:
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
            elif parameter.grad.is_sparse:
                parameter.grad = parameter.grad.to_dense()
        self.all_reduce([parameter.grad for parameter in parameters if parameter.grad is not None])

    def sum(self, values: Sequence[float], device: torch.device) -> list[float]:
        """Return the sums of some numbers over all processes, in double precision."""
        if self.size == 1:
            return list(values)
        summed = torch.tensor(values, dtype=torch.float64, device=device)
        _all_reduce(summed)
        found: list[float] = summed.tolist()
        return found

    def gather_rows(self, state: State, total: int) -> State:
        """Return the state of all rows of a batch, of which each process has its own."""
        if self.size == 1:
            return state

        def gathered(own: Tensor) -> Tensor:
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
        # The one operation used is a sum: each writes its bytes where the others have zeros.
        content = text.encode("utf-8")
        cpu = torch.device("cpu")
        sizes = self.sum([len(content) if r == self.rank else 0 for r in range(self.size)], cpu)
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
        """Run a block that may fail; where it fails in one process, all raise an error.

        The block must not wait for other processes.

        Raises:
            TrainingError: If another process has failed; says which, and why.
        """
        failed: ThenceError | None = None
        try:
            yield
        except ThenceError as error:
            failed = error
        own = "" if failed is None else f"Process {self.rank} ({socket.gethostname()}): {failed}"
        said = [text for text in self.gather(own) if text]
        if failed is not None:
            raise failed
        if said:
            raise TrainingError(said[0])


def _all_reduce(tensor: Tensor) -> None:
    """Replace a tensor by the sum of all processes' tensors."""
    try:
        dist.all_reduce(tensor)
    except torch.OutOfMemoryError:
        raise
    except RuntimeError as error:
        raise _connection_lost(error) from error


def _connection_lost(error: RuntimeError) -> TrainingError:
    reason = str(error).partition("\n")[0].partition(". This is")[0].rpartition(".cc:")[2]
    return TrainingError(
        "Another of the processes that train together has ended, or its machine cannot be reached "
        f"({reason}). See what it says. From the last checkpoint, if there is one, the training "
        "continues with torchrun and thence resume RUN."
    )


@contextmanager
def process_group() -> Iterator[World]:
    """Join the other processes that ``torchrun`` has started, if any, for a while.

    Tensors on GPUs are summed by nccl, others by gloo.

    Raises:
        TrainingError: If one of the others does not come.
    """
    if number_of_processes() == 1:
        yield World()
        return
    store, rank, size = rendezvous_store()
    backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
    try:
        dist.init_process_group(backend, store=store, rank=rank, world_size=size, timeout=TIMEOUT)
    except RuntimeError as error:
        raise _connection_lost(error) from error
    try:
        yield World(rank, size)
    finally:
        dist.destroy_process_group()


def rendezvous_store() -> tuple[Store, int, int]:
    """Find the other processes.

    On one machine ``torchrun`` ends all processes where one is gone. It cannot do so on others, so
    there each waits until all have come: one that refuses its arguments never does.

    Returns:
        The key-value store in which they write their addresses, the rank of this process and the
        number of all. After a restart ``torchrun`` gives the same store, with the addresses of dead
        processes in it, so there each start has a key prefix of its own. The number of the restart
        cannot be that prefix, as machines count restarts differently.
    """
    store, rank, size = next(rendezvous("env://", timeout=RENDEZVOUS_TIMEOUT))
    if number_of_machines() == 1 and not may_be_restarted():
        return store, rank, size
    prefix = new_prefix(store, size) if rank == 0 else learn_prefix(store, rank, size)
    return PrefixStore(prefix, store), rank, size


def new_prefix(store: Store, size: int, timeout: timedelta = RENDEZVOUS_TIMEOUT) -> str:
    """Return a new prefix for this start, once all other processes have read it.

    Each of them has written a random greeting. The prefix is the answer to that greeting, so that a
    process cannot take an answer of an earlier start for its own.
    """
    prefix, missing = token_hex(8), list(range(1, size))
    until = time.monotonic() + timeout.total_seconds()
    while missing:
        for rank in missing:
            if store.check([f"greeting-{rank}"]):  # Maybe of a process that is dead by now.
                greeting = store.get(f"greeting-{rank}").decode("ascii")
                store.set(f"answer-{greeting}", prefix)
        missing = [rank for rank in missing if not store.check([f"{prefix}-{rank}"])]
        if missing and time.monotonic() > until:
            raise _absent(missing, size, timeout)
        time.sleep(0.05)
    return prefix


def learn_prefix(
    store: Store, rank: int, size: int, timeout: timedelta = RENDEZVOUS_TIMEOUT
) -> str:
    """Greet the first process, and return the prefix of this start."""
    greeting = token_hex(8)
    store.set(f"greeting-{rank}", greeting)
    try:
        store.wait([f"answer-{greeting}"], timeout)
    except RuntimeError as error:
        raise _absent([0], size, timeout) from error
    prefix = store.get(f"answer-{greeting}").decode("ascii")
    store.set(f"{prefix}-{rank}", "")
    return prefix


def _absent(missing: list[int], size: int, timeout: timedelta) -> TrainingError:
    numbers = ", ".join(map(str, missing))
    return TrainingError(
        f"Of the {size} processes that should train together, number {numbers} did not come within "
        f"{timeout.seconds // 60} minutes; see what it says on its machine."
    )
