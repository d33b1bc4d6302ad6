"""Dask runs the tasks; no other module imports it.

Lost workers need no code here: Dask repeats those of their tasks whose results were not fetched.
"""

import logging
import re
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
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
"""Called after each task."""

LOCAL = re.compile(r"local:([1-9]\d{0,3})")
"""The address of a cluster on this machine, with its number of workers."""
REDUCE_ARITY = 8
"""Results that one task reduces to one: more take more memory, fewer need more rounds."""
TASKS_AHEAD = 3
"""Tasks submitted per thread before the first result is fetched, so that no thread is idle."""
CONNECT_TIMEOUT = 15
"""Seconds to wait for a scheduler's answer."""


@contextmanager
def connect(address: str, timeout: float = CONNECT_TIMEOUT) -> Iterator["Client"]:
    """Context manager: connect to a cluster, or start one on this machine for the block.

    Args:
        address: ``local:2`` for two workers on this machine, or a scheduler's ``tcp://host:8786``.
        timeout: Seconds within which the scheduler must answer.

    Raises:
        MissingExtraError: If Dask is not installed.
        SettingError: If the address is malformed, or no scheduler answers there.
        TrainingError: If the connection was lost, or several workers died on the same task.
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
                    silence_logs=logging.CRITICAL,  # Errors of tasks are raised here anyway.
                ) as cluster,
                Client(cluster) as client,
            ):
                yield client
        else:
            with _connected(Client, address, timeout) as client:
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


def _connected(connect: Callable[..., "Client"], address: str, timeout: float) -> "Client":
    try:
        return connect(address, timeout=timeout)
    except (OSError, ValueError, TypeError) as error:  # A timeout is an OSError.
        raise SettingError(
            f"`cluster` is {address}, where no scheduler answers ({str(error)[:200]}). Start one "
            "with dask scheduler and give its tcp://HOST:8786, or local:N for N workers here."
        ) from error


def _check_workers(client: "Client") -> None:
    """Raise SettingError if workers have another version of thence, which may count differently."""
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
    """Return the version of thence in this process."""
    return version("thence")


def number_of_threads(client: "Client") -> int:
    """Return how many tasks the cluster runs at the same time."""
    threads: dict[str, int] = client.nthreads()
    return max(sum(threads.values()), 1)


def broadcast(client: "Client", value: Any) -> "Future":
    """Send a value to every worker once; the future is an argument of many tasks."""
    future: Future = client.scatter(value, broadcast=True, hash=False)
    return future


def map_tasks(
    client: "Client", function: Callable[..., Result], items: Sequence[Any], done: Done, *more: Any
) -> list[Result]:
    """Return the results of a function for each item, in order.

    Args:
        client: The cluster.
        function: The task.
        items: The first arguments of each task, as a tuple.
        done: Called after each task.
        *more: Further arguments of all tasks, perhaps from ``broadcast``.
    """
    futures = [client.submit(function, *item, *more, pure=False) for item in items]
    _wait(futures, done)
    found: list[Result] = client.gather(futures)
    return found


def map_in_order(
    client: "Client", function: Callable[..., Result], items: Iterable[Any], *more: Any
) -> Iterator[Result]:
    """Yield the results of a function for each item, in order, with a bounded number in memory.

    Args:
        client: The cluster.
        function: The task.
        items: The first argument of each task; the iterable is advanced when a task is submitted.
        *more: Further arguments of all tasks, perhaps from ``broadcast``.
    """
    begun: deque[Future] = deque()
    most = TASKS_AHEAD * number_of_threads(client)
    for item in items:
        begun.append(client.submit(function, item, *more, pure=False))
        if len(begun) > most:
            yield begun.popleft().result()
    while begun:
        yield begun.popleft().result()


def map_reduce(
    client: "Client",
    function: Callable[..., Result],
    items: Sequence[Any],
    reduce: Callable[[Sequence[Result]], Result],
    done: Done,
    *more: Any,
) -> Result:
    """Return the results of a function for each item, reduced to one as a tree."""
    futures = [client.submit(function, *item, *more, pure=False) for item in items]
    top = futures
    while len(top) > 1:
        groups = (top[at : at + REDUCE_ARITY] for at in range(0, len(top), REDUCE_ARITY))
        top = [client.submit(reduce, some, pure=False) for some in groups]
    _wait(futures, done, release=top is not futures)  # A single one is the result itself.
    found: Result = top[0].result()
    return found


def map_shuffle_merge(
    client: "Client",
    function: Callable[..., list[Result]],
    items: Sequence[Any],
    parts: int,
    merge: Callable[..., Result],
    done: Done,
    *more: Any,
    merge_with: Any,
) -> list[Result]:
    """Return merged parts: part i is merged from the i-th parts of all results (a shuffle).

    Args:
        client: The cluster.
        function: The task, which returns a list of parts.
        items: The first arguments of each task, as a tuple.
        parts: Number of parts.
        merge: Merges a list of parts; takes ``merge_with`` as second argument.
        done: Called after each task.
        *more: Further arguments of all tasks.
        merge_with: See ``merge``.
    """
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
    """Wait for all tasks. With ``release`` workers drop results that no other task needs."""
    from distributed import as_completed

    for future in as_completed(list(futures)):
        if future.status == "error":
            future.result()  # Raises the error of the task.
        if release:
            future.release()
        done()
