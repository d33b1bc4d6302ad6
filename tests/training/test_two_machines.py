"""Two groups of processes, as on two machines, meet and train as one, or say why they cannot."""

import os
import shutil
import signal
import socket
import time
from pathlib import Path
from typing import Any

import pytest

from thence.runs import Run
from thence.training import train

from ..processes import COMMANDS, Process

pytestmark = pytest.mark.slow

SETTINGS: dict[str, Any] = {
    "hidden_size": 8, "embedding_size": 4, "dropout": 0.0, "batch_size": 5, "window": 7,
    "steps": 12, "evaluate_every": 4, "split": "70/30/0", "by": "position", "threads": 1,
}  # fmt: skip


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return int(listening.getsockname()[1])


def agents(folders: list[Path], arguments: list[str], *flags: str) -> list[Process]:
    """Start ``torchrun`` in each folder as on a machine of its own; they meet on one port."""
    meeting = ["--rdzv-backend=c10d", f"--rdzv-endpoint=127.0.0.1:{free_port()}", "--rdzv-id=test"]
    launcher = ["-m", "torch.distributed.run", f"--nnodes={len(folders)}", "--nproc-per-node=1"]
    words = [*launcher, *meeting, *flags, "--no-python", "--", COMMANDS / "thence", *arguments]
    return [Process(*words, folder=folder, own_group=True) for folder in folders]


def workers(folders: list[Path], arguments: list[str]) -> list[Process]:
    """Start only the processes that ``torchrun`` would start: two on machines of their own."""
    shared = {
        "WORLD_SIZE": "2", "GROUP_WORLD_SIZE": "2",
        "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port()),
    }  # fmt: skip
    return [
        Process(
            "-m", "thence", *arguments, folder=folder, environment={**shared, "RANK": str(rank)}
        )
        for rank, folder in enumerate(folders)
    ]


def ended(started: list[Process]) -> list[tuple[int, str]]:
    """Wait for all; return how each ended, and what it said."""
    try:
        said = [process.communicate(timeout=240)[1] for process in started]
    finally:
        for process in started:
            process.terminate()  # Upon which torchrun ends those that it has started.
    return [(process.returncode, text) for process, text in zip(started, said, strict=True)]


def worker_of(agent: Process) -> int:
    """Return the number of the process that an agent has started."""
    children = Path(f"/proc/{agent.pid}/task/{agent.pid}/children")
    return int(children.read_text().split()[0])


def kill_midway(agent: Process, folder: Path) -> None:
    """Kill the worker of an agent when a checkpoint is there."""
    until = time.monotonic() + 120
    while not (folder / "last").exists():
        assert agent.poll() is None, agent.communicate()
        assert time.monotonic() < until
        time.sleep(0.02)
    os.kill(worker_of(agent), signal.SIGKILL)


@pytest.fixture
def machines(text: Path, tmp_path: Path) -> list[Path]:
    """Two folders, each with the text."""
    folders = [tmp_path / "first", tmp_path / "second"]
    for folder in folders:
        folder.mkdir()
        shutil.copyfile(text, folder / "text.txt")
    return folders


def flags(**settings: Any) -> list[str]:
    merged = {**SETTINGS, **settings}
    return [f"--{name.replace('_', '-')}={value}" for name, value in merged.items()]


def losses(run: Run) -> list[float]:
    names = ("train_nats_per_token", "dev_nats_per_token")
    return [line[name] for line in run.metrics() for name in names]


def test_two_machines_train_as_one(machines: list[Path], tmp_path: Path) -> None:
    alone = train(machines[0] / "text.txt", "lstm", output=tmp_path / "alone", **SETTINGS)
    shared = tmp_path / "shared"
    arguments = ["train", "text.txt", "--model=lstm", "-o", str(shared), "--no-report", *flags()]
    for code, said in ended(workers(machines, arguments)):
        assert code == 0, said
    assert losses(Run(shared)) == pytest.approx(losses(alone), rel=1e-4)


def test_another_text_is_said_by_both(machines: list[Path], tmp_path: Path) -> None:
    (machines[1] / "text.txt").write_text("another text\nof some lines\n" * 9)
    arguments = ["train", "text.txt", "--model=lstm", "-o", str(tmp_path / "shared"), *flags()]
    for code, said in ended(workers(machines, arguments)):
        assert code == 2
        assert "is not the same on all machines" in said
    assert not (tmp_path / "shared").exists()


def test_a_missing_text_is_said_by_both(machines: list[Path], tmp_path: Path) -> None:
    (machines[1] / "text.txt").unlink()
    arguments = ["train", "text.txt", "--model=lstm", "-o", str(tmp_path / "shared"), *flags()]
    for code, said in ended(workers(machines, arguments)):
        assert code == 2
        assert "text.txt" in said and "Traceback" not in said
    assert not (tmp_path / "shared").exists()


def test_a_run_folder_that_one_does_not_see(machines: list[Path]) -> None:
    arguments = ["train", "text.txt", "--model=lstm", "-o", "own", *flags()]
    for code, said in ended(workers(machines, arguments)):
        assert code == 2
        assert "does not see the run folder own of the first process" in said
    assert not any((folder / "own").exists() for folder in machines)


def test_a_killed_process_ends_the_others_soon(machines: list[Path], tmp_path: Path) -> None:
    shared = tmp_path / "shared"
    arguments = ["train", "text.txt", "--model=lstm", "-o", str(shared), *flags(steps=10**6)]
    started = agents(machines, arguments)
    kill_midway(started[1], shared)
    first, second = ended(started)  # In the time allowed there; PyTorch would wait half an hour.
    assert first[0] != 0 and second[0] != 0
    assert "has ended, or its machine cannot be reached" in first[1] + second[1]
    assert (shared / "last").exists()


def test_a_killed_process_is_restarted(machines: list[Path], tmp_path: Path) -> None:
    steps = {"steps": 800, "evaluate_every": 80}
    alone = train(
        machines[0] / "text.txt", "lstm", output=tmp_path / "alone", **{**SETTINGS, **steps}
    )
    shared, text = tmp_path / "shared", machines[0] / "text.txt"
    arguments = ["train", str(text), "--model=lstm", "-o", str(shared), "--no-report"]
    started = agents(machines, [*arguments, *flags(**steps)], "--max-restarts=2")
    kill_midway(started[1], shared)
    for code, said in ended(started):
        assert code == 0, said
    assert losses(Run(shared)) == pytest.approx(losses(alone), rel=1e-2)
