"""The database of a study: opened, with a sentence for what may be wrong and no password in it."""

import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from thence.errors import RunError, SettingError, ThenceWarning
from thence.extras import import_extra
from thence.sweeps.persistence import PersistentStorage

DRIVERS = {
    "psycopg2": "psycopg2-binary",
    "psycopg": "psycopg[binary]",
    "MySQLdb": "mysqlclient",
    "pymysql": "pymysql",
}
"""Modules that talk to databases, and what pip installs them from."""
ATTEMPTS, MOMENT, AWHILE = 20, 0.1, 1.0
"""Processes that begin at the same moment all make the tables; all but one try again, some
seconds later. A server that is being restarted takes longer, some ten seconds, in which connections
are refused or lost; a wrong port is told after as long."""

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

WAITING = (
    "The database of --storage does not answer; it may be starting, and is asked again for up to "
    "{seconds} seconds."
)


def open_database(address: str) -> Any:  # as untyped as an optional library is
    """Return Optuna's storage in a database.

    Raises:
        SettingError: If the address cannot be used, or its driver is not installed.
        RunError: If the database cannot be reached, or lets this user not in.
    """
    storages = import_extra("optuna", "sweep", "thence sweep").storages
    from optuna.exceptions import StorageInternalError
    from optuna.storages._cached_storage import _CachedStorage
    from sqlalchemy.exc import ArgumentError, NoSuchModuleError, SQLAlchemyError

    if address.partition("?")[0].count("@") > 1:  # Or half of the password is taken for the host.
        raise _unusable()
    for attempt in range(ATTEMPTS):
        try:
            storage = storages.RDBStorage(address, engine_kwargs={"pool_pre_ping": True})
            persistent: Any = PersistentStorage(storage)
            return _CachedStorage(persistent)
        except ImportError as error:
            raise _missing_driver(error.__cause__ or error) from None
        except NoSuchModuleError as error:
            raise _unusable(f", not of {str(error).rpartition(':')[2]}") from None
        except (ArgumentError, ValueError):
            raise _unusable() from None
        except (StorageInternalError, SQLAlchemyError) as error:
            cause = _said_by_database(error)
            if attempt + 1 == ATTEMPTS or not (_is_passing(cause) or _is_away(cause)):
                raise _unreachable(cause) from None
            pause = AWHILE if _is_away(cause) else MOMENT
            if attempt == 0 and _is_away(cause):
                seconds = int(ATTEMPTS * AWHILE)
                warnings.warn(WAITING.format(seconds=seconds), ThenceWarning, stacklevel=2)
        time.sleep(pause)
    raise AssertionError


@contextmanager
def database_errors() -> Iterator[None]:
    """Say in a sentence that the database is gone.

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


def _said_by_database(error: Exception) -> BaseException:
    """Return what SQLAlchemy raised: Optuna wraps an error of a commit in one of its own."""
    from sqlalchemy.exc import SQLAlchemyError

    return error if isinstance(error, SQLAlchemyError) else error.__cause__ or error


def _is_passing(error: BaseException) -> bool:
    """Whether another process was making the tables at the same moment."""
    text = str(error).lower()
    return any(sign in text for sign in ("already exists", "unique", "duplicate", "is locked"))


def _is_away(error: BaseException) -> bool:
    """Whether the server may be one that is being restarted: it answers nobody, or will soon."""
    from sqlalchemy.exc import DBAPIError

    text = str(error).lower()
    lost = isinstance(error, DBAPIError) and error.connection_invalidated
    return lost or any(sign in text for sign in AWAY)


def _unusable(kind: str = "") -> SettingError:
    return SettingError(
        f"--storage must be the address of a database{kind}: sqlite:///study.db, "
        "postgresql://user@host/name or mysql+pymysql://user@host/name. In a name or a password, "
        "@ is written %40."
    )


def _missing_driver(error: BaseException) -> SettingError:
    module = getattr(error, "name", None) or "the driver of this database"
    install = f": pip install '{DRIVERS[module]}'" if module in DRIVERS else " with pip"
    other = " (or write mysql+pymysql:// and install pymysql)" if module == "MySQLdb" else ""
    return SettingError(
        f"--storage needs {module}, which is not installed; install it{install}{other}."
    )


def _unreachable(error: BaseException) -> RunError:
    reason = " ".join(str(getattr(error, "orig", None) or error).partition("\n")[0].split())
    return RunError(
        f"The database of --storage cannot be used: {reason}. What is done is kept; when the "
        "database answers, the same thence sweep goes on."
    )
