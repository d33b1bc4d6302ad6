"""A tiny text, and quick trainings on it."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from itertools import product
from pathlib import Path
from typing import Any

import pytest
import torch

from thence.batches.shuffled import ShuffledWindows
from thence.training import Run, networks, train

SMALL = {"hidden_size": 8, "embedding_size": 3, "context": 2, "batch_size": 16, "steps": 20}


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def text(tmp_path: Path) -> Path:
    """105 lines of three letters: 84 train, 10 dev, 11 test documents of four targets each.

    Contexts recur so often that batches are ``StratifiedContexts``; see ``shuffled_windows``.
    """
    path = tmp_path / "text.txt"
    lines = ["".join(letters) for letters in product("abcde", "xyz", "abcdexy")]
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.fixture
def shuffled_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    """Cut the text into ``ShuffledWindows``, though its contexts recur."""

    def cut(store: Any, context: int, size: int, batch_size: int, seed: int, carry: bool) -> Any:
        return ShuffledWindows(store, context, batch_size, seed, carry)

    monkeypatch.setattr(networks, "window_batches", cut)


@pytest.fixture
def small(text: Path, tmp_path: Path) -> Callable[..., Run]:
    """Train a tiny mlp (or another model) on the tiny text."""

    def run(name: str = "run", model: str = "mlp", progress: Any = None, **settings: Any) -> Run:
        given = {**(SMALL if model == "mlp" else {}), **settings}
        quiet = {} if progress is None else {"progress": progress}
        return train(text, model, output=tmp_path / name, **quiet, **given)

    return run


@pytest.fixture
def telling() -> Callable[..., Any]:
    """Make a progress maker that calls a function after every step."""

    class Teller:
        def __init__(self, hear: Callable[[int], None]) -> None:
            self.hear = hear

        def step(self, step: int, tokens: float, share: float) -> None:
            self.hear(step)

        def evaluated(self, metrics: dict[str, Any]) -> None:
            pass

    def maker(hear: Callable[[int], None]) -> Callable[[str], AbstractContextManager[Any]]:
        @contextmanager
        def opened(name: str) -> Iterator[Teller]:
            yield Teller(hear)

        return opened

    return maker
