"""Bringing a set of the catalogue to this machine, and letting nothing else in.

A file comes from the first place that has it: what an earlier call kept in the cache folder, the
place that the caller names, the folder ``$THENCE_DATA``, the web. Whatever the place, its bytes
must have the size and SHA-256 that the catalogue states, or nothing is written.
"""

import gzip
import os
import shutil
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from hashlib import sha256
from http.client import HTTPException
from pathlib import Path
from typing import BinaryIO
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

from thence.corpus.catalogue import CATALOGUE, DataFile, Dataset, Remote
from thence.corpus.folders import cache_folder, whole_file
from thence.errors import DownloadError, nearest

Progress = Callable[[int, int], None]
Opener = Callable[[], BinaryIO]

PIECE = 1 << 16  # bytes read at a time
TIMEOUT = 30.0  # seconds without a byte
BY_HAND = "Try again later, or fetch the file another way and name it with --from."
STATUS_WORDS = {
    401: "asks for a password",
    403: "refuses to serve it",
    404: "no longer has it",
    410: "no longer has it",
    429: "says there were too many requests",
    500: "has an internal fault",
    502: "cannot be reached behind its gateway",
    503: "is overloaded or down",
    504: "cannot be reached behind its gateway",
}


def get(name: str, source: Path | None = None, progress: Progress | None = None) -> Path:
    """Return the folder that holds the verified files of a set, fetching what is missing.

    Args:
        name: A name of the catalogue.
        source: Local copy to take instead of downloading: a folder, or one file. Copies may be
            gzip-compressed, and may be the wanted file or the download it is made from.
        progress: Called with the bytes done and the bytes in all of the current download.

    Raises:
        DownloadError: The name is unknown, ``source`` has no file of the set, or a download
            failed or is not the file that the catalogue describes.
    """
    if name not in CATALOGUE:
        raise DownloadError(
            f"'{name}' is not a set that can be downloaded; there are {', '.join(CATALOGUE)}."
            f"{nearest(name, CATALOGUE)}"
        )
    folder = cache_folder() / "data" / name
    missing = [file for file in CATALOGUE[name].files if not is_kept(folder / file.name, file)]
    places = [Path(place) for place in (source, os.environ.get("THENCE_DATA")) if place]
    if source is not None and missing and not any(local_copy(source, file) for file in missing):
        raise DownloadError(refusal(name, source, missing))
    try:
        for file in missing:
            ...
    except OSError as error:
        ...
    return folder
