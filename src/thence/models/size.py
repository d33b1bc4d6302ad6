"""How large a network may become: refused while it is made, before its memory is touched."""

import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any

from thence.errors import SettingError

CONTAINER_LIMIT = Path("/sys/fs/cgroup/memory.max")
MOST_LAYERS = 1000


class TooLargeError(Exception):
    """A network would have more numbers than it may."""


@cache
def machine_memory() -> int:
    """Return the bytes of memory of this machine, or of the container that this runs in."""
    memory = sys.maxsize
    with suppress(AttributeError, ValueError, OSError):  # Windows does not tell.
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    with suppress(ValueError, OSError):
        memory = min(memory, int(CONTAINER_LIMIT.read_text()))
    return memory


def gigabytes(size: int) -> str:
    """Return a number of bytes for people.

    >>> gigabytes(16 * 10**9), gigabytes(1_500_000_000)
    ('16 GB', '1.5 GB')
    """
    size_in_gb = size / 1e9
    return f"{size_in_gb:,.0f} GB" if size_in_gb >= 10 else f"{size_in_gb:.2g} GB"


def check_memory(size: int, what: str, way_out: str) -> None:
    """Refuse what would take more memory than there is.

    Args:
        size: Bytes.
        what: What would take them, the beginning of a sentence.
        way_out: What to do, a sentence.

    Raises:
        SettingError: If there are not so many.
    """
    memory = machine_memory()
    if size > memory:
        raise SettingError(
            f"{what} would take {gigabytes(size)} of memory, and this machine has "
            f"{gigabytes(memory)}. {way_out}"
        )


def check_layers(layers: int) -> None:
    """Refuse a number of layers that no network has.

    Raises:
        SettingError: If there are fewer than one, or far too many.
    """
    if not 1 <= layers <= MOST_LAYERS:
        limit = "at least 1" if layers < 1 else f"at most {MOST_LAYERS:,}"
        raise SettingError(f"--layers is {layers}; it must be {limit}.")


_allowed = threading.local()
"""In each thread: how many numbers its networks may still have, where that is limited."""


@cache
def _count_parameters() -> None:
    """Have torch tell of every parameter before it is drawn; once, for all threads."""
    from torch.nn.modules.module import register_module_parameter_registration_hook

    def count(module: Any, name: str, parameter: Any) -> None:
        left = getattr(_allowed, "numbers", None)
        if left is not None:
            _allowed.numbers = left - parameter.numel()
            if _allowed.numbers < 0:
                raise TooLargeError(f"{name} is one weight too many")

    register_module_parameter_registration_hook(count)


@contextmanager
def at_most(numbers: int) -> Iterator[None]:
    """Let the networks that this thread makes meanwhile have so many numbers in all.

    They are counted when their memory is reserved, and not yet used.

    Raises:
        TooLargeError: If there would be more.
    """
    _count_parameters()
    _allowed.numbers = numbers
    try:
        yield
    except (RuntimeError, MemoryError, OverflowError) as error:  # It could not even be reserved.
        raise TooLargeError(str(error)) from error
    finally:
        _allowed.numbers = None


def numbers_of(make: Callable[[], Any]) -> int | None:
    """Return how many numbers a network would have; None: too many for torch to count.

    It is made without memory, which loads much of torch: only for what cannot be made at all.
    """
    import torch

    try:
        with torch.device("meta"):
            return int(make().num_parameters())
    except (RuntimeError, OverflowError):
        return None
