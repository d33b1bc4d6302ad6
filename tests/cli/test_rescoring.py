"""The command that rescores n-best lists."""

from collections.abc import Callable
from pathlib import Path

import pytest

from .conftest import Outcome, Trained

Command = Callable[..., Outcome]


@pytest.fixture
def table(folder: Path) -> Path:
    path = folder / "nbest.tsv"
    path.write_text("1\t-2\taxa\taxa\n1\t-1\tqqq\taxa\n2\t-1\tbxb\tbxb\n", "utf-8")
    return path


def test_hypotheses_in_their_new_order(thence: Command, trained: Trained, table: Path) -> None:
    shown = thence("rescore", trained.counts, table, "--alpha", "1")
    assert shown.code == 0, shown.err
    rows = [line.split("\t") for line in shown.out.splitlines()]
    assert rows[0] == ["id", "score", "text", "reference"]
    assert [(row[0], row[2]) for row in rows[1:]] == [("1", "axa"), ("1", "qqq"), ("2", "bxb")]
    assert "word error rate, before  50.00 %" in shown.err
    assert "word error rate, after   0.00 %" in shown.err
    Path("again.tsv").write_text(shown.out)  # What is printed is such a table again.
    best = thence("rescore", trained.counts, trained.mlp, "again.tsv", "--top", "1")
    assert [line.split("\t")[2] for line in best.out.splitlines()] == ["text", "axa", "bxb"]
    found = thence("rescore", trained.counts, table, "--alpha", "1", "--beta", "0", "--json").json()
    assert found["weights"] == {"alpha": [1.0], "beta": 0.0}
    assert found["utterances"][0]["hypotheses"][0]["text"] == "axa"


def test_one_table_at_a_time(thence: Command, trained: Trained, table: Path) -> None:
    outcome = thence("rescore", trained.counts, table, table)
    assert outcome.code == 2
    assert "One table is rescored at a time; 2 are named" in outcome.err.replace("\n", " ")
    assert "No file of hypotheses is named" in thence("rescore", trained.counts).err
    missing = thence("rescore", trained.counts, "nothing.tsv")
    assert missing.code == 2
    assert "nothing.tsv" in missing.err
