"""Locks on files and folders (``flock``), which the system releases when a process is killed.

They are advisory, and bound to an open file rather than to its name.
"""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from thence.errors import RunError

try:
    import fcntl
except ImportError:  # Windows has no such locks: two processes may write the same run unnoticed.
    fcntl = None  # type: ignore[assignment]
HAS_LOCKS = fcntl is not None

NEW = ".new"
"""Suffix of the hidden name under which something is built; see ``atomic.py``."""
NO_LOCKS_HERE = (errno.EBADF, errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP)
"""Errors of file systems without locks (NFS: EBADF for a folder); there is no locking on them."""


class BusyError(RunError):
    """Another process has locked the same file or folder."""


def can_lock() -> bool:
    """Return whether this system has ``flock``."""
    return HAS_LOCKS


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Context manager: lock a run folder for this process.

    It is needed to change or remove files of a run folder. Files that only appear whole (reports,
    plots) and lines that are only appended (evaluations on test) need no lock on the folder.

    Raises:
        BusyError: If another process has locked it.
    """
    if not HAS_LOCKS:
        yield
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        if not lock_open(descriptor, folder, wait=False):
            raise BusyError(f"{folder} was replaced just now by another process; try again.")
        yield
    finally:
        os.close(descriptor)


def is_locked(folder: Path) -> bool:
    """Return whether a process has locked a folder by ``locked`` at this moment."""
    if not HAS_LOCKS:
        return False
    try:
        with locked(folder):
            return False
    except BusyError:
        return True
    except OSError:  # The folder cannot be opened.
        return False


def wait_for_lock(descriptor: int) -> None:
    """Wait until no other process has locked an open file, and lock it until it is closed."""
    _flock(descriptor, wait=True)


def lock_open(descriptor: int, path: Path, wait: bool) -> bool:
    """Lock an open file or folder; return False if its path is another file by now.

    Between opening and locking, another process may have removed or replaced it. The lock would
    then be on a file that no other process can open.

    Raises:
        BusyError: If another process has locked it and ``wait`` is False.
    """
    if not HAS_LOCKS:
        return True
    try:
        _flock(descriptor, wait)
    except BlockingIOError as error:
        raise BusyError(_busy(path)) from error
    try:
        there, own = path.stat(), os.fstat(descriptor)
    except FileNotFoundError:
        return False
    return (there.st_dev, there.st_ino) == (own.st_dev, own.st_ino)


def flock(descriptor: int, wait: bool) -> None:
    """Lock an open file, where the system has locks.

    Raises:
        BlockingIOError: If another process has locked it and ``wait`` is False.
        OSError: If the file system has no locks.
    """
    if HAS_LOCKS:
        fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))


def _flock(descriptor: int, wait: bool) -> None:
    try:
        flock(descriptor, wait)
    except OSError as error:
        if error.errno not in NO_LOCKS_HERE:
            raise


def _busy(path: Path) -> str:
    if path.name.startswith(".") and path.name.endswith(NEW):
        target = path.with_name(path.name[1 : -len(NEW)])
        return f"{target} is being made by another process; wait for it, or choose another name."
    return f"{path} is being trained by another process; wait for it."
