"""Reading and writing the files of a run: tensors with a checksum, JSON; no links, no pipes."""

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from hashlib import sha256
from itertools import chain
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open

from thence.atomic import write_atomically
from thence.errors import RunError, SettingError, nearest
from thence.mapped import map_file, release
from thence.models.registry import get_family
from thence.settings import Kind, as_in_file, from_json

Array = np.ndarray[Any, np.dtype[Any]]

MODEL_FILES = (".arpa", ".bin", ".binary", ".klm", ".ftz", ".gz")
"""Suffixes of model files of other programs, which ``thence import`` converts to runs."""
RUNS = Path("runs")
"""Where runs are made unless another folder is named, and where their names are looked for."""
HEADER = "thence"
"""Name of the only metadata entry in our safetensors files; its value is JSON."""

DTYPES = {
    "|b1": "BOOL", "|u1": "U8", "|i1": "I8", "<i2": "I16", "<u2": "U16", "<f2": "F16",
    "<i4": "I32", "<u4": "U32", "<f4": "F32", "<f8": "F64", "<i8": "I64", "<u8": "U64",
}  # fmt: skip
"""Names of NumPy's types in safetensors. Tensors are written by falling index in this table, as the
library safetensors orders them: largest alignment first."""
PART = 1 << 22
"""Bytes of a tensor that are hashed or written in one piece."""

UNREADABLE = (
    SafetensorError, OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError,
    MemoryError,
)  # fmt: skip
"""Errors that reading a damaged file of tensors may raise."""


def save_tensors(
    path: Path,
    tensors: Mapping[str, Array],
    metadata: Mapping[str, Any],
    within: Path | None = None,
) -> None:
    """Write tensors and JSON metadata as one safetensors file with a checksum.

    Args:
        path: The file.
        tensors: By name.
        metadata: Values that JSON can hold.
        within: The run folder, if the file is in a subfolder of it; links there are refused.

    Raises:
        RunError: If it cannot be written.
    """
    # Not ascontiguousarray, which would turn a 0-d array into a 1-d one.
    contiguous = {name: np.asarray(value, order="C") for name, value in tensors.items()}
    about = {"metadata": metadata, "sha256": _digest(contiguous, metadata)}
    rank = {dtype: -place for place, dtype in enumerate(DTYPES)}  # Widest types first.
    names = sorted(contiguous, key=lambda name: (rank[contiguous[name].dtype.str], name))
    header: dict[str, Any] = {"__metadata__": {HEADER: json.dumps(about)}}
    start = 0
    for name in names:
        value = contiguous[name]
        offsets = [start, start := start + value.nbytes]
        kind = DTYPES[value.dtype.str]
        header[name] = {"dtype": kind, "shape": value.shape, "data_offsets": offsets}
    text = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)  # Aligns the tensors to 8 bytes.
    parts = (part for name in names for part in _parts(contiguous[name]))
    write_atomically(path, chain([len(text).to_bytes(8, "little"), text], parts), within)


def refuse_links(folder: Path) -> None:
    """Raise an error if a folder of a run or sweep holds a symbolic link.

    A run from a stranger could make us read any file through a link. The folder itself may be a
    link, since the user named it.

    Raises:
        RunError: Names the link.
        OSError: If the folder cannot be read.
    """
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_symlink():
                raise RunError(
                    f"{entry.path} is a link, which thence puts into no folder: it may lead to any "
                    "file. If you trust it, put a copy of what it leads to in its place; else "
                    "remove it."
                )
            if entry.is_dir():
                with suppress(FileNotFoundError):  # Another process may remove it meanwhile.
                    refuse_links(Path(entry.path))


def check_ordinary(path: Path) -> None:
    """Raise an error for pipes and devices, since reading them may never end.

    Raises:
        RunError: If the path is a pipe or a device.
    """
    with suppress(OSError):  # The read that follows reports it.
        if path.exists() and not (path.is_file() or path.is_dir()):
            raise RunError(
                f"{path} is a pipe or a device, not a file; a run reads only files. Restore the "
                "run folder from a copy or train again."
            )


def load_tensors(
    path: Path, mapped_from: int | None = None
) -> tuple[dict[str, Array], dict[str, Any]]:
    """Read the tensors and the metadata of a file that ``save_tensors`` wrote.

    Args:
        path: The file.
        mapped_from: Size of the file in bytes from which on the tensors are memory-mapped,
            read-only; None: they are always read into memory.

    Raises:
        RunError: If the file is missing, truncated, or does not match its checksum.
    """
    check_ordinary(path)
    try:
        with safe_open(path, framework="numpy") as file:  # Checks the header and the offsets.
            if mapped_from is not None and path.stat().st_size >= mapped_from:
                tensors = _map_tensors(path)
            else:
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            header = json.loads((file.metadata() or {})[HEADER])
        metadata = dict(header["metadata"])
        intact = header["sha256"] == _digest(tensors, metadata)
    except FileNotFoundError as error:
        raise RunError(
            f"{path} is missing: the training has not come so far yet, or the file was deleted. "
            "Resume the training, or restore the file from a copy."
        ) from error
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


def load_metadata(path: Path) -> dict[str, Any]:
    """Read only the metadata of a file that ``save_tensors`` wrote.

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


def _map_tensors(path: Path) -> dict[str, Array]:
    """Return the tensors of a safetensors file, memory-mapped."""
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        header = json.loads(file.read(length))
    header.pop("__metadata__", None)
    dtypes = {called: dtype for dtype, called in DTYPES.items()}
    tensors = {}
    for name, about in header.items():
        dtype, start = np.dtype(dtypes[about["dtype"]]), 8 + length + about["data_offsets"][0]
        found = map_file(path, dtype, prod(about["shape"]), start)
        aligned = found if found.flags.aligned else found.copy()
        tensors[name] = aligned.reshape(about["shape"])
    return tensors


def _parts(value: Array) -> Iterator[memoryview]:
    """Yield the bytes of a tensor in pieces; pages of a memory-mapped one are released after."""
    flat = np.ascontiguousarray(value).reshape(-1).view(np.uint8)
    for start in range(0, len(flat), PART):
        yield flat[start : start + PART].data
        release(flat)


def _digest(tensors: Mapping[str, Array], metadata: Mapping[str, Any]) -> str:
    """Return the SHA-256 of metadata and of the names, types, shapes and values of tensors."""
    digest = sha256(json.dumps(metadata, sort_keys=True).encode())
    for name in sorted(tensors):
        value = tensors[name]
        digest.update(f"{name} {value.dtype} {value.shape}".encode())
        for part in _parts(value):
            digest.update(part)
    return digest.hexdigest()


def number_of_values(path: Path) -> int:
    """Return the total number of elements of a file's tensors, from its header alone.

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


def find_run(folder: str | Path) -> Path:
    """Return the path of a run: ``folder`` if it exists, else ``runs/folder`` if that exists.

    >>> find_run("no-such-run")
    PosixPath('no-such-run')
    """
    path = Path(folder)
    if path.is_absolute() or ".." in path.parts:
        return path
    try:
        return path if path.exists() or not (RUNS / path).exists() else RUNS / path
    except OSError:  # A name that is too long, for example.
        return path


def no_run_message(folder: Path) -> str:
    """Return a message for a folder that is not a run, with a suggestion what was meant."""
    is_model = folder.suffix in MODEL_FILES
    if folder.is_file():
        hint = f" Make a run of it: thence import {folder} --output NAME." if is_model else ""
        return f"{folder} is not a run folder but a file.{hint}"
    if folder.exists():
        own = RUNS / folder
        there = f" There is a run {own}; name that." if (own / "config.toml").exists() else ""
        return f"{folder} is not a run folder: it has no config.toml.{there}"
    is_name = len(folder.parts) == 1
    parents = [parent for parent in (folder.parent, RUNS) if parent.is_dir()]
    names = {item.name for parent in parents[: 1 + is_name] for item in parent.iterdir()}
    known = sorted(name for name in names if not name.startswith("."))
    where = f" here, or in {RUNS}" if is_name and RUNS in parents else ""
    missing = "file" if is_model else "run"
    return f"There is no {missing} {folder}{where}." + nearest(folder.name, known)


def is_finished(folder: Path, model: str) -> bool:
    """Return whether the training of a run is finished; see ``Run.finished``."""
    last = folder / "last" / "checkpoint.safetensors"
    if get_family(model).method != "train":
        return (folder / "model.safetensors").exists()
    return last.exists() and bool(load_metadata(last).get("finished"))


UNUSABLE = (
    ValueError, KeyError, TypeError, AttributeError, IndexError, RecursionError, OverflowError,
)  # fmt: skip
"""Errors that reading the content of a damaged file may raise."""
FORMAT = 1
"""Format number of JSON files of results; files of sweeps do not have it."""
LARGEST = 1 << 28
"""Largest JSON file that is read, in bytes; a sweep of 10,000 trials has about 3 million."""


def read_saved(path: Path, kind: type[Kind], way_out: str, **more: Any) -> Kind:
    """Read a JSON file of results into the dataclass that declares its fields.

    Args:
        path: The file.
        kind: A dataclass based on ``Saved``.
        way_out: Advice for the message if the file is damaged.
        **more: Fields that the file does not hold, such as its folder.

    Raises:
        OSError: If it cannot be read.
        RunError: If it is not a regular file, larger than ``LARGEST``, or damaged.
    """
    try:
        content = read_json(path)
        if isinstance(content, Mapping) and content.get("format", FORMAT) != FORMAT:
            raise RunError(f"{path} was written by another version of thence.")
        return from_json(kind, {**content, **more} if isinstance(content, Mapping) else content)
    except (ValueError, SettingError) as error:
        raise RunError(f"{path} is damaged ({as_in_file(error)}); {way_out}.") from error


def read_json(path: Path) -> Any:
    """Return the content of a JSON file.

    Raises:
        OSError: If it cannot be read.
        RunError: If it is not a regular file, or larger than ``LARGEST``.
        ValueError: If it is not JSON, or nested too deeply.
    """
    check_ordinary(path)
    if path.stat().st_size > LARGEST:
        raise RunError(f"{path} has {path.stat().st_size:,} bytes, which no result has.")
    try:
        return json.loads(path.read_bytes())
    except RecursionError as error:
        raise ValueError("lists within lists without end") from error
