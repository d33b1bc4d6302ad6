"""What stops a command ends it as a shell expects, and with everything saved."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from thence.runs import Run
from thence.signals import Stopped, exit_code, signals_as_exceptions, stop_on_signals

from .processes import Process

TRAIN = ("--hidden-size=4", "--embedding-size=2", "--context=2", "--batch-size=16", "--threads=1")
ENDLESS = (*TRAIN, "--steps=100000000", "--evaluate-every=50", "--no-report", "--lr=0.001")


def thence(*arguments: object) -> Process:
    return Process("-m", "thence", *arguments)


@pytest.fixture(autouse=True)
def not_under_nohup() -> Iterator[None]:
    """Let SIGHUP end a process, also where the tests run under ``nohup``, which ignores it."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


@pytest.fixture
def text(tmp_path: Path) -> Path:
    path = tmp_path / "text.txt"
    path.write_text("".join(f"{a}{b}{c}\n" for a in "abcde" for b in "xyz" for c in "abcdexy"))
    return path


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_asks_to_stop_and_its_handler_is_restored(number: signal.Signals) -> None:
    before = signal.getsignal(number)
    with stop_on_signals() as stop:
        assert not stop.is_set()
        signal.raise_signal(number)
        assert stop.is_set() and exit_code(stop.number) == 128 + number
    assert signal.getsignal(number) is before


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_is_raised_where_nothing_stops_on_it(number: signal.Signals) -> None:
    before = signal.getsignal(number)
    with pytest.raises(Stopped) as caught, signals_as_exceptions():
        signal.raise_signal(number)
    assert caught.value.number == number
    assert signal.getsignal(number) is before


def test_nohup_is_respected() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with signals_as_exceptions(), stop_on_signals() as stop:
            signal.raise_signal(signal.SIGHUP)
            assert not stop.is_set()
    finally:
        signal.signal(signal.SIGHUP, before)


CLOSE_TERMINAL = """\
import os, pty, sys, time

child, terminal = pty.fork()
if child == 0:
    os.execv(sys.argv[2], sys.argv[2:])
while not os.path.exists(sys.argv[1]):
    time.sleep(0.02)
os.close(terminal)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
"""Runs a command in a terminal of its own, which is closed once a file is there."""


def wait_for(path: Path, process: Process) -> None:
    """Wait until a file is there, or fail where the process has ended."""
    until = time.monotonic() + 120
    while not path.exists():
        assert time.monotonic() < until
        assert process.poll() is None, process.communicate()
        time.sleep(0.02)


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_training_ends_with_the_code_of_its_signal_and_all_saved(
    text: Path, tmp_path: Path, number: signal.Signals
) -> None:
    folder = tmp_path / "run"
    process = thence("train", text, "-o", folder, *ENDLESS)
    wait_for(folder / "last" / "checkpoint.safetensors", process)
    process.send_signal(number)
    _, said = process.communicate(timeout=120)
    assert process.returncode == 128 + number
    assert "all saved. Continue with: thence resume" in said
    assert Run(folder).metrics() and not list(tmp_path.rglob(".*"))


@pytest.mark.slow
def test_a_closed_terminal_ends_a_training_with_all_saved(text: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    command = [sys.executable, "-m", "thence", "train", text, "-o", folder, *ENDLESS]
    checkpoint = folder / "last" / "checkpoint.safetensors"
    helper = list(map(str, [sys.executable, "-c", CLOSE_TERMINAL, checkpoint, *command]))
    assert subprocess.run(helper, timeout=120).returncode == 129
    step = json.loads((folder / "metrics.jsonl").read_text().splitlines()[-1])["step"]
    assert step >= 50
    assert not list(tmp_path.rglob(".*"))


@pytest.mark.slow
def test_the_best_so_far_is_written_whatever_stops_it(text: Path, tmp_path: Path) -> None:
    folder = tmp_path / "best"
    process = thence("best", text, "--steps=100000000", "-o", folder)
    for line in process.stderr:
        if "combined so far" in line:
            break
    process.send_signal(signal.SIGTERM)
    _, said = process.communicate(timeout=120)
    assert process.returncode == 143, said
    assert f"the best so far is saved in {folder}" in said
    assert Run(folder).finished
    assert not list(tmp_path.rglob(".*"))
