"""Memory limits: a network too large for the machine is refused before its memory is touched."""

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
"""Upper bound of a classifier's sizes, such as units of a layer or tokens of a document."""
Size = Annotated[int, Range(ge=1, le=LARGEST_SIZE)]
MAX_LAYERS = 1000
"""Upper bound of the setting ``layers``."""
Layers = Annotated[int, Range(ge=1, le=MAX_LAYERS)]
BYTES_PER_WEIGHT = 16
"""Bytes of memory that training takes per weight: the weight, its gradient, and Adam's two moments,
each in single precision."""
SMALLER = "Use smaller sizes, such as a lower `embedding_size` or `hidden_size`."

Made = TypeVar("Made")
_SIZE = re.compile(r"(\d{1,15}(?:\.\d{1,15})?)\s*([kMGT]?)B?")


class TooLargeError(Exception):
    """A network would have more parameters than allowed."""


@cache
def machine_memory() -> int:
    """Return the memory of this machine in bytes, or the limit of the container it runs in."""
    memory = sys.maxsize
    with suppress(AttributeError, ValueError, OSError):  # Windows has no sysconf.
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    with suppress(ValueError, OSError):
        memory = min(memory, int(CONTAINER_LIMIT.read_text()))
    return memory


_bound = ContextVar[float]("memory that is read into at once", default=math.inf)


@contextmanager
def within_memory(memory: int | None) -> Iterator[None]:
    """Context manager: ``fits_into_memory`` is false above ``memory`` bytes (None: no limit)."""
    token = _bound.set(math.inf if memory is None else memory)
    try:
        yield
    finally:
        _bound.reset(token)


def fits_into_memory(size: int) -> bool:
    """Return whether to hold ``size`` bytes in memory; if not, callers work from disk, slower."""
    return size <= min(_bound.get(), free_memory())


def parse_size(name: str, text: str) -> int:
    """Return a size such as ``500MB`` or ``1GB`` in bytes (powers of 1000).

    Args:
        name: Name of the setting, for the message.
        text: The size as its user wrote it.

    Raises:
        SettingError: If the text is not a size.

    >>> parse_size("memory", "1.5 GB")
    1500000000
    """
    found = _SIZE.fullmatch(text.strip())
    if not found:
        raise SettingError(f"`{name}` is {text!r}; write it like 500MB or 1GB.")
    return int(float(found[1]) * 1000 ** " kMGT".index(found[2] or " "))


def gigabytes(size: int) -> str:
    """Format a number of bytes as gigabytes, for messages.

    >>> gigabytes(16 * 10**9), gigabytes(1_500_000_000)
    ('16 GB', '1.5 GB')
    """
    size_in_gb = size / 1e9
    return f"{size_in_gb:,.0f} GB" if size_in_gb >= 10 else f"{size_in_gb:.2g} GB"


def check_memory(size: int, what: str, way_out: str) -> None:
    """Raise an error if something would take more memory than the machine has.

    Args:
        size: The memory it takes, in bytes.
        what: What takes it: the subject of the message.
        way_out: What the user can do: a sentence.

    Raises:
        SettingError: If the machine has less.
    """
    memory = machine_memory()
    if size > memory:
        raise SettingError(
            f"{what} would take {gigabytes(size)} of memory, and this machine has "
            f"{gigabytes(memory)}. {way_out}"
        )


_allowed = threading.local()
"""Per thread, ``numbers``: how many parameters new networks may still have; None: no limit."""


@cache
def count_parameters() -> None:
    """Install a hook that counts each parameter when torch registers it; once, for all threads.

    ``models/network.py`` installs it, and so does ``limit_parameters`` if torch is loaded; nothing
    loads torch for it. A parameter is registered when its memory is reserved but not yet written,
    so a network that is too large is refused before the machine runs out of memory.
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
def limit_parameters(numbers: int) -> Iterator[None]:
    """Context manager: limit the parameters of all networks that this thread makes in the block.

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
    """Make a network; refuse one whose training would not fit into this machine's memory.

    Args:
        make: The function that makes it.
        model: Name of the model, for the message.

    Raises:
        SettingError: If training needs more memory than there is; says how much.
    """
    try:
        with limit_parameters(machine_memory() // BYTES_PER_WEIGHT):
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
    """Return how many parameters a network would have; None: too many for torch to count.

    It is made on torch's meta device, which reserves no memory but takes a second or two to load.
    """
    import torch

    try:
        with torch.device("meta"):
            return int(make().num_parameters())
    except (RuntimeError, OverflowError):
        return None
