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

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from secrets import token_hex

import torch
import torch.distributed as dist
from torch.distributed.distributed_c10d import PrefixStore, Store
from torch.distributed.rendezvous import rendezvous

from thence.errors import TrainingError
from thence.processes import may_be_restarted, number_of_machines, number_of_processes
from thence.training.world import World, connection_lost

TIMEOUT = timedelta(minutes=30)
"""How long processes wait for each other: the first may evaluate a large dev split, or a machine
may have gone without closing its connections."""
RENDEZVOUS_TIMEOUT = timedelta(minutes=5)
"""How long processes wait for each other at the beginning."""


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
        raise connection_lost(error) from error
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
