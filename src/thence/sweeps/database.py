"""The database of a study: opened, and asked again for as long as it does not answer.

A server that is restarted closes all connections. Whoever asks then gets an error, at once, though
the server is back some seconds later; a training that has run for hours need not end of that. What
cannot be mended is said in a sentence, without the password.
"""

import math
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, TypeVar

from thence.errors import RunError, SettingError, ThenceWarning, import_extra

DRIVERS = {
    "psycopg2": "psycopg2-binary",
    "psycopg": "psycopg[binary]",
    "MySQLdb": "mysqlclient",
    "pymysql": "pymysql",
}
"""Modules that talk to databases, and what pip installs them from."""
PATIENCE, PATIENCE_AT_START = 120.0, 20.0
"""Seconds for which a lost database is asked again, and one that did not answer at all. A server
that is restarted takes some ten; at the start the port may simply be wrong."""
FIRST_PAUSE, LONGEST_PAUSE = 0.1, 3.0
"""Seconds between two questions; each pause is twice the one before."""
AWAY = (
    "connection refused",
    "connection reset",
    "broken pipe",
    "connection is closed",
    "server closed the connection",
    "socket closed",
    "lost connection",
    "gone away",
    "terminating connection",
    "starting up",
    "shutting down",
    "shutdown in progress",
)
"""What PostgreSQL, MySQL and their drivers say while a server is being restarted, in lower case."""
RACES = ("already exists", "unique", "duplicate", "is locked", "deadlock")
"""What databases say where several processes make the tables at the same moment."""

Answer = TypeVar("Answer")


def open_database(address: str) -> Any:  # as untyped as an optional library is
    """Return Optuna's storage in a database.

    Raises:
        SettingError: If the address cannot be used, or its driver is not installed.
        RunError: If the database cannot be reached, or lets this user not in.
    """
    storages = import_extra("optuna", "sweep", "thence sweep").storages
    from optuna.exceptions import StorageInternalError
    from sqlalchemy.exc import ArgumentError, NoSuchModuleError, SQLAlchemyError

    if address.partition("?")[0].count("@") > 1:  # Or half of the password is taken for the host.
        raise _unusable()
    was_away = False

    def open_once() -> Any:
        try:
            # get_storage caches the trials that are over: each question would read them all again.
            database = storages.RDBStorage(address, engine_kwargs={"pool_pre_ping": True})
            _make_names_unique(database.engine)
            return PersistentStorage(storages.get_storage(database))
        except ImportError as error:
            raise _missing_driver(error.__cause__ or error) from None
        except NoSuchModuleError as error:
            raise _unusable(f", not of {str(error).rpartition(':')[2]}") from None
        except (ArgumentError, ValueError):
            raise _unusable() from None

    def warn(error: Exception) -> None:
        nonlocal was_away
        if _is_away(error) and not was_away:
            was_away = True
            warnings.warn(
                "The database of `storage` does not answer; it may be starting, and is asked again "
                f"for up to {PATIENCE_AT_START:.0f} seconds.",
                ThenceWarning,
                stacklevel=2,
            )

    try:
        return ask_again(open_once, warn, PATIENCE_AT_START, _may_answer_later)
    except (StorageInternalError, SQLAlchemyError) as error:
        raise _unreachable(_said_by_database(error)) from None


def _make_names_unique(engine: Any) -> None:
    """Make the index that keeps two studies from having one name, if it is missing.

    Optuna makes it after the table and takes a table that is there to be whole. MySQL makes each
    of the two by itself: a process that ends in between leaves the table alone, and two others may
    then make the same study, which nobody finds from then on. The first of such studies keeps the
    name.
    """
    import sqlalchemy as sql
    from optuna.storages._rdb.models import StudyModel

    studies = StudyModel.__table__
    (index,) = (one for one in studies.indexes if one.unique)
    if any(found["unique"] for found in sql.inspect(engine).get_indexes(studies.name)):
        return
    number, name = studies.c.study_id, studies.c.study_name
    first: dict[str, int] = {}
    with engine.begin() as connection:
        for later, called in connection.execute(sql.select(number, name).order_by(number)).all():
            if first.setdefault(called, later) != later:
                new = f"{called} ({later})"
                connection.execute(studies.update().where(number == later).values(study_name=new))
                warnings.warn(
                    f"The database had the study {called!r} twice: the one that was made later is "
                    f"{new!r} now.",
                    ThenceWarning,
                    stacklevel=2,
                )
    index.create(engine)


@contextmanager
def database_errors() -> Iterator[None]:
    """Turn errors of the database into one sentence on what to do.

    Raises:
        RunError: If it cannot be reached.
    """
    import_extra("optuna", "sweep", "thence sweep")
    from optuna.exceptions import StorageInternalError
    from sqlalchemy.exc import SQLAlchemyError

    try:
        yield
    except (StorageInternalError, SQLAlchemyError) as error:
        # SQLAlchemy would show the values of a statement.
        raise _unreachable(_said_by_database(error)) from None


def hide_password(address: str) -> str:
    """Return the address of a database as it can be shown.

    Raises:
        SettingError: If it is none.
    """
    from sqlalchemy.engine import make_url
    from sqlalchemy.exc import ArgumentError

    try:
        return make_url(address).render_as_string(hide_password=True)
    except (ArgumentError, ValueError):  # Its text may repeat a part of the password.
        raise _unusable() from None


def is_lost(error: BaseException) -> bool:
    """Return whether an error means that the connection to the database was lost."""
    from sqlalchemy.exc import (
        DBAPIError,
        InterfaceError,
        OperationalError,
        PendingRollbackError,
    )

    cause = _said_by_database(error)
    if isinstance(cause, PendingRollbackError):  # Of a connection that was lost before.
        return True
    if not isinstance(cause, DBAPIError):
        return False
    if type(cause.orig).__module__.startswith("sqlite3"):  # A file is there, or is not.
        return "is locked" in str(cause.orig)
    return cause.connection_invalidated or isinstance(cause, OperationalError | InterfaceError)


def ask_again(
    ask: Callable[[], Answer],
    lost: Callable[[Exception], object] = lambda error: None,
    patience: float = PATIENCE,
    is_lost: Callable[[Exception], bool] = is_lost,
) -> Answer:
    """Return the answer to a question, asked again for as long as the connection is lost.

    Args:
        ask: Asks; must do no harm where it was answered, and only the answer was lost.
        lost: Is called whenever there was no answer.
        patience: Seconds after which it is given up.
        is_lost: Says whether an error is that of a lost connection.

    Raises:
        Exception: What ``ask`` raises, if it is something else, or goes on for too long.
    """
    until, pause = math.inf, FIRST_PAUSE
    while True:
        try:
            return ask()
        except Exception as error:
            now = time.monotonic()
            until = min(until, now + patience)  # Counted from the loss: an answer may take long.
            if not is_lost(error) or now > until:
                raise
            lost(error)
        time.sleep(pause)
        pause = min(2 * pause, LONGEST_PAUSE)


class PersistentStorage:
    """Optuna's storage in a database, each of whose methods is asked again.

    Two of them would do harm if asked twice. A new trial whose answer was lost is left to
    ``lease_trial``, which finds it, as if its process had died, when it is called again. And that a
    trial has ended can be said once only.

    Args:
        storage: Optuna's.
        patience: Seconds for which a lost connection is borne.
    """

    def __init__(self, storage: Any, patience: float = PATIENCE) -> None:
        self._wrapped, self._patience = storage, patience

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._wrapped, name)
        if not callable(found) or name == "create_new_trial":
            return found
        return partial(self._ask_again, found)

    def _ask_again(self, method: Callable[..., Any], *given: Any, **named: Any) -> Any:
        return ask_again(partial(method, *given, **named), patience=self._patience)

    def set_trial_state_values(self, trial_id: int, state: Any, values: Any = None) -> bool:
        """Set the state of a trial; return whether this process was the one to set it."""
        from optuna.exceptions import UpdateFinishedTrialError

        losses: list[Exception] = []

        def ask() -> bool:
            try:
                return bool(self._wrapped.set_trial_state_values(trial_id, state, values))
            except UpdateFinishedTrialError:
                if losses and self._wrapped.get_trial(trial_id).state == state:
                    return True
                raise

        return ask_again(ask, losses.append, self._patience)


def _said_by_database(error: BaseException) -> BaseException:
    """Return what SQLAlchemy raised: Optuna wraps an error of a commit in one of its own."""
    from sqlalchemy.exc import SQLAlchemyError

    return error if isinstance(error, SQLAlchemyError) else error.__cause__ or error


def _may_answer_later(error: Exception) -> bool:
    """Return whether a database that did not open may later: not with a wrong password."""
    return _is_away(error) or any(race in str(_said_by_database(error)).lower() for race in RACES)


def _is_away(error: Exception) -> bool:
    """Return whether the server may be one that is being restarted."""
    from sqlalchemy.exc import DBAPIError

    cause = _said_by_database(error)
    lost = isinstance(cause, DBAPIError) and cause.connection_invalidated
    return lost or any(sign in str(cause).lower() for sign in AWAY)


def _unusable(kind: str = "") -> SettingError:
    return SettingError(
        f"`storage` must be the address of a database{kind}: sqlite:///study.db, "
        "postgresql://user@host/name or mysql+pymysql://user@host/name. In a name or a password, "
        "@ is written %40."
    )


def _missing_driver(error: BaseException) -> SettingError:
    module = getattr(error, "name", None) or "the driver of this database"
    install = f": pip install '{DRIVERS[module]}'" if module in DRIVERS else " with pip"
    other = " (or write mysql+pymysql:// and install pymysql)" if module == "MySQLdb" else ""
    return SettingError(
        f"`storage` needs {module}, which is not installed; install it{install}{other}."
    )


def _unreachable(error: BaseException) -> RunError:
    reason = " ".join(str(getattr(error, "orig", None) or error).partition("\n")[0].split())
    return RunError(
        f"The database of `storage` cannot be used: {reason}. What is done is kept; when the "
        "database answers, the same thence sweep continues."
    )
