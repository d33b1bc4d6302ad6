"""Run folders whose files are not files, lead elsewhere, or hold odd lines."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from thence.runs.files import load_tensors

from .conftest import TRAINED, change_config, change_tensors, uses

pytestmark = pytest.mark.slow

Copy, Refused = Callable[..., Path], Callable[..., str]
Harmless = Callable[..., None]
NAMES = ("config.toml", "tokenizer.json", "model.safetensors", "metrics.jsonl")
KINDS_OF_FILES: dict[str, Callable[[Path], object]] = {
    "folder": lambda path: path.mkdir(),
    "pipe": lambda path: os.mkfifo(path),
    "loop": lambda path: path.symlink_to(path),
    "link to a device": lambda path: path.symlink_to("/dev/zero"),
    "link to nothing": lambda path: path.symlink_to("/nowhere/at/all"),
    "link to a folder": lambda path: path.symlink_to("/"),
    "unreadable": lambda path: path.touch(0),
}


@pytest.mark.sampled
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("make", KINDS_OF_FILES.values(), ids=KINDS_OF_FILES)
def test_what_is_no_file_is_refused(
    copy_of: Copy, refused: Refused, harmless: Harmless, name: str, make: Callable[[Path], object]
) -> None:
    run = copy_of("mlp")
    commands = uses(run)
    (run / name).unlink()
    make(run / name)
    if name == "metrics.jsonl":  # Without it there are no curves; a link to nothing is none.
        harmless("report", run)
        harmless("plot", run, "--output", run / "pictures")
        return
    for command in (*commands, ("resume", run)):
        refused(*command)


@pytest.mark.parametrize("make", KINDS_OF_FILES.values(), ids=KINDS_OF_FILES)
def test_checkpoints_that_are_no_files_are_refused(
    copy_of: Copy, refused: Refused, harmless: Harmless, make: Callable[[Path], object]
) -> None:
    run = copy_of("mlp")
    (run / "last" / "checkpoint.safetensors").unlink()
    make(run / "last" / "checkpoint.safetensors")
    harmless("resume", run, "--no-report")
    harmless("report", run)


def test_folders_in_a_loop_are_refused(tmp_path: Path, refused: Refused) -> None:
    (tmp_path / "a").symlink_to(tmp_path / "b")
    (tmp_path / "b").symlink_to(tmp_path / "a")
    refused("evaluate", tmp_path / "a")


@pytest.mark.parametrize("target", ["/dev/zero", "/dev/stdin", "pipe", "-", "/proc/self/mem", "/"])
@pytest.mark.parametrize("name", ["text", "dev"])
def test_texts_elsewhere_are_refused(
    copy_of: Copy, refused: Refused, tmp_path: Path, name: str, target: str
) -> None:
    if target == "/" and name == "text":
        target = "/proc/self/fd"
    run = copy_of("mlp")
    os.mkfifo(tmp_path / "pipe")
    os.mkfifo(run / "text")
    path = str(tmp_path / "pipe") if target == "pipe" else target
    if name == "dev" and target in ("-", "/"):
        return

    def put(config: dict[str, Any]) -> None:
        if name == "text":
            config["text"] = path
        else:
            config["splitting"]["dev"] = path

    change_config(run, put)
    refused("evaluate", run)
    shutil.rmtree(run / "last")  # A finished run has no need of its text to be resumed.
    refused("resume", run)


LINES = {
    "binary": bytes(range(256)) + b"\n",
    "not JSON": b"{\n",
    "a list": b"[]\n",
    "a number": b"3\n",
    "deep": b"[" * 100_000 + b"\n",
    "nothing": b"{}\n{}\n",
    "odd types": b'{"step": "a", "seconds": [], "train_nats_per_token": {}}\n' * 3,
    "no numbers": b'{"step": 1, "seconds": NaN, "tokens": 3, "train_nats_per_token": NaN}\n' * 3,
    "many digits": b'{"step": ' + b"9" * 10_000 + b"}\n",
    "large": b'{"step": 1e999, "seconds": 1e999, "train_nats_per_token": -1e999}\n' * 3,
    "nulls": b'{"step": null, "seconds": null, "tokens": null}\n' * 3,
    "truths": b'{"step": true, "seconds": true, "tokens": true}\n' * 3,
    "odd dev": b'{"step": 1, "seconds": 1, "tokens": 1, "train_nats_per_token": 1, '
    b'"dev_nats_per_token": "x"}\n' * 3,
    "long": b'{"step": 1, "more": "' + b"x" * 1_000_000 + b'"}\n',
}


@pytest.mark.sampled
@pytest.mark.filterwarnings("ignore::UserWarning")  # Of axes that are not finite.
@pytest.mark.parametrize("content", LINES.values(), ids=LINES)
@pytest.mark.parametrize("kind", ["mlp", "averaging", "ngram"])
def test_odd_metrics_do_no_harm(
    copy_of: Copy, harmless: Harmless, kind: str, content: bytes
) -> None:
    run = copy_of(kind)
    (run / "metrics.jsonl").write_bytes(content)
    (run / "test-looks.jsonl").write_bytes(content)
    harmless("report", run)
    harmless("plot", run, "--output", run / "pictures")
    harmless("evaluate", run, "--split", "test")
    harmless("resume", run, "--no-report")


def test_a_line_of_100_megabytes_does_no_harm(copy_of: Copy, harmless: Harmless) -> None:
    run = copy_of("mlp")
    for content in (b"x" * 100_000_000 + b"\n", b'{"a": "' + b"x" * 100_000_000 + b'"}\n'):
        (run / "metrics.jsonl").write_bytes(content)
        harmless("report", run)


COUNTERS: tuple[tuple[str, Any], ...] = (
    ("step", "a"), ("step", -1), ("step", 1.5), ("step", 10**30), ("step", None), ("step", [1]),
    ("tokens", float("nan")), ("seconds", -1.0), ("seconds", float("inf")), ("best_dev", "x"),
    ("best_dev", float("nan")), ("stale", -5), ("looks", 10**40), ("halvings", -(10**6)),
    ("loss_weight", float("nan")), ("metrics_bytes", -5), ("metrics_bytes", 10**30),
    ("finished", "yes"), ("evil", 1), ("run", 3), ("run", None),
)  # fmt: skip


@pytest.mark.parametrize(("name", "value"), COUNTERS)
def test_odd_counters_are_refused(copy_of: Copy, refused: Refused, name: str, value: Any) -> None:
    run = copy_of("mlp")
    path = run / "last" / "checkpoint.safetensors"
    change_tensors(path, lambda tensors, about: about.update({name: value}))
    assert "checkpoint.safetensors" in refused("resume", run)


WRONG: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "flat": lambda value: value.reshape(-1)[:, None],
    "scalar": lambda value: np.zeros((), value.dtype),
    "empty": lambda value: np.zeros((0, *value.shape[1:]), value.dtype),
    "none but long": lambda value: np.zeros((1 << 50, 0), value.dtype),
    "negative": lambda value: (-1 - np.abs(value.astype(np.int64))).astype(value.dtype),
    "no numbers": lambda value: value.astype(np.float32) * np.float32(np.nan),
    "bytes": lambda value: value.astype(np.uint8),
}


@pytest.mark.sampled
@pytest.mark.parametrize("change", WRONG.values(), ids=WRONG)
@pytest.mark.parametrize("kind", TRAINED)
def test_odd_checkpoints_do_no_harm(
    copy_of: Copy, harmless: Harmless, kind: str, change: Callable[[np.ndarray], np.ndarray]
) -> None:
    run = copy_of(kind)
    path = run / "last" / "checkpoint.safetensors"
    intact = path.read_bytes()
    for name in load_tensors(path)[0]:

        def put(tensors: dict[str, Any], about: dict[str, Any], name: str = name) -> None:
            tensors[name] = change(tensors[name])
            about.update(finished=False, step=2)  # So that training really goes on.

        change_tensors(path, put)
        harmless("resume", run, "--no-report")
        path.write_bytes(intact)
