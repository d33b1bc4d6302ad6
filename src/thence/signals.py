"""Signals that ask a process to stop: Ctrl-C (SIGINT), SIGTERM, a closed terminal (SIGHUP)."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from thence.errors import TrainingError
from thence.processes import number_of_processes

Handler = Callable[[int, FrameType | None], object]
SIGHUP = getattr(signal, "SIGHUP", None)
"""The signal of a closed terminal; Windows has none."""
TERMINATION_SIGNALS = [signal.SIGTERM, *([] if SIGHUP is None else [SIGHUP])]
"""Signals by which other programs ask a process to stop."""


class Stopped(KeyboardInterrupt):
    """Raised by SIGTERM and SIGHUP outside ``stop_on_signals``, as Ctrl-C raises its base class.

    Args:
        number: Number of the signal.
    """

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number


class Interrupted(TrainingError):  # noqa: N818  (nothing went wrong)
    """A signal ended the work early; the results so far are saved.

    Args:
        message: What was saved, and how to resume.
        number: Number of the signal.
    """

    def __init__(self, message: str, number: int = signal.SIGINT) -> None:
        super().__init__(message)
        self.number = number
        self.exit_code = exit_code(number)


class StopEvent(threading.Event):
    """An event that is set by a signal to stop.

    Attributes:
        number: Number of that signal.
    """

    number: int = signal.SIGINT

    def set_by(self, number: int) -> None:
        """Set the event and store the signal's number."""
        self.number = number
        self.set()


def signal_number(error: BaseException) -> int:
    """Return the number of the signal behind a ``KeyboardInterrupt``."""
    return int(getattr(error, "number", signal.SIGINT))


def exit_code(number: int) -> int:
    """Return the exit code of a process ended by a signal, by the convention of shells."""
    return 128 + number


@contextmanager
def stop_on_signals() -> Iterator[StopEvent]:
    """Context manager: signals set the event it yields, so that work can stop between two steps.

    A second Ctrl-C interrupts at once. Outside the main thread, where Python allows no handlers,
    signals stay as they are.
    """
    event = StopEvent()
    if threading.current_thread() is not threading.main_thread():
        yield event
        return

    def handler(number: int, frame: object) -> None:
        event.set_by(number)
        signal.signal(signal.SIGINT, signal.default_int_handler)

    with _handled([signal.SIGINT, *TERMINATION_SIGNALS], handler):
        yield event


@contextmanager
def signals_as_exceptions() -> Iterator[None]:
    """Context manager: SIGTERM and SIGHUP raise ``Stopped``, so that ``finally`` blocks clean up.

    It does nothing under ``torchrun`` with several processes: Python runs handlers between two
    instructions, so a process that waits for the others in C++ code would never stop.
    """
    is_main = threading.current_thread() is threading.main_thread()
    if not is_main or number_of_processes() > 1:
        yield
        return

    def handler(number: int, frame: object) -> None:
        raise Stopped(number)

    with _handled(TERMINATION_SIGNALS, handler):
        yield


@contextmanager
def _handled(numbers: list[signal.Signals], handler: Handler) -> Iterator[None]:
    """Context manager: install a signal handler; an ignored SIGHUP (``nohup``) stays ignored."""
    before = {number: signal.getsignal(number) for number in numbers}
    if SIGHUP is not None and before.get(SIGHUP) is signal.SIG_IGN:
        del before[SIGHUP]
    try:
        for number in before:
            signal.signal(number, handler)
        yield
    finally:
        for number, previous in before.items():
            signal.signal(number, previous)
