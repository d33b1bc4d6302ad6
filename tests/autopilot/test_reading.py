"""How much of a text there is time to learn."""

import math
import time
from pathlib import Path

import numpy as np
import pytest

import thence
from thence.autopilot import reading
from thence.autopilot.budget import Budget, process_began
from thence.autopilot.reading import read_text
from thence.errors import TextError
from thence.recipes import make_recipe
from thence.runs import Run

ROWS = [f"{number:04} w{number % 7},{'odd' if number % 2 else 'even'}" for number in range(400)]


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "table.csv"
    path.write_text("\n".join(["text,label", *ROWS]) + "\n")
    return path


def budget_of(seconds: float) -> Budget:
    return Budget(seconds, None, time.monotonic())


def test_all_is_read_where_there_is_time(table: Path) -> None:
    named = make_recipe(table, "linear", {"label": "label"})
    found = read_text(named, {}, {}, budget_of(1e6))
    assert found.data.splits.train is found.splits.train and found.remark == ""


def test_a_part_is_read_where_there_is_not(table: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "PROBED", (200,))  # A tenth of the text.
    named = make_recipe(table, "linear", {"label": "label"})
    found = read_text(named, {}, {}, budget_of(0.0))
    part, whole = found.data.train.num_documents, len(found.splits.train)
    assert 0 < part < 0.3 * whole and found.data.train_labels.names == ("even", "odd")
    assert found.remark.startswith("of the train text only")
    assert len(found.data.splits.dev) == len(found.splits.dev)


def test_running_text_is_learned_from_its_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "PROBED", (300,))
    text = tmp_path / "text.txt"
    text.write_text("\n".join(f"line {number}" for number in range(500)))
    named = make_recipe(text, "ngram", {})
    found = read_text(named, {}, {"carry_context": True, "by": "position"}, budget_of(0.0))
    part = list(found.data.splits.train)
    assert part == list(found.splits.train)[-len(part) :] and len(part) < 100


def test_a_text_without_dev_is_refused() -> None:
    with pytest.raises(TextError, match="dev split, which is empty"):
        read_text(make_recipe("given-names", "ngram", {}), {}, {"split": "90/0/10"}, budget_of(60))


def test_a_run_of_a_part_has_the_hashes_of_all(
    table: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "PROBED", (200,))
    monkeypatch.setattr(reading, "TOKENISING_SHARE", 0.0)
    done = thence.best(table, time="1s", label="label", output=tmp_path / "run")
    assert "for want of time" in done.text
    assert thence.evaluate(Run(done.folder), "dev")  # Which checks that the text is the same.
    assert np.isfinite(done.nats) and math.isclose(sum(one.weight or 0 for one in done.tried), 1)


def test_a_process_began_before_now() -> None:
    assert time.process_time() <= time.monotonic() - process_began() < 3600
