"""``thence score --calibrate``: files, texts, and pipes that never end."""

import json
import os
import pty
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from thence.cli.main import main
from thence.cli.texts import documents_as_they_come
from thence.corpus import ReadingOptions
from thence.errors import TextError
from thence.training import train


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of the lines of a made log."""
    folder = tmp_path_factory.mktemp("log")
    lines = [f"GET /{number % 7} in {number % 23} ms" for number in range(1000)]
    (folder / "app.log").write_text("\n".join(lines) + "\n")
    train(folder / "app.log", "ngram", output=folder / "run", order=4)
    return folder / "run"


def test_a_file_and_a_text(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(f"score {run} --calibrate".split())
    assert capsys.readouterr().out.startswith("calibrated on  100 texts of the dev split")
    (tmp_path / "new.log").write_text("GET /1 in 2 ms\nERROR disk full\n\nGET /6 in 22 ms\n")
    main(f"score {run} {tmp_path}/new.log --calibrate".split())
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["text"] for line in lines] == [
        "GET /1 in 2 ms",
        "ERROR disk full",
        "GET /6 in 22 ms",
    ]
    assert lines[1]["more_unusual_than"] == 100 / 101
    assert lines[0]["more_unusual_than"] < 0.99
    main(f"score {run} {tmp_path}/new.log --alert 0.99".split())
    shown = capsys.readouterr()
    assert json.loads(shown.out)["text"] == "ERROR disk full"
    assert shown.err == "1 of 3 texts are more unusual than 99 %.\n"
    main(["score", str(run), "ERROR again", "--calibrate"])
    assert json.loads(capsys.readouterr().out)["more_unusual_than"] == 100 / 101
    with pytest.raises(SystemExit):
        main(f"score {run} {tmp_path}/new.log --alert 0.999".split())
    assert "--alert is 0.999, but 100 texts" in capsys.readouterr().err
    (tmp_path / "usual.log").write_text("ERROR disk full\n" * 30)
    main(f"score {run} {tmp_path}/new.log --calibrate-on {tmp_path}/usual.log".split())
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert lines[1]["more_unusual_than"] == 0
    main(f"score {run} --calibrate --json".split())
    assert json.loads(capsys.readouterr().out)["documents"] == 100


class Slow:
    """A stream that gives a few bytes at a time, as a pipe does."""

    def __init__(self, pieces: list[bytes]) -> None:
        self.pieces = iter(pieces)

    def read1(self, size: int) -> bytes:
        return next(self.pieces, b"")


def test_lines_are_whole_and_none_waits_for_another() -> None:
    pieces = [b"one\ntw", b"o\n", b"\n", "dré".encode()[:-1], b"\xa9\r\n", b"last"]

    def found() -> Iterator[list[str]]:
        for documents in documents_as_they_come(Slow(pieces), ReadingOptions()):
            yield list(documents)

    assert list(found()) == [["one"], ["two"], [], ["dré"], ["last"]]


def test_what_is_before_a_line_that_is_no_text_is_answered() -> None:
    stream = Slow([b"one\ntwo\nthree\n\xff\nfive\n"])
    found = documents_as_they_come(stream, ReadingOptions())
    texts = []
    with pytest.raises(TextError, match="byte 0xff"):
        for documents in found:
            texts += list(documents)
    assert texts == ["one", "two", "three"]


def test_a_log_of_json_lines_is_read_by_its_field() -> None:
    stream = Slow([b'{"level": 1, "message": "on', b'e"}\n{"message": "two"}\n'])
    found = documents_as_they_come(stream, ReadingOptions(column="message"))
    assert [list(documents) for documents in found] == [["one", "two"]]


def started(run: Path, output: int | None = None) -> "subprocess.Popen[bytes]":
    words = [sys.executable, "-m", "thence", "score", str(run), "-", "--alert", "0.99"]
    pipe = subprocess.PIPE
    return subprocess.Popen(
        words, stdin=pipe, stdout=pipe if output is None else output, stderr=pipe, bufsize=0
    )


@pytest.mark.slow
def test_a_pipe_that_never_ends_is_answered_line_by_line_until_ctrl_c(run: Path) -> None:
    with started(run) as process:
        assert process.stdin and process.stdout and process.stderr
        for number in range(3):
            process.stdin.write(b"GET /1 in 2 ms\nERROR number %d\n" % number)
            line = json.loads(process.stdout.readline())  # While the pipe is open.
            assert line["text"] == f"ERROR number {number}"
        process.send_signal(signal.SIGINT)
        rest, said = process.communicate(timeout=60)
        assert (rest, process.returncode) == (b"", 130)
        assert said == b"3 of 6 texts are more unusual than 99 %.\n"


@pytest.mark.slow
def test_a_person_sees_the_line_and_the_end_is_no_error(run: Path) -> None:
    ours, theirs = pty.openpty()
    with started(run, theirs) as process:
        os.close(theirs)
        _, said = process.communicate(b"GET /1 in 2 ms\nERROR \x1b[2J\n", timeout=60)
        assert process.returncode == 0, said
        assert os.read(ours, 1000).decode() == "   99.01 %  ERROR \\x1b[2J\r\n"
    os.close(ours)
