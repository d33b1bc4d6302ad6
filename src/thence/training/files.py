"""Writing files so that nothing is ever half-written, and tensors with a checksum.

Every file is written beside its place, flushed to the disk and then renamed over it, so a kill
or a full disk leaves the old file or the new one.
"""

import json
import os
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from thence.errors import RunError

Array = np.ndarray[Any, np.dtype[Any]]


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file, or leave what was there.

    Raises:
        RunError: If it cannot be written (no permission, disk full).
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise cannot_write(path, error) from error


def cannot_write(path: Path, error: OSError) -> RunError:
    """Return the sentence for a path that could not be written."""
    return RunError(
        f"Cannot write {path}: {error.strerror or error}. Free some space or choose another "
        "folder with --output; what was there before is unchanged."
    )


def save_tensors(path: Path, tensors: Mapping[str, Array], metadata: Mapping[str, Any]) -> None:
    """Write tensors and JSON metadata as one safetensors file with a checksum.

    Raises:
        RunError: If it cannot be written.
    """
    contiguous = {name: np.ascontiguousarray(value) for name, value in tensors.items()}
    header = {"metadata": json.dumps(metadata), "sha256": _digest(contiguous, metadata)}
    write_atomically(path, save(contiguous, header))


def load_tensors(path: Path) -> tuple[dict[str, Array], dict[str, Any]]:
    """Read what ``save_tensors`` wrote.

    Raises:
        RunError: If the file is missing, truncated, or does not match its checksum.
    """
    try:
        with safe_open(path, framework="numpy") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            header = file.metadata() or {}
        metadata = json.loads(header["metadata"])
        intact = header["sha256"] == _digest(tensors, metadata)
    except FileNotFoundError as error:
        raise RunError(f"{path} is missing; training has not come so far yet.") from error
    except (SafetensorError, OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise RunError(
            f"{path} is damaged ({error}); restore it from a copy or train again."
        ) from error
    if not intact:
        raise RunError(
            f"{path} is damaged: its content does not match its checksum. Restore it from a copy "
            "or train again."
        )
    return tensors, metadata


def _digest(tensors: Mapping[str, Array], metadata: Mapping[str, Any]) -> str:
    digest = sha256(json.dumps(metadata, sort_keys=True).encode())
    for name in sorted(tensors):
        value = tensors[name]
        digest.update(f"{name} {value.dtype} {value.shape}".encode())
        digest.update(np.ascontiguousarray(value).tobytes())
    return digest.hexdigest()
