"""The compiled core: a small library in plain C, called through ctypes on NumPy's arrays.

``*.c`` are compiled by ``hatch_build.py`` when thence is installed (or by ``make core``) into one
library beside them. It knows nothing of Python: a kernel takes arrays and lengths and refuses what
does not fit before it touches memory. Where the library is missing, the NumPy code that each
kernel equals does the same work, more slowly; ``thence --version`` says so.

To add a kernel: write the function in a C file, with its equation or algorithm and the NumPy
function that it equals; declare its arguments and check the arrays in a Python file here; call it
where the NumPy function stands, ``if library() is not None``; compare the two on random and edge
cases in ``tests/_core``. If an older function's arguments change, raise ``VERSION``, here and in C.
"""

import ctypes
import os
import sys
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # ``thence --version`` asks for the library, and should not wait for NumPy.
    import numpy as np

VERSION = 4
"""Version of the functions' arguments. A library that says another one is not used (``core.c``)."""
VARIABLE = "THENCE_CORE"
"""Environment variable; ``none`` lets NumPy do all work, to compare the two."""
SUFFIX = {"darwin": "dylib", "win32": "dll"}.get(sys.platform, "so")

Pointer = ctypes.c_void_p
Size = ctypes.c_int64


@cache
def library() -> ctypes.CDLL | None:
    """Return the compiled library; None if there is none that can be used."""
    return _open()[0]


def why_missing() -> str | None:
    """Return in words why NumPy does the work of the compiled library; None: it does not."""
    return _open()[1]


@cache
def _open() -> tuple[ctypes.CDLL | None, str | None]:
    """Return the library, or why there is none."""
    slower = "NumPy does its work, more slowly"
    if os.environ.get(VARIABLE) == "none":
        return None, f"without the compiled core, as {VARIABLE}=none says: {slower}"
    path = Path(__file__).with_name(f"core.{SUFFIX}")
    if not path.is_file():
        return None, f"without the compiled core, for which no compiler was found: {slower}"
    try:
        found = ctypes.CDLL(str(path))
        if found.thence_core_version() == VERSION:
            return found, None
    except (OSError, AttributeError):  # Of another platform, or no library of ours.
        pass
    return None, f"the compiled core is not of this version, install thence again: {slower}"


def function(name: str, *arguments: Any, result: Any = ctypes.c_int32) -> Any:
    """Return a function of the library, which must be there.

    Args:
        name: What it is called in C.
        *arguments: The C types of its arguments.
        result: The C type of what it returns.
    """
    core = library()
    assert core is not None  # The caller has asked.
    try:
        found = core[name]  # A new object each time, so that no other caller's types are changed.
    except AttributeError:
        raise RuntimeError(f"core.{SUFFIX} is of older files than core.h: make core") from None
    found.argtypes, found.restype = arguments, result
    return found


def address(array: "np.ndarray[Any, Any]", dtype: Any) -> int:
    """Return where the numbers of an array begin in memory.

    Raises:
        TypeError: If they are of another type, or do not stand one after another.
    """
    if array.dtype != dtype or not array.flags.c_contiguous:
        raise TypeError(f"the core reads {dtype.__name__} in a row, not {array.dtype}")
    return int(array.ctypes.data)
