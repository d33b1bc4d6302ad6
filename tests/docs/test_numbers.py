"""Numbers in the tables of the documentation come out."""

import re
import shlex
from pathlib import Path

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
