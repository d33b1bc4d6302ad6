"""Locks between processes; a killed process releases its own by itself."""

import os
from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from thence.locks import flock
from thence.runs.metrics import drop_unfinished_line

LOCKS = "locks"
"""The folder of locks in that of a sweep."""


class Lock(ABC):
    """Is held by one process at a time; as a context manager, for a while."""

    @abstractmethod
    def take(self, wait: bool = True) -> bool:
        """Take it; return False where another has it and this process does not wait."""

    @abstractmethod
    def held(self) -> bool:
        """Return whether it is still this process's."""

    @abstractmethod
    def release(self) -> None:
        """Release it."""

    def __enter__(self) -> None:
        self.take()

    def __exit__(self, *_: object) -> None:
        self.release()


class FileLock(Lock):
    """A lock that is held by one process at a time, also on a folder that machines share.

    Where the system has no such locks, as on Windows, a sweep is for one process.

    Args:
        path: A file of its own, which is made and stays.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor: int | None = None

    def take(self, wait: bool = True) -> bool:
        """Take the lock with ``flock``."""
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            flock(descriptor, wait)
        except BaseException as error:
            os.close(descriptor)
            if wait or not isinstance(error, OSError):
                raise
            return False
        self._descriptor = descriptor
        return True

    def held(self) -> bool:
        """Return whether this process has it: nobody can take it away."""
        return self._descriptor is not None

    def release(self) -> None:
        """Release it."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


@dataclass(frozen=True)
class FileLocks:
    """The locks of processes that share the folder of a sweep.

    Attributes:
        folder: Of the sweep.
        wait: Seconds between looks at whether another process is done.
        where: Where this process keeps its runs, for people; None in the one folder of all.
    """

    folder: Path
    wait: ClassVar[float] = 0.2
    where: ClassVar[str | None] = None

    def lock(self, name: str) -> FileLock:
        """Return the lock of that name."""
        return FileLock(self.folder / LOCKS / name)


class JournalLock:
    """The lock of Optuna's journal; Optuna's own locks outlive a killed process.

    It also removes an unfinished line that such a process has left, to which the next line would be
    joined.

    Args:
        journal: The file.
        lock: The lock beside it.
    """

    def __init__(self, journal: Path, lock: Path) -> None:
        self._journal, self._lock = journal, FileLock(lock)

    def acquire(self) -> bool:
        """Wait for the lock, then remove an unfinished line."""
        self._lock.take()
        with self._journal.open("r+b", buffering=0) as file:
            drop_unfinished_line(file)
        return True

    def release(self) -> None:
        """Release it."""
        self._lock.release()
