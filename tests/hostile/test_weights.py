"""Weights files that are damaged, or made to do harm, checksum and all."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from thence.errors import RunError
from thence.runs import Run
from thence.runs.files import load_tensors

from .conftest import KINDS, change_tensors, limited, numbers, uses, write_raw

pytestmark = pytest.mark.slow

Copy, Refused = Callable[..., Path], Callable[..., str]
DAMAGED = "is damaged"


def opened(run: Path) -> Any:
    return Run(run).load()


def assert_refused(run: Path, why: str) -> None:
    with limited(), pytest.raises(RunError, match=why):
        opened(run)


@pytest.mark.parametrize("kind", KINDS)
def test_truncations_are_refused(copy_of: Copy, refused: Refused, kind: str) -> None:
    run = copy_of(kind)
    path = run / "model.safetensors"
    intact = path.read_bytes()
    header = 8 + int.from_bytes(intact[:8], "little")
    for size in (0, 1, 7, 8, 9, header // 2, header - 1, header, header + 1, len(intact) - 1):
        path.write_bytes(intact[:size])
        assert_refused(run, DAMAGED)
    assert DAMAGED in refused("evaluate", run)
    path.write_bytes(intact + b"\0")
    assert_refused(run, DAMAGED)


@pytest.mark.parametrize("kind", KINDS)
def test_flipped_bits_are_refused(copy_of: Copy, kind: str) -> None:
    run = copy_of(kind)
    path = run / "model.safetensors"
    intact = path.read_bytes()
    expected, told = load_tensors(path)
    header = 8 + int.from_bytes(intact[:8], "little")
    flips = [(place, bit) for place in range(8) for bit in range(8)]
    flips += [(place, place % 8) for place in range(8, header, max(1, header // 150))]
    flips += [(place, place % 8) for place in range(header, len(intact), len(intact) // 60)]
    for place, bit in flips:
        damaged = bytearray(intact)
        damaged[place] ^= 1 << bit
        path.write_bytes(damaged)
        try:
            with limited():
                found, about = load_tensors(path)
        except RunError as error:
            assert DAMAGED in str(error)
        else:  # Padding between header and data, for example.
            assert about == told and found.keys() == expected.keys()
            assert all(np.array_equal(found[name], expected[name]) for name in found)


ONE = {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}
HEADERS: dict[str, Any] = {
    "nothing": b"",
    "not JSON": b"{" * 100,
    "no object": b"[]",
    "deep": b"[" * 100_000,
    "deep object": b'{"a":' * 50_000,
    "not UTF-8": b"\xff" * 64,
    "huge shape": {"a": {"dtype": "F32", "shape": [1 << 60], "data_offsets": [0, 1 << 62]}},
    "shape overflows": {"a": {"dtype": "F32", "shape": [1 << 40] * 3, "data_offsets": [0, 4]}},
    "no numbers, huge": {"a": {"dtype": "F32", "shape": [0, 1 << 62], "data_offsets": [0, 0]}},
    "outside": {"a": {"dtype": "F32", "shape": [1], "data_offsets": [4, 8]}},
    "overlapping": {"a": ONE, "b": ONE},
    "backwards": {"a": {"dtype": "F32", "shape": [1], "data_offsets": [4, 0]}},
    "negative": {"a": {"dtype": "F32", "shape": [-1], "data_offsets": [0, -4]}},
    "unknown dtype": {"a": {"dtype": "F31", "shape": [1], "data_offsets": [0, 4]}},
    "half dtype": {"a": {"dtype": "BF16", "shape": [2], "data_offsets": [0, 4]}},
    "eighth dtype": {"a": {"dtype": "F8_E4M3", "shape": [4], "data_offsets": [0, 4]}},
    "objects": {"a": {"dtype": "O", "shape": [1], "data_offsets": [0, 4]}},
    "twice": b'{"a":%s,"a":%s}' % ((json.dumps(ONE).encode(),) * 2),
    "no metadata": {"a": ONE},
    "metadata is a list": {"__metadata__": [], "a": ONE},
    "metadata is a number": {"__metadata__": {"thence": "3"}, "a": ONE},
    "metadata is deep": {"__metadata__": {"thence": "[" * 100_000}, "a": ONE},
    "about is a list": {"__metadata__": {"thence": '{"metadata": [1], "sha256": ""}'}, "a": ONE},
    "about is huge": {"__metadata__": {"thence": '{"metadata": {"a": 1' + "0" * 9999 + "}}"}},
}


@pytest.mark.parametrize("header", HEADERS.values(), ids=HEADERS)
def test_made_up_headers_are_refused(copy_of: Copy, refused: Refused, header: Any) -> None:
    run = copy_of("mlp")
    write_raw(run / "model.safetensors", header, bytes(4))
    assert DAMAGED in refused("next", run)
    write_raw(run / "last" / "checkpoint.safetensors", header, bytes(4))
    assert DAMAGED in refused("resume", run)
    assert DAMAGED in refused("report", run)


@pytest.mark.parametrize("size", [1 << 60, 1 << 63, (1 << 64) - 1, 100_000_001, 1 << 31])
def test_headers_of_any_length_are_refused(copy_of: Copy, refused: Refused, size: int) -> None:
    run = copy_of("ngram")
    (run / "model.safetensors").write_bytes(size.to_bytes(8, "little") + b"{}" * 50)
    assert DAMAGED in refused("next", run)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("wrong", [np.nan, np.inf])
def test_weights_that_are_no_numbers_are_refused(
    copy_of: Copy, refused: Refused, kind: str, wrong: float
) -> None:
    run = copy_of(kind)
    path = run / "model.safetensors"
    intact = path.read_bytes()
    for name in numbers(load_tensors(path)[0]):
        if name.endswith("strength"):
            continue  # It is told, and not computed with.

        def put(tensors: dict[str, Any], about: dict[str, Any], name: str = name) -> None:
            tensors[name] = tensors[name].copy()
            tensors[name].reshape(-1)[-1] = wrong

        change_tensors(path, put)
        assert_refused(run, "does not fit the run's config")
        said = refused("evaluate", run)
        path.write_bytes(intact)
    assert "finite" in said or "no numbers" in said or "facts" in said


SHAPES: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "one dimension": lambda value: value.reshape(-1)[:, None],
    "none": lambda value: np.zeros((), value.dtype),
    "empty": lambda value: value[:0] if value.ndim else value[None],
    "longer": lambda value: np.concatenate([value, value]) if value.ndim else value[None],
    "another type": lambda value: value.astype(np.uint8),
    "truths": lambda value: value != 0,
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("change", SHAPES.values(), ids=SHAPES)
def test_weights_of_other_shapes_and_types_are_refused(
    copy_of: Copy, kind: str, change: Callable[[np.ndarray], np.ndarray]
) -> None:
    run = copy_of(kind)
    path = run / "model.safetensors"
    intact = path.read_bytes()
    for name, value in load_tensors(path)[0].items():
        changed = change(value)
        if changed.dtype.kind == "c" or (changed.shape, changed.dtype) == (
            value.shape,
            value.dtype,
        ):
            continue  # Not a type of these files; or nothing was changed.

        def put(tensors: dict[str, Any], about: dict[str, Any], name: str = name) -> None:
            tensors[name] = change(tensors[name])

        change_tensors(path, put)
        try:
            with limited():
                opened(run)
        except RunError as error:
            assert "does not fit the run's config" in str(error)
        else:
            assert name == "strength" or "discounts" in name, name
        path.write_bytes(intact)


@pytest.mark.parametrize("kind", KINDS)
def test_missing_and_more_weights_are_refused(copy_of: Copy, kind: str) -> None:
    run = copy_of(kind)
    path = run / "model.safetensors"
    intact = path.read_bytes()
    for name in load_tensors(path)[0]:
        change_tensors(path, lambda tensors, about, name=name: tensors.pop(name))
        assert_refused(run, "does not fit the run's config")
        path.write_bytes(intact)
    change_tensors(path, lambda tensors, about: tensors.update(more=np.zeros(3, np.float32)))
    assert_refused(run, "does not fit the run's config")


@pytest.mark.sampled
@pytest.mark.filterwarnings("ignore")  # Of overflows, which are no more than what was asked for.
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seed", range(3))
def test_any_numbers_of_the_right_shape_do_no_harm(
    copy_of: Copy, harmless: Callable[..., None], kind: str, seed: int
) -> None:
    run = copy_of(kind)
    rng = np.random.default_rng(seed)

    def shuffle(tensors: dict[str, Any], about: dict[str, Any]) -> None:
        for name, value in tensors.items():
            if value.dtype.kind == "f":
                spread = 10.0 ** rng.integers(0, 30)
                tensors[name] = (rng.standard_normal(value.shape) * spread).astype(value.dtype)
            elif name not in ("kept", "counted"):
                tensors[name] = np.sort(rng.integers(0, 1 << 40, value.shape)).astype(value.dtype)

    change_tensors(run / "model.safetensors", shuffle)
    for command in uses(run):
        harmless(*command)


def test_no_weights_and_no_names(copy_of: Copy, refused: Refused) -> None:
    run = copy_of("mlp")
    write_raw(run / "model.safetensors", {})
    assert DAMAGED in refused("next", run)
    (run / "model.safetensors").unlink()
    assert "is missing" in refused("next", run)
