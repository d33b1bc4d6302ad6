"""The strategy for language models."""

import sys
import time
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from thence.autopilot import language
from thence.autopilot.autopilot import MIN_TRAINING, Autopilot
from thence.autopilot.budget import Budget
from thence.autopilot.candidates import ScheduledCandidate, single
from thence.autopilot.language import LanguageStrategy
from thence.models.ngram import NGram
from thence.recipes import make_recipe
from thence.signals import StopEvent
from thence.training.callbacks import silent_progress
from thence.training.data import TrainingData

SLEEP = 0.3


class Slow:
    """A module that takes its time to load, as PyTorch does; so nothing is trained or learned."""

    with_dynamic_evaluation = None

    @staticmethod
    def train_until(ends: float, autopilot: Autopilot, *about: Any) -> None:
        assert ends - autopilot.budget.spent() < MIN_TRAINING

    @property
    def choose_recipe(self) -> Any:
        time.sleep(SLEEP)
        return lambda *about: (make_recipe("given-names", "gru", {}), about[-2])


def test_the_time_to_load_is_part_of_the_share(
    data: TrainingData, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = make_recipe("given-names", "ngram", {})
    budget = Budget(60.0, None, time.monotonic())
    autopilot = Autopilot(recipe, data, budget, StopEvent(), silent_progress, None)
    strategy = LanguageStrategy(autopilot, "names", "names")
    monkeypatch.setitem(sys.modules, "thence.autopilot.networks", Slow())
    assert strategy.train(ScheduledCandidate("gru", 1.0), MIN_TRAINING + SLEEP / 2, None) == []


def strategy_for(data: TrainingData, seconds: float) -> LanguageStrategy:
    recipe = make_recipe("given-names", "ngram", {})
    budget = Budget(seconds, None, time.monotonic())
    autopilot = Autopilot(recipe, data, budget, StopEvent(), silent_progress, None)
    return LanguageStrategy(autopilot, "names", "names")


def test_the_first_result_is_of_a_part(data: TrainingData, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(language, "SAMPLES", (40, 80))
    first = strategy_for(data, 60.0).first()
    assert first is not None and first.family == "ngram"
    assert len(first.scores) == data.dev.beginning(80).num_targets
    assert 40 <= first.training["train_tokens"] < 50


def test_of_a_large_dev_as_much_is_scored_as_there_is_time_for(
    data: TrainingData, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(language, "SAMPLES", (40,))
    monkeypatch.setattr(language, "SMALL", 1)
    monkeypatch.setattr(language, "MIN_JUDGED", 1)
    strategy, judged = strategy_for(data, 60.0), data.dev.beginning(40).num_targets
    # Counting takes no time, scoring a thousandth of a second for each of 84 targets: with what is
    # kept 0.126 s. A quarter of 0.252 s is enough for half of them.
    times = iter([0.0, 0.0, judged / 1000] * 2)
    monkeypatch.setattr(language, "time", SimpleNamespace(monotonic=lambda: next(times)))
    assert strategy._affordable("ngram", [{"order": 2}], 0.252, whole=True) is None
    assert strategy.autopilot.data.dev is data.dev
    assert strategy._affordable("ngram", [{"order": 2}], 0.252) is data.train
    assert strategy.autopilot.data.dev.num_targets == data.dev.beginning(42).num_targets


def test_as_much_is_counted_as_there_is_time_for(
    data: TrainingData, monkeypatch: pytest.MonkeyPatch
) -> None:
    def counted(seconds: float) -> int:
        part = strategy_for(data, 60.0)._affordable("ngram", [{"order": 2}], seconds)
        return 0 if part is None else part.num_targets

    whole = data.train.num_targets
    assert counted(1e-9) == whole  # A small text is counted without asking.
    monkeypatch.setattr(language, "SAMPLES", (40, 80))
    monkeypatch.setattr(language, "SMALL", 1)
    assert counted(1e-9) == 0 and counted(1e6) == whole
    # Counting 42 targets takes 0.042 s and scoring nothing: 0.15 s are enough for 100, as 1.5 times
    # the time is kept. To measure twice as many would take more than a tenth of the time.
    part = data.train.ending(40).num_targets
    times = iter([0.0, part / 1000, part / 1000])
    monkeypatch.setattr(language, "time", SimpleNamespace(monotonic=lambda: next(times)))
    assert 100 <= counted(0.15) < 110


def test_the_end_of_a_text_is_whole_documents(data: TrainingData) -> None:
    end = data.train.ending(10)
    assert 10 <= end.num_targets <= 10 + data.train.target_counts.max()
    assert end.ids[1:].tolist() == data.train.ids[-end.num_targets :].tolist()
    assert data.train.ending(10**9).num_targets == data.train.num_targets


def test_counted_models_are_fitted_again_to_train_and_dev(data: TrainingData) -> None:
    strategy = strategy_for(data, 60.0)
    best = strategy.combine([*strategy.count()])
    assert len(best.members) > 1
    done = strategy.finish(best)
    assert done.refit and not best.refit
    assert (done.weights, done.nats, done.held_out) == (best.weights, best.nats, best.held_out)
    assert np.array_equal(done.model.weights, best.model.weights)
    both, size = data.train.joined(data.dev), strategy.autopilot.vocabulary_size
    for one, before in zip(done.members, best.members, strict=True):
        if one.family == "ngram":
            alone = NGram(one.options, size)
            alone.fit(both)
            assert one.model.score(data.dev).tolist() == alone.score(data.dev).tolist()
        else:  # Context mixing has learned dev before.
            assert one is before
    assert replace(strategy, refit=False).finish(best) is best


def test_a_neural_cache_is_not_fitted_again(data: TrainingData) -> None:
    strategy = strategy_for(data, 60.0)
    cache = replace(next(strategy.count()), family="neural-cache", network_of="gru 64")
    assert strategy.combining_seconds([cache]) >= 0
    best = single(cache)
    assert strategy.finish(best) is best


def test_nothing_is_fitted_again_without_time(data: TrainingData) -> None:
    strategy = strategy_for(data, 60.0)
    best = single(next(strategy.count()))
    assert strategy.finish(best).members[0].model is not best.model
    strategy.autopilot.pace.rates["fitting ngram"] = 1.0
    assert strategy.finish(best) is best


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int, int]]:
    """Counts n-grams in place of training networks; keeps the time, the seed and the names read.

    A training has a third of the time. Of those that are judged, each has an order of its own.
    """
    from thence.autopilot import networks

    made: list[tuple[int, int, int]] = []

    def choose(base: Any, *about: Any) -> Any:
        settings = {"order": 2 + len(made), "seed": base.training.seed}
        return make_recipe("given-names", "ngram", settings), about[-2] / 3

    def train(
        ends: float, autopilot: Autopilot, name: str, recipe: Any, *about: Any, **more: Any
    ) -> Any:
        data = more.get("data", autopilot.data)
        seconds = round(ends - autopilot.budget.spent())
        made.append((seconds, recipe.training.seed, data.train.num_documents))
        model = NGram(recipe.options, autopilot.vocabulary_size)
        model.fit(data.train)
        return SimpleNamespace(
            model=model, recipe=recipe, curve=(), with_cache=False, learns=False,
            dev=data.dev, scoring=0.0,
        )  # fmt: skip

    monkeypatch.setattr(networks, "choose_recipe", choose)
    monkeypatch.setattr(networks, "train_until", train)
    return made


def test_networks_of_other_seeds_learn_dev_too_and_share_the_weight_of_the_judged_one(
    data: TrainingData, trained: list[tuple[int, int, int]]
) -> None:
    strategy, network = strategy_for(data, 60.0), ScheduledCandidate("ngram", 1.0)
    [first] = strategy.train(network, 30.0, None)
    [second] = strategy.train(replace(network, seed=1), 20.0, None)
    [third] = strategy.train(replace(network, seed=2), 12.0, None)
    [fourth] = strategy.train(replace(network, seed=3), 30.0, None)
    few, all_ = data.train.num_documents, data.train.num_documents + data.dev.num_documents
    # A third of 30 seconds each: 20 s are for two more, 12 s for one.
    assert trained == [(10, 42, few), (10, 43, all_), (12, 44, all_), (10, 45, few)]
    assert [one.judged_as for one in (first, second, third, fourth)] == [
        None, first.name, first.name, None,
    ]  # fmt: skip
    assert second.nats == first.nats and fourth.nats != first.nats
    counted = list(strategy.count())[:2]
    alone = strategy.combine([*counted, first])
    both = strategy.combine([*counted, first, second, third])
    assert both.nats == alone.nats and both.refit
    shares = dict(zip([one.name for one in both.members], both.weights, strict=True))
    assert shares[second.name] == shares[first.name] == shares[third.name]
    assert sum(both.weights) == pytest.approx(1.0)
    # Three times the same model with a third of its weight each is that model.
    same = [replace(one, model=first.model) for one in (second, third)]
    mixture = strategy.combine([*counted, first, *same]).model
    np.testing.assert_allclose(mixture.score(data.dev), alone.model.score(data.dev), atol=1e-6)


def test_without_refit_every_network_is_judged(
    data: TrainingData, trained: list[tuple[int, int, int]]
) -> None:
    strategy = replace(strategy_for(data, 60.0), refit=False)
    network = ScheduledCandidate("ngram", 1.0)
    made = [
        *strategy.train(network, 30.0, None),
        *strategy.train(replace(network, seed=1), 20.0, None),
    ]
    assert [one.judged_as for one in made] == [None, None]


def test_a_single_network_shares_its_weight_too(
    data: TrainingData, trained: list[tuple[int, int, int]]
) -> None:
    strategy, network = strategy_for(data, 60.0), ScheduledCandidate("ngram", 1.0)
    [first] = strategy.train(network, 30.0, None)
    [second] = strategy.train(replace(network, seed=1), 20.0, None)
    both = strategy.combine([first, second])
    assert both.weights == (0.5, 0.5)
    said = [np.exp(one.model.score(data.dev)) for one in (first, second, both)]
    np.testing.assert_allclose(said[2], (said[0] + said[1]) / 2, rtol=1e-5)
