"""Where thence keeps what it has made or fetched."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedIOBase
from pathlib import Path


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


@contextmanager
def whole_file(path: Path) -> Iterator[BufferedIOBase]:
    """Open a new file for writing that appears under its name only when it is whole.

    If the block raises, nothing is left behind and what was there before stays.

    Raises:
        OSError: The folder cannot be made or written to.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    # In the same folder, so that the last step is a rename and not a copy.
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with temporary.open("wb") as file:
            yield file
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
