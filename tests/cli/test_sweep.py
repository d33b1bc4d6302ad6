"""``thence sweep``: what it prints, and what it refuses."""

import sys

import pytest
from rich.console import Console

from thence.cli.sweep import drawn
from thence.sweeps.results import Sweep, Trial
from thence.sweeps.sweep import SweepProgress

from .conftest import LINES

pytest.importorskip("optuna")

RECIPE = """\
text = "text.txt"
model = "mlp"
steps = 5
embedding_size = 2
context = 1
[sweep]
sampler = "grid"
[sweep.space]
hidden_size = [2, 4]
"""


@pytest.fixture
def recipe(folder):
    (folder / "text.txt").write_text("\n".join(LINES) + "\n")
    (folder / "sweep.toml").write_text(RECIPE)
    return "sweep.toml"


@pytest.mark.slow
def test_tables_the_best_and_the_page(thence, recipe):
    done = thence("sweep", recipe)
    assert done.code == 0
    for words in (
        "The best of 2 trials",
        "trial-0000",
        "hidden_size",
        "it cannot be said what matters",
    ):
        assert words in done.out
    assert "runs/sweep-sweep/best, a copy of trial-000" in done.out
    assert "on test" in done.out and "runs/sweep-sweep/sweep.html" in done.out
    assert "trial-0000 of 2: finished, hidden_size 2, dev loss" in done.err
    assert "Next: thence report" in done.err


@pytest.mark.slow
def test_json(thence, recipe):
    found = thence("sweep", recipe, "-o", "out", "--json").json()
    assert [trial["state"] for trial in found["trials"]] == ["finished"] * 2
    assert found["report"] == "out/sweep.html"
    assert found["test"]["test_looks"] == 1
    again = thence("sweep", recipe, "-o", "out", "--json").json()
    assert again == found


def test_without_the_library(thence, recipe, monkeypatch):
    monkeypatch.setitem(sys.modules, "optuna", None)
    done = thence("sweep", recipe)
    assert done.code == 2
    assert "thence sweep needs optuna, which is not installed: pip install" in done.err
    assert "'thence[sweep]'" in done.err


@pytest.mark.parametrize("address", ["nonsense", "postgresql://localhost:1/x", "oracle://x"])
def test_a_database_that_cannot_be_reached(thence, recipe, address, monkeypatch):
    monkeypatch.setattr("thence.sweeps.database.PATIENCE_AT_START", 0.5)
    done = thence("sweep", recipe, "--storage", address)
    assert done.code == 2
    assert "--storage" in done.err and "Traceback" not in done.err


def test_the_table_at_a_terminal(tmp_path):
    trials = (
        Trial(0, {"lr": 0.1}, "finished", 2.0, 2.0, None, 1.5),
        Trial(1, {"lr": 0.2}, "pruned", 3.0, 3.0, None, 0.5),
        Trial(2, {"lr": 1e30}, "failed", reason="too large"),
        Trial(3, {"lr": 0.3}, "running"),
    )
    sweep = Sweep(tmp_path, "token", {"lr": [0.1, 0.2]}, trials)
    console = Console(record=True, width=100, file=sys.stderr)
    console.print(drawn(SweepProgress(sweep, trials[3], "begun", 9, 12.0)))
    shown = console.export_text()
    assert "3 of 9 done; best 2.0000 (trial-0000); 12 s left" in shown
    assert "1e+30" in shown and "pruned" in shown
