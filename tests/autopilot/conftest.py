"""Tiny texts of several kinds, and candidates whose scores are made up."""

from collections.abc import Callable, Iterator, Sequence
from itertools import product
from pathlib import Path

import numpy as np
import pytest
import torch

from thence.autopilot.candidates import TrainedCandidate
from thence.models.ngram import NGram
from thence.models.ngram.model import NGramOptions
from thence.recipes import make_recipe
from thence.tokens import TokenStore
from thence.training.data import TrainingData, load_data

NAMES = ["".join(letters) for letters in product("abcde", "xyz", "abcdexy")]


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def names(tmp_path: Path) -> Path:
    path = tmp_path / "names.txt"
    path.write_text("\n".join(NAMES) + "\n")
    return path


@pytest.fixture
def data(names: Path) -> TrainingData:
    """The names, ready for training."""
    return load_data(make_recipe(names, "ngram", {"split": "60/20/20"}))


@pytest.fixture
def counted(data: TrainingData) -> Callable[..., TrainedCandidate]:
    """Make a candidate of a counted model; its scores are its own unless others are given."""
    size = len(data.tokenizer.vocabulary)

    def make(order: int, name: str = "", scores: Sequence[float] | None = None) -> TrainedCandidate:
        options = NGramOptions(order)
        model = NGram(options, size)
        model.fit(data.train)
        own = model.score(data.dev) if scores is None else np.asarray(scores, np.float64)
        nats = -float(np.mean(own, dtype=np.float64))
        return TrainedCandidate(name or f"ngram {order}", "ngram", options, model, own, nats)

    return make


@pytest.fixture
def dev(data: TrainingData) -> TokenStore:
    return data.dev
