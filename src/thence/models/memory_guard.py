"""The memory guard: a network too large for the machine is refused before its memory is touched."""

import math
import os
import re
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from functools import cache
from typing import Annotated, Any, TypeVar

from thence.corpus.opening import CONTAINER_LIMIT, free_memory
from thence.errors import SettingError
from thence.settings import Range

LARGEST_SIZE = 1 << 20
"""Units of a layer, tokens of a document and so on at most, in a classifier."""
Size = Annotated[int, Range(ge=1, le=LARGEST_SIZE)]
MAX_LAYERS = 1000
Layers = Annotated[int, Range(ge=1, le=MAX_LAYERS)]
BYTES_PER_WEIGHT = 16
"""Bytes of memory that training takes for each weight: itself, its gradient, and the two moments
of Adam, in single precision."""
SMALLER = "Use smaller sizes, such as a lower `embedding_size` or `hidden_size`."

Made = TypeVar("Made")
_SIZE = re.compile(r"(\d{1,15}(?:\.\d{1,15})?)\s*([kMGT]?)B?")


class TooLargeError(Exception):
    """A network would have more numbers than it may."""


@cache
def machine_memory() -> int:
    """Return the bytes of memory of this machine, or of the container that this runs in."""
    memory = sys.maxsize
    with suppress(AttributeError, ValueError, OSError):  # Windows has no sysconf.
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    with suppress(ValueError, OSError):
        memory = min(memory, int(CONTAINER_LIMIT.read_text()))
    return memory


_bound = ContextVar[float]("memory that is read into at once", default=math.inf)


@contextmanager
def within_memory(memory: int | None) -> Iterator[None]:
    """Leave what does not fit into so many bytes on disk meanwhile, where there is a choice."""
    token = _bound.set(math.inf if memory is None else memory)
    try:
        yield
    finally:
        _bound.reset(token)


def fits_into_memory(size: int) -> bool:
    """Return whether so many bytes may be taken where the same can be done, slower, from disk."""
    return size <= min(_bound.get(), free_memory())


def parse_size(name: str, text: str) -> int:
    """Return a size such as ``500MB`` or ``1GB`` in bytes.

    Args:
        name: Of the setting, for the message.
        text: The size.

    Raises:
        SettingError: If it is not a size.

    >>> parse_size("memory", "1.5 GB")
    1500000000
    """
    found = _SIZE.fullmatch(text.strip())
    if not found:
        raise SettingError(f"`{name}` is {text!r}; write it like 500MB or 1GB.")
    return int(float(found[1]) * 1000 ** " kMGT".index(found[2] or " "))


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


_allowed = threading.local()
"""In each thread: how many numbers its networks may still have, where that is limited."""


@cache
def count_parameters() -> None:
    """Count every parameter of a module when torch registers it; installed once, for all threads.

    ``models/network.py`` installs it, and ``at_most`` where torch is loaded: what needs no torch
    never waits for it. A parameter is registered when its memory is reserved and before it is
    written, so a network that is too large is refused before the machine runs out of memory.
    """
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
    """Limit the numbers in all networks that this thread makes within the block.

    They are counted when their memory is reserved, and not yet used.

    Raises:
        TooLargeError: If there would be more.
    """
    if "torch" in sys.modules:
        count_parameters()
    _allowed.numbers = numbers
    try:
        yield
    except (RuntimeError, MemoryError, OverflowError) as error:  # It could not even be reserved.
        raise TooLargeError(str(error)) from error
    finally:
        _allowed.numbers = None


def make_trainable(make: Callable[[], Made], model: str) -> Made:
    """Make a network that can be trained in the memory of this machine.

    Args:
        make: Makes it.
        model: Its name, for the message.

    Raises:
        SettingError: If it cannot; says how much memory it would need.
    """
    try:
        with at_most(machine_memory() // BYTES_PER_WEIGHT):
            return make()
    except TooLargeError:
        numbers = _numbers_of(make)
    if numbers is None:
        raise SettingError(f"The model '{model}' would be larger than can be counted. {SMALLER}")
    check_memory(
        numbers * BYTES_PER_WEIGHT,
        f"Training the {numbers:,} numbers of this model ({model})",
        SMALLER,
    )
    raise SettingError(f"There is too little memory for the model '{model}'. {SMALLER}")


def _numbers_of(make: Callable[[], Any]) -> int | None:
    """Return how many numbers a network would have; None: too many for torch to count.

    It is made without memory. That loads much of torch, which takes a second or two.
    """
    import torch

    try:
        with torch.device("meta"):
            return int(make().num_parameters())
    except (RuntimeError, OverflowError):
        return None
