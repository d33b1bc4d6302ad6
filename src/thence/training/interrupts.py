"""Ctrl-C and SIGTERM as a wish that a training grants between two steps."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from thence.errors import TrainingError


class Interrupted(TrainingError):  # noqa: N818  (it is a wish that was granted)
    """Training stopped because it was asked to; a checkpoint is saved."""

    exit_code = 130  # What a shell expects after Ctrl-C.


@contextmanager
def stop_requested() -> Iterator[threading.Event]:
    """Turn Ctrl-C and SIGTERM into a wish that is granted between two steps.

    A second Ctrl-C interrupts at once. Outside the main thread signals stay as they are.
    """
    wish = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield wish
        return
    previous = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def ask(number: int, frame: object) -> None:
        wish.set()
        signal.signal(signal.SIGINT, signal.default_int_handler)

    try:
        for number in previous:
            signal.signal(number, ask)
        yield wish
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
