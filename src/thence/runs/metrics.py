"""JSON lines files: ``metrics.jsonl``, one line per evaluation on dev, and ``curve.jsonl``.

``curve.jsonl`` has the train loss at about 200 points.
"""

import errno
import json
import math
import os
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from io import FileIO
from pathlib import Path
from typing import Annotated, Any

from thence.atomic import NO_LINK, WriteError, sync_folder, whole_file
from thence.errors import RunError, SettingError
from thence.locks import wait_for_lock
from thence.runs.files import check_ordinary
from thence.settings import Range, as_in_file, check_parts

MetricsNumber = Annotated[float, Range(gt=-1e100, lt=1e100)]
REQUIRED = dict.fromkeys(("step", "seconds"), MetricsNumber)
"""Required fields of every line of ``metrics.jsonl``, with their types."""
REQUIRED_OF_TRAINING = REQUIRED | dict.fromkeys(
    ("tokens", "epoch", "learning_rate", "clipped_steps"), MetricsNumber
)
"""Required fields where the model is trained by gradient steps."""
Lines = list[dict[str, Any]]


def unit_of(line: Mapping[str, Any]) -> str:
    """Return the unit that the losses of a line are means over: ``token`` or ``document``."""
    is_of_labels = any(name.endswith("nats_per_document") for name in line)
    return "document" if is_of_labels else "token"


def best_line(metrics: Iterable[Mapping[str, Any]]) -> Mapping[str, Any]:
    """Return the line of the best evaluation: highest dev accuracy, then lowest dev loss.

    Its weights are those that the run keeps. Empty if there are no lines.
    """
    return min(metrics, key=_mistakes_and_loss, default={})


def _mistakes_and_loss(line: Mapping[str, Any]) -> tuple[float, float]:
    """Return the sort key of a line: negative accuracy (0 for language models), then loss."""
    loss = line.get(f"dev_nats_per_{unit_of(line)}")
    return -(line.get("dev_accuracy") or 0.0), math.inf if loss is None else loss


def truncate(path: Path, size: int) -> None:
    """Truncate a file to the size in bytes that it had at a checkpoint, if it is longer.

    Raises:
        RunError: If it cannot be written.
    """
    try:
        with open_exclusively(path, os.O_RDWR) as file:
            if os.fstat(file.fileno()).st_size > size:
                os.ftruncate(file.fileno(), size)
    except FileNotFoundError:
        return
    except OSError as error:
        raise WriteError(path, error) from error


def append_json_line(path: Path, line: Mapping[str, Any]) -> int:
    """Append a JSON line, replacing an incomplete last one; return the file's size in bytes.

    The file is locked meanwhile, so that concurrent processes do not mix their lines.

    Raises:
        RunError: If it cannot be written; the file is then unchanged.
    """
    return append_json_lines(path, [line])


def append_json_lines(path: Path, lines: Iterable[Mapping[str, Any]], durable: bool = True) -> int:
    """Append several JSON lines; see ``append_json_line``.

    Args:
        path: The file.
        lines: Their content.
        durable: Whether to wait until they are on the disk (fsync).
    """
    content = b"".join(json.dumps(line).encode("utf-8") + b"\n" for line in lines)
    try:
        with open_exclusively(path, os.O_RDWR | os.O_CREAT) as file:
            size = drop_unfinished_line(file)
            try:
                written = file.write(content)
                if written < len(content):  # The disk is full: a second write raises the error.
                    file.write(content[written:])
                    raise OSError(errno.EIO, os.strerror(errno.EIO))
                if durable:
                    os.fsync(file.fileno())
            except OSError:
                with suppress(OSError):
                    os.ftruncate(file.fileno(), size)
                raise
            end = file.tell()
        if size == 0:
            sync_folder(path.parent)
        return end
    except OSError as error:
        raise WriteError(path, error) from error


@contextmanager
def open_exclusively(path: Path, flags: int) -> Iterator[FileIO]:
    """Context manager: opens a file of a run for changes in place, with an exclusive lock.

    A file with a second hard link is replaced by a copy first, so that a change cannot reach a file
    outside the run folder.

    Raises:
        RunError: If it is a symbolic link, a pipe or a device.
        OSError: If it cannot be opened.
    """
    try:
        descriptor = os.open(path, flags | NO_LINK, 0o666)
    except OSError as error:
        if error.errno != errno.ELOOP:
            raise
        raise _is_link(path) from error
    with os.fdopen(descriptor, "r+b", buffering=0) as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise RunError(f"{path} is a pipe or a device, not a file. Remove it.")
        wait_for_lock(descriptor)
        if os.fstat(descriptor).st_nlink < 2:
            yield file
            return
        content = file.read()
    with whole_file(path, wait=True) as copy:
        copy.write(content)
    with open_exclusively(path, flags) as file:
        yield file


def _is_link(path: Path) -> RunError:
    return RunError(f"{path} is a link, and no run has one: it may lead anywhere. Remove it.")


def drop_unfinished_line(file: FileIO) -> int:
    """Remove the incomplete last line that a killed process may leave; return the size in bytes."""
    size = file.seek(0, os.SEEK_END)
    if size == 0:
        return 0
    file.seek(size - 1)
    if file.read(1) != b"\n":
        file.seek(0)
        size = file.truncate(file.read().rfind(b"\n") + 1)
        file.seek(size)
    return size


def read_json_lines(
    path: Path, hints: Callable[[Mapping[str, Any]], Mapping[str, Any]] = lambda line: {}
) -> Lines:
    """Read a file of one JSON object per line; an incomplete last line is skipped.

    Args:
        path: The file.
        hints: Function from a line to the types of the fields that are checked.

    Raises:
        RunError: If it cannot be read, or a line is not an object, lacks a field, or has one of
            another type.
    """
    if path.is_symlink():
        raise _is_link(path)
    if not path.exists():
        return []
    check_ordinary(path)
    try:
        lines = path.read_bytes().split(b"\n")[:-1]
    except OSError as error:
        raise RunError(f"{path} cannot be read: {error.strerror}.") from error
    found = []
    for number, line in enumerate(lines, start=1):
        try:
            read = json.loads(line)
            if not isinstance(read, dict):
                raise SettingError("it is not a JSON object.")
            check_parts(read, hints(read))
        except (ValueError, RecursionError, SettingError) as error:
            why = as_in_file(error) if isinstance(error, SettingError) else "it is not JSON."
            raise RunError(
                f"{path}, line {number}, is damaged: {why} Restore the file from a copy or remove "
                "it."
            ) from error
        found.append(read)
    return found


def read_metrics(path: Path, trained: bool) -> Lines:
    """Read the lines of ``metrics.jsonl``; an incomplete last line is skipped.

    Args:
        path: The file.
        trained: Whether the model is trained by gradient steps, not fitted in one step.
    """

    def hints(line: Mapping[str, Any]) -> Mapping[str, Any]:
        of_training = {**REQUIRED_OF_TRAINING, f"train_nats_per_{unit_of(line)}": MetricsNumber}
        optional = dict.fromkeys(line, MetricsNumber | None)
        return {**optional, **(of_training if trained else REQUIRED)}

    return read_json_lines(path, hints)


def read_curve(path: Path, metrics: Lines) -> Lines:
    """Return the points of the learning curve by step: of ``curve.jsonl``, and all evaluations.

    Without that file, as in runs of version 0.1, there are only the evaluations.

    Args:
        path: The file.
        metrics: The lines of ``metrics.jsonl``.
    """

    def hints(line: Mapping[str, Any]) -> Mapping[str, Any]:
        return {**dict.fromkeys(line, MetricsNumber | None), **REQUIRED}

    found = {line["step"]: line for line in read_json_lines(path, hints)}
    for line in metrics:
        # Both have a train loss; that of the curve wins, since it is a mean over fewer steps.
        found[line["step"]] = {**line, **found.get(line["step"], {})}
    return [found[step] for step in sorted(found)]
