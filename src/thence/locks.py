"""Locks on files and folders, which a killed process releases by itself.

They are those of ``flock``: advisory, and bound to an open file rather than to its name.
"""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from thence.errors import RunError

try:
    import fcntl
except ImportError:  # Windows has no such locks: two processes that write one thing are not told.
    fcntl = None  # type: ignore[assignment]
HAS_LOCKS = fcntl is not None

NEW = ".new"
"""Suffix of the hidden name under which something is built; see ``atomic.py``."""
NO_LOCKS_HERE = (errno.EBADF, errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP)
"""Errors of file systems without locks (NFS: EBADF for a folder); there is no locking on them."""


class BusyError(RunError):
    """Another process is at work on the same thing."""


def can_lock() -> bool:
    """Return whether this system has such locks."""
    return HAS_LOCKS


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Lock a run folder for this process.

    Whoever changes or clears what is in a run folder locks it. Files that are only added whole
    (reports, plots) and lines that are only appended (evaluations on test) need no lock on it.

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
    """Return whether a process has locked a folder, as ``locked`` does, at this moment."""
    if not HAS_LOCKS:
        return False
    try:
        with locked(folder):
            return False
    except BusyError:
        return True
    except OSError:  # It may not be opened.
        return False


def wait_for_lock(descriptor: int) -> None:
    """Lock an open file until it is closed, once no other process has it locked."""
    _flock(descriptor, wait=True)


def lock_open(descriptor: int, path: Path, wait: bool) -> bool:
    """Lock an open file or folder; return False if its path leads to something else by now.

    Between opening and locking, another process may have removed or replaced it. The lock would
    then be on a file that nobody else can find.

    Raises:
        BusyError: If another process has locked it, and is not waited for.
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
        BlockingIOError: If another process has locked it, and is not waited for.
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
