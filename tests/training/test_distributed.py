"""Two processes train as one: the same losses within rounding, one writer, and resume."""

import json
import os
import signal
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from thence.batches import Padded
from thence.runs import Run
from thence.signals import Interrupted
from thence.tokens import TokenStore
from thence.training import train
from thence.training.world import World

from ..processes import COMMANDS, Process

SETTINGS: dict[str, Any] = {
    "hidden_size": 8, "embedding_size": 4, "dropout": 0.0, "batch_size": 5, "window": 7,
    "steps": 12, "evaluate_every": 4, "split": "70/30/0", "by": "position", "threads": 1,
}  # fmt: skip


def flags(settings: dict[str, Any]) -> list[str]:
    return [f"--{name.replace('_', '-')}={value}" for name, value in settings.items()]


def together(processes: int, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """Run ``thence`` in several processes with ``torchrun``."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    launcher = ["-m", "torch.distributed.run", f"--nproc-per-node={processes}"]
    words = [
        *launcher,
        f"--master-port={port}",
        "--no-python",
        "--",
        COMMANDS / "thence",
        *arguments,
    ]
    process = Process(*words)
    out, err = process.communicate(timeout=300)
    return subprocess.CompletedProcess(words, process.wait(), out, err)


def losses(run: Run) -> list[float]:
    names = ("train_nats_per_token", "dev_nats_per_token")
    return [line[name] for line in run.metrics() for name in names]


@pytest.mark.slow
@pytest.mark.parametrize("carry", [True, False])
def test_two_processes_train_as_one(text: Path, tmp_path: Path, carry: bool) -> None:
    alone = train(text, "lstm", output=tmp_path / "alone", carry_context=carry, **SETTINGS)
    carries = "--carry-context" if carry else "--no-carry-context"
    output = str(tmp_path / "two")
    done = together(
        2, "train", str(text), "--model", "lstm", "-o", output, "--json", carries, *flags(SETTINGS)
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["run"] == output  # One of the two speaks.
    both = Run(output)
    assert losses(both) == pytest.approx(losses(alone), rel=1e-4)
    for name, value in alone.model.tensors().items():
        np.testing.assert_allclose(both.model.tensors()[name], value, atol=1e-3)


@pytest.mark.slow
def test_resume_with_another_number_of_processes(
    text: Path, tmp_path: Path, telling: Callable[..., Any]
) -> None:
    settings = {**SETTINGS, "carry_context": True}
    whole = train(text, "gru", output=tmp_path / "whole", **settings)
    folder = tmp_path / "broken-off"
    with pytest.raises(Interrupted, match="Stopped at step 6"):  # In the middle of the stream.
        stop = telling(lambda step: step == 6 and os.kill(os.getpid(), signal.SIGTERM))
        train(text, "gru", output=folder, progress=stop, **settings)
    done = together(2, "resume", str(folder), "--no-report", "--json")
    assert done.returncode == 0, done.stderr
    assert losses(Run(folder)) == pytest.approx(losses(whole), rel=1e-4)


@pytest.mark.slow
def test_an_error_is_said_once(text: Path, tmp_path: Path) -> None:
    (tmp_path / "taken").mkdir()
    done = together(2, "train", str(text), "--model", "lstm", "-o", str(tmp_path / "taken"))
    assert done.returncode != 0
    assert done.stderr.count("exists already and is left as it is") == 1


def test_shares_are_all_rows_once(five_names: TokenStore) -> None:
    batch = Padded(five_names, 5, 99).at(0)
    for size in (1, 2, 3, 7):
        shares = [World(rank, size).shard(batch) for rank in range(size)]
        assert np.array_equal(np.concatenate([share.ids for share in shares]), batch.ids)
        assert {share.weight for share in shares} == {batch.weight}


def test_one_process_alone_changes_nothing() -> None:
    world = World()
    values = [torch.ones(2), torch.zeros(1)]
    world.all_reduce(values)
    assert values[0].tolist() == [1, 1]
    assert world.sum([1.5, 2.0]) == [1.5, 2.0]
    assert world.broadcast("a name") == "a name"
    assert world.gather_rows(values[0], 2) is values[0]


@pytest.mark.slow
def test_the_first_process_writes_the_logs(text: Path, tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    output = tmp_path / "two"
    logs = ["--logs", "tensorboard", "--no-report"]
    done = together(
        2, "train", str(text), "--model", "lstm", "-o", str(output), *logs, *flags(SETTINGS)
    )
    assert done.returncode == 0, done.stderr
    assert len(list((output / "tensorboard").iterdir())) == 1
