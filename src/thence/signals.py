"""The wish to stop: Ctrl-C (SIGINT), a shutdown (SIGTERM), a terminal that was closed (SIGHUP)."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from thence.processes import number_of_processes

HANG_UP = getattr(signal, "SIGHUP", None)
"""The signal of a closed terminal; Windows has none."""
ORDERS = [signal.SIGTERM, *([] if HANG_UP is None else [HANG_UP])]
"""What other programs ask a process to stop with."""


class Stopped(KeyboardInterrupt):
    """Raised by SIGTERM and SIGHUP where nobody grants the wish in order.

    Args:
        number: Of the signal.
    """

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number


class StopEvent(threading.Event):
    """Set once it is wished that the work should stop.

    Attributes:
        number: Of the signal that said so.
    """

    number: int = signal.SIGINT

    def ask(self, number: int) -> None:
        """Wish it."""
        self.number = number
        self.set()


def signal_number(error: BaseException) -> int:
    """Return the signal that an interruption came from."""
    return int(getattr(error, "number", signal.SIGINT))


def exit_code(number: int) -> int:
    """Return what a shell expects of a process that a signal has ended."""
    return 128 + number


@contextmanager
def stop_on_signals() -> Iterator[StopEvent]:
    """Turn signals into a wish that is granted between two steps.

    A second Ctrl-C interrupts at once. Outside the main thread signals stay as they are, and so
    does SIGHUP where it is ignored (``nohup``).
    """
    wish = StopEvent()
    if threading.current_thread() is not threading.main_thread():
        yield wish
        return

    def ask(number: int, frame: object) -> None:
        wish.ask(number)
        signal.signal(signal.SIGINT, signal.default_int_handler)

    with _handled([signal.SIGINT, *ORDERS], ask):
        yield wish


@contextmanager
def signals_as_exceptions() -> Iterator[None]:
    """Let SIGTERM and SIGHUP raise ``Stopped``, as Ctrl-C raises ``KeyboardInterrupt``.

    Then nothing half-made is left behind. Not where ``torchrun`` has started several processes: one
    that waits for the others would not hear it.
    """
    is_main = threading.current_thread() is threading.main_thread()
    if not is_main or number_of_processes() > 1:
        yield
        return

    def stop(number: int, frame: object) -> None:
        raise Stopped(number)

    with _handled(ORDERS, stop):
        yield


@contextmanager
def _handled(numbers: list[signal.Signals], handler: object) -> Iterator[None]:
    """Handle signals for a while; a SIGHUP that is ignored stays so."""
    before = {number: signal.getsignal(number) for number in numbers}
    if HANG_UP is not None and before.get(HANG_UP) is signal.SIG_IGN:
        del before[HANG_UP]
    try:
        for number in before:
            signal.signal(number, handler)  # type: ignore[arg-type]
        yield
    finally:
        for number, previous in before.items():
            signal.signal(number, previous)
