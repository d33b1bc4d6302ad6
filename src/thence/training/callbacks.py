"""Where else the records of ``metrics.jsonl`` go: to TensorBoard, or to any function.

The truth about a training is ``metrics.jsonl``; a logger repeats it, and is no part of the run.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Literal, get_args

from thence.errors import SettingError, nearest
from thence.processes import is_first_process
from thence.runs.run import Run
from thence.tokens import TokenStore

Record = Mapping[str, Any]
"""A line of ``metrics.jsonl``."""
Logger = Callable[[Record], None]
"""Is called with each record once that is written; may raise ``StopTraining``."""
LoggerName = Literal["tensorboard"]
Logs = LoggerName | Logger | None
"""Who is told: a logger that is known by name, any function, or nobody."""


class StopTraining(Exception):  # noqa: N818  (it is a wish)
    """Raised by a logger to end the training at this look at dev, as if it had come to its end."""


def check_logs(logs: Logs) -> None:
    """Refuse a logger that is not there, before anything is done.

    Raises:
        MissingExtraError: If its library is not installed.
        SettingError: If there is none of that name.
    """
    if logs is None or callable(logs):
        return
    if logs not in get_args(LoggerName):
        known = get_args(LoggerName)
        raise SettingError(
            f"There is no logger {logs!r}; choose {', '.join(known)}, or give a function."
            + nearest(str(logs), known)
        )
    if is_first_process():  # The only one that writes.
        from thence.training.tensorboard import import_writer

        import_writer()


@contextmanager
def opened(logs: Logs, run: Run, dev: TokenStore, step: int) -> Iterator[Logger]:
    """Open a logger for what is still to come of a training; of several processes, the first does.

    TensorBoard gets the records so far again, so that none is missing or there twice; a function
    has heard them already.

    Args:
        logs: Who is told.
        run: Whose training it is.
        dev: What the losses on dev are about.
        step: Of the checkpoint that the training goes on from; later records do not count.
    """
    if logs is None or not is_first_process():
        yield ignore
    elif callable(logs):
        yield logs
    else:
        from thence.training.tensorboard import tensorboard

        so_far = [record for record in run.metrics() if record["step"] <= step]
        with tensorboard(run, dev) as log:
            for record in so_far:
                log(record)
            yield log


def ignore(record: Record) -> None:
    """Tell nobody."""
