"""``metrics.jsonl``: one JSON line per look at dev, appended as it happens."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from thence.training.files import cannot_write


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
            if self.path.exists():
                os.truncate(self.path, size)
        except OSError as error:
            raise cannot_write(self.path, error) from error

    def append(self, line: Mapping[str, Any]) -> int:
        """Add a line; return the size of the file in bytes."""
        try:
            with self.path.open("ab") as file:
                file.write(json.dumps(line).encode("utf-8") + b"\n")
                file.flush()
                os.fsync(file.fileno())
                return file.tell()
        except OSError as error:
            raise cannot_write(self.path, error) from error
