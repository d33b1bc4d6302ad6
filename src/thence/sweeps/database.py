"""The database of a study: opening it, and retrying while its connection is lost.

A database server that restarts closes all connections, and every query fails at once, although the
server is back some seconds later. A training that has run for hours must not end because of that,
so queries are retried. Errors that a retry cannot cure become one sentence, without the password.
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
"""Database drivers: the Python module, and the package that pip installs it from."""
PATIENCE, PATIENCE_AT_START = 120.0, 20.0
"""Seconds of retrying after a connection was lost, and when the first connection fails. A server
needs about ten seconds to restart; at the start the address may simply be wrong."""
FIRST_PAUSE, LONGEST_PAUSE = 0.1, 3.0
"""Seconds between two attempts: exponential backoff, doubling from the first to the longest."""
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
"""Parts of the error messages of PostgreSQL, MySQL and their drivers, in lower case, that mean that
the server is restarting."""
RACES = ("already exists", "unique", "duplicate", "is locked", "deadlock")
"""Parts of error messages, in lower case, that mean that several processes create the tables at the
same moment."""

Answer = TypeVar("Answer")


def open_database(address: str) -> Any:  # as untyped as an optional library is
    """Return Optuna's storage in a database, with retries.

    Raises:
        SettingError: If the address cannot be used, or its driver is not installed.
        RunError: If the database cannot be reached, or refuses this user.
    """
    storages = import_extra("optuna", "sweep", "thence sweep").storages
    from optuna.exceptions import StorageInternalError
    from sqlalchemy.exc import ArgumentError, NoSuchModuleError, SQLAlchemyError

    if (
        address.partition("?")[0].count("@") > 1
    ):  # Else a part of the password would be taken for the host.
        raise _unusable()
    was_away = False

    def open_once() -> Any:
        try:
            # get_storage caches finished trials, which each query would read again otherwise.
            database = storages.RDBStorage(address, engine_kwargs={"pool_pre_ping": True})
            _add_unique_index(database.engine)
            return RetryingStorage(storages.get_storage(database))
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
        return retry(open_once, warn, PATIENCE_AT_START, _may_answer_later)
    except (StorageInternalError, SQLAlchemyError) as error:
        raise _unreachable(_database_error(error)) from None


def _add_unique_index(engine: Any) -> None:
    """Create the unique index on the names of studies, if it is missing.

    Optuna creates the index after the table, and does not check for it where the table exists.
    MySQL commits each of the two separately: if a process is killed in between, the index is never
    made. Two processes can then create a study of the same name, and Optuna finds neither of them.
    Here the first of such studies keeps the name, and later ones are renamed.
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
    """Context manager: turn errors of the database into one sentence that says what to do.

    Raises:
        RunError: If the database cannot be reached.
    """
    import_extra("optuna", "sweep", "thence sweep")
    from optuna.exceptions import StorageInternalError
    from sqlalchemy.exc import SQLAlchemyError

    try:
        yield
    except (StorageInternalError, SQLAlchemyError) as error:
        # From None: the traceback of SQLAlchemy would show the values of a statement.
        raise _unreachable(_database_error(error)) from None


def hide_password(address: str) -> str:
    """Return the address of a database with its password replaced by asterisks.

    Raises:
        SettingError: If it is not an address of a database.
    """
    from sqlalchemy.engine import make_url
    from sqlalchemy.exc import ArgumentError

    try:
        return make_url(address).render_as_string(hide_password=True)
    except (ArgumentError, ValueError):  # The error's text may contain a part of the password.
        raise _unusable() from None


def is_lost(error: BaseException) -> bool:
    """Return whether an error means that the connection to the database was lost."""
    from sqlalchemy.exc import (
        DBAPIError,
        InterfaceError,
        OperationalError,
        PendingRollbackError,
    )

    cause = _database_error(error)
    if isinstance(cause, PendingRollbackError):  # The connection was lost in an earlier query.
        return True
    if not isinstance(cause, DBAPIError):
        return False
    if type(cause.orig).__module__.startswith("sqlite3"):  # A file cannot lose its connection.
        return "is locked" in str(cause.orig)
    return cause.connection_invalidated or isinstance(cause, OperationalError | InterfaceError)


def retry(
    query: Callable[[], Answer],
    on_failure: Callable[[Exception], object] = lambda error: None,
    patience: float = PATIENCE,
    is_lost: Callable[[Exception], bool] = is_lost,
) -> Answer:
    """Return the result of a query, repeated while the connection to the database is lost.

    Args:
        query: The query; must be idempotent, since it is repeated if only its answer was lost.
        on_failure: Called with the error after each failed attempt.
        patience: Seconds after the first failure when to give up.
        is_lost: Returns whether an error means that the connection was lost.

    Raises:
        Exception: The error of ``query``, if it is another one, or if patience has run out.
    """
    until, pause = math.inf, FIRST_PAUSE
    while True:
        try:
            return query()
        except Exception as error:
            now = time.monotonic()
            until = min(until, now + patience)  # From the failure on: the query itself may be slow.
            if not is_lost(error) or now > until:
                raise
            on_failure(error)
        time.sleep(pause)
        pause = min(2 * pause, LONGEST_PAUSE)


class RetryingStorage:
    """Optuna's storage in a database, with its methods retried while the connection is lost.

    Two methods are not idempotent. ``create_new_trial`` is not retried: if its answer was lost, the
    next call of ``lease_trial`` finds the new trial without a process and takes it over.
    ``set_trial_state_values`` fails for a trial that has ended, so a retry compares the state.

    Args:
        storage: Optuna's storage.
        patience: Seconds of retrying after a connection was lost.
    """

    def __init__(self, storage: Any, patience: float = PATIENCE) -> None:
        self._wrapped, self._patience = storage, patience

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._wrapped, name)
        if not callable(found) or name == "create_new_trial":
            return found
        return partial(self._retry, found)

    def _retry(self, method: Callable[..., Any], *given: Any, **named: Any) -> Any:
        return retry(partial(method, *given, **named), patience=self._patience)

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

        return retry(ask, losses.append, self._patience)


def _database_error(error: BaseException) -> BaseException:
    """Return the error that SQLAlchemy raised: Optuna wraps those of a commit in its own."""
    from sqlalchemy.exc import SQLAlchemyError

    return error if isinstance(error, SQLAlchemyError) else error.__cause__ or error


def _may_answer_later(error: Exception) -> bool:
    """Return whether opening may succeed later, unlike with a wrong password."""
    return _is_away(error) or any(race in str(_database_error(error)).lower() for race in RACES)


def _is_away(error: Exception) -> bool:
    """Return whether the error looks like that of a server that is restarting."""
    from sqlalchemy.exc import DBAPIError

    cause = _database_error(error)
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
