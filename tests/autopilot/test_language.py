"""The road to a language model."""

import sys
import time
from typing import Any

import pytest

from thence.autopilot.clock import Budget
from thence.autopilot.language import Language
from thence.autopilot.parts import Rung
from thence.autopilot.search import LEAST, Search
from thence.autopilot.text import look_at
from thence.recipes import make_recipe
from thence.signals import StopEvent
from thence.training.data import TrainingData
from thence.training.progress import silent_progress

SLEEP = 0.3


class Slow:
    """A module that takes its time to load, as PyTorch does."""

    train = None

    @property
    def sized(self) -> Any:
        time.sleep(SLEEP)
        return lambda *about: None


def test_the_time_to_load_is_part_of_the_share(
    prepared: TrainingData, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = make_recipe("given-names", "ngram", {})
    search = Search(
        recipe, prepared, Budget(60.0, None, time.monotonic()), StopEvent(), silent_progress, None
    )
    road = Language(search, look_at(prepared.splits.train))
    monkeypatch.setitem(sys.modules, "thence.autopilot.networks", Slow())
    assert road.train(Rung("gru", 1.0), LEAST + SLEEP / 2, None) == []
