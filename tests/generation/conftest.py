"""Small models to draw from."""

from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from thence.runs import Run
from thence.training import train

NETWORK = {
    "hidden_size": 8,
    "embedding_size": 3,
    "context": 2,
    "batch_size": 16,
    "steps": 30,
    "threads": 1,
    "lr": 0.05,
}


@pytest.fixture
def trained(tmp_path: Path) -> Callable[..., Run]:
    """Train a model on 45 lines of three letters, or on given lines."""

    def make(model: str = "bigram-counts", lines: Any = None, **settings: Any) -> Run:
        text = tmp_path / "text.txt"
        lines = lines or ["".join(letters) for letters in product("abc", "xyz", "abcxy")]
        text.write_text("\n".join(lines) + "\n", encoding="utf-8")
        given = {**(NETWORK if model == "mlp" else {}), "split": "100/0/0", **settings}
        return train(text, model, output=tmp_path / "run", **given)

    return make
