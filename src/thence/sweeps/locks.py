"""Locks between processes: files in the folder of a sweep, or rows of a database.

The lock of a file is released by the system. In the database of a study, for machines that share
nothing else, a table has a row for each lock: who holds it, and a heartbeat, a count that its
holder raises every few seconds for as long as it lives. Whoever sees a count that stays the same
for a minute takes the lock over, by an update that only one can win. No clock is compared with that
of another machine.

Processes that share the folder of the sweep need not wait that long: each also holds the file lock
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
from thence.sweeps.database import Answer, ask_again

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
        """Return whether this process holds the lock; no other can take it."""
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


POLL_INTERVAL = 0.2
"""Seconds between looks at a lock that another has."""


class DatabaseLocks:
    """The locks of a sweep in a database; see ``FileLocks``.

    Args:
        address: Of the database.
        study: Name of the study.
        folder: Of the sweep, on this machine.
    """

    wait = 2.0
    heartbeat_interval, grace_period = 10.0, 60.0
    """Seconds between two heartbeats, and without any until a process is taken for dead."""

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
        ask_again(self._make_table)

    def _make_table(self) -> None:
        from sqlalchemy.exc import SQLAlchemyError

        with suppress(SQLAlchemyError):  # Another process has made it at the same moment.
            self._table.create(self._engine, checkfirst=True)
        self._table.create(self._engine, checkfirst=True)

    def lock(self, name: str) -> "DatabaseLock":
        """Return the lock of that name."""
        return DatabaseLock(self, name)

    def try_to_take(self, name: str) -> bool:
        """Take a lock that is free, or whose holder is dead; the file lock must be held."""
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
        """Return whether a lock is still this process's."""
        row = self._row(name)
        return row is not None and row[0] == self._owner

    def release(self, name: str) -> None:
        """Free a lock, if it is still this process's."""
        table = self._table
        new = {"owner": "", "beats": table.c.beats + 1}
        self._change(name, table.c.owner == self._owner, new)

    @contextmanager
    def heartbeats(self) -> Iterator[None]:
        """Give heartbeats for a while."""
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
            return True  # It had the same folder, and its file lock is ours now.
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
        return self._asked(lambda connection: connection.execute(query).one_or_none())

    def _insert(self, name: str) -> None:
        from sqlalchemy.exc import IntegrityError

        new = {"study": self._study, "name": name, "owner": "", "place": "", "beats": 0}
        with suppress(IntegrityError):
            self._asked(lambda connection: connection.execute(self._table.insert().values(**new)))

    def _change(self, name: str, condition: Any, new: dict[str, Any]) -> bool:
        change = self._table.update().where(self._wanted(name), condition).values(**new)
        return self._asked(lambda connection: bool(connection.execute(change).rowcount))

    def _asked(self, ask: Callable[[Any], Answer]) -> Answer:
        """Ask the database, which may be away for a while."""

        def once() -> Answer:
            with self._engine.begin() as connection:
                return ask(connection)

        # While it was away nobody could give a heartbeat.
        return ask_again(once, lambda error: self._seen.clear())

    def _wanted(self, name: str) -> Any:
        return (self._table.c.study == self._study) & (self._table.c.name == name)


class DatabaseLock(Lock):
    """A lock in a database, with the file lock of the same name."""

    def __init__(self, locks: DatabaseLocks, name: str) -> None:
        self._locks, self._name = locks, name
        self._file = FileLock(locks.folder / LOCKS / name)

    def take(self, wait: bool = True) -> bool:
        """Take the lock; return False where another has it and this one does not wait."""
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
        """Whether no other process has taken it over, since this one could not be heard of."""
        return self._locks.holds(self._name)

    def release(self) -> None:
        """Release it."""
        try:
            self._locks.release(self._name)
        finally:
            self._file.release()


def _place(folder: Path) -> str:
    """Return an identity of a folder that no other has, not even a copy of it."""
    path = folder / LOCKS / "place"
    with FileLock(folder / LOCKS / "study"):
        if not path.exists():
            write_atomically(path, token_hex(8).encode("ascii"))
    return f"{path.read_text('ascii')}-{path.stat().st_ino}"
