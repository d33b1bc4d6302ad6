"""Small language models to decode with."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from thence.runs import LanguageRun
from thence.training import train

LINES = ("ab b", "b ab", "ab ba b", "a b a b", "ba ba", "b a ab", "aa b", "ab ab a")
"""Words of two letters, so that every text of a few frames can be tried."""


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., LanguageRun]:
    """Train a model on a few lines, once for each kind."""
    made: dict[str, LanguageRun] = {}

    def make(model: str = "ngram", **settings: Any) -> LanguageRun:
        key = repr((model, settings))
        if key not in made:
            folder: Path = tmp_path_factory.mktemp("run")
            text = folder / "text.txt"
            text.write_text("\n".join(LINES) + "\n", encoding="utf-8")
            made[key] = LanguageRun(
                train(text, model, output=folder / "run", split="100/0/0", **settings)
            )
        return made[key]

    return make
