"""Reading TOML that anybody may have written: in bounded time and memory.

Python's own reader takes a time that grows with the square of how many parts a key has
(``a.b.c``): 50,000 keep it busy for two minutes. No config of ours has more than a few.
"""

import re
import tomllib
from pathlib import Path
from typing import Any

from thence.corpus.opening import odd_kind

LARGEST = 16 << 20
"""Bytes of a file; those of mixtures with many members have thousands."""
DEEP, MOST_DEEP = 10, 2000
"""Dots from which on a key is deep, and how many dots the deep keys of a file may have in all."""
PIECES = re.compile(r"[=,\n]")
"""What a key does not reach beyond, unless in quotes."""


def read_toml_file(path: Path) -> dict[str, Any]:
    """Return the content of a TOML file.

    Raises:
        OSError: If it cannot be read.
        ValueError: If it is no file, too large, not TOML or not UTF-8, or has a number of
            thousands of digits; says which.
    """
    kind = odd_kind(path, pipes=True)
    if kind is not None:
        raise ValueError(f"it is {kind}, not a file")
    with path.open("rb") as file:
        data = file.read(LARGEST + 1)
    if len(data) > LARGEST:
        raise ValueError(f"it is larger than {LARGEST >> 20} MiB")
    text = data.decode("utf-8")
    dots = (piece.count(".") for piece in PIECES.split(text))
    if sum(number for number in dots if number > DEEP) > MOST_DEEP:
        raise ValueError("it has keys of too many parts (a.b.c)")
    try:
        return tomllib.loads(text)
    except (RecursionError, MemoryError):
        raise ValueError("it has lists within lists without end") from None
