"""Training with several processes, on one machine or many; ``torchrun`` starts them.

This is data parallelism: each process has the whole text and the whole network, and reads its share
of the rows of every batch (streams of running text, documents or windows). The gradients, losses
and counts are summed over all processes, so a step equals, within rounding, that of one process
with the same batch size; only the dropout masks differ. The first process writes the run folder,
which all must be able to read, and makes all decisions that depend on the time.

The gradients are summed by one ``all_reduce`` after the backward pass. ``DistributedDataParallel``
would take the mean over processes, though their shares may have different numbers of targets, and
wants to own the forward pass.

A process that fails must not leave the others waiting: whatever may fail before the first step runs
in ``World.fail_together``, and a process that dies later closes its connections, which ends the
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
"""Longest wait for another process during training. The first may evaluate a large dev split, so it
is long; it matters if a machine disappears without closing its connections."""
RENDEZVOUS_TIMEOUT = timedelta(minutes=5)
"""Longest wait for another process at the start."""


@contextmanager
def process_group() -> Iterator[World]:
    """Context manager: the process group of all processes that ``torchrun`` has started.

    Tensors on GPUs are summed by nccl, others by gloo.

    Raises:
        TrainingError: If another process does not join in time.
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
    """Find the other processes (rendezvous).

    On one machine ``torchrun`` ends all processes if one fails. It cannot do so on other machines,
    so with several machines each process waits here until all have arrived: one that fails at its
    arguments never does.

    Returns:
        The key-value store in which processes write their addresses, the rank of this process and
        the world size. After a restart the store still has the addresses of dead processes, so each
        start uses a key prefix of its own. The restart's number cannot be that prefix, as machines
        count restarts differently.
    """
    store, rank, size = next(rendezvous("env://", timeout=RENDEZVOUS_TIMEOUT))
    if number_of_machines() == 1 and not may_be_restarted():
        return store, rank, size
    prefix = new_prefix(store, size) if rank == 0 else learn_prefix(store, rank, size)
    return PrefixStore(prefix, store), rank, size


def new_prefix(store: Store, size: int, timeout: timedelta = RENDEZVOUS_TIMEOUT) -> str:
    """Return a new key prefix for this start, after all other processes have read it.

    Each of them writes a random greeting, and the prefix is the answer to that greeting, so that no
    process can read an answer of an earlier start.
    """
    prefix, missing = token_hex(8), list(range(1, size))
    until = time.monotonic() + timeout.total_seconds()
    while missing:
        for rank in missing:
            if store.check([f"greeting-{rank}"]):  # It may be of a process that has died since.
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
    """Greet the first process, and return the key prefix of this start; see ``new_prefix``."""
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
