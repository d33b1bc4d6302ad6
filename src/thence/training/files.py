"""Writing files so that nothing is ever half-written, and tensors with a checksum.

Every file is written beside its place, flushed to the disk and then renamed over it, so a kill
or a full disk leaves the old file or the new one. What a kill leaves beside it is hidden, ends in
``.tmp``, is never read, and is cleared away by ``thence resume``.
"""

import errno
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from hashlib import sha256
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from thence.errors import RunError

Array = np.ndarray[Any, np.dtype[Any]]

HEADER = "thence"
"""Name of the one entry of metadata in a safetensors file."""

UNREADABLE = (
    SafetensorError, OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError,
    MemoryError,
)  # fmt: skip
"""What reading a damaged file of tensors may raise."""

TEMPORARY = ".tmp"
"""How the name of a file that is being written ends."""


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file, or leave what was there.

    Raises:
        RunError: If it cannot be written (no permission, disk full).
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}{TEMPORARY}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_through(temporary, content)
        temporary.replace(path)
    except OSError as error:
        raise cannot_write(path, error) from error
    finally:
        with suppress(OSError):  # Renamed already, or its folder could not be made.
            temporary.unlink()


def write_through(path: Path, content: bytes) -> None:
    """Write a file and wait until it is on the disk."""
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def clear_leftovers(folder: Path) -> None:
    """Remove what killed processes left half-written in a run folder."""
    for path in (*folder.glob(f".*{TEMPORARY}"), *folder.glob(f"*/.*{TEMPORARY}")):
        with suppress(OSError):
            path.unlink()


def cannot_write(path: Path, error: OSError) -> RunError:
    """Return the sentence for a path that could not be written."""
    full = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
    way_out = "Free some space" if full else "Choose another place with --output"
    return RunError(
        f"Cannot write {path}: {error.strerror or error}. {way_out}; what was there before is "
        "unchanged, and a training that had begun goes on with thence resume."
    )


def save_tensors(path: Path, tensors: Mapping[str, Array], metadata: Mapping[str, Any]) -> None:
    """Write tensors and JSON metadata as one safetensors file with a checksum.

    Raises:
        RunError: If it cannot be written.
    """
    # Not ascontiguousarray, which would turn a scalar into a vector of one.
    contiguous = {name: np.asarray(value, order="C") for name, value in tensors.items()}
    header = {"metadata": metadata, "sha256": _digest(contiguous, metadata)}
    # One entry only: safetensors writes several in random order, and so never the same file twice.
    write_atomically(path, save(contiguous, {HEADER: json.dumps(header)}))


def check_ordinary(path: Path) -> None:
    """Refuse what is there but neither a file nor a folder: a pipe or a device may never end.

    Raises:
        RunError: If it is such a thing.
    """
    with suppress(OSError):  # Reading says what is wrong.
        if path.exists() and not (path.is_file() or path.is_dir()):
            raise RunError(
                f"{path} is a pipe or a device, not a file; a run reads only files. Restore the "
                "run folder from a copy or train again."
            )


def load_tensors(path: Path) -> tuple[dict[str, Array], dict[str, Any]]:
    """Read what ``save_tensors`` wrote.

    Raises:
        RunError: If the file is missing, truncated, or does not match its checksum.
    """
    check_ordinary(path)
    try:
        with safe_open(path, framework="numpy") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            header = json.loads((file.metadata() or {})[HEADER])
        metadata = dict(header["metadata"])
        intact = header["sha256"] == _digest(tensors, metadata)
    except FileNotFoundError as error:
        raise RunError(f"{path} is missing; training has not come so far yet.") from error
    except UNREADABLE as error:
        raise RunError(
            f"{path} is damaged ({error}); restore it from a copy or train again."
        ) from error
    if not intact:
        raise RunError(
            f"{path} is damaged: its content does not match its checksum. Restore it from a copy "
            "or train again."
        )
    return tensors, metadata


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold a run folder for one process; a killed process lets go of it by itself.

    Raises:
        RunError: If another process holds it.
    """
    try:
        import fcntl
    except ImportError:  # Windows has no such locks; two trainings of one run are not stopped.
        yield
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise RunError(f"{folder} is being trained by another process; wait for it.") from error
        yield
    finally:
        os.close(descriptor)


def load_metadata(path: Path) -> dict[str, Any]:
    """Read only the metadata of what ``save_tensors`` wrote.

    Raises:
        RunError: If the file is missing or damaged.
    """
    check_ordinary(path)
    try:
        with safe_open(path, framework="numpy") as file:
            found: dict[str, Any] = json.loads(file.metadata()[HEADER])["metadata"]
            return dict(found)
    except UNREADABLE as error:
        raise RunError(f"{path} is damaged ({error}); restore it from a copy.") from error


def _digest(tensors: Mapping[str, Array], metadata: Mapping[str, Any]) -> str:
    digest = sha256(json.dumps(metadata, sort_keys=True).encode())
    for name in sorted(tensors):
        value = tensors[name]
        digest.update(f"{name} {value.dtype} {value.shape}".encode())
        digest.update(np.ascontiguousarray(value).data)
    return digest.hexdigest()


def number_of_values(path: Path) -> int:
    """Return how many numbers the tensors of a file hold, reading only its head.

    Raises:
        RunError: If the file is missing or damaged.
    """
    check_ordinary(path)
    try:
        with safe_open(path, framework="numpy") as file:
            names = file.keys()
            return sum(prod(file.get_slice(name).get_shape()) for name in names)
    except UNREADABLE as error:
        raise RunError(f"{path} is damaged ({error}); restore it from a copy.") from error
