"""The thread that a model works in: one call at a time, and its end is known."""

import logging
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from dataclasses import dataclass
from queue import SimpleQueue
from threading import Lock, Thread
from time import monotonic
from typing import Any


class ThreadEndedError(RuntimeError):
    """A model's thread has ended, so that the model cannot be asked any more."""


@dataclass(frozen=True)
class _Call:
    function: Callable[..., Any]
    arguments: tuple[Any, ...]
    result: "Future[Any]"


class ModelThread:
    """Calls functions one after another in a thread of its own.

    ``ThreadPoolExecutor`` would let whoever waits for a thread that has ended wait for ever. Here
    all calls that were not answered fail then, and so does every later one.

    Args:
        name: What the thread is called.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._calls: deque[_Call] = deque()  # The first is being worked at until it is answered.
        self._ready: SimpleQueue[None] = SimpleQueue()
        self._ending = Lock()
        self._begun: float | None = None
        self._ended: str | None = None
        # It must not keep a program alive that has never closed it.
        self._thread = Thread(target=self._work, name=f"model {name}", daemon=True)
        self._thread.start()

    @property
    def ended(self) -> str | None:
        """Why the thread has ended; None while it is there."""
        return self._ended

    def busy_seconds(self) -> float:
        """Return for how long it has been at the call that it is at; 0 if at none."""
        begun = self._begun
        return 0.0 if begun is None else monotonic() - begun

    def submit(self, function: Callable[..., Any], *arguments: Any) -> "Future[Any]":
        """Let a function be called, after those that were submitted before.

        Raises:
            ThreadEndedError: If the thread has ended.
        """
        call = _Call(function, arguments, Future())
        with self._ending:
            if self._ended is not None:
                raise ThreadEndedError(self._ended)
            self._calls.append(call)
        self._ready.put(None)
        return call.result

    def close(self) -> None:
        """Let the thread end after the call that it is at; the others are not made any more."""
        self._end("The server is being stopped.")
        self._ready.put(None)

    def join(self, patience: float) -> None:
        """Wait until the thread has ended, but no longer than so many seconds."""
        self._thread.join(patience)

    def _work(self) -> None:
        try:
            while True:
                self._ready.get()
                with self._ending:
                    if self._ended is not None:
                        return
                    call = self._calls[0]
                self._begun = monotonic()
                self._answer(call)
                self._begun = None
                with self._ending:
                    if self._calls:
                        self._calls.popleft()
        except BaseException as error:
            logging.getLogger("thence.serve").critical(
                "the thread of model %s has ended", self._name, exc_info=True
            )
            self._end(
                f"The model {self._name} cannot be asked any more: its thread has ended "
                f"({type(error).__name__}). Restart the server."
            )

    def _answer(self, call: _Call) -> None:
        """Make a call; what is no mere error, as SystemExit, ends the thread."""
        if not call.result.set_running_or_notify_cancel():
            return
        try:
            result = call.function(*call.arguments)
        except Exception as error:  # noqa: BLE001 (it is theirs who asked)
            with suppress(InvalidStateError):  # The thread was closed meanwhile.
                call.result.set_exception(error)
        else:
            with suppress(InvalidStateError):
                call.result.set_result(result)

    def _end(self, why: str) -> None:
        """Take no more calls, and fail those that were not answered."""
        with self._ending:
            self._ended = self._ended or why
            calls, self._calls = list(self._calls), deque()
        for call in calls:
            with suppress(InvalidStateError):
                call.result.set_exception(ThreadEndedError(self._ended))
