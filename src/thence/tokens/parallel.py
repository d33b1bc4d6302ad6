"""Working on several chunks of text at once, in threads: NumPy lets go of Python's lock."""

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
AHEAD = 2
"""Items begun for each thread before the first result is asked for, which bounds the memory."""


def in_threads(
    function: Callable[[Item], Result], items: Iterable[Item], threads: int | None = None
) -> Iterator[Result]:
    """Yield what a function gives for each item, in order.

    Args:
        function: The work.
        items: What it is done with.
        threads: How many; by default as many as the machine has cores, but at most four.

    Raises:
        DeadlineError: Between two items, if a deadline has passed.
    """
    items = iter(items)
    first = list(islice(items, 2))
    # A single item is no work to share: threads cost more, and so does counting processors.
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
