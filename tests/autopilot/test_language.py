"""The strategy for language models."""

import sys
import time
from typing import Any

import pytest

from thence.autopilot.autopilot import MIN_TRAINING, Autopilot
from thence.autopilot.budget import Budget
from thence.autopilot.candidates import ScheduledCandidate
from thence.autopilot.language import LanguageStrategy
from thence.recipes import make_recipe
from thence.signals import StopEvent
from thence.training.callbacks import silent_progress
from thence.training.data import TrainingData

SLEEP = 0.3


class Slow:
    """A module that takes its time to load, as PyTorch does."""

    @staticmethod
    def train_until(ends: float, autopilot: Autopilot, *about: Any) -> None:
        assert ends - autopilot.budget.spent() < MIN_TRAINING

    @property
    def choose_recipe(self) -> Any:
        time.sleep(SLEEP)
        return lambda *about: make_recipe("given-names", "gru", {})


def test_the_time_to_load_is_part_of_the_share(
    data: TrainingData, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = make_recipe("given-names", "ngram", {})
    budget = Budget(60.0, None, time.monotonic())
    autopilot = Autopilot(recipe, data, budget, StopEvent(), silent_progress, None)
    strategy = LanguageStrategy(autopilot, "names", "names")
    monkeypatch.setitem(sys.modules, "thence.autopilot.networks", Slow())
    assert strategy.train(ScheduledCandidate("gru", 1.0), MIN_TRAINING + SLEEP / 2, None) == []
