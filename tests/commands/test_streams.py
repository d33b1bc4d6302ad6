"""What happens when standard output goes away or is full."""

import io
import os
import subprocess
import sys
from pathlib import Path

import pytest

from thence.commands import streams

THENCE = [sys.executable, "-m", "thence"]


def test_a_reader_that_has_gone_is_no_error():
    reader, writer = os.pipe()
    os.close(reader)
    try:
        done = subprocess.run(
            [*THENCE, "data", "list"], stdout=writer, stderr=subprocess.PIPE, text=True, check=False
        )
    finally:
        os.close(writer)
    assert (done.returncode, done.stderr) == (141, "")


@pytest.mark.slow
def test_head_of_many_scores_is_quiet(trained, tmp_path):
    text = tmp_path / "long.txt"
    text.write_text(trained.text.read_text() * 100)  # More than any buffer or pipe holds.
    command = f"{sys.executable} -m thence score {trained.counts} {text} | head -1"
    done = subprocess.run(
        ["bash", "-c", f"set -o pipefail; {command}"], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout.count("\n"), done.stderr) == (141, 1, "")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_under_standard_output_is_a_sentence():
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [*THENCE, "data", "list"], stdout=full, stderr=subprocess.PIPE, text=True, check=False
        )
    assert done.returncode == 2
    assert done.stderr == (
        "thence: The results could not be written to standard output: No space left on device. "
        "Free some space or send them elsewhere.\n"
    )


def test_a_write_that_fails_is_a_sentence(monkeypatch):
    class Full:
        def write(self, text: str) -> None:
            raise OSError(28, "No space left on device")

        flush = write

    monkeypatch.setattr(sys, "stdout", Full())
    with pytest.raises(streams.OutputError, match="No space left on device"):
        streams.say("result")


def test_a_reader_that_has_gone_is_told_apart(monkeypatch):
    class Gone:
        def write(self, text: str) -> None:
            raise BrokenPipeError

        def flush(self) -> None:
            raise BrokenPipeError

    monkeypatch.setattr(sys, "stdout", Gone())
    with pytest.raises(BrokenPipeError):
        streams.say("result")
    with pytest.raises(BrokenPipeError):
        streams.finish_output()


def test_any_text_can_be_written(monkeypatch):
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdout", stream)
    monkeypatch.setattr(sys, "stderr", stream)
    streams.prepare_streams()
    streams.say("zoë \ud800")
    streams.finish_output()
    assert stream.buffer.getvalue().decode() == "zoë ?\n"
