"""What a training that was asked to stop ends with."""

import signal

from thence.errors import TrainingError
from thence.signals import exit_code, stop_on_signals

__all__ = ["Interrupted", "stop_on_signals"]


class Interrupted(TrainingError):  # noqa: N818  (it is a wish that was granted)
    """Training stopped because it was asked to; a checkpoint is saved.

    Args:
        message: What was done, and how to go on.
        number: Of the signal that asked.
    """

    def __init__(self, message: str, number: int = signal.SIGINT) -> None:
        super().__init__(message)
        self.number = number
        self.exit_code = exit_code(number)
