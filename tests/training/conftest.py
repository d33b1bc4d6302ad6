"""Trainings with one thread."""

from collections.abc import Iterator
from typing import Any

import pytest
import torch

from thence.batches.windows import ShuffledWindows
from thence.training import setup as networks


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def shuffled_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    """Cut the text into ``ShuffledWindows``, though its contexts recur."""

    def cut(
        store: Any, context: int, size: int, batch_size: int, seed: int, carry: bool, whole: bool
    ) -> Any:
        return ShuffledWindows(store, context, batch_size, seed, carry, whole)

    monkeypatch.setattr(networks, "window_batches", cut)
