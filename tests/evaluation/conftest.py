"""Count models small enough to work out by hand."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from thence.runs import Run
from thence.training import train


@pytest.fixture
def counted(tmp_path: Path) -> Callable[..., Run]:
    """Train bigram-counts on given documents; dev and test may be given, too."""

    def make(
        documents: Sequence[str] = ("ab", "ab", "b"),
        dev: Sequence[str] = ("ab", "ba"),
        test: Sequence[str] = ("b",),
        name: str = "run",
        **settings: Any,
    ) -> Run:
        files = {}
        for role, lines in (("text", documents), ("dev", dev), ("test", test)):
            path = tmp_path / f"{role}.txt"
            path.write_text("\n".join(lines) + "\n", encoding="utf-8")
            files[role] = path
        settings = {
            "model": "bigram-counts",
            "dev": files["dev"],
            "test": files["test"],
            **settings,
        }
        return train(files["text"], output=tmp_path / name, **settings)

    return make
