"""Downloading data sets of the catalogue, with verification.

A file comes from the first place that has it: the cache folder (from an earlier call), ``source``,
the folder ``$THENCE_DATA``, the web. It must have the size and SHA-256 of the catalogue, else it is
not kept.
"""

import gzip
import os
import shutil
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from io import BufferedIOBase
from pathlib import Path, PurePosixPath

from thence.atomic import scratch_folder, whole_file
from thence.corpus.catalogue import CATALOGUE, DataFile, Remote
from thence.corpus.opening import cache_folder
from thence.errors import DownloadError, nearest
from thence.locks import BusyError

Progress = Callable[[int, int], None]

PIECE = 1 << 16  # bytes read at a time
TIMEOUT = 30.0  # seconds without a byte
BY_HAND = "Try again later, or get the file another way and name it with `source`."
STATUS_WORDS = {
    401: "asks for a password",
    403: "refuses to serve it",
    404: "does not have it",
    410: "no longer has it",
    429: "got too many requests",
    500: "has an internal fault",
    502: "cannot be reached behind its gateway",
    503: "is overloaded or down",
    504: "cannot be reached behind its gateway",
}


@dataclass(frozen=True)
class Copy:
    """A verified local copy, gzip-compressed or not."""

    path: Path
    packed: bool

    def open(self) -> BufferedIOBase:
        """Open the content for reading."""
        if self.packed:
            return gzip.open(self.path)
        return self.path.open("rb")


def get(
    name: str,
    source: Path | None = None,
    progress: Progress | None = None,
    timeout: float = TIMEOUT,
) -> Path:
    """Return the folder with the verified files of a data set, downloading missing ones.

    Args:
        name: A name of the catalogue (``thence data list``).
        source: A folder or a file with local copies of the set's files or of their downloads,
            gzip-compressed or not, to use instead of downloading.
        progress: Called with the bytes done and the total bytes of the current download.
        timeout: Seconds without a byte after which a download fails.

    Raises:
        DownloadError: The name is unknown, ``source`` has no file of the set, a download failed or
            differs from the catalogue, or the cache folder cannot be written.
    """
    if name not in CATALOGUE:
        raise DownloadError(
            f"'{name}' is not a set that can be downloaded; there are {', '.join(CATALOGUE)}."
            f"{nearest(name, CATALOGUE)}"
        )
    folder = cache_folder() / "data" / name
    missing = [file for file in CATALOGUE[name].files if not is_kept(folder, file)]
    copies = find_copies(Path(source), missing) if source else {}
    if source and missing and not copies:
        raise DownloadError(
            f"{source} holds none of the files of {name} with the right content; "
            f"looked for {', '.join(file.local for file in missing)} or the original download."
        )
    if shared := os.environ.get("THENCE_DATA"):
        copies = find_copies(Path(shared), missing) | copies
    try:
        fill(folder, missing, copies, progress, timeout)
    except BusyError:
        raise DownloadError(f"{name} is being fetched by another process; wait for it.") from None
    except OSError as error:
        raise DownloadError(
            f"cannot keep {name} in {folder}: {error.strerror or error}. "
            "Make room there, or set THENCE_HOME to another folder."
        ) from None
    return folder


def is_kept(folder: Path, file: DataFile) -> bool:
    """Return whether the cache has the file; it was verified before it got its name."""
    path = folder / file.name
    return path.is_file() and file.size in (None, path.stat().st_size)


def fill(
    folder: Path,
    files: Sequence[DataFile],
    copies: dict[DataFile | Remote, Copy],
    progress: Progress | None,
    timeout: float,
) -> None:
    """Write each file from its local copy, or else from its download."""
    for file in files:
        if file in copies:
            with copies[file].open() as copied, whole_file(folder / file.name) as target:
                shutil.copyfileobj(copied, target)
    to_make = [file for file in files if file not in copies]
    for remote in dict.fromkeys(file.remote for file in to_make):
        with original(remote, copies.get(remote), folder, progress, timeout) as path:
            for file in to_make:
                if file.remote == remote:
                    with whole_file(folder / file.name) as target:
                        file.unpack(path, target)


@contextmanager
def original(
    remote: Remote, copied: Copy | None, folder: Path, progress: Progress | None, timeout: float
) -> Iterator[Path]:
    """Context manager: the path of a verified download, which exists during the block."""
    if copied and not copied.packed:
        yield copied.path
        return
    with scratch_folder(folder / "download") as scratch:
        path = scratch / "original"
        with path.open("wb") as file:
            if copied:
                with copied.open() as unpacked:
                    shutil.copyfileobj(unpacked, file)
            else:
                download(remote, file, progress, timeout)
        yield path


def find_copies(place: Path, files: Sequence[DataFile]) -> dict[DataFile | Remote, Copy]:
    """Return verified local copies of files, or of their downloads, in a folder or one file."""
    found: dict[DataFile | Remote, Copy] = {}
    for file in files:
        url = PurePosixPath(file.remote.url)
        local = PurePosixPath(file.local)
        if file.sha256 and (
            copy := find_copy(place, (str(local), local.name, file.name), file.sha256)
        ):
            found[file] = copy
        elif file.remote not in found and (
            copy := find_copy(place, (url.name, str(local.parent / url.name)), file.remote.sha256)
        ):
            found[file.remote] = copy
    return found


def find_copy(place: Path, names: Sequence[str], checksum: str) -> Copy | None:
    """Return the first of the named files (or their ``.gz``) with the checksum; else None."""
    paths = [place / f"{name}{suffix}" for name in names for suffix in ("", ".gz")]
    for path in [place] if place.is_file() else filter(Path.is_file, paths):
        for copy in (Copy(path, packed=False), Copy(path, packed=True)):
            if checksum_of(copy) == checksum:
                return copy
    return None


def checksum_of(copy: Copy) -> str | None:
    """Return the SHA-256 (hex) of the content; None if it cannot be read."""
    digest = sha256()
    try:
        with copy.open() as stream:
            while piece := stream.read(PIECE):
                digest.update(piece)
    except (OSError, EOFError, zlib.error):
        return None
    return digest.hexdigest()


def download(
    remote: Remote,
    target: BufferedIOBase,
    progress: Progress | None = None,
    timeout: float = TIMEOUT,
) -> None:
    """Download a file to ``target``; the caller removes it if this raises.

    Raises:
        DownloadError: The server refuses, the connection breaks, or the file differs from the
            catalogue.
    """
    from urllib.error import HTTPError, URLError  # Slow to load, and nobody else needs them.
    from urllib.request import Request, urlopen

    request = Request(remote.url, headers={"User-Agent": "thence"})
    try:
        with urlopen(request, timeout=timeout) as response:
            stated = response.headers.get("Content-Length")
            if stated is not None and int(stated) != remote.size:
                raise DownloadError(wrong(remote, f"the server offers {int(stated):,} bytes"))
            receive(response, remote, target, progress)
    except HTTPError as error:
        words = STATUS_WORDS.get(error.code, "would not serve it")
        raise DownloadError(
            f"{remote.url} could not be downloaded: the server {words} (HTTP {error.code}). "
            f"{BY_HAND}"
        ) from None
    except URLError as error:
        raise DownloadError(
            f"{remote.url} could not be reached ({error.reason}). Is the network up? {BY_HAND}"
        ) from None


def receive(
    response: BufferedIOBase, remote: Remote, target: BufferedIOBase, progress: Progress | None
) -> None:
    """Copy the bytes of a response to ``target``, checking size and checksum.

    Raises:
        DownloadError: The connection broke, or size or checksum are wrong.
    """
    from http.client import HTTPException

    digest = sha256()
    done = 0
    while True:
        try:
            piece = response.read(PIECE)
        except (OSError, HTTPException) as error:
            raise DownloadError(
                f"{remote.url} broke off after {done:,} of {remote.size:,} bytes "
                f"({error}). {BY_HAND}"
            ) from None
        if not piece:
            break
        done += len(piece)
        if done > remote.size:
            raise DownloadError(wrong(remote, "the server sent more"))
        target.write(piece)
        digest.update(piece)
        if progress:
            progress(done, remote.size)
    if done < remote.size:
        raise DownloadError(
            f"{remote.url} broke off after {done:,} of {remote.size:,} bytes. {BY_HAND}"
        )
    if digest.hexdigest() != remote.sha256:
        raise DownloadError(wrong(remote, f"its SHA-256 is {digest.hexdigest()}"))


def wrong(remote: Remote, found: str) -> str:
    """Return the error message for a download that differs from the catalogue; ``found``: how."""
    return (
        f"{remote.url} is not the expected file of {remote.size:,} bytes with SHA-256 "
        f"{remote.sha256}: {found}. Has it changed, or does a proxy answer in its place? "
        "Nothing was kept; get it another way and name it with `source`."
    )
