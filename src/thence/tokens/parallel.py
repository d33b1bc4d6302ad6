"""Processing several chunks of text at once in threads: NumPy and the core release the GIL."""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import chain, islice
from typing import TypeVar

from thence.deadline import check_deadline

Item = TypeVar("Item")
Result = TypeVar("Result")
MOST_THREADS = 4
"""Most threads by default."""
AHEAD = 2
"""Items submitted per thread before the first result is yielded, which bounds the memory."""


def in_threads(
    function: Callable[[Item], Result], items: Iterable[Item], threads: int | None = None
) -> Iterator[Result]:
    """Yield the result of a function for each item, in order.

    Args:
        function: The function, called in threads.
        items: The items.
        threads: Number of threads; by default the number of processors, but at most four.

    Raises:
        DeadlineError: Between two items, if a deadline has passed.
    """
    items = iter(items)
    first = list(islice(items, 2))
    # For a single item, starting threads and counting processors would cost more than the work.
    if len(first) < 2:
        threads = 1
    threads = threads or min(MOST_THREADS, os.cpu_count() or 1)
    if threads == 1:
        for item in chain(first, items):
            check_deadline()
            yield function(item)
        return
    begun: deque[Future[Result]] = deque()
    with ThreadPoolExecutor(threads) as pool:
        for item in chain(first, items):
            begun.append(pool.submit(function, item))
            check_deadline()
            if len(begun) > AHEAD * threads:
                yield begun.popleft().result()
        while begun:
            check_deadline()
            yield begun.popleft().result()
