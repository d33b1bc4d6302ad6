import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import save

from thence.errors import RunError
from thence.runs.files import DTYPES, load_tensors, refuse_links, save_tensors

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


@pytest.mark.parametrize("mapped_from", [None, 0])
def test_tensors_come_back_as_they_were(tmp_path: Path, mapped_from: int | None) -> None:
    # A scalar stays a scalar: as a vector of one, no checkpoint could be taken up again.
    save_tensors(tmp_path / "file", TENSORS, METADATA)
    assert same(load_tensors(tmp_path / "file", mapped_from))


def test_the_file_is_that_of_safetensors(tmp_path: Path) -> None:
    tensors = {f"{one}é": np.arange(3).astype(one) for one in DTYPES}
    save_tensors(tmp_path / "file", tensors, METADATA)
    with safe_open(tmp_path / "file", framework="numpy") as file:
        about = file.metadata()
    assert (tmp_path / "file").read_bytes() == save(tensors, about)
    assert load_tensors(tmp_path / "file", 0)[0].keys() == tensors.keys()


def test_large_tensors_are_written_and_read_some_at_a_time(tmp_path: Path) -> None:
    values = np.arange(3_000_000)
    tracemalloc.start()
    try:
        save_tensors(tmp_path / "file", {"values": values}, {})
        found = load_tensors(tmp_path / "file", 0)[0]["values"]
        assert tracemalloc.get_traced_memory()[1] < values.nbytes / 2
    finally:
        tracemalloc.stop()
    assert np.array_equal(found, values)
    with pytest.raises(ValueError, match="read-only"):
        found[0] = 1


@pytest.mark.parametrize(
    "bit", [0, pytest.param(3, marks=pytest.mark.slow), pytest.param(7, marks=pytest.mark.slow)]
)
@pytest.mark.parametrize("mapped_from", [None, 0])
def test_every_flipped_byte_is_refused_or_harmless(
    tmp_path: Path, bit: int, mapped_from: int | None
) -> None:
    path = tmp_path / "file"
    save_tensors(path, TENSORS, METADATA)
    intact = path.read_bytes()
    for place in range(len(intact)):
        damaged = bytearray(intact)
        damaged[place] ^= 1 << bit
        path.write_bytes(damaged)
        try:
            assert same(load_tensors(path, mapped_from)), place
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


def test_links_below_a_folder_are_refused_and_the_folder_itself_may_be_one(tmp_path: Path) -> None:
    (tmp_path / "run" / "last").mkdir(parents=True)
    (tmp_path / "chosen").symlink_to(tmp_path / "run")
    refuse_links(tmp_path / "chosen")
    (tmp_path / "run" / "last" / "deep").symlink_to("/nowhere")
    with pytest.raises(RunError, match="last/deep is a link"):
        refuse_links(tmp_path / "chosen")
