"""Questions to a database that does not answer for a while: they are asked again until it does.

A server that is restarted closes all connections. Whoever asks then gets an error, at once, though
the server is back some seconds later; a training that has run for hours need not end of that.
"""

import math
import time
from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

PATIENCE = 120.0
"""Seconds for which a question is asked again; a server that is restarted takes some ten."""
FIRST_PAUSE, LONGEST_PAUSE = 0.1, 3.0
"""Seconds between two times; each is twice the one before."""

Answer = TypeVar("Answer")


def nothing() -> None:
    """Do nothing."""


def persistently(ask: Callable[[], Answer], lost: Callable[[], None] = nothing) -> Answer:
    """Return the answer to a question, asked again for as long as the connection is lost.

    Args:
        ask: Asks; must do no harm where it was answered, and only the answer was lost.
        lost: Is called whenever there was no answer.

    Raises:
        Exception: What ``ask`` raises, if it is something else, or goes on for ``PATIENCE``.
    """
    until, pause = math.inf, FIRST_PAUSE
    while True:
        try:
            return ask()
        except Exception as error:
            now = time.monotonic()
            until = min(until, now + PATIENCE)  # Counted from the loss: an answer may take long.
            if not is_lost(error) or now > until:
                raise
        lost()
        time.sleep(pause)
        pause = min(2 * pause, LONGEST_PAUSE)


def is_lost(error: BaseException) -> bool:
    """Whether an error says that the database does not answer, and not that it says no."""
    from sqlalchemy.exc import (
        DBAPIError,
        InterfaceError,
        OperationalError,
        PendingRollbackError,
        SQLAlchemyError,
    )

    cause = error if isinstance(error, SQLAlchemyError) else error.__cause__
    if isinstance(cause, PendingRollbackError):  # Of a connection that was lost before.
        return True
    if not isinstance(cause, DBAPIError):
        return False
    if type(cause.orig).__module__.startswith("sqlite3"):  # A file is there, or is not.
        return "is locked" in str(cause.orig)
    return cause.connection_invalidated or isinstance(cause, OperationalError | InterfaceError)


class PersistentStorage:
    """Optuna's storage in a database, each of whose methods asks persistently.

    Two of them would do harm if asked twice. A new trial whose answer was lost is left to
    ``claim``, which finds it, as if its process had died, when it is called again. And that a trial
    has ended can be said once only.

    Args:
        storage: Optuna's ``RDBStorage``.
    """

    def __init__(self, storage: Any) -> None:
        self._storage = storage

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._storage, name)
        if not callable(found) or name.lstrip("_") == "create_new_trial":
            return found
        return partial(_call, found)

    def set_trial_state_values(self, trial_id: int, state: Any, values: Any = None) -> bool:
        """Say that a trial has ended; return whether this process has said it."""
        from optuna.exceptions import UpdateFinishedTrialError

        was_lost = False

        def note() -> None:
            nonlocal was_lost
            was_lost = True

        def ask() -> bool:
            try:
                return bool(self._storage.set_trial_state_values(trial_id, state, values))
            except UpdateFinishedTrialError:
                if was_lost and self._storage.get_trial(trial_id).state == state:
                    return True
                raise

        return persistently(ask, note)


def _call(method: Callable[..., Any], *given: Any, **named: Any) -> Any:
    return persistently(partial(method, *given, **named))
