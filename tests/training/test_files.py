import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from thence.errors import RunError
from thence.training.files import clear_leftovers, load_tensors, save_tensors, write_atomically


@contextmanager
def file_size_limit(size: int) -> Iterator[None]:
    """Let no file of this process grow beyond a size: the kernel's own kind of full disk."""
    resource = pytest.importorskip("resource")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_write_makes_folders_and_leaves_nothing_else(tmp_path: Path) -> None:
    write_atomically(tmp_path / "a" / "b", b"one")
    write_atomically(tmp_path / "a" / "b", b"two")
    assert (tmp_path / "a" / "b").read_bytes() == b"two"
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["b"]


def test_a_path_below_a_file_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"old")
    with pytest.raises(RunError, match=r"Cannot write .*file/below.*Choose another place"):
        write_atomically(tmp_path / "file" / "below", b"new")
    assert (tmp_path / "file").read_bytes() == b"old"


@pytest.mark.parametrize("function", ["fsync", "replace"])
def test_a_failure_leaves_what_was_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, function: str
) -> None:
    path = tmp_path / "file"
    write_atomically(path, b"old")

    def full(*arguments: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, function, full)
    with pytest.raises(RunError, match="No space left on device"):
        write_atomically(path, b"new")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_real_limit_leaves_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_atomically(path, b"old")
    with file_size_limit(1000), pytest.raises(RunError, match="File too large"):
        write_atomically(path, bytes(100_000))
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_an_interrupt_leaves_no_temporary_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*arguments: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_atomically(tmp_path / "file", b"new")
    assert list(tmp_path.iterdir()) == []


def test_leftovers_are_cleared_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "last").mkdir()
    kept = [tmp_path / "model.safetensors", tmp_path / ".hidden", tmp_path / "notes.tmp"]
    stray = [tmp_path / ".config.toml.77.tmp", tmp_path / "last" / ".checkpoint.1.tmp"]
    for path in kept + stray:
        path.write_bytes(b"x")
    clear_leftovers(tmp_path)
    assert all(path.exists() for path in kept)
    assert not any(path.exists() for path in stray)


TENSORS = {
    "matrix": np.arange(6, dtype=np.float32).reshape(2, 3),
    "scalar": np.array(1.5),
    "empty": np.zeros((0, 2), np.int64),
    "bytes": np.arange(5, dtype=np.uint8),
    "not contiguous": np.arange(12, dtype=np.float64).reshape(3, 4)[:, ::2],
}
METADATA = {"step": 3, "loss": 0.1, "name": "zoë", "none": None}


def same(found: tuple[dict[str, np.ndarray], dict[str, object]]) -> bool:
    tensors, metadata = found
    return (
        metadata == METADATA
        and tensors.keys() == TENSORS.keys()
        and all(
            tensors[name].dtype == value.dtype
            and tensors[name].shape == value.shape
            and tensors[name].tobytes() == value.tobytes()
            for name, value in TENSORS.items()
        )
    )


def test_tensors_come_back_as_they_were(tmp_path: Path) -> None:
    # A scalar stays a scalar: as a vector of one, no checkpoint could be taken up again.
    save_tensors(tmp_path / "file", TENSORS, METADATA)
    assert same(load_tensors(tmp_path / "file"))


@pytest.mark.parametrize(
    "bit", [0, pytest.param(3, marks=pytest.mark.slow), pytest.param(7, marks=pytest.mark.slow)]
)
def test_every_flipped_byte_is_refused_or_harmless(tmp_path: Path, bit: int) -> None:
    path = tmp_path / "file"
    save_tensors(path, TENSORS, METADATA)
    intact = path.read_bytes()
    for place in range(len(intact)):
        damaged = bytearray(intact)
        damaged[place] ^= 1 << bit
        path.write_bytes(damaged)
        try:
            assert same(load_tensors(path)), place
        except RunError as error:
            assert "is damaged" in str(error)


def test_every_truncation_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "file"
    save_tensors(path, TENSORS, METADATA)
    intact = path.read_bytes()
    for size in range(0, len(intact), 7):
        path.write_bytes(intact[:size])
        with pytest.raises(RunError, match="is damaged"):
            load_tensors(path)


def test_a_missing_file_and_a_folder_are_sentences(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="is missing"):
        load_tensors(tmp_path / "none")
    with pytest.raises(RunError, match="is damaged"):
        load_tensors(tmp_path)
