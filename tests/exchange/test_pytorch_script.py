"""Runs as scripts of PyTorch: executed, they come to the loss of the run.

Weights, batches and the optimizer's update are the same, so the losses differ only by the order in
which numbers are added: some 1e-7 after a few dozen steps. What the head of a script says is
different (masks of plain dropout, dev of running text in one go) moves the third digit.
"""

import ast
import runpy
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

import thence
from thence.errors import RunError, SettingError
from thence.evaluation.language import LikelihoodReport
from thence.exchange.pytorch_script import fill_template

from .conftest import OTHERWISE

ROUNDING = 2e-5
SMALL = {"hidden_size": 12, "embedding_size": 6, "steps": 20}
ATTENTIVE = {"embedding_size": 8, "heads": 2, "layers": 2, "dropout": 0.0, "steps": 20}
NAMES = [
    first + last
    for first in ("an", "bel", "cla", "dor", "el", "fre", "gun", "hil")
    for last in ("a", "na", "ra", "rina", "sia", "tta", "wig", "zoë", "", "lo", "mar")
]
STREAMS = {"carry_context": True, "window": 8, "batch_size": 4, "by": "position"}
CASES: dict[str, tuple[str, dict[str, Any]]] = {
    "bigram": ("bigram", {"steps": 20}),
    "bigram drawn": ("bigram", {"steps": 5, "initialization": "normal", "optimizer": "sgd"}),
    "mlp": ("mlp", SMALL),
    "mlp lecture": (
        "mlp",
        SMALL | {"initialization": "normal", "optimizer": "sgd", "lr": 0.1, "schedule": "constant"},
    ),
    "mlp untrained": ("mlp", SMALL | {"steps": 0, "initialization": "normal", "context": 2}),
    "mlp shuffled": ("mlp", SMALL | {"context": 6, "batch_size": 64, "layers": 2, "direct": True}),
    "mlp linear": ("mlp", {"layers": 0, "context": 2, "steps": 20, "optimizer": "sgd"}),
    "mlp decays": (
        "mlp",
        SMALL
        | {"weight_decay": 0.1, "schedule": "step", "evaluate_every": 7, "activation": "relu"},
    ),
    "mlp whole contexts": ("mlp", SMALL | {"whole_contexts": True}),
    "mlp whole contexts shuffled": ("mlp", SMALL | {"whole_contexts": True, "context": 4}),
    "rnn": ("rnn", SMALL | {"clip": 0.5}),
    "lstm": ("lstm", SMALL | {"layers": 2, "input_dropout": 0.1, "patience": 1}),
    "lstm windows": ("lstm", SMALL | {"window": 5, "schedule": "inverse-time"}),
    "lstm words": ("lstm", SMALL | STREAMS | {"tokens": "words", "max_size": 20}),
    "gru": ("gru", SMALL | {"tied": True, "schedule": "plateau", "min_count": 2}),
    "gru bytes": ("gru", SMALL | STREAMS | {"tokens": "bytes", "hidden_size": 6}),
    "transformer": ("transformer", ATTENTIVE),
    "transformer learned": ("transformer", ATTENTIVE | OTHERWISE),
    "transformer windows": ("transformer", ATTENTIVE | {"window": 5, "context": 4}),
    "transformer learned windows": (
        "transformer", ATTENTIVE | {"window": 5, "context": 4, "positions": "learned"}
    ),
    "worse than before": ("bigram", {"steps": 5, "lr": 50.0, "clip": 1.0}),
    "all of it is train": ("bigram", {"steps": 5, "split": "100/0/0"}),
    "one text": ("mlp", SMALL | {"document": "file", "by": "position", "carry_context": True}),
}  # fmt: skip


@pytest.fixture(autouse=True)
def _torch_as_it_was() -> Iterator[None]:
    threads = torch.get_num_threads()
    with torch.random.fork_rng():
        yield
    torch.set_num_threads(threads)


@pytest.fixture
def names(tmp_path: Path) -> Path:
    path = tmp_path / "names.txt"
    path.write_text("".join(f"{name}\n" for name in NAMES), "utf-8")
    return path


@pytest.fixture
def prose(tmp_path: Path) -> Path:
    path = tmp_path / "prose.txt"
    lines = [" ".join(NAMES[start : start + 7]) + "." for start in range(0, len(NAMES), 2)]
    path.write_text("\n".join(lines), "utf-8")
    return path


def execute(path: Path, monkeypatch: pytest.MonkeyPatch, *arguments: str) -> dict[str, Any]:
    monkeypatch.setattr(sys, "argv", [str(path), *arguments])
    return runpy.run_path(str(path))


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
def test_a_script_comes_to_the_loss_of_the_run(
    names: Path, prose: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, case: str
) -> None:
    model, settings = CASES[case]
    text = prose if settings.get("carry_context") else names
    run = thence.train(text, model, output=tmp_path / "run", **settings)
    path = thence.export(run, tmp_path / "script.py", to="pytorch")
    found = execute(path, monkeypatch)
    losses = [line["dev_nats_per_token"] for line in run.metrics()]
    if losses[0] is None:
        assert "no dev" in path.read_text("utf-8")
        report = thence.evaluate(run, split="train")
        assert isinstance(report, LikelihoodReport)
        losses = [report.nats_per_token]
    assert found["best"] == pytest.approx(min(losses), abs=ROUNDING)
    assert sum(w.numel() for w in found["model"].parameters()) == run.model.num_parameters()


def code_lines(path: Path) -> int:
    """Return the lines on which a statement begins, but for imports and docstrings."""
    statements = [node for node in ast.walk(ast.parse(path.read_text("utf-8")))
                  if isinstance(node, ast.stmt)]  # fmt: skip
    return len({
        node.lineno for node in statements
        if not isinstance(node, ast.Import | ast.ImportFrom)
        and not (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant))
    })  # fmt: skip


@pytest.mark.parametrize(
    ("model", "most"), [("bigram", 76), ("mlp", 83), ("gru", 87), ("transformer", 108)]
)
def test_a_script_is_short_and_needs_no_thence(
    names: Path, tmp_path: Path, model: str, most: int
) -> None:
    has_hidden = model in ("mlp", "gru")
    settings: dict[str, Any] = {"hidden_size": 12} if has_hidden else {}
    run = thence.train(names, model, output=tmp_path / "run", steps=0, **settings)
    path = thence.export(run, tmp_path / "script.py", to="pytorch")
    text = path.read_text("utf-8")
    assert "import thence" not in text and "from thence" not in text
    assert str(tmp_path) not in text
    assert "$" not in text and "#?" not in text
    assert max(map(len, text.splitlines())) <= 110
    assert code_lines(path) <= most
    assert (tmp_path / "script.txt").read_text("utf-8") == names.read_text("utf-8")


@pytest.mark.slow
def test_another_text_can_be_named(
    names: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run = thence.train(names, "bigram", output=tmp_path / "run", steps=1)
    path = thence.export(run, tmp_path / "script.py", to="pytorch")
    other = tmp_path / "other.txt"
    other.write_text("ab\nba\naab\nbba\nabb\n" * 4, "utf-8")
    assert execute(path, monkeypatch, str(other))["symbols"] == ["a", "b"]
    assert "\ndev: " in capsys.readouterr().out


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"optimizer": "muon"}, "optimizer='muon'"),
        ({"accumulate": 2}, "accumulate=2"),
        ({"softmax": "adaptive"}, "softmax='adaptive'"),
        ({"tokens": "words", "unknown": "bytes", "context": 2}, "unknown='bytes'"),
    ],
)
def test_what_a_script_cannot_say_is_refused(
    names: Path, tmp_path: Path, settings: dict[str, Any], named: str
) -> None:
    run = thence.train(names, "mlp", output=tmp_path / "run", steps=0, **settings)
    with pytest.raises(SettingError, match=named):
        thence.export(run, tmp_path / "script.py", to="pytorch")
    assert not (tmp_path / "script.py").exists()


def test_counts_are_no_network_and_nothing_is_overwritten(names: Path, tmp_path: Path) -> None:
    counts = thence.train(names, "bigram-counts", output=tmp_path / "counts")
    with pytest.raises(RunError, match="bigram-counts"):
        thence.export(counts, tmp_path / "script.py", to="pytorch")
    run = thence.train(names, "bigram", output=tmp_path / "run", steps=0)
    (tmp_path / "script.txt").write_text("mine")
    with pytest.raises(RunError, match=r"script\.txt, which the script would read, exists already"):
        thence.export(run, tmp_path / "script.py")
    assert (tmp_path / "script.txt").read_text() == "mine"
    assert not (tmp_path / "script.py").exists()


def test_the_text_itself_may_stand_beside_the_script(names: Path, tmp_path: Path) -> None:
    names.write_text(names.read_text("utf-8").rstrip("\n"), "utf-8")
    run = thence.train(names, "bigram", output=tmp_path / "run", steps=0)
    before = names.stat()
    assert thence.export(run, tmp_path / "names.py").exists()
    assert names.stat() == before


def test_lines_are_kept_by_facts() -> None:
    template = "a  #? big\nb  #? !big\nc  #? big small\n$size\n"
    assert fill_template(template, {"big": True, "size": 3}) == "a\n3\n"
    assert fill_template(template, {"small": 1, "size": 3}) == "b\n3\n"
