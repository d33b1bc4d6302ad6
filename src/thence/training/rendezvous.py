"""How processes that ``torchrun`` has started find each other."""

import time
from datetime import timedelta
from secrets import token_hex

from torch.distributed.distributed_c10d import PrefixStore, Store
from torch.distributed.rendezvous import rendezvous

from thence.errors import TrainingError
from thence.processes import may_be_restarted, number_of_machines

ARRIVAL = timedelta(minutes=5)
"""How long processes wait for each other at the beginning."""


def meet() -> tuple[Store, int, int]:
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
