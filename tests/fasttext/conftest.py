"""A small labelled text, made here, and a model of it."""

from pathlib import Path
from types import ModuleType

import pytest

import thence.fasttext

FRUIT = ["apple", "pear", "plum", "cherry", "fig"]
TOOLS = ["saw", "drill", "hammer", "plane", "file"]


@pytest.fixture(scope="session")
def train_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a file of 200 lines, of one or two labels."""
    lines = []
    for number in range(100):
        fruit, tool = FRUIT[number % 5], TOOLS[(number // 5) % 5]
        lines.append(f"__label__fruit we eat {fruit} and {FRUIT[number % 4]} number {number}")
        lines.append(f"__label__tool __label__iron we use a {tool} to work on {number}")
    path = tmp_path_factory.mktemp("fasttext") / "train.txt"
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.fixture(scope="session")
def fasttext() -> ModuleType:
    return thence.fasttext


@pytest.fixture(scope="session")
def model(train_file: Path):
    return thence.fasttext.train_supervised(
        str(train_file),
        dim=8,
        lr=0.5,
        epoch=10,
        minn=2,
        maxn=3,
        wordNgrams=2,
        bucket=2000,
        verbose=0,
    )


@pytest.fixture(scope="session")
def vectors(train_file: Path):
    return thence.fasttext.train_unsupervised(
        str(train_file), dim=8, epoch=5, minCount=1, bucket=500, verbose=0
    )
