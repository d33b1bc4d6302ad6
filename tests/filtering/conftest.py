"""A small model of words, and lines to filter."""

import random
from collections.abc import Callable
from pathlib import Path

import pytest

from thence.evaluation.scoring import score
from thence.runs import LanguageRun
from thence.training import train

WORDS = ["the", "cat", "sat", "on", "a", "mat", "dog", "ran", "zoë", "ÉTÉ"]


def made_lines(count: int, seed: int = 0) -> list[str]:
    """Return lines of known and of unknown words."""
    draw = random.Random(seed)
    words = [*WORDS, "qua", "quo"]
    weights = [1 / (rank + 1) for rank in range(len(words))]
    return [" ".join(draw.choices(words, weights, k=draw.randint(1, 12))) for _ in range(count)]


@pytest.fixture(scope="session")
def run(tmp_path_factory: pytest.TempPathFactory) -> LanguageRun:
    """A trigram of words that does not know all of ``made_lines``."""
    folder = tmp_path_factory.mktemp("filter")
    text = folder / "train.txt"
    lines = [line.replace("qua", "cat").replace("quo", "dog") for line in made_lines(400, seed=1)]
    text.write_text("\n".join(lines) + "\n", "utf-8")
    made = train(text, "ngram", output=folder / "run", tokens="words", order=3)
    assert isinstance(made, LanguageRun)
    return made


@pytest.fixture(scope="session")
def perplexity(run: LanguageRun) -> Callable[[str], float]:
    """Return the perplexity of a text, by ``thence.score``."""
    from math import exp

    return lambda text: exp(score(run, text)[0]["nats_per_token"])


@pytest.fixture
def lines_file(tmp_path: Path) -> Path:
    """A plain text of 300 lines, some of them empty."""
    lines = [*made_lines(298), "", ""]
    random.Random(2).shuffle(lines)
    path = tmp_path / "in.txt"
    path.write_text("\n".join(lines), "utf-8")
    return path
