"""Whatever labels, texts, tokens and names hold: nothing of it commands the terminal."""

import io
import json
import os
import re
import shutil
import subprocess
import sys
import warnings
from pathlib import Path

import pytest

from thence import Run
from thence.cli.commands import COMMANDS
from thence.cli.main import main
from thence.errors import ThenceWarning
from thence.evaluation.classify import classify
from thence.evaluation.evaluate import evaluate
from thence.generation import sample
from thence.printable import UNSAFE
from thence.training import train

from .conftest import SMALL

EVIL = "\x1b]52;c;eA==\x07\x9b31m\x7f\u202e\x0bx"
OURS = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\r")
"""Colours, movements and a hidden cursor, as our progress bars send them."""

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore:Glyph")]


class Screen(io.StringIO):
    """A terminal that keeps what it is sent."""

    def isatty(self) -> bool:
        return True

    def unsafe(self) -> list[str]:
        return UNSAFE.findall(OURS.sub("", self.getvalue()))


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with texts and runs that are full of escapes, their names too."""
    folder = tmp_path_factory.mktemp("evil") / f"folder{EVIL}"
    folder.mkdir()
    (folder / f"text{EVIL}.txt").write_text(f"ab{EVIL}\nba{EVIL} b\nabba\n" * 20)
    rows = [f"{word} {EVIL},{label}{EVIL}" for word in "abc" for label in ("x", "y")]
    (folder / f"table{EVIL}.csv").write_text("\n".join(["text,label", *rows * 5]))
    train(folder / f"text{EVIL}.txt", output=folder / f"mlp{EVIL}", **SMALL)
    pair = json.dumps({"good": f"ab{EVIL}", "bad": f"ba{EVIL}", "paradigm": EVIL})
    (folder / f"pairs{EVIL}.jsonl").write_text(f"{pair}\n")
    hypotheses = [{"id": EVIL, "score": -1, "text": f"{text}{EVIL}"} for text in ("ab", "ba")]
    lines = [f"{json.dumps(one)}\n" for one in hypotheses]
    (folder / f"nbest{EVIL}.jsonl").write_text("".join(lines))
    train(folder / f"text{EVIL}.txt", "ngram", order=2, output=folder / f"counts{EVIL}")
    train(
        folder / f"table{EVIL}.csv", "averaging", label="label", output=folder / f"labels{EVIL}",
        embedding_size=4, buckets=64, batch_size=8, steps=4, threads=1,
    )  # fmt: skip
    return folder


def commands(folder: Path) -> list[list[str]]:
    """Return command lines, each of the commands at least once."""
    mlp, labels = f"mlp{EVIL}", f"labels{EVIL}"
    text, table, new = f"text{EVIL}.txt", f"table{EVIL}.csv", f"new{EVIL}"
    small = [f"--{name.replace('_', '-')}={value}" for name, value in SMALL.items()]
    return [
        ["train", text, *small, "-o", new],
        ["best", text, "--steps", "10", "-o", f"best{EVIL}"],
        ["resume", new],
        ["find-lr", text, *small[:-1], "--rates", "5", "-o", f"{new}.png"],
        ["sweep", "sweep.toml", "--output", f"sweep{EVIL}"],
        ["evaluate", mlp],
        ["evaluate", mlp, text],
        ["evaluate", labels],
        ["evaluate", labels, table, "--json"],
        ["compare", mlp, new],
        ["compare", labels, labels],
        ["mix", mlp, new, "-o", f"mix{EVIL}"],
        ["score", mlp, text, "--tokens"],
        ["score", mlp, text, "--alert", "0.5", "--calibrate-on", text],
        ["pairs", mlp, f"pairs{EVIL}.jsonl"],
        ["surprisal", mlp, text],
        ["examples", text],
        ["look", mlp, f"a{EVIL}\u2029"],
        ["look", labels, f"a{EVIL}"],
        ["rescore", mlp, f"nbest{EVIL}.jsonl"],
        ["prune", f"counts{EVIL}", "--order", "1", "-o", f"small{EVIL}"],
        ["doctor"],
        ["filter", mlp, table, "-o", f"kept{EVIL}.csv", "--above", "1", "--score-column", "p"],
        ["classify", labels, text],
        ["classify", labels, text, "--explain"],
        ["classify", labels, text, "--explain", "--label", f"x{EVIL}"],
        ["classify", labels, text, "--label", EVIL, "--explain"],
        ["similar", mlp, "\x1b"],
        ["next", mlp, f"a{EVIL}\u2029"],
        ["complete", mlp, f"ab{EVIL}"],
        ["fill", mlp, f"ab_{EVIL}"],
        ["sample", mlp],
        ["sample", mlp, "--prefix", EVIL],
        ["serve", f"nowhere{EVIL}"],
        ["report", mlp],
        ["plot", mlp, "--output", f"pictures{EVIL}"],
        ["export", mlp, f"{new}.onnx"],
        ["import", f"text{EVIL}.arpa", "-o", f"imported{EVIL}"],
        ["runs", "."],
        ["runs", ".", "--json"],
        ["data", "list"],
        ["data", "get", f"names{EVIL}"],
        [f"no{EVIL}"],
        ["train", text, f"--{EVIL}"],
        ["train", text, "--lr", EVIL],
        ["train", text, f"--model={EVIL}"],
        ["train", "--config", f"{EVIL}.toml"],
        ["train", f"a{EVIL}.txt"],
        ["evaluate", mlp, f"a{EVIL}\udcff"],
    ]


def test_no_command_sends_what_texts_and_names_hold(place, tmp_path, monkeypatch):
    folder = shutil.copytree(place, tmp_path / place.name)
    monkeypatch.chdir(folder)
    (folder / "sweep.toml").write_text(
        f"text = {json.dumps(f'text{EVIL}.txt')}\n"
        'model = "mlp"\nsteps = 4\nhidden_size = 8\nembedding_size = 3\n[sweep]\ntrials = 2\n'
        "[sweep.space]\nlr = [0.01, 0.1]\n"
    )
    lines = commands(folder)
    assert {line[0] for line in lines} >= {name.split()[0] for name in COMMANDS}
    codes: dict[int | str | None, int] = {}
    for line in lines:
        out, err = Screen(), Screen()
        monkeypatch.setattr(sys, "stdout", out)
        monkeypatch.setattr(sys, "stderr", err)
        code: int | str | None = 0
        try:
            main(line)
        except SystemExit as stop:
            code = stop.code
        assert (out.unsafe(), err.unsafe()) == ([], []), (line, out.getvalue(), err.getvalue())
        assert code in (0, 2), (line, err.getvalue())
        codes[code] = codes.get(code, 0) + 1
    assert codes[0] >= 27, codes


def test_what_a_program_reads_is_exact(place, capsys):
    run = Run(place / f"mlp{EVIL}")
    main(["sample", str(run.folder), "-n", "20", "--prefix", EVIL])
    assert capsys.readouterr().out == "".join(f"{text}\n" for text in sample(
        run, 20, prefix=EVIL).texts)  # fmt: skip
    main(["classify", str(place / f"labels{EVIL}"), str(place / f"text{EVIL}.txt")])
    out = capsys.readouterr().out
    assert not UNSAFE.search(out)
    first = json.loads(out.splitlines()[0])
    assert first["text"] == f"ab{EVIL}" and first["label"][1:] == EVIL


def test_printed_results_are_safe(place):
    labels, mlp = Run(place / f"labels{EVIL}"), Run(place / f"mlp{EVIL}")
    for result in (
        next(iter(classify(labels, "a"))), evaluate(labels), evaluate(mlp), sample(mlp, 5),
    ):  # fmt: skip
        assert not UNSAFE.search(str(result))


def test_a_warning_of_ours_is_one_remark(thence, monkeypatch):
    def warn(*arguments: object) -> None:
        for _ in range(2):
            warnings.warn("This is\x1b odd.", ThenceWarning, stacklevel=2)

    monkeypatch.setattr("thence.cli.main._run", warn)
    outcome = thence("train")
    assert (outcome.code, outcome.out, outcome.err) == (0, "", "This is\\x1b odd.\n")


def test_a_real_terminal_gets_no_escapes():
    pty = pytest.importorskip("pty")
    here, there = pty.openpty()
    done = subprocess.run(
        [sys.executable, "-m", "thence", "evaluate", f"no{EVIL}"], stdout=there, stderr=there
    )
    os.close(there)
    said = os.read(here, 10_000).decode()
    os.close(here)
    assert done.returncode == 2 and "no\\x1b]52" in said
    assert UNSAFE.findall(OURS.sub("", said)) == []


def test_a_bug_in_our_code_prints_no_escapes():
    program = (
        "from thence.cli import main\n"
        "def fail(*arguments): raise ValueError('\\x1b]52')\n"
        "main._run = fail\n"
        "main.main()\n"
    )
    done = subprocess.run([sys.executable, "-c", program, "x"], capture_output=True, text=True)
    assert done.returncode == 1 and "Traceback" in done.stderr
    assert "\\x1b]52" in done.stderr and "\x1b" not in done.stderr
