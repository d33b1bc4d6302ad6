"""The page of benchmarks is what the records of measurements say, and these are well made."""

import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from .pages import ROOT

RESULTS = sorted((ROOT / "benchmarks" / "results").glob("*.json"))


def module_at(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module  # Dataclasses look for their module.
    spec.loader.exec_module(module)
    return module


build_benchmarks = module_at(ROOT / "docs" / "build_benchmarks.py")
measuring = module_at(ROOT / "benchmarks" / "measuring.py")


def test_the_page_is_up_to_date() -> None:
    page = build_benchmarks.PAGE.read_text("utf-8")
    assert build_benchmarks.updated(page) == page, "run: make benchmarks-page"
    for path in (build_benchmarks.INSTEAD, build_benchmarks.README):
        rows = path.read_text("utf-8")
        assert "(KenLM)" in rows
        assert build_benchmarks.beside(rows) == rows, "run: make benchmarks-page"


@pytest.mark.parametrize("path", RESULTS, ids=lambda path: path.stem)
def test_records_have_what_the_page_needs(path: Path) -> None:
    for key, record in json.loads(path.read_text("utf-8")).items():
        assert all(record["runs"].values()), key
        assert {"claim", "command", "unit", "date", "cores", "versions"} <= record.keys(), key
        assert record["command"].startswith("python "), key
        if record.get("met") is not None and measuring.GOAL.fullmatch(record["goal"]):
            assert measuring.is_met(record["goal"], record) == record["met"], key


def test_sides_run_in_turn_and_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measuring, "RESULTS", tmp_path)
    order: list[str] = []
    numbers = iter([2.0, 4.0, 3.0, 4.0, 4.0, 4.0])

    def side(name: str) -> Any:
        return lambda: (order.append(name), next(numbers))[1]

    results = measuring.Results("speed", "python benchmarks/speed.py", ("numpy", "no-such-package"))
    both = {"ours": side("ours"), "theirs": side("theirs")}
    results.measure("old", "other", {"ours": side("x")} | {"ours": lambda: 1.0})
    results.measure("sum", "adding up", both, "ms", 1000, goal="ratio <= 0.8", note="why")
    assert order == ["ours", "theirs"] * 3
    kept = json.loads((tmp_path / "speed.json").read_text("utf-8"))
    assert list(kept) == ["old", "sum"]
    assert kept["sum"]["runs"] == {"ours": [2000, 3000, 4000], "theirs": [4000, 4000, 4000]}
    assert kept["sum"]["ratio"] == [0.5, 0.75, 1.0]
    assert kept["sum"]["met"] is True
    assert kept["sum"]["versions"].keys() == {"Python", "thence", "numpy"}
    page = build_benchmarks.updated("# Benchmarks\n", tmp_path)
    row = (
        "| adding up (ms) | 3,000 (2,000 to 4,000) | 4,000 | 0.75 (0.5 to 1) | ratio at most 0.8: "
        "ok | 3 | why |\n"
    )
    assert "## Speed\n" in page
    assert row in page
    assert build_benchmarks.updated(page, tmp_path) == page


@pytest.mark.parametrize(
    ("goal", "met"),
    [
        ("<= 3", True),
        ("= 3", True),
        ("<= 2.9", False),
        (">= 3", True),
        ("ratio >= 2", False),
        ("soon", None),
    ],
)
def test_goals_are_checked_on_medians(goal: str, met: bool | None) -> None:
    assert measuring.is_met(goal, {"runs": {"ours": [9.0, 3.0, 1.0]}, "ratio": [1.5]}) is met


def test_a_program_is_measured_with_its_children() -> None:
    work = "sum(range(10**6)); data = bytearray(10**8); print('done')"
    code = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {work!r}], check=True)"
    found = measuring.command([sys.executable, "-c", code])
    assert found.output == "done\n"
    assert found.seconds > 0
    assert 1e8 < found.peak < 2e8
    with pytest.raises(measuring.subprocess.CalledProcessError):
        measuring.command([sys.executable, "-c", "raise SystemExit(3)"])
