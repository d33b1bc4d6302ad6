"""Where else the records of ``metrics.jsonl`` go: to TensorBoard, or to any function.

The truth about a training is ``metrics.jsonl``; a logger repeats it, and is no part of the run.
"""

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, Literal, get_args

from thence.atomic import cannot_write, make_folders
from thence.errors import SettingError, nearest
from thence.extras import import_extra
from thence.processes import is_first_process
from thence.runs import ClassifierRun
from thence.runs.metrics import unit_of
from thence.runs.run import Run
from thence.tokens import TokenStore

Record = Mapping[str, Any]
"""A line of ``metrics.jsonl``."""
Logger = Callable[[Record], None]
"""Is called with each record once that is written; may raise ``StopTraining``."""
LoggerName = Literal["tensorboard"]
Logs = LoggerName | Logger | None
"""Who is told: a logger that is known by name, any function, or nobody."""

TENSORBOARD_FOLDER = "tensorboard"
"""Of the files in a run folder."""


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
        so_far = [record for record in run.metrics() if record["step"] <= step]
        with tensorboard(run, dev) as log:
            for record in so_far:
                log(record)
            yield log


def ignore(record: Record) -> None:
    """Tell nobody."""


def import_writer() -> Any:  # as untyped as the library is
    """Return the class that writes files for TensorBoard.

    Raises:
        MissingExtraError: TensorBoard is not installed.
    """
    import_extra("tensorboard", "logs", "`logs='tensorboard'`")
    return import_extra("torch.utils.tensorboard", "logs", "`logs='tensorboard'`").SummaryWriter


@contextmanager
def tensorboard(run: Run, dev: TokenStore) -> Iterator[Logger]:
    """Open the files of a run anew for TensorBoard.

    Its relative time is the time of training, pauses not counted.

    Args:
        run: Whose training it is.
        dev: Tells how many bytes a target stands for.

    Raises:
        RunError: If they cannot be written.
    """
    folder = run.folder / TENSORBOARD_FOLDER
    began = datetime.fromisoformat(run.provenance["made"]).timestamp()
    bytes_per_target = 0.0 if isinstance(run, ClassifierRun) else dev.bytes_per_target
    before: Record = {}

    def log(record: Record) -> None:
        nonlocal before
        found = scalars(record, before, bytes_per_target)
        before = record
        try:
            for tag, value in found.items():
                writer.add_scalar(tag, value, record["step"], began + record["seconds"])
            writer.flush()
        except OSError as error:
            raise cannot_write(folder, error) from error

    try:
        make_folders(folder, within=run.folder)
        _clear(folder)
        # Whoever looks on while a training goes on forgets what was there before.
        writer = import_writer()(str(folder), purge_step=0)
    except OSError as error:
        raise cannot_write(folder, error) from error
    try:
        yield log
    finally:
        writer.close()


def _clear(folder: Path) -> None:
    for path in folder.glob("events.out.tfevents.*"):
        path.unlink()


def scalars(record: Record, before: Record, bytes_per_target: float) -> dict[str, float]:
    """Return what TensorBoard shows of a record, by tag; what is not known is left out.

    Args:
        record: Of ``metrics.jsonl``.
        before: The record before it, empty for the first.
        bytes_per_target: Of the dev split; 0 where that says nothing.
    """
    unit = unit_of(record)
    found = {
        f"nats_per_{unit}/train": record.get(f"train_nats_per_{unit}"),
        f"nats_per_{unit}/dev": record.get(f"dev_nats_per_{unit}"),
        "accuracy/dev": record.get("dev_accuracy"),
        "training/learning_rate": record.get("learning_rate"),
    }
    nats = record.get("dev_nats_per_token")
    if nats is not None:
        found["perplexity/dev"] = math.exp(nats) if nats < 700 else None
        if bytes_per_target:
            found["bits_per_byte/dev"] = nats / math.log(2) / bytes_per_target
    seconds = record["seconds"] - before.get("seconds", 0)
    if seconds > 0:
        tokens = record["tokens"] - before.get("tokens", 0)
        found["training/tokens_per_second"] = tokens / seconds
    return {tag: value for tag, value in found.items() if value is not None}
