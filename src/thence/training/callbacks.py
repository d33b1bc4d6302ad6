"""Loggers: where the records of ``metrics.jsonl`` go besides, to TensorBoard or any function.

A logger only repeats what is in the file, so it is no part of the run. TensorBoard needs the extra
``logs``; its files are written anew, from ``metrics.jsonl``, whenever a training goes on.
"""

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, Literal, get_args

from thence.atomic import WriteError, make_folders
from thence.errors import SettingError, import_extra, nearest
from thence.processes import is_first_process
from thence.runs import ClassifierRun
from thence.runs.metrics import unit_of
from thence.runs.run import Run
from thence.tokens import TokenStore

Record = Mapping[str, Any]
"""A line of ``metrics.jsonl``."""
Logger = Callable[[Record], None]
"""Is called with each record once it is written; may raise ``StopTraining``."""
LoggerName = Literal["tensorboard"]
Logs = LoggerName | Logger | None
"""A logger by its name, any function, or none."""

TENSORBOARD_FOLDER = "tensorboard"
"""Folder of its files in a run folder."""


class StopTraining(Exception):  # noqa: N818  (nothing went wrong)
    """Raised by a logger to end the training after this evaluation, as if it were the last."""


def check_logs(logs: Logs) -> None:
    """Refuse an unknown logger, or one whose library is missing, before anything is done.

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
def open_logger(logs: Logs, run: Run, dev: TokenStore, step: int) -> Iterator[Logger]:
    """Open a logger for the rest of a training, in the first process.

    TensorBoard also gets the records so far, so that none is missing or there twice; a function has
    had them.

    Args:
        logs: The logger.
        run: The run that is trained.
        dev: Its dev split.
        step: Of the checkpoint that the training goes on from; later records are left out.
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
    """Do nothing with a record."""


def import_writer() -> Any:  # as untyped as the library is
    """Return the class that writes files for TensorBoard.

    Raises:
        MissingExtraError: TensorBoard is not installed.
    """
    import_extra("tensorboard", "logs", "`logs='tensorboard'`")
    return import_extra("torch.utils.tensorboard", "logs", "`logs='tensorboard'`").SummaryWriter


@contextmanager
def tensorboard(run: Run, dev: TokenStore) -> Iterator[Logger]:
    """Open new TensorBoard files in a run folder, in place of those that are there.

    TensorBoard's relative time is the duration of the training, without pauses.

    Args:
        run: The run that is trained.
        dev: Its dev split, which gives the bytes per target.

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
            raise WriteError(folder, error) from error

    try:
        make_folders(folder, within=run.folder)
        _clear(folder)
        # A TensorBoard that is open meanwhile drops what it has read before.
        writer = import_writer()(str(folder), purge_step=0)
    except OSError as error:
        raise WriteError(folder, error) from error
    try:
        yield log
    finally:
        writer.close()


def _clear(folder: Path) -> None:
    for path in folder.glob("events.out.tfevents.*"):
        path.unlink()


def scalars(record: Record, before: Record, bytes_per_target: float) -> dict[str, float]:
    """Return the values that TensorBoard shows of a record, by tag; unknown ones are left out.

    Args:
        record: A line of ``metrics.jsonl``.
        before: The line before it, empty for the first.
        bytes_per_target: Of the dev split; 0 for a classifier.
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
