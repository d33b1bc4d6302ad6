"""Mixtures of runs."""

from io import BytesIO, TextIOWrapper
from pathlib import Path
from typing import get_args

import numpy as np
import pytest

import thence
from thence.ensembles.mix import mix, weights_of
from thence.errors import RunError, SettingError
from thence.models.base import static_model
from thence.models.language.members import Weights
from thence.models.language.mixture import Mixture
from thence.runs import Run
from thence.training import resume, train

NAMES = ["emma", "anna", "ella", "emily", "hannah", "mia", "maya", "lena", "alma", "nora"] * 4


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> list[Run]:
    folder = tmp_path_factory.mktemp("mix")
    text = folder / "names.txt"
    text.write_text("\n".join(f"{name}{index % 7}" for index, name in enumerate(NAMES)))
    settings = {"split": "50/25/25", "by": "position"}
    return [
        train(text, "ngram", output=folder / "ngram", order=3, **settings),
        train(text, "bigram-counts", output=folder / "counts", **settings),
        train(text, "mlp", output=folder / "mlp", steps=20, hidden_size=8, **settings),
    ]


@pytest.mark.parametrize("weights", get_args(Weights))
def test_a_mixture_is_on_dev_as_good_as_its_best_member(
    runs: list[Run], tmp_path: Path, weights: Weights
) -> None:
    mixed = mix(runs, tmp_path / "mix", weights=weights)
    alone = [thence.evaluate(run).nats_per_token for run in runs]
    judged = thence.evaluate(mixed)
    assert judged.nats_per_token <= min(alone) + 1e-9
    assert judged.chosen_on_dev == "weights learned on dev: expect the test number to be worse"
    weights = [weight for _, weight in weights_of(mixed)]
    assert sum(weights) == pytest.approx(1)


def test_a_mixture_is_a_run_like_any_other(runs: list[Run], tmp_path: Path) -> None:
    mix(runs, tmp_path / "mix")
    mixed = Run(tmp_path / "mix")
    assert mixed.finished
    assert len(thence.sample(mixed, 3, max_length=9).texts) == 3
    probs = dict(thence.next_tokens(mixed, "em", 99).tokens)
    assert sum(probs.values()) == pytest.approx(1)
    assert thence.compare([mixed, runs[0]]).same_tokens
    store = mixed.store("dev")
    assert np.array_equal(mixed.model.score(store), Run(tmp_path / "mix").model.score(store))


def test_a_finished_mixture_is_left_as_it_is_by_resume(runs: list[Run], tmp_path: Path) -> None:
    mix(runs[:2], tmp_path / "mix")
    before = (tmp_path / "mix" / "model.safetensors").read_bytes()
    assert resume(tmp_path / "mix").finished
    assert (tmp_path / "mix" / "model.safetensors").read_bytes() == before


def test_settings_of_mixing_are_checked_first(runs: list[Run], tmp_path: Path) -> None:
    for settings, message in (
        ({"weights": "foo"}, "`weights` is 'foo'; it must be one of gated, buckets, single"),
        ({"cache": 0}, "`cache` is 0; it must be a whole number of at least 1"),
        ({"neural_cache": -1}, "`neural_cache` is -1; it must be a whole number of at least 1"),
    ):
        with pytest.raises(SettingError, match=message):
            mix(runs[:2], tmp_path / "mix", **settings)  # type: ignore[arg-type]
        assert not (tmp_path / "mix").exists()


def test_a_text_from_standard_input_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = "\n".join(f"{name}{index % 7}" for index, name in enumerate(NAMES))
    monkeypatch.setattr("sys.stdin", TextIOWrapper(BytesIO(text.encode())))
    run = train("-", "ngram", output=tmp_path / "ngram", order=2)
    mixed = mix([run], tmp_path / "mix", cache=5)
    again = Run(mixed.folder).store("dev")
    assert again.num_targets == run.store("dev").num_targets


def test_weights_by_hand(runs: list[Run], tmp_path: Path) -> None:
    # With one bucket and two members the likelihood has one weight; EM must find its maximum.
    mixed = mix(runs[:2], tmp_path / "mix", weights="single")
    store = runs[0].store("dev")
    probs = [np.exp(run.model.score(store)) for run in runs[:2]]
    grid = np.linspace(0.0005, 0.9995, 1000)
    likelihoods = [np.log(w * probs[0] + (1 - w) * probs[1]).sum() for w in grid]
    assert weights_of(mixed)[0][1] == pytest.approx(grid[int(np.argmax(likelihoods))], abs=0.01)


def test_a_cache_helps_on_text_that_repeats_itself(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    topics = ["red green blue ", "one two three ", "north south east ", "dog cat bird "]
    lines = [" ".join([topics[place // 10 % 4]] * 3) for place in range(400)]
    words = [" ".join(random.permutation(line.split())) for line in lines]
    (tmp_path / "text.txt").write_text("\n".join(words))
    run = train(
        tmp_path / "text.txt",
        "ngram",
        output=tmp_path / "ngram",
        order=2,
        tokens="words",
        by="position",
    )
    mixed = mix([run], tmp_path / "mix", cache=50)
    assert [name for name, _ in weights_of(mixed)][1:] == [
        "cache order 1 length 50",
        "cache order 2 length 50",
    ]
    better = thence.evaluate(run, "test").nats_per_token
    assert thence.evaluate(mixed, "test").nats_per_token < better
    assert thence.evaluate(mixed).carry_context


def test_runs_that_do_not_fit_together_are_refused(runs: list[Run], tmp_path: Path) -> None:
    with pytest.raises(RunError, match="at least two runs, or one run and `cache`"):
        mix(runs[:1], tmp_path / "mix")
    bytewise = train(
        runs[0].recipe.text,
        "ngram",
        output=tmp_path / "bytes",
        tokens="bytes",
        split="50/25/25",
        by="position",
    )
    with pytest.raises(RunError, match="different tokens"):
        mix([runs[0], bytewise], tmp_path / "mix")
    other = train(runs[0].recipe.text, "ngram", output=tmp_path / "other")
    with pytest.raises(RunError, match="different texts or splits"):
        mix([runs[0], other], tmp_path / "mix")
    mixed = mix(runs[:2], tmp_path / "mix")
    with pytest.raises(RunError, match="cannot be mixed again"):
        mix([mixed, runs[0]], tmp_path / "again")
    with pytest.raises(SettingError, match="made of runs: thence mix"):
        train(runs[0].recipe.text, "mixture", output=tmp_path / "trained")
    assert not (tmp_path / "trained").exists()


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A small network on running text whose words change from part to part."""
    folder = tmp_path_factory.mktemp("running")
    random = np.random.default_rng(0)
    words = np.array([chr(97 + letter) * 2 for letter in range(20)])
    parts = [random.choice(words, 4, replace=False) for _ in range(25)]
    lines = [" ".join(random.choice(part, 8)) for part in parts for _ in range(8)]
    (folder / "text.txt").write_text("\n".join(lines))
    settings = {"tokens": "words", "by": "position", "split": "60/20/20", "carry_context": True}
    small = {"hidden_size": 16, "embedding_size": 8, "epochs": 4, "batch_size": 4}
    return train(folder / "text.txt", "lstm", output=folder / "lstm", **settings, **small)


def test_a_network_remembers_and_goes_on_learning(running: Run, tmp_path: Path) -> None:
    alone = thence.evaluate(running)
    assert alone.dynamic == ()
    assert "dynamic" not in dict(alone.rows())
    cached = mix([running], tmp_path / "cached", neural_cache=100)
    assert thence.evaluate(cached).nats_per_token < alone.nats_per_token - 0.1
    both = mix([running], tmp_path / "both", neural_cache=100, cache=50, dynamic=True)
    judged = thence.evaluate(both)
    assert judged.nats_per_token < thence.evaluate(cached).nats_per_token
    bucket_ids = ["lstm dynamic", "neural-cache length 100", "cache order 1", "cache order 2"]
    assert all(
        name.startswith(k) for (name, _), k in zip(weights_of(both), bucket_ids, strict=True)
    )
    assert judged.dynamic == tuple(name for name, _ in weights_of(both))
    assert dict(judged.rows())["dynamic"].startswith(
        "adapts to the text it is evaluated on: lstm dyn"
    )
    assert judged.to_json()["dynamic"] == list(judged.dynamic)


def test_static_leaves_caches_out_and_learns_nothing(running: Run, tmp_path: Path) -> None:
    alone = thence.evaluate(running, static=True)
    assert alone.nats == thence.evaluate(running).nats
    # Of a mixture of one network and what it remembers, the network is left.
    made = mix([running], tmp_path / "mix", neural_cache=9, cache=50, dynamic=True)
    judged = thence.evaluate(made, static=True)
    assert judged.nats == pytest.approx(alone.nats, rel=1e-5)
    assert (judged.dynamic, judged.to_json()["static"]) == ((), True)
    assert dict(judged.rows())["static"].startswith("kept from adapting")
    assert thence.evaluate(made).nats < judged.nats  # The run itself is as it was.
    compared = thence.compare([made, running], static=True).runs
    assert compared[0].bits_per_byte == pytest.approx(compared[1].bits_per_byte)
    texts = ["aa bb", "aa bb"]
    static = thence.score(made, texts, static=True)
    for one, other in zip(static, thence.score(running, texts), strict=True):
        assert one["log_probability"] == pytest.approx(other["log_probability"], rel=1e-5)


@pytest.mark.parametrize("weights", ["single", "buckets"])
def test_static_weights_are_shared_in_proportion(
    running: Run, tmp_path: Path, weights: Weights
) -> None:
    made = mix([running], tmp_path / "mix", cache=50, weights=weights)
    static = static_model(made.model)
    assert isinstance(static, Mixture)
    np.testing.assert_allclose(static.weights, 1)
    assert made.model.weights.shape[1] == 3


def test_an_adapting_mixture_is_a_run_like_any_other(running: Run, tmp_path: Path) -> None:
    made = mix([running], tmp_path / "mix", neural_cache=9, dynamic=True)
    opened = Run(tmp_path / "mix")
    store = opened.store("dev")
    scores = opened.model.score(store, carry_context=True)
    np.testing.assert_array_equal(scores, opened.model.score(store, carry_context=True))
    np.testing.assert_array_equal(scores, made.model.score(store, carry_context=True))
    assert opened.recipe == made.recipe
    assert len(thence.sample(opened, 2, max_length=9).texts) == 2
    assert sum(dict(thence.next_tokens(opened, "aa", 99).tokens).values()) == pytest.approx(1)
    assert thence.compare([opened, running]).same_tokens


def test_what_cannot_adapt_is_refused(runs: list[Run], running: Run, tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"reads sequences \(rnn, lstm or gru\), and none of"):
        mix(runs, tmp_path / "mix", dynamic=True)
    text, settings = runs[0].recipe.text, {"split": "50/25/25", "by": "position"}
    small = {"hidden_size": 4, "embedding_size": 4, "epochs": 1, "batch_size": 4}
    apart = train(text, "lstm", output=tmp_path / "apart", **small, **settings)
    with pytest.raises(RunError, match=r"running text, but .*apart read.* with `carry_context`\."):
        mix([runs[0], apart], tmp_path / "mix", neural_cache=9)
    with pytest.raises(
        SettingError, match="`neural_cache` is 0; it must be a whole number of at least 1"
    ):
        mix([running], tmp_path / "mix", neural_cache=0)
    assert not (tmp_path / "mix").exists()
