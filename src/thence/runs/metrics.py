"""Files of one JSON object per line, and ``metrics.jsonl``: a line for each evaluation on dev."""

import errno
import json
import math
import os
import stat
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from io import FileIO
from pathlib import Path
from typing import Any

from thence.atomic import NO_LINK, WriteError, sync_folder, whole_file
from thence.errors import RunError
from thence.locks import wait_for_lock
from thence.runs.files import check_ordinary

REQUIRED = ("step", "seconds")
"""Fields of every line of metrics."""
REQUIRED_OF_TRAINING = (*REQUIRED, "tokens", "epoch", "learning_rate", "clipped_steps")
"""Fields of every line of a training that goes on for several steps."""
LARGEST_NUMBER = 1e100
"""Absolute value that every number of a line is below."""


def unit_of(line: Mapping[str, Any]) -> str:
    """Return what the losses of a line are means over: a ``token`` or a ``document``."""
    is_of_labels = any(name.endswith("nats_per_document") for name in line)
    return "document" if is_of_labels else "token"


def best_line(metrics: Iterable[Mapping[str, Any]]) -> Mapping[str, Any]:
    """Return the line whose weights are kept: of the highest accuracy, then of the lowest loss.

    It is empty if there is none.
    """
    return min(metrics, key=_mistakes_and_loss, default={})


def _mistakes_and_loss(line: Mapping[str, Any]) -> tuple[float, float]:
    loss = line.get(f"dev_nats_per_{unit_of(line)}")
    return -(line.get("dev_accuracy") or 0.0), math.inf if loss is None else loss


def truncate(path: Path, size: int) -> None:
    """Cut a file to a size in bytes, as it was at a checkpoint; a shorter one is left as it is.

    Raises:
        RunError: If it cannot be written.
    """
    try:
        with opened_alone(path, os.O_RDWR) as file:
            if os.fstat(file.fileno()).st_size > size:
                os.ftruncate(file.fileno(), size)
    except FileNotFoundError:
        return
    except OSError as error:
        raise WriteError(path, error) from error


def append_json_line(path: Path, line: Mapping[str, Any]) -> int:
    """Add a line in the place of an unfinished last one; return the size of the file in bytes.

    One process at a time does it, so that none cuts another's line.

    Raises:
        RunError: If it cannot be written; the file is left as it was.
    """
    content = json.dumps(line).encode("utf-8") + b"\n"
    try:
        with opened_alone(path, os.O_RDWR | os.O_CREAT) as file:
            size = _drop_unfinished_line(file)
            try:
                written = file.write(content)
                if written < len(content):  # The disk is full; the next attempt says so.
                    file.write(content[written:])
                    raise OSError(errno.EIO, os.strerror(errno.EIO))
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
def opened_alone(path: Path, flags: int) -> Iterator[FileIO]:
    """Open a file of a run to change it in place, while no other process does.

    A file that has a second name (a hard link) is changed in a copy: the other may be anywhere.

    Raises:
        RunError: If it is a link, a pipe or a device.
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
    with opened_alone(path, flags) as file:
        yield file


def _is_link(path: Path) -> RunError:
    return RunError(f"{path} is a link, and no run has one: it may lead anywhere. Remove it.")


def _drop_unfinished_line(file: FileIO) -> int:
    """Cut what a killed process left without a line end; return the size in bytes."""
    size = file.seek(0, os.SEEK_END)
    if size == 0:
        return 0
    file.seek(size - 1)
    if file.read(1) != b"\n":
        file.seek(0)
        size = file.truncate(file.read().rfind(b"\n") + 1)
        file.seek(size)
    return size


def read_json_lines(path: Path) -> list[dict[str, Any]]:
    """Read a file of one JSON object per line; an unfinished last line is left out.

    Raises:
        RunError: If it cannot be read.
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
        except (ValueError, RecursionError):
            read = None
        if not isinstance(read, dict):
            raise damaged_line(path, number, "not a JSON object")
        found.append(read)
    return found


def read_metrics(path: Path, trained: bool) -> list[dict[str, Any]]:
    """Read the lines of ``metrics.jsonl``; an unfinished last line is left out.

    Args:
        path: The file.
        trained: Whether the lines are of a training, and not of a model fitted in one step.

    Raises:
        RunError: If it cannot be read, or holds other lines than a run writes.
    """
    lines = read_json_lines(path)
    for number, line in enumerate(lines, start=1):
        training = (*REQUIRED_OF_TRAINING, f"train_nats_per_{unit_of(line)}")
        for name in training if trained else REQUIRED:
            if line.get(name) is None:
                raise damaged_line(path, number, f"it does not say its '{name}'")
        for name, value in line.items():
            if not (value is None or _is_number(value)):
                raise damaged_line(path, number, f"its '{name[:50]}' is no finite number")
    return lines


def _is_number(value: Any) -> bool:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return is_number and abs(value) < LARGEST_NUMBER


def damaged_line(path: Path, number: int, why: str) -> RunError:
    """Return the error about a line of a file that holds what it should not."""
    return RunError(
        f"{path}, line {number}, is damaged: {why}. Restore the file from a copy or remove it."
    )
