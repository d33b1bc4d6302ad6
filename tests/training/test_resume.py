"""A training that is stopped anywhere and resumed ends as if it had never been stopped."""

import os
import random
import shutil
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from thence.errors import RunError, TextError
from thence.locks import BusyError, locked
from thence.models.registry import families
from thence.runs import Run
from thence.runs.files import load_tensors
from thence.signals import Interrupted
from thence.training import resume

from ..processes import Process

SmallTrain = Callable[..., Run]

SETTINGS = {
    "adamw, shuffled windows, plateau": {
        "schedule": "plateau",
        "lr": 0.05,
        "patience": 8,
        "weight_decay": 0.1,
        "snapshots": 6,
    },
    "sgd with momentum, stratified contexts": {
        "optimizer": "sgd",
        "momentum": 0.9,
        "lr": 0.5,
        "clip": 0.5,
    },
    "bigram, running text": {"batch_size": 16, "carry_context": True, "schedule": "inverse-time"},
    "lstm, streams cut anew each epoch, moving average": {
        "carry_context": True,
        "vary_windows": True,
        "window": 9,
        "batch_size": 4,
        "average": "ema",
        "ema_decay": 0.9,
        "embedding_dropout": 0.1,
        "weight_drop": 0.2,
    },
    "gru, padded documents in parts, two batches a step": {
        "window": 3,
        "batch_size": 7,
        "accumulate": 2,
        "input_dropout": 0.2,
    },
    "transformer, carried context, sampled softmax": {
        "carry_context": True,
        "vary_windows": True,
        "window": 9,
        "batch_size": 4,
        "context": 10,
        "embedding_size": 8,
        "layers": 2,
        "heads": 2,
        "softmax": "sampled",
        "samples": 5,
    },
    "rnn, triggered average": {
        "carry_context": True,
        "optimizer": "sgd",
        "lr": 0.5,
        "average": "triggered",
        "window": 9,
        "batch_size": 4,
    },
}


MOMENTS = (1, 5, 18)
"""Steps after which a copy of the folder is taken: looks at dev come at every fourth."""


def outcome(folder: Path) -> tuple[Any, ...]:
    """Return everything that a training leaves behind, but for times and what follows them."""
    tensors, counters = load_tensors(folder / "last" / "checkpoint.safetensors")
    for name in ("seconds", "metrics_bytes", "curve_bytes"):
        counters.pop(name)
    metrics, curve = Run(folder).metrics(), Run(folder).curve()
    for line in [*metrics, *curve]:
        line.pop("seconds", None)
    return (
        (folder / "model.safetensors").read_bytes(),
        {name: (value.shape, value.tobytes()) for name, value in tensors.items()},
        counters,
        metrics,
        curve,
        {path.name: path.read_bytes() for path in folder.glob("snapshots/*")},
    )


@pytest.fixture(params=SETTINGS)
def kind(request: pytest.FixtureRequest) -> dict[str, Any]:
    if "shuffled windows" in request.param:
        request.getfixturevalue("shuffled_windows")
    first = request.param.split(",")[0]
    model = first if first in families("language") else "mlp"
    dropout = {"dropout": 0.3, "embedding_dropout": 0.1} if model == "mlp" else {}
    if model in ("rnn", "lstm", "gru"):
        dropout = {"dropout": 0.3, "hidden_size": 8, "embedding_size": 3}
    return {
        "model": model,
        "steps": 20,
        "evaluate_every": 4,
        "split": "60/20/20",
        **dropout,
        **SETTINGS[request.param],
    }


@pytest.mark.parametrize(
    "stops",
    [
        pytest.param((1,), marks=pytest.mark.slow),
        (7, 8),
        pytest.param((4, 19), marks=pytest.mark.slow),
    ],
)
def test_stopped_and_resumed(
    small: SmallTrain, telling: Callable[..., Any], kind: dict[str, Any], stops: tuple[int, ...]
) -> None:
    whole = small("whole", **kind)

    def hear(step: int) -> None:
        if step in stops:
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(Interrupted):
        small(progress=telling(hear), **kind)
    folder = whole.folder.parent / "run"
    for _ in stops[1:]:
        with pytest.raises(Interrupted):
            resume(folder, telling(hear))
    resume(folder)
    assert outcome(folder) == outcome(whole.folder)


@pytest.mark.slow
def test_resumed_from_what_any_moment_leaves(
    small: SmallTrain, telling: Callable[..., Any], kind: dict[str, Any], tmp_path: Path
) -> None:
    # A copy of the folder after a step is what kill -9 would have left there: mostly an old
    # checkpoint with newer metrics, weights and temporary files beside it.
    def copy(step: int) -> None:
        if step in MOMENTS:
            shutil.copytree(tmp_path / "run", tmp_path / f"copy-{step}")

    run = small(progress=telling(copy), **kind)
    for step in MOMENTS:
        folder = tmp_path / f"copy-{step}"
        with (folder / "metrics.jsonl").open("a") as file:
            file.write('{"step": 4}\n{"st')
        with (folder / "curve.jsonl").open("a") as file:
            file.write('{"step": 4}\n{"st')
        (folder / ".model.safetensors.1.tmp").write_bytes(b"half")
        resume(folder)
        assert outcome(folder) == outcome(run.folder)
        assert not list(folder.rglob("*.tmp"))


def test_a_finished_run_is_left_as_it_is(small: SmallTrain) -> None:
    for model in ("mlp", "bigram-counts"):
        run = small(model, model=model)
        before = {path: path.read_bytes() for path in run.folder.rglob("*") if path.is_file()}
        resume(run.folder)
        after = {path: path.read_bytes() for path in run.folder.rglob("*") if path.is_file()}
        assert after == before


def test_a_run_without_checkpoint_begins_at_the_start(small: SmallTrain) -> None:
    for model in ("mlp", "bigram-counts"):
        run = small(model, model=model)
        weights = (run.folder / "model.safetensors").read_bytes()
        for path in run.folder.rglob("*"):
            if path.name not in ("config.toml", "tokenizer.json", "last"):
                path.unlink()
        resume(run.folder)
        assert (run.folder / "model.safetensors").read_bytes() == weights


@pytest.mark.parametrize("model", ["mlp", "bigram-counts"])
def test_a_refused_resume_changes_nothing(small: SmallTrain, model: str) -> None:
    run = small(model=model)
    last = "last/checkpoint.safetensors" if model == "mlp" else "metrics.jsonl"
    (run.folder / last).unlink()  # Or there would be nothing to do.
    (run.folder / ".model.safetensors.new").write_bytes(b"of the training in progress")
    (run.folder / ".model.safetensors.77.tmp").write_bytes(b"of an older one")
    before = {path: path.read_bytes() for path in run.folder.rglob("*") if path.is_file()}
    with locked(run.folder), pytest.raises(BusyError, match="is being trained by another process"):
        resume(run.folder)
    after = {path: path.read_bytes() for path in run.folder.rglob("*") if path.is_file()}
    assert after == before
    resume(run.folder)
    assert not list(run.folder.glob(".*"))


def test_a_training_holds_its_folder_from_the_first_step_on(
    small: SmallTrain, telling: Callable[..., Any], tmp_path: Path
) -> None:
    refused = []

    def resume_it(step: int) -> None:
        for again in (lambda: resume(tmp_path / "run"), lambda: small()):
            with pytest.raises(RunError) as caught:
                again()
            refused.append(str(caught.value))

    run = small(steps=2, progress=telling(resume_it))
    assert "is being trained by another process; wait for it." in refused[0]
    assert "exists already" in refused[1]
    assert run.finished


def test_the_name_of_a_run_is_held_while_its_text_is_read(
    small: SmallTrain, monkeypatch: pytest.MonkeyPatch
) -> None:
    def reading(recipe: object, source: str) -> None:
        with pytest.raises(BusyError, match="run is being made by another process"):
            small()
        raise TextError("read")

    monkeypatch.setattr(sys.modules["thence.training.train"], "load_data", reading)
    with pytest.raises(TextError, match="read"):
        small()


def test_what_is_no_run_cannot_be_resumed(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="There is no run"):
        resume(tmp_path / "none")


CHILD = """
import sys, time
from contextlib import contextmanager
from thence.training import resume, train

class Slow:
    def on_step(self, step, tokens, share):
        time.sleep(float(pause))
    def on_evaluation(self, metrics):
        pass

@contextmanager
def slow(name):
    yield Slow()

text, folder, new, pause = sys.argv[1:]
if new == "new":
    train(text, model="mlp", output=folder, progress=slow, context=3, hidden_size=8, dropout=0.3,
          embedding_size=3, batch_size=16, steps=400, evaluate_every=10, checkpoint_seconds=0,
          lr=0.02)
else:
    resume(folder, slow)
"""


@pytest.mark.slow
def test_killed_at_random_moments(text: Path, tmp_path: Path) -> None:
    def start(folder: Path, new: bool, pause: float = 0.01) -> Process:
        return Process("-c", CHILD, text, folder, "new" if new else "old", pause)

    def step_of(folder: Path) -> int:
        path = folder / "last" / "checkpoint.safetensors"
        return int(load_tensors(path)[1]["step"]) if path.exists() else 0

    def code_of(process: Process) -> int:
        process.communicate()
        return process.wait()

    assert code_of(start(tmp_path / "whole", True, 0.0)) == 0
    folder, chance = tmp_path / "run", random.Random(0)
    # Before the run folder exists: nothing that could be taken for a run.
    early = start(folder, True)
    early.kill()
    early.communicate()
    assert not folder.exists()
    assert not [path for path in tmp_path.glob(".run*") if (path / "config.toml").exists()]
    steps = [0]
    process = start(folder, True)
    for delay in (0.0, chance.uniform(0, 0.4), 0.0):
        while step_of(folder) <= steps[-1] and process.poll() is None:
            time.sleep(0.001)
        time.sleep(delay)
        process.kill()
        process.communicate()
        steps.append(step_of(folder))
        process = start(folder, False, 0.01 if len(steps) < 4 else 0.0)
    assert code_of(process) == 0
    # Every kill but perhaps the last ones came in the middle, each further on than the one before.
    assert 0 < steps[1] < steps[2] < 400, steps
    assert outcome(folder) == outcome(tmp_path / "whole")
    assert not list(folder.rglob("*.tmp"))
