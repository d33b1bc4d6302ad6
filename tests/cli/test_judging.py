"""The command that judges runs by minimal pairs."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from .conftest import Outcome, Trained, strict_json

Command = Callable[..., Outcome]


@pytest.fixture
def table(folder: Path) -> Path:
    path = folder / "order.tsv"
    rows = ["good\tbad\tphenomenon", "axa\tqqa\twords", "bxa\tbxa\twords", "axb\txxb\torder"]
    path.write_text("\n".join(rows) + "\n")
    return path


def test_table_json_lines_and_picture(thence: Command, trained: Trained, table: Path) -> None:
    shown = thence("pairs", trained.counts, trained.mlp, table, "--picture", "p.svg")
    assert shown.code == 0, shown.err
    assert "3 minimal pairs" in shown.out
    assert "Which is better" in shown.out
    assert "Ties count half" in shown.err
    assert Path("p.svg").read_text().startswith("<?xml")
    found = thence("pairs", trained.counts, table, "--json").json()
    assert found["all"]["pairs"] == 3
    assert [group["name"] for group in found["phenomena"]] == ["words", "order"]
    assert found["phenomena"][0]["runs"][0]["ties"] == 0.5
    lines = thence("pairs", trained.counts, table, "--each").out.splitlines()
    first = strict_json(lines[0])
    assert (first["good"], first["paradigm"], len(lines)) == ("axa", "order", 3)
    assert first["runs"][0]["good"] > first["runs"][0]["bad"]
    paradigms = thence("pairs", trained.counts, table, "--by", "paradigm")
    assert "paradigm " in paradigms.out and "phenomenon" not in paradigms.out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["{text}", "{table}"], "is no run folder. Name one run"),
        (["{run}"], "No file of pairs is named"),
        (["{run}", "{table}", "--picture", "p.jpg"], "must end in .png or .svg"),
        (["{run}", "{table}", "--picture", "{table}"], "must end in"),
        (["{run}", "{run}", "nothing.tsv"], "nothing.tsv"),
        ([], "nothing is no run folder"),
    ],
)
def test_what_cannot_be_judged(
    thence: Command, trained: Trained, table: Path, arguments: list[str], message: str
) -> None:
    names = {"run": trained.counts, "text": trained.text, "table": table}
    outcome = thence("pairs", *(argument.format(**names) for argument in arguments))
    assert outcome.code == 2
    assert message in outcome.err.replace("\n", " ")
    assert json.dumps(outcome.out) == '""'


def test_surprisals_are_a_table(thence: Command, trained: Trained, folder: Path) -> None:
    Path("items.tsv").write_text("condition\ttext\nx\taxa | bx\ny\tbxb | axb\n")
    shown = thence("surprisal", trained.counts, "items.tsv", "--by", "region", "--spillover", 1)
    assert shown.code == 0, shown.err
    header, *rows = (line.split(",") for line in shown.out.splitlines())
    assert header == [
        "condition", "number", "region", "text", "surprisal", "length", "unknown",
        "surprisal_1", "length_1",
    ]  # fmt: skip
    assert [row[0] for row in rows] == ["x", "x", "y", "y"]
    assert rows[1][-2:] == [rows[0][4], "3"]
    assert rows[0][-2:] == ["", ""]
    tabs = thence("surprisal", trained.counts, "-", "--format", "tsv", stdin="axa bxb\n")
    assert tabs.out.splitlines()[0].split("\t")[:3] == ["number", "word", "text"]
    lines = thence("surprisal", trained.counts, "-", "--format", "jsonl", stdin="axa bxb\n")
    assert [strict_json(line)["text"] for line in lines.out.splitlines()] == ["axa", "bxb"]
    refused = thence("surprisal", trained.counts, "items.csv")
    assert (refused.code, refused.out) == (2, "")
