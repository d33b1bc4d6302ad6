"""``metrics.jsonl``: one JSON line per look at dev, appended as it happens."""

import json
import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO

from thence.errors import RunError
from thence.training.files import cannot_write, check_ordinary

TOLD = ("step", "seconds")
TOLD_OF_TRAINING = (*TOLD, "tokens", "epoch", "learning_rate", "clipped_steps")
"""What every line says."""
MOST_TOLD = 1e100


def unit_of(line: Mapping[str, Any]) -> str:
    """Return what the losses of a line are means over: ``document`` for classifiers."""
    is_of_labels = any(name.endswith("nats_per_document") for name in line)
    return "document" if is_of_labels else "token"


class MetricsFile:
    """The metrics of a training.

    Args:
        path: The file; it need not exist.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def truncate(self, size: int) -> None:
        """Drop what was written after a checkpoint that is being resumed.

        Args:
            size: Bytes to keep.
        """
        try:
            if self.path.exists() and self.path.stat().st_size > size:
                os.truncate(self.path, size)
        except OSError as error:
            raise cannot_write(self.path, error) from error

    def append(self, line: Mapping[str, Any]) -> int:
        """Add a line; return the size of the file in bytes."""
        return append_json_line(self.path, line)


def append_json_line(path: Path, line: Mapping[str, Any]) -> int:
    """Add a line in the place of an unfinished last one; return the size of the file in bytes.

    Raises:
        RunError: If it cannot be written; the file is left as it was.
    """
    size: int | None = None
    try:
        with path.open("a+b") as file:
            size = _drop_unfinished_line(file)
            file.write(json.dumps(line).encode("utf-8") + b"\n")
            file.flush()
            os.fsync(file.fileno())
            return file.tell()
    except OSError as error:
        if size is not None:
            with suppress(OSError):
                os.truncate(path, size)
        raise cannot_write(path, error) from error


def _drop_unfinished_line(file: BinaryIO) -> int:
    """Cut what a killed process left without a line end; return the size in bytes."""
    size = file.seek(0, os.SEEK_END)
    if size == 0:
        return 0
    file.seek(size - 1)
    if file.read(1) != b"\n":
        file.seek(0)
        size = file.truncate(file.read().rfind(b"\n") + 1)
    return size


def read_json_lines(path: Path) -> list[dict[str, Any]]:
    """Read a file of one JSON object per line; an unfinished last line is left out.

    Raises:
        RunError: If it cannot be read.
    """
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
            raise _damaged(path, number, "not a JSON object")
        found.append(read)
    return found


def read_metrics(path: Path, trained: bool) -> list[dict[str, Any]]:
    """Read the lines of ``metrics.jsonl``; an unfinished last line is left out.

    Args:
        path: The file.
        trained: Whether the lines tell of a training, and not of what was made in one step.

    Raises:
        RunError: If it cannot be read, or holds other lines than a run writes.
    """
    lines = read_json_lines(path)
    for number, line in enumerate(lines, start=1):
        needed = TOLD_OF_TRAINING if trained else TOLD
        if trained:
            needed = (*needed, f"train_nats_per_{unit_of(line)}")
        for name in needed:
            if line.get(name) is None:
                raise _damaged(path, number, f"it does not say its '{name}'")
        for name, value in line.items():
            if not (value is None or _is_number(value)):
                raise _damaged(path, number, f"its '{name[:50]}' is no finite number")
    return lines


def read_test_looks(path: Path) -> list[dict[str, Any]]:
    """Read the lines of ``test-looks.jsonl``; an unfinished last line is left out.

    Raises:
        RunError: If it cannot be read, or holds other lines than a run writes.
    """
    lines = read_json_lines(path)
    for number, line in enumerate(lines, start=1):
        for name in ("time", "command"):
            if not isinstance(line.get(name), str):
                raise _damaged(path, number, f"it does not say its '{name}'")
    return lines


def _is_number(value: Any) -> bool:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return is_number and abs(value) < MOST_TOLD


def _damaged(path: Path, number: int, why: str) -> RunError:
    return RunError(
        f"{path}, line {number}, is damaged: {why}. Restore the file from a copy or remove it."
    )
