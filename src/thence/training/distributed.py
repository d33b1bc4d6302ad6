"""Training with several processes, on one machine or many; ``torchrun`` starts them.

Each process reads the whole text and has the whole network. Of every batch it reads its share of
the rows (streams of running text, documents or windows); the gradients, the losses and the counts
of all are added up, so a step is the same, within rounding, as that of one process with the same
batch size. Only dropout draws other masks. The first process writes the run folder, which all must
be able to read, and decides what depends on a clock.

The gradients are added up by one ``all_reduce`` of all of them, after the backward pass:
``DistributedDataParallel`` would average them evenly, though shares may hold different numbers of
targets, and wants to own the forward pass.

A process that cannot go on must not leave the others waiting: what may fail before the first step
is done in ``World.agreed``, and one that dies later breaks its connections, which ends the others.
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
from thence.models.base import State
from thence.models.states import map_state
from thence.processes import may_be_restarted, number_of_machines, number_of_processes

AnyStep = TypeVar("AnyStep", bound=Step)
PATIENCE = timedelta(minutes=30)
"""How long processes wait for each other, while the first judges a large dev split or a machine has
gone without closing its connections."""


ARRIVAL = timedelta(minutes=5)
"""How long processes wait for each other at the beginning."""


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
        return batch if self.size == 1 else cast(AnyStep, batch.take(self.rows(len(batch))))

    def add_up(self, tensors: Sequence[Tensor]) -> None:
        """Put into each tensor the sum of all processes' tensors in its place."""
        if self.size == 1 or not tensors:
            return
        flat = torch.cat([tensor.reshape(-1) for tensor in tensors])
        _add_up(flat)
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
        _add_up(summed)
        found: list[float] = summed.tolist()
        return found

    def join_rows(self, state: State, total: int) -> State:
        """Return the state of all rows, of which each process has its own."""
        if self.size == 1:
            return state

        def joined(own: Tensor) -> Tensor:
            whole = own.new_zeros(total, *own.shape[1:])
            whole[self.rows(total)] = own
            _add_up(whole)
            return whole

        return map_state(joined, state)

    def own_rows(self, state: State, total: int) -> State:
        """Return this process's rows of the state of all."""
        return map_state(lambda whole: whole[self.rows(total)], state)

    def gather(self, text: str) -> list[str]:
        """Return the texts of all processes, by rank."""
        if self.size == 1:
            return [text]
        content = text.encode("utf-8")
        cpu = torch.device("cpu")
        sizes = self.agree([len(content) if r == self.rank else 0 for r in range(self.size)], cpu)
        starts = [int(sum(sizes[:rank])) for rank in range(self.size + 1)]
        codes = torch.zeros(starts[-1], dtype=torch.int32)
        codes[starts[self.rank] : starts[self.rank + 1]] = torch.tensor(list(content)).int()
        _add_up(codes)
        joint = bytes(codes.tolist())
        return [joint[start:end].decode("utf-8") for start, end in pairwise(starts)]

    def tell(self, text: str) -> str:
        """Return the first process's text to all."""
        return self.gather(text if self.is_writer else "")[0]

    @contextmanager
    def agreed(self) -> Iterator[None]:
        """Do what may fail, without the others; where one of them fails, all do.

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


def _add_up(tensor: Tensor) -> None:
    """Put the sum of all processes' tensors into each.

    Raises:
        TrainingError: If one of them is gone.
    """
    try:
        dist.all_reduce(tensor)
    except torch.OutOfMemoryError:
        raise
    except RuntimeError as error:
        raise _lost(error) from error


def _lost(error: RuntimeError) -> TrainingError:
    reason = str(error).partition("\n")[0].partition(". This is")[0].rpartition(".cc:")[2]
    return TrainingError(
        "Another of the processes that train together has ended, or its machine cannot be reached "
        f"({reason}). See what it says. From the last checkpoint, if there is one, the training "
        "goes on with torchrun and thence resume RUN."
    )


@contextmanager
def joined() -> Iterator[World]:
    """Join the other processes that ``torchrun`` has started, if any, for a while.

    Tensors on GPUs are added up by nccl, others by gloo.

    Raises:
        TrainingError: If one of the others does not come.
    """
    if number_of_processes() == 1:
        yield World()
        return
    store, rank, size = rendezvous_store()
    backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
    try:
        dist.init_process_group(backend, store=store, rank=rank, world_size=size, timeout=PATIENCE)
    except RuntimeError as error:
        raise _lost(error) from error
    try:
        yield World(rank, size)
    finally:
        dist.destroy_process_group()


def rendezvous_store() -> tuple[Store, int, int]:
    """Find the other processes.

    On one machine ``torchrun`` ends all where one is gone. It cannot do so on others, so there each
    waits until all have come: one that refuses its arguments never does.

    Returns:
        Where they write their addresses, with the number of this process and of all. After a
        restart ``torchrun`` gives the same store, with the addresses of dead processes in it, so
        there each start has a part of its own. Its name cannot be the number of the restart, which
        machines count differently.

    Raises:
        TrainingError: If one of the others does not come.
    """
    store, rank, size = next(rendezvous("env://", timeout=ARRIVAL))
    if number_of_machines() == 1 and not may_be_restarted():
        return store, rank, size
    name = name_start(store, size) if rank == 0 else learn_start(store, rank, size)
    return PrefixStore(name, store), rank, size


def name_start(store: Store, size: int) -> str:
    """Return a new name of this start, when all others have seen it.

    Each has made up a greeting; to know the name from that of an earlier start, it waits for an
    answer to its own.
    """
    name, missing = token_hex(8), list(range(1, size))
    until = time.monotonic() + ARRIVAL.total_seconds()
    while missing:
        for number in missing:
            if store.check([f"greeting-{number}"]):  # Maybe of a process that is dead by now.
                greeting = store.get(f"greeting-{number}").decode("ascii")
                store.set(f"answer-{greeting}", name)
        missing = [number for number in missing if not store.check([f"{name}-{number}"])]
        if missing and time.monotonic() > until:
            raise _absent(missing, size)
        time.sleep(0.05)
    return name


def learn_start(store: Store, rank: int, size: int) -> str:
    """Greet the first process, and return the name of this start."""
    greeting = token_hex(8)
    store.set(f"greeting-{rank}", greeting)
    try:
        store.wait([f"answer-{greeting}"], ARRIVAL)
    except RuntimeError as error:
        raise _absent([0], size) from error
    name = store.get(f"answer-{greeting}").decode("ascii")
    store.set(f"{name}-{rank}", "")
    return name


def _absent(missing: list[int], size: int) -> TrainingError:
    numbers = ", ".join(map(str, missing))
    return TrainingError(
        f"Of the {size} processes that should train together, number {numbers} did not come within "
        f"{ARRIVAL.seconds // 60} minutes; see what it says on its machine."
    )
