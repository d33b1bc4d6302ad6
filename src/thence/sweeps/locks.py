"""Locks between processes: files in the folder of a sweep, or rows of a database.

The operating system releases a file lock when its process ends. Machines that share only the
database of a study use a table with one row per lock: the owner, and a heartbeat, a counter that
the owner increments every few seconds. A process that sees the same counter for a minute takes the
lock over, with an UPDATE whose condition only one process can meet. No clock is compared with that
of another machine.

Processes that share the folder of the sweep need not wait a minute: each also holds the file lock
of the same name.
"""

import os
import socket
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from secrets import token_hex
from typing import Any, ClassVar

from thence.atomic import write_atomically
from thence.locks import HAS_LOCKS, flock
from thence.runs.metrics import drop_unfinished_line
from thence.sweeps.database import Answer, retry

LOCKS = "locks"
"""The folder of lock files in the folder of a sweep."""


class Lock(ABC):
    """A mutual exclusion lock between processes; also a context manager."""

    @abstractmethod
    def take(self, wait: bool = True) -> bool:
        """Acquire the lock; return False if another process has it and ``wait`` is False."""

    @abstractmethod
    def held(self) -> bool:
        """Return whether this process still holds the lock."""

    @abstractmethod
    def release(self) -> None:
        """Release the lock."""

    def __enter__(self) -> None:
        self.take()

    def __exit__(self, *_: object) -> None:
        self.release()


class FileLock(Lock):
    """A lock on a file (``flock``), which also works on a network folder that machines share.

    Windows has no such locks; there only one process can work on a sweep.

    Args:
        path: The lock file, which is created and never removed.
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
        """Return whether this process holds the lock; nobody can take it over."""
        return self._descriptor is not None

    def release(self) -> None:
        """Release the lock."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


@dataclass(frozen=True)
class FileLocks:
    """The locks of processes that share the folder of a sweep.

    Attributes:
        folder: The folder of the sweep.
        wait: Seconds between checks whether the other processes are done.
        where: Machine and folder of this process's runs, to be shown; None if all share one folder.
    """

    folder: Path
    wait: ClassVar[float] = 0.2
    where: ClassVar[str | None] = None

    def lock(self, name: str) -> FileLock:
        """Return the lock of a name."""
        return FileLock(self.folder / LOCKS / name)


class JournalLock:
    """The lock of Optuna's journal file, in place of Optuna's own, which outlives a killed process.

    It also removes an unfinished last line that a killed process has left; else the next line would
    be appended to it.

    Args:
        journal: The journal file.
        lock: The lock file beside it.
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
        """Release the lock."""
        self._lock.release()


POLL_INTERVAL = 0.2
"""Seconds between two attempts to take a lock that another process holds."""


class DatabaseLocks:
    """The locks of a sweep in a database; see ``FileLocks``.

    Args:
        address: The address of the database.
        study: The name of the study.
        folder: The folder of the sweep on this machine.
    """

    wait = 2.0
    heartbeat_interval, grace_period = 10.0, 60.0
    """Seconds between two heartbeats, and without heartbeats until a process counts as dead."""

    def __init__(self, address: str, study: str, folder: Path) -> None:
        import sqlalchemy as sql

        self.folder = folder
        self.where = f"{socket.gethostname()}:{folder.resolve()}"
        self._owner = token_hex(8)
        self._place = _place(folder)
        self._engine = sql.create_engine(address, pool_pre_ping=True)
        self._table = sql.Table(
            "thence_locks",
            sql.MetaData(),
            sql.Column("study", sql.String(255), primary_key=True),
            sql.Column("name", sql.String(64), primary_key=True),
            sql.Column("owner", sql.String(64), nullable=False),  # Empty where it is free.
            sql.Column("place", sql.String(64), nullable=False),
            sql.Column("beats", sql.BigInteger, nullable=False),
        )
        self._study = study
        self._seen: dict[str, tuple[tuple[str, int], float]] = {}
        retry(self._make_table)

    def _make_table(self) -> None:
        from sqlalchemy.exc import SQLAlchemyError

        with suppress(SQLAlchemyError):  # Another process may create it at the same moment.
            self._table.create(self._engine, checkfirst=True)
        self._table.create(self._engine, checkfirst=True)

    def lock(self, name: str) -> "DatabaseLock":
        """Return the lock of a name."""
        return DatabaseLock(self, name)

    def try_to_take(self, name: str) -> bool:
        """Take a lock that is free or whose owner is dead; return whether it was taken.

        The caller must hold the file lock of the same name.
        """
        row = self._row(name)
        if row is None:
            self._insert(name)
            row = self._row(name)
        owner, place, beats = row
        if owner and not self._is_dead(name, owner, place, beats):
            return False
        table = self._table
        as_seen = (table.c.owner == owner) & (table.c.beats == beats)
        new = {"owner": self._owner, "place": self._place, "beats": beats + 1}
        return self._change(name, as_seen, new)

    def holds(self, name: str) -> bool:
        """Return whether this process still owns a lock."""
        row = self._row(name)
        return row is not None and row[0] == self._owner

    def release(self, name: str) -> None:
        """Release a lock if this process still owns it."""
        table = self._table
        new = {"owner": "", "beats": table.c.beats + 1}
        self._change(name, table.c.owner == self._owner, new)

    @contextmanager
    def heartbeats(self) -> Iterator[None]:
        """Context manager: a thread sends heartbeats for all locks of this process."""
        ended = threading.Event()
        thread = threading.Thread(target=self._give_heartbeats_until, args=(ended,), daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()
            self._engine.dispose()

    def _give_heartbeats_until(self, ended: threading.Event) -> None:
        from sqlalchemy.exc import SQLAlchemyError

        table = self._table
        mine = (table.c.study == self._study) & (table.c.owner == self._owner)
        while not ended.wait(self.heartbeat_interval):
            with suppress(SQLAlchemyError), self._engine.begin() as connection:
                connection.execute(table.update().where(mine).values(beats=table.c.beats + 1))

    def _is_dead(self, name: str, owner: str, place: str, beats: int) -> bool:
        if place == self._place and HAS_LOCKS:
            return True  # Its file lock was in the same folder, and this process has it now.
        now, heartbeat = time.monotonic(), (owner, beats)
        before, since = self._seen.get(name, (None, now))
        if before != heartbeat:
            self._seen[name] = heartbeat, now
            return False
        return now - since > self.grace_period

    def _row(self, name: str) -> Any:
        table = self._table
        query = table.select().with_only_columns(table.c.owner, table.c.place, table.c.beats)
        query = query.where(self._wanted(name))
        return self._query(lambda connection: connection.execute(query).one_or_none())

    def _insert(self, name: str) -> None:
        from sqlalchemy.exc import IntegrityError

        new = {"study": self._study, "name": name, "owner": "", "place": "", "beats": 0}
        with suppress(IntegrityError):
            self._query(lambda connection: connection.execute(self._table.insert().values(**new)))

    def _change(self, name: str, condition: Any, new: dict[str, Any]) -> bool:
        change = self._table.update().where(self._wanted(name), condition).values(**new)
        return self._query(lambda connection: bool(connection.execute(change).rowcount))

    def _query(self, ask: Callable[[Any], Answer]) -> Answer:
        """Run a query in a transaction, with retries; its failures restart all heartbeat timers."""

        def once() -> Answer:
            with self._engine.begin() as connection:
                return ask(connection)

        # While the database was away, no process could send a heartbeat.
        return retry(once, lambda error: self._seen.clear())

    def _wanted(self, name: str) -> Any:
        return (self._table.c.study == self._study) & (self._table.c.name == name)


class DatabaseLock(Lock):
    """A row of the table of locks, together with the file lock of the same name."""

    def __init__(self, locks: DatabaseLocks, name: str) -> None:
        self._locks, self._name = locks, name
        self._file = FileLock(locks.folder / LOCKS / name)

    def take(self, wait: bool = True) -> bool:
        """Acquire the lock; return False if another process has it and ``wait`` is False."""
        if not self._file.take(wait):
            return False
        taken = False
        try:
            while not (taken := self._locks.try_to_take(self._name)) and wait:
                time.sleep(POLL_INTERVAL)
        finally:
            if not taken:
                self._file.release()
        return taken

    def held(self) -> bool:
        """Return whether no other process has taken the lock over for want of heartbeats."""
        return self._locks.holds(self._name)

    def release(self) -> None:
        """Release the lock."""
        try:
            self._locks.release(self._name)
        finally:
            self._file.release()


def _place(folder: Path) -> str:
    """Return an identifier of a folder that differs even from that of a copy of the folder."""
    path = folder / LOCKS / "place"
    with FileLock(folder / LOCKS / "study"):
        if not path.exists():
            write_atomically(path, token_hex(8).encode("ascii"))
    return f"{path.read_text('ascii')}-{path.stat().st_ino}"
