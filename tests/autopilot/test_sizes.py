"""How large a network may be, and what may be spent."""

import math
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from thence.autopilot.best import best
from thence.autopilot.budget import STEPS_PER_SECOND, Budget, make_budget
from thence.autopilot.candidates import schedule
from thence.autopilot.networks import (
    HIDDEN_SIZES,
    MOST_DECAY,
    equal_parts,
    largest_size,
    options_of,
    trainings_in,
    with_decay,
)
from thence.errors import SettingError
from thence.models import registry
from thence.models.candidates import Candidate, Kind, Size, TextKind
from thence.models.language.recurrent import RATES
from thence.models.registry import Method, get_family
from thence.recipes import make_recipe

KINDS = st.sampled_from(["names", "characters", "words"])
TOKENS = st.floats(1, 1e12)


def size_of(kind: TextKind, hidden: int = 128, **options: Any) -> Size:
    return get_family("lstm").sized(kind, hidden, options)


def fit(kind: TextKind, read: float, train: int) -> int:
    sizes = {hidden: size_of(kind, hidden) for hidden in HIDDEN_SIZES}
    return largest_size(kind, sizes, dict.fromkeys(HIDDEN_SIZES, read), train).hidden


@settings(deadline=None)
@given(KINDS, TOKENS, TOKENS, st.integers(1, 10**10))
def test_more_time_never_means_a_smaller_network(
    kind: TextKind, one: float, other: float, train: int
) -> None:
    low, high = sorted((one, other))
    assert fit(kind, low, train) <= fit(kind, high, train)


@settings(deadline=None)
@given(KINDS, st.integers(1, 10**10), st.integers(1, 10**10))
def test_more_text_never_means_a_smaller_network(kind: TextKind, one: int, other: int) -> None:
    low, high = sorted((one, other))
    assert fit(kind, 1e12, low) <= fit(kind, 1e12, high)


def test_recurrent_networks_learn_characters_by_muon_and_words_by_adamw() -> None:
    assert size_of("names").training["optimizer"] == "muon"
    assert size_of("characters").training["optimizer"] == "muon"
    assert "optimizer" not in size_of("words").training


def test_the_learning_rate_falls_with_the_square_root_of_the_width() -> None:
    rates = [size_of("names", hidden).training["lr"] for hidden in (64, 128, 512)]
    assert rates == pytest.approx([0.025, 0.025, 0.025 / math.sqrt(512 / 128)])


def test_the_sample_of_words_grows_with_the_network() -> None:
    samples = [size_of("words", hidden).options["samples"] for hidden in (96, 256, 1024)]
    assert samples == [4 * 96, 4 * 256, 2048]


def test_a_small_text_bounds_the_network_however_long_the_time() -> None:
    assert fit("characters", math.inf, 1000) == HIDDEN_SIZES[0]
    assert fit("characters", math.inf, 10**10) == HIDDEN_SIZES[-1]


def test_weights_by_hand() -> None:
    # Four gates of 128 units, each with 32 inputs and 128 units before.
    assert size_of("characters").weights == 4 * 128 * (32 + 128)
    assert size_of("names", layers=2).weights == 4 * 128 * (32 + 128 + 2 * 128)


@settings(deadline=None)
@given(KINDS, st.sampled_from(HIDDEN_SIZES), st.floats(0.01, 1e6))
def test_settings_of_a_size_are_settings_of_its_family(
    kind: TextKind, hidden: int, passes: float
) -> None:
    size = size_of(kind, hidden)
    get_family("lstm").options_class()(**options_of(size, passes, 1000))
    training = size.training
    assert 0 < training["lr"] <= RATES[kind] and training["batch_size"] > 0


@settings(deadline=None)
@given(KINDS, st.floats(0.01, 1e6), st.floats(0.01, 1e6))
def test_the_more_often_a_text_is_read_the_more_is_left_out(
    kind: TextKind, one: float, other: float
) -> None:
    low, high = sorted((one, other))
    size = size_of(kind)
    assert options_of(size, low, 1000)["dropout"] <= options_of(size, high, 1000)["dropout"]


@pytest.mark.parametrize(("whole", "parts"), [(0.0, 1), (14.0, 1), (16.0, 2), (44.0, 4)])
def test_time_for_many_passes_is_divided(whole: float, parts: int) -> None:
    assert equal_parts(whole, 10.0) == parts
    assert equal_parts(whole, math.inf) == 1


def test_a_small_text_is_read_more_often_before_time_is_divided() -> None:
    # 12 passes over 100,000 tokens are 1,200 steps of 1,000 tokens; over 1,000 tokens they would be
    # 12, so there it is 500 steps.
    assert trainings_in(60.0, 2 * 1_200_000, 100_000, 1000.0, "names") == 2
    assert trainings_in(60.0, 2 * 500_000, 1000, 1000.0, "names") == 2
    assert trainings_in(60.0, 1e12, 1000, 1000.0, "characters") == 1
    # Where 3 seconds are enough for 8 of these, each still gets a second.
    assert trainings_in(3.0, 8 * 500_000, 1000, 1000.0, "names") == 3
    assert trainings_in(0.0, 0.0, 1000, 1000.0, "names") == 1


@pytest.mark.parametrize(
    ("lr", "steps", "decay"),
    [(0.004, 10_000, 0.1), (0.005, 8000, 0.1), (0.004, 100, MOST_DECAY), (0.004, 0.5, MOST_DECAY)],
)
def test_weights_decay_by_as_much_in_every_training(lr: float, steps: float, decay: float) -> None:
    # 4 / (0.004 * 10,000) = 4 / 40; of a few steps it would be more than the largest decay.
    recipe = make_recipe("given-names", "gru", {"lr": lr})
    assert with_decay(recipe, steps).training.weight_decay == pytest.approx(decay)


def test_a_budget_of_time_runs_down() -> None:
    budget = Budget(100.0, None, time.monotonic() - 30)
    assert not budget.counts_steps
    assert budget.spent() == pytest.approx(30, abs=1) and budget.left() == pytest.approx(70, abs=1)
    assert budget.for_training() == pytest.approx(70, abs=1)


def test_a_budget_of_steps_knows_no_clock() -> None:
    budget = make_budget(None, 500, time.monotonic() - 1e6)
    assert budget.counts_steps and budget.for_training() == 500 / STEPS_PER_SECOND
    assert budget.left() == math.inf


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({}, "either `time`"),
        ({"time": "5m", "steps": 3}, "`time` is '5m' and `steps` is 3, but only one of them"),
        ({"time": "5x"}, "write it like"),
        ({"time": "0s"}, "above 0"),
        ({"time": "-3s"}, "`time`"),
        ({"time": ""}, "`time`"),
        ({"steps": 0}, "at least 1"),
        ({"steps": -1}, "at least 1"),
    ],
)
def test_a_budget_that_makes_no_sense_is_refused(given: dict[str, Any], said: str) -> None:
    with pytest.raises(SettingError, match=said):
        make_budget(given.get("time"), given.get("steps"), None)


def names_of(kind: Kind, seconds: float, *methods: Method) -> list[str]:
    chosen = schedule(kind, seconds, *methods)
    return [f"{one.family} {one.share:g} {' '.join(map(str, one.options.values()))}".strip()
            for one in chosen]  # fmt: skip


def test_what_is_trained_for_how_long() -> None:
    assert names_of("names", 3.9, "train") == []
    assert names_of("names", 4, "train") == ["lstm 1"]
    assert names_of("characters", 4, "train") == ["lstm 1"]
    assert names_of("words", 10, "train") == ["lstm 1"]
    assert names_of("words", 200, "train") == ["lstm 1 2"]
    caches = ["cache 1 1", "cache 1 2", "cache 1 4 65536 0.4"]
    more = ["cache 1 1 100", "cache 1 3 0.4", "cache 1 2 2000 0.4", caches[2]]
    assert [name for name in names_of("words", 20, "fit") if name.startswith("cache")] == more
    classes = [f"class-ngram 1 {number} 4" for number in (100, 400, 1000)]
    counted = ["ngram 1 3", "ngram 1 5", classes[0], *caches, "context-mixing 1"]
    for seconds, tried in ((20, classes[:2]), (60, classes)):
        names = names_of("words", seconds, "fit")
        assert [name for name in names if name.startswith("class-ngram")] == tried
    assert names_of("words", 0, "fit") == counted
    linear = (
        "linear 1 tfidf squared_hinge, ngram-bayes 1 (0, 1), "
        "linear 1 tfidf squared_hinge 0.0 1 2, "
        "linear 1 tfidf squared_hinge (3, 5), "
        "linear 1 tfidf squared_hinge 0.0 1 (3, 5), "
        "linear 1 squared_hinge (3, 5), "
        "linear 1 tfidf centroid 0.0 1 1 (3, 4, 5, 6), linear 1 tfidf centroid 0.0 1 1, "
        "linear 1 tfidf 1 20, linear 1 tfidf 1 100"
    )
    labels = {
        0: f"{linear}, averaging 0.5",
        15: f"{linear}, averaging 1, averaging 1 3, recurrent 2 0.0 250, convolution 2 0.0",
    }
    for seconds, expected in labels.items():
        assert ", ".join(names_of("labels", seconds, "fit", "train")) == expected


@pytest.fixture
def own(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A family of another package: the linear network, and a budget from which it is tried."""
    monkeypatch.setattr(registry._plugins, "table", dict(registry.FAMILIES))
    bigram = get_family("bigram")
    candidates = {"names": (Candidate(2, share=0.5),)}
    registry._plugins.add("my-bigram", replace(bigram, name="my-bigram", candidates=candidates))
    yield


def test_a_family_of_another_package_is_tried_after_ours(own: None) -> None:
    assert names_of("names", 1, "train") == []
    assert names_of("names", 5, "train") == ["lstm 1", "my-bigram 0.5"]


@pytest.mark.slow
def test_a_family_without_sizes_is_trained_as_it_is(own: None, names: Path, tmp_path: Path) -> None:
    done = best(names, steps=400, output=tmp_path / "run", split="60/20/20")
    assert done.failed == () and "my-bigram" in [one.model for one in done.tried]
