"""Sixty texts about the weather and about food, and estimators that learn them quickly."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch

from thence.sklearn import TextClassifier

WORDS = {
    "weather": ["rain", "sun", "wind", "cloud", "cold", "storm"],
    "food": ["bread", "soup", "salt", "apple", "cold", "rice"],
    "music": ["drum", "song", "flute", "loud", "wind", "choir"],
}


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def some(label: str, number: int) -> list[str]:
    generator = np.random.default_rng(len(label))
    return [" ".join(generator.choice(WORDS[label], 4)) for _ in range(number)]


@pytest.fixture(scope="session")
def texts() -> list[str]:
    return [*some("weather", 30), *some("food", 30)]


@pytest.fixture(scope="session")
def labels() -> list[str]:
    return ["weather"] * 30 + ["food"] * 30


@pytest.fixture(scope="session")
def three() -> tuple[list[str], list[str]]:
    """Texts of three labels."""
    texts = [text for label in WORDS for text in some(label, 20)]
    return texts, [label for label in WORDS for _ in range(20)]


@pytest.fixture(scope="session")
def sets() -> tuple[list[str], list[tuple[str, ...]]]:
    """Texts of one label, of two, and of none."""
    weather, food = some("weather", 40), some("food", 40)
    both = [f"{one} {other}" for one, other in zip(weather[20:], food[20:], strict=True)]
    none = ["nothing here", "not this either"] * 5
    texts = [*weather[:20], *food[:20], *both, *none]
    return texts, [("weather",)] * 20 + [("food",)] * 20 + [("food", "weather")] * 20 + [()] * 10


@pytest.fixture(scope="session")
def quick() -> Callable[..., TextClassifier]:
    """Make an estimator that takes few steps."""

    def make(model: str = "averaging", **parameters: Any) -> TextClassifier:
        if model == "averaging":
            parameters["settings"] = {"steps": 60, "buckets": 4096} | parameters.get("settings", {})
        return TextClassifier(model, **parameters)

    return make
