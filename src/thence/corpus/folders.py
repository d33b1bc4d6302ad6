"""Where thence keeps what it has made or fetched."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import mkstemp
from typing import BinaryIO


def cache_folder() -> Path:
    """Return the cache folder, which need not exist yet.

    ``$THENCE_HOME`` if set, else ``%LOCALAPPDATA%\\thence`` on Windows, else
    ``$XDG_CACHE_HOME/thence``, else ``~/.cache/thence``.
    """
    if home := os.environ.get("THENCE_HOME"):
        return Path(home).expanduser()
    variable = "LOCALAPPDATA" if sys.platform == "win32" else "XDG_CACHE_HOME"
    parent = os.environ.get(variable)
    return (Path(parent) if parent else Path.home() / ".cache") / "thence"


@contextmanager
def whole_file(path: Path) -> Iterator[BinaryIO]:
    """Open a new file for writing that appears under its name only when it is whole.

    If the block raises, nothing is left behind and what was there before stays.

    Raises:
        OSError: The folder cannot be made or written to.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    # Same folder, so that the last step is a rename and not a copy.
    descriptor, temporary = mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with open(descriptor, "wb") as file:
            yield file
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise
