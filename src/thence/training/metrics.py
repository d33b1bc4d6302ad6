"""``metrics.jsonl``: one JSON line per look at dev, appended as it happens."""

import json
import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO

from thence.training.files import cannot_write


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
