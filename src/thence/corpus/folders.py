"""Where thence keeps what it has fetched, and what it need not work out again."""

import os
import sys
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
