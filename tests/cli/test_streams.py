"""What happens when standard output goes away or is full."""

import io
import os
import subprocess
import sys
from pathlib import Path

import pytest

from thence.cli import streams

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
        streams.print_text("result")


def test_a_reader_that_has_gone_is_told_apart(monkeypatch):
    class Gone:
        def write(self, text: str) -> None:
            raise BrokenPipeError

        def flush(self) -> None:
            raise BrokenPipeError

    monkeypatch.setattr(sys, "stdout", Gone())
    with pytest.raises(BrokenPipeError):
        streams.print_text("result")
    with pytest.raises(BrokenPipeError):
        streams.finish_output()


def test_any_text_can_be_written(monkeypatch):
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdout", stream)
    monkeypatch.setattr(sys, "stderr", stream)
    streams.prepare_streams()
    streams.print_text("zoë \ud800")
    streams.finish_output()
    assert stream.buffer.getvalue().decode() == "zoë ?\n"


CLOSED = "thence: The results could not be written to standard output: it is closed. "
FULL = "thence: The results could not be written to standard output: No space left on device. "


def shell(redirection: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    line = " ".join([*THENCE, *map(str, arguments), redirection])
    return subprocess.run(["sh", "-c", line], capture_output=True, text=True, check=False)


@pytest.mark.slow
@pytest.mark.sampled
@pytest.mark.parametrize("arguments", ["data list", "train --help"])
@pytest.mark.parametrize("redirection", [">&-", "<&- >&-", ">/dev/full"])
def test_output_that_goes_nowhere_is_a_sentence(arguments, redirection):
    done = shell(redirection, *arguments.split())
    assert done.returncode == 2
    assert done.stderr.startswith(FULL if "full" in redirection else CLOSED)
    assert done.stderr.count("\n") == 1


@pytest.mark.slow
@pytest.mark.parametrize("redirection", ["2>&-", "<&-", "<&- 2>&-", "2>/dev/full"])
def test_what_is_no_result_may_go_nowhere(redirection):
    done = shell(redirection, "data", "list")
    assert (done.returncode, done.stderr) == (0, "") and "given-names" in done.stdout
    done = shell(redirection, "evaluate", "nowhere")
    assert done.returncode == 2 and done.stdout == ""
    assert done.stderr == "" if "2>" in redirection else "nowhere" in done.stderr


def test_all_closed_is_quiet_and_a_failure():
    done = shell("<&- >&- 2>&-", "data", "list")
    assert (done.returncode, done.stdout, done.stderr) == (2, "", "")


@pytest.mark.slow
@pytest.mark.parametrize(
    "command",
    [
        "evaluate RUN", "score RUN TEXT", "sample RUN", "sample RUN --json", "next RUN a",
        "complete RUN a", "fill RUN a___", "compare RUN RUN",
    ],
)  # fmt: skip
def test_every_result_may_find_standard_output_closed(trained, thence, monkeypatch, command):
    monkeypatch.setattr("thence.cli.main.prepare_streams", lambda: None)
    monkeypatch.setattr(sys, "stdout", None)
    names = {"RUN": trained.counts, "TEXT": trained.text}
    outcome = thence(*(names.get(word, word) for word in command.split()))
    assert outcome.code == 2 and outcome.err.splitlines()[-1].startswith(CLOSED), outcome.err


@pytest.mark.slow
def test_training_with_closed_or_full_streams_is_whole(trained, tmp_path):
    for number, redirection in enumerate([">&- 2>&-", "2>/dev/full"]):
        run = tmp_path / f"run-{number}"
        done = shell(
            redirection, "train", trained.text, "--model=bigram-counts", "--no-report", "-o", run
        )
        assert done.returncode == (0 if "full" in redirection else 2)
        assert {path.name for path in run.iterdir()} == {
            path.name for path in trained.counts.iterdir()
        }
        for path in run.rglob("*"):  # Nothing that was said got into a file of the run.
            assert not path.is_file() or b"thence:" not in path.read_bytes()


def test_remarks_may_find_standard_error_closed(monkeypatch):
    monkeypatch.setattr(sys, "stderr", None)
    streams.print_note("nobody hears")
    assert not streams.is_at_terminal()
