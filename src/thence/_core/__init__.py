"""The compiled core: a small library in plain C, called through ctypes on NumPy's arrays.

``*.c`` are compiled by ``hatch_build.py`` when thence is installed (or by ``make core``) into one
library beside them. It knows nothing of Python: a kernel takes arrays and lengths, and returns an
error for sizes and numbers that are out of range before it touches memory. Each kernel has a twin
in NumPy that gives the same result more slowly and is used if the library is missing; ``thence
--version`` says which.

To add a kernel: write the function in a C file, with its equation or algorithm and the NumPy
function that it equals; declare its arguments and check the arrays in a Python file here; call it
in the NumPy function, ``if library() is not None``; compare the two on random and edge cases in
``tests/_core``. If the arguments of an older function change, raise ``VERSION``, here and in C.
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
"""Version of the interface to C. A library with another version is not used (``core.c``)."""
VARIABLE = "THENCE_CORE"
"""Environment variable; with ``none`` the library is not used, to compare it with NumPy."""
SUFFIX = {"darwin": "dylib", "win32": "dll"}.get(sys.platform, "so")

Pointer = ctypes.c_void_p
Size = ctypes.c_int64


@cache
def library() -> ctypes.CDLL | None:
    """Return the compiled library; None if it is missing or cannot be used."""
    return _open()[0]


def why_missing() -> str | None:
    """Return the reason why the library is not used, as a phrase; None if it is used."""
    return _open()[1]


@cache
def _open() -> tuple[ctypes.CDLL | None, str | None]:
    """Return the library and None, or None and the reason why it is not used."""
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
    except (OSError, AttributeError):  # Built for another platform, or another library.
        pass
    return None, f"the compiled core is not of this version, install thence again: {slower}"


def function(name: str, *arguments: Any, result: Any = ctypes.c_int32) -> Any:
    """Return a C function; the caller must have checked that ``library()`` is not None.

    Args:
        name: Its name in C.
        *arguments: The C types of its arguments.
        result: The C type of its result.

    Raises:
        RuntimeError: If the library has no such function, since it is older than this file.
    """
    core = library()
    assert core is not None
    try:
        found = core[name]  # A new object on each call, so other callers keep their types.
    except AttributeError:
        raise RuntimeError(f"core.{SUFFIX} is of older files than core.h: make core") from None
    found.argtypes, found.restype = arguments, result
    return found


def address(array: "np.ndarray[Any, Any]", dtype: Any) -> int:
    """Return the address of an array's data.

    Raises:
        TypeError: If the array has another dtype, or is not C-contiguous.
    """
    if array.dtype != dtype or not array.flags.c_contiguous:
        raise TypeError(f"the core reads {dtype.__name__} in a row, not {array.dtype}")
    return int(array.ctypes.data)
