"""Opening what a person names: what never ends is refused, and what memory cannot hold.

| what it is                                | in a folder | named itself                          |
|-------------------------------------------|-------------|---------------------------------------|
| a file                                    | read        | read                                  |
| a pipe: `<(...)`, a FIFO, standard input  | refused     | read to its end, where it may be text |
| a terminal                                | refused     | read to its end, where it may be text |
| another device, a socket                  | refused     | refused                               |
"""

import lzma
import os
import stat
import sys
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO, Protocol

from thence.corpus.decoding import CHUNK
from thence.errors import TextError

CONTAINER_LIMIT = Path("/sys/fs/cgroup/memory.max")
MOST_OF_MEMORY = 0.9
"""Share of the free memory that a text may take; a process that took all would be killed."""


class Stream(Protocol):
    """What bytes are read from."""

    def read(self, size: int, /) -> bytes:
        """Return so many bytes or fewer; none at the end."""


def odd_kind(path: Path, pipes: bool = False) -> str | None:
    """Return what a path is if it is there and no file: ``a folder``, ``a pipe``, ``a device``.

    Args:
        path: May also lead to nothing; then the reader says so.
        pipes: Whether a pipe and a terminal, which can be read once, are as good as a file.
    """
    try:
        mode = path.stat().st_mode
    except (OSError, ValueError):
        return None
    if stat.S_ISREG(mode) or (pipes and (stat.S_ISFIFO(mode) or _is_terminal(path, mode))):
        return None
    kinds = {"a folder": stat.S_ISDIR, "a pipe": stat.S_ISFIFO, "a socket": stat.S_ISSOCK}
    return next((kind for kind, is_one in kinds.items() if is_one(mode)), "a device")


def _is_terminal(path: Path, mode: int) -> bool:
    if not stat.S_ISCHR(mode):
        return False
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY)
    except OSError:
        return False
    try:
        return os.isatty(descriptor)
    finally:
        os.close(descriptor)


def refuse_odd(path: Path, pipes: bool = False) -> None:
    """Raise TextError for what is there but no file; see ``odd_kind``."""
    kind = odd_kind(path, pipes)
    if kind == "a pipe":
        raise TextError(
            f"{path} cannot be read: it is a pipe, not a file, and may never end. Copy what comes "
            "out of it into a file."
        )
    if kind is not None:
        raise TextError(f"{path} cannot be read: it is {kind}, not a file. Name a file.")


def open_named(path: Path) -> BinaryIO:
    """Open a file or a pipe for reading, unbuffered.

    Raises:
        TextError: It does not exist, is something else, or cannot be opened.
    """
    refuse_odd(path, pipes=True)
    try:
        # Unbuffered, because a buffered file would join its buffer with the rest: a second copy.
        return path.open("rb", buffering=0)
    except FileNotFoundError:
        raise TextError(f"{path} does not exist. Is the path spelt right?") from None
    except (OSError, ValueError) as error:  # A name with NUL is no name.
        reason = getattr(error, "strerror", None) or str(error)
        raise TextError(f"{path} cannot be read: {reason}.") from None


def read_to_end(stream: Stream, name: str, known_size: int = 0) -> bytearray:
    """Return all that a stream gives, as long as there is memory for it.

    Args:
        stream: The stream; may be unbuffered.
        name: What is read, for the message.
        known_size: How many bytes it has at least, where that is known.

    Raises:
        TextError: It has more bytes than the memory that is free.
    """
    free = free_memory()
    if known_size > free:
        raise too_large(name, free)
    result = bytearray()
    try:
        if known_size:  # In one piece, which is quicker.
            result += stream.read(known_size)
        while piece := stream.read(CHUNK):
            result += piece
            if len(result) > free:
                raise too_large(name, free)
    except MemoryError:
        raise too_large(name, len(result)) from None
    return result


def unpacked_start(path: Path, size: int) -> bytes:
    """Return the first bytes of a file, or of what it holds where it is compressed."""
    try:
        with path.open("rb") as file:
            start = file.read(size)
        if start.startswith(b"\x1f\x8b"):
            return zlib.decompressobj(31).decompress(start, size)
        return lzma.LZMADecompressor().decompress(start, size) if start[:4] == b"\xfd7zX" else start
    except (OSError, zlib.error, lzma.LZMAError):
        return b""


def too_large(name: str, free: int) -> TextError:
    """Return the error for a text that memory cannot hold."""
    return TextError(
        f"{name} has more than {free / 1e9:,.1f} GB, which is more than the memory that is free. "
        "Read a part of it; n-grams of many files are counted in parts with `cluster`."
    )


def free_memory() -> int:
    """Return how many bytes a text may have: most of the free memory, if the system says."""
    free = [_number(Path("/proc/meminfo"), _available), _number(CONTAINER_LIMIT, int)]
    known = [number for number in free if number > 0]
    return int(MOST_OF_MEMORY * min(known)) if known else 1 << 62


def _available(text: str) -> int:
    line = next(line for line in text.splitlines() if line.startswith("MemAvailable:"))
    return 1024 * int(line.split()[1])


def _number(path: Path, read: Callable[[str], int]) -> int:
    """Return the number in a file of the system; -1 if there is none."""
    try:
        return read(path.read_text())
    except (OSError, ValueError, StopIteration):
        return -1


def cache_folder() -> Path:
    r"""Return the cache folder, which need not exist yet.

    ``$THENCE_HOME`` if set, else ``%LOCALAPPDATA%\thence`` on Windows, else
    ``$XDG_CACHE_HOME/thence``, else ``~/.cache/thence``.
    """
    if home := os.environ.get("THENCE_HOME"):
        return Path(home).expanduser()
    variable = "LOCALAPPDATA" if sys.platform == "win32" else "XDG_CACHE_HOME"
    parent = os.environ.get(variable)
    return (Path(parent) if parent else Path.home() / ".cache") / "thence"
