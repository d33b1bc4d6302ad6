"""Recipes of tiny sweeps."""

from collections.abc import Callable
from itertools import product
from pathlib import Path

import pytest

pytest.importorskip("optuna")

LANGUAGE = """\
text = {text}
model = "mlp"
context = 2
embedding_size = 3
hidden_size = 8
batch_size = 16
steps = 20
"""
LABELS = """\
text = {text}
model = "averaging"
label = "label"
buckets = 256
embedding_size = 4
split = "60/20/20"
threads = 1
epochs = 4
batch_size = 4
"""


@pytest.fixture
def text(tmp_path: Path) -> Path:
    path = tmp_path / "text.txt"
    path.write_text("\n".join(map("".join, product("abcde", "xyz", "abcdexy"))) + "\n")
    return path


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "text.csv"
    rows = ["a good film,pos", "a bad film,neg", "good and long,pos", "bad and long,neg"] * 10
    path.write_text("\n".join(["text,label", *rows]) + "\n")
    return path


@pytest.fixture
def language(tmp_path: Path, text: Path) -> Callable[[str], Path]:
    """Write the recipe of a sweep over a tiny language model; given is what follows [sweep]."""
    return _writer(tmp_path, LANGUAGE, text)


@pytest.fixture
def labels(tmp_path: Path, table: Path) -> Callable[[str], Path]:
    """Write the recipe of a sweep over a tiny classifier; given is what follows [sweep]."""
    return _writer(tmp_path, LABELS, table)


def _writer(tmp_path: Path, settings: str, text: Path) -> Callable[[str], Path]:
    def write(sweep: str, name: str = "recipe.toml", more: str = "") -> Path:
        path = tmp_path / name
        head = settings.format(text=f"'{text}'")
        path.write_text(f"{head}{more}\n[sweep]\n{sweep}\n", encoding="utf-8")
        return path

    return write
