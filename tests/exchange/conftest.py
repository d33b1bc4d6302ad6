"""Small networks with large weights, whose log-probabilities differ from place to place."""

from collections.abc import Callable
from itertools import product
from pathlib import Path

import pytest
import torch

from thence.runs import Run
from thence.training import train

SMALL = {"hidden_size": 8, "embedding_size": 6, "layers": 2}
ATTENTIVE = {"embedding_size": 8, "heads": 2, "layers": 2, "context": 4}
OTHERWISE = {"positions": "learned", "tied": False, "feed_forward": "swiglu"}
"""Other choices of a transformer than the usual ones."""


@pytest.fixture
def network(tmp_path: Path) -> Callable[..., Run]:
    """Make a run of a family, with random weights."""

    def make(model: str, **settings: object) -> Run:
        text = tmp_path / "text.txt"
        if not text.exists():
            words = ["".join(letters) for letters in product("abcde", "xyz", "abcdexy")]
            text.write_text("\n".join(map(" ".join, zip(words[::2], words[1::2], strict=False))))
        folder = tmp_path / f"run{len(list(tmp_path.iterdir()))}"
        run = train(text, model, output=folder, steps=1, **settings)
        torch.manual_seed(1)
        with torch.no_grad():
            for parameter in run.network.parameters():
                parameter.normal_(0, 0.5)
        run.model.load_tensors(run.network.tensors())
        return run

    return make
