"""Numbers in the tables of the documentation come out."""

import json
import re
import shlex
from pathlib import Path
from statistics import median

import pytest

import thence
from thence.cli.main import main

from .outputs import is_near
from .pages import ROOT

DOCS = ROOT / "docs"
pytestmark = pytest.mark.skipif(not DOCS.exists(), reason="there is no documentation here")


def rows(page: str, pattern: str) -> list[tuple[str, ...]]:
    text = (DOCS / page).read_text("utf-8") if DOCS.exists() else ""
    return [found.groups() for found in re.finditer(pattern, text, re.M)]


def results() -> list[tuple[str, str, str]]:
    """Return the rows of the table of results: the command, parameters, loss."""
    return rows("reference/results.md", r"^\| `(.*?)`.*\| ([\d,]+) \| ([\d.]+) \|$")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("command", "parameters", "loss"),
    [row for row in results() if "ngram" in row[0] or "counts" in row[0]],
)
def test_results_of_counting(command: str, parameters: str, loss: str, tmp_path: Path) -> None:
    flags = re.sub(r"^(?:thence train given-names|\.\.\.)", "", command)
    run = tmp_path / "run"
    main(["train", "given-names", *shlex.split(flags), "--no-report", "-o", str(run)])
    assert f"{thence.Run(run).model.num_parameters():,}" == parameters
    assert is_near(loss, f"{thence.evaluate(run, 'dev').nats_per_token:.4f}")


def test_results_of_mixtures_and_networks_are_those_of_their_page() -> None:
    shown = (DOCS / "how-to" / "mix.md").read_text("utf-8")
    losses = [loss for command, _, loss in results() if command == "thence mix"]
    losses += [loss for command, _, loss in results() if command == "... --context 5 --epochs 5"]
    ((on_test,),) = rows("reference/results.md", r"^last line has ([\d.]+)")
    assert len(losses) == 3
    for loss in (*losses, on_test):
        assert re.search(rf"\b{loss} (?:\(95 %|  )", shown), loss


@pytest.mark.slow
@pytest.mark.parametrize(
    ("smoothing", "loss"),
    rows("tutorial/3-counting.md", r"^\| `([a-z-]+)`.*\| ([\d.]+|infinite) \|$"),
)
def test_losses_of_smoothings(smoothing: str, loss: str, tmp_path: Path) -> None:
    run = thence.train("given-names", "ngram", smoothing=smoothing, output=tmp_path / "run")
    nats = thence.evaluate(run, "dev").nats_per_token
    wanted = loss.replace("infinite", "inf")
    assert nats == float(wanted) or is_near(wanted, f"{nats:.4f}")


RECORDS = {
    "Penn Treebank, order 5": ("counting", "ptb-5-test", "thence", "KenLM"),
    "scoring a token of it": ("counting", "score", "thence", "KenLM, line by line"),
    "one sentence of it": ("queries", "sentence", "thence", "kenlm"),
    "IMDB reviews": ("classification", "imdb-right", "thence", "fastText, dim 16"),
    "the same: training": ("classification", "imdb-speed", "thence", "fastText, dim 16"),
    "the lectures' `mlp`": ("names", "speed-clock", "thence", "notebook loop"),
    "an LSTM of Penn Treebank": ("training_steps", "lstm", "thence", "plain PyTorch"),
    "a transformer of characters": ("training_steps", "transformer", "thence", "plain PyTorch"),
}
"""Rows of the table of other tools: the record in ``benchmarks/results``, and its sides."""


@pytest.mark.parametrize("row", RECORDS)
def test_other_tools_are_as_their_records_say(row: str) -> None:
    name, claim, *sides = RECORDS[row]
    record = json.loads((ROOT / "benchmarks" / "results" / f"{name}.json").read_text("utf-8"))
    page = (DOCS / "instead.md").read_text("utf-8")
    ((ours, others),) = re.findall(rf"^\| {row}[^|]*\| ([^|]*) \| ([^|]*) \|$", page, re.M)
    shown = re.findall(r"(?<!\()\b[\d.]+(?= |$)", f"{ours} {others}")[: len(sides)]
    measured = [median(record[claim]["runs"][side]) for side in sides]
    share = 1e-3 if "%" in ours or "Kneser" in row else 0.1  # A time is another each time.
    assert list(map(float, shown)) == pytest.approx(measured, rel=share)
