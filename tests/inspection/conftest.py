"""Runs small enough to work out by hand."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from thence.runs import Run
from thence.training import train


@pytest.fixture
def counted(tmp_path: Path) -> Callable[..., Run]:
    """Train a model of counts on given documents, with others as dev."""

    def make(
        documents: Sequence[str] = ("ab", "ab", "b"),
        dev: Sequence[str] = ("ab", "ba"),
        name: str = "run",
        **settings: Any,
    ) -> Run:
        files = {}
        for role, lines in (("text", documents), ("dev", dev), ("test", ["b"])):
            files[role] = tmp_path / f"{name}-{role}.txt"
            files[role].write_text("\n".join(lines) + "\n", encoding="utf-8")
        given = {"model": "bigram-counts", "dev": files["dev"], "test": files["test"]}
        return train(files["text"], output=tmp_path / name, **{**given, **settings})

    return make


@pytest.fixture(scope="session")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Run]:
    """Networks after one step, each trained once."""
    folder = tmp_path_factory.mktemp("networks")
    kept: dict[str, Run] = {}

    def run(model: str, **settings: Any) -> Run:
        key = f"{model}{settings}"
        if key not in kept:
            (folder / "text.txt").write_text("abc\nbca\nabcab\n" * 9)
            small = {"steps": 1, "embedding_size": 8, **settings}
            kept[key] = train(
                folder / "text.txt", model=model, output=folder / f"run{len(kept)}", **small
            )
        return kept[key]

    return run
