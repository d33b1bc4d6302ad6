"""Dask: all that is known of the engine that runs the tasks.

Lost workers need nothing of us: what they had done and nobody had fetched, Dask does again.
"""

import logging
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from operator import getitem
from typing import TYPE_CHECKING, Any, TypeVar

from thence.errors import MissingExtraError, SettingError, TrainingError

if TYPE_CHECKING:
    from distributed import Client, Future

Item = TypeVar("Item")
Result = TypeVar("Result")
Done = Callable[[], None]
"""Is called whenever a task is done."""

LOCAL = re.compile(r"local:([1-9]\d{0,3})")
JOINED_AT_ONCE = 8
SECONDS_TO_CONNECT = 15


@contextmanager
def connect(address: str) -> Iterator["Client"]:
    """Connect to a cluster, or start one here for as long as the block lasts.

    Args:
        address: ``local:2`` for two workers on this machine, or a scheduler's ``tcp://host:8786``.

    Raises:
        MissingExtraError: If Dask is not installed.
        SettingError: If the address is none, or nobody answers there.
        TrainingError: If the cluster was lost, or a task again and again with its worker.
    """
    try:
        from distributed import Client, LocalCluster
        from distributed.client import FutureCancelledError
        from distributed.comm import CommClosedError
        from distributed.scheduler import KilledWorker
    except ImportError as error:
        raise MissingExtraError(
            f"Counting on a cluster needs Dask, which is not installed ({error}); "
            'pip install "thence[cluster]".'
        ) from error
    if address.startswith("local") and not LOCAL.fullmatch(address):
        raise SettingError(
            f"`cluster` is '{address}'; write local:2 for two workers here, or the scheduler's "
            "address, such as tcp://first.example:8786."
        )
    try:
        if here := LOCAL.fullmatch(address):
            with (
                LocalCluster(
                    n_workers=int(here[1]),
                    threads_per_worker=1,
                    dashboard_address=None,
                    silence_logs=logging.CRITICAL,  # What goes wrong is said once, and here.
                ) as cluster,
                Client(cluster) as client,
            ):
                yield client
        else:
            with _connected(Client, address) as client:
                _check_workers(client)
                yield client
    except KilledWorker as error:
        raise TrainingError(
            "A worker was lost again and again over the same block of text, most likely for want "
            "of memory; give the workers more, or bound their counting with `memory='1GB'`."
        ) from error
    except (CommClosedError, FutureCancelledError) as error:
        raise TrainingError(
            f"The connection to the cluster {address} was lost ({error}); nothing was written. "
            "See the scheduler's log, and count again."
        ) from error


def _connected(connect: Callable[..., "Client"], address: str) -> "Client":
    try:
        return connect(address, timeout=SECONDS_TO_CONNECT)
    except (OSError, ValueError, TypeError) as error:  # A timeout is an OSError.
        raise SettingError(
            f"`cluster` is {address}, where no scheduler answers ({str(error)[:200]}). Start one "
            "with dask scheduler and give its tcp://HOST:8786, or local:N for N workers here."
        ) from error


def _check_workers(client: "Client") -> None:
    """Refuse workers of another version, which might count something else.

    Raises:
        SettingError: Says which.
    """
    own = own_version()
    try:
        found = client.run(version, "thence")
    except PackageNotFoundError:
        found = {"a worker": "none"}
    if not found:
        raise SettingError(
            "The cluster has no workers; start some with dask worker tcp://HOST:8786."
        )
    others = {worker: other for worker, other in found.items() if other != own}
    if others:
        worker, other = next(iter(others.items()))
        raise SettingError(
            f"{len(others)} of the cluster's workers have another thence than this one, {own}: "
            f"{worker} has {other}. Install the same version everywhere."
        )


def own_version() -> str:
    """Return the version of thence that asks."""
    return version("thence")


def number_of_threads(client: "Client") -> int:
    """Return how many tasks the cluster can work on at once."""
    threads: dict[str, int] = client.nthreads()
    return max(sum(threads.values()), 1)


def share(client: "Client", value: Any) -> "Future":
    """Send a value to every worker once, for many tasks."""
    future: Future = client.scatter(value, broadcast=True, hash=False)
    return future


def each(
    client: "Client", function: Callable[..., Result], items: Sequence[Any], done: Done, *more: Any
) -> list[Result]:
    """Return what a function gives for each item, in order.

    Args:
        client: Of the cluster.
        function: Takes an item and what is the same for all.
        items: What differs; a tuple stands for several arguments.
        done: Called after each.
        *more: What is the same for all, perhaps ``share``d.
    """
    futures = [client.submit(function, *item, *more, pure=False) for item in items]
    _wait(futures, done)
    found: list[Result] = client.gather(futures)
    return found


def joined(
    client: "Client",
    function: Callable[..., Result],
    items: Sequence[Any],
    join: Callable[[Sequence[Result]], Result],
    done: Done,
    *more: Any,
) -> Result:
    """Return what a function gives for each item, joined a few at a time on the workers."""
    futures = [client.submit(function, *item, *more, pure=False) for item in items]
    top = futures
    while len(top) > 1:
        groups = (top[at : at + JOINED_AT_ONCE] for at in range(0, len(top), JOINED_AT_ONCE))
        top = [client.submit(join, some, pure=False) for some in groups]
    _wait(futures, done, release=top is not futures)  # A single one is the result itself.
    found: Result = top[0].result()
    return found


def shuffled(
    client: "Client",
    function: Callable[..., list[Result]],
    items: Sequence[Any],
    parts: int,
    merge: Callable[..., Result],
    done: Done,
    *more: Any,
    merge_with: Any,
) -> list[Result]:
    """Return the merged parts of what a function gives for each item, which is in so many parts."""
    made = [client.submit(function, *item, *more, pure=False) for item in items]
    merged = [
        client.submit(
            merge,
            [client.submit(getitem, one, part, pure=False) for one in made],
            merge_with,
            pure=False,
        )
        for part in range(parts)
    ]
    _wait(made, done, release=True)
    _wait(merged, done)
    found: list[Result] = client.gather(merged)
    return found


def _wait(futures: list["Future"], done: Done, release: bool = False) -> None:
    """Wait for each; whoever still needs what is let go of here keeps it."""
    from distributed import as_completed

    for future in as_completed(list(futures)):
        if future.status == "error":
            future.result()  # Raises what the task raised.
        if release:
            future.release()
        done()
