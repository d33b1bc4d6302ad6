"""Writing the records of a training for TensorBoard; needs the extra ``logs``.

What is written follows from ``metrics.jsonl`` alone, so it is written anew when a training goes on.
"""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from thence.atomic import cannot_write, make_folders
from thence.extras import import_extra
from thence.runs import ClassifierRun
from thence.runs.metrics import unit_of
from thence.runs.run import Run
from thence.tokens import TokenStore
from thence.training.callbacks import Logger, Record

FOLDER = "tensorboard"
"""Of the files in a run folder."""


def import_writer() -> Any:  # as untyped as the library is
    """Return the class that writes files for TensorBoard.

    Raises:
        MissingExtraError: TensorBoard is not installed.
    """
    import_extra("tensorboard", "logs", "--logs tensorboard")
    return import_extra("torch.utils.tensorboard", "logs", "--logs tensorboard").SummaryWriter


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
    folder = run.folder / FOLDER
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
