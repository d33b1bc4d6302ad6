from dataclasses import replace
from itertools import count
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
import torch

from thence.errors import SettingError, ThenceWarning
from thence.recipes import make_recipe
from thence.recipes.options import TrainingOptions
from thence.training import dev_evaluation
from thence.training import setup as networks
from thence.training.data import load_data
from thence.training.dev_evaluation import language_evaluator
from thence.training.device import choose_device, deterministic_mode
from thence.training.setup import fastest, new_network, resolve_training


def test_an_absent_device_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    with pytest.raises(SettingError, match="`device` is cuda, which this machine lacks"):
        choose_device("cuda")
    assert choose_device("auto") == choose_device("cpu") == torch.device("cpu")


@pytest.fixture(autouse=True)
def processors(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many there are, two threads may be asked for."""
    monkeypatch.setattr("os.cpu_count", lambda: 2)


def resolved(text: Path, **settings: Any) -> tuple[int | None, str]:
    recipe = make_recipe(text, "mlp", settings)
    data = load_data(recipe)
    found = resolve_training(recipe, data)
    return found.training.threads, found.training.precision


def test_small_networks_get_one_thread_unmeasured(text: Path) -> None:
    torch.set_num_threads(2)
    assert resolved(text) == (1, "float32")
    assert resolved(text, threads=2, precision="bfloat16") == (2, "bfloat16")


def measured(text: Path, **settings: Any) -> tuple[int | None, str]:
    """Return the threads and the precision of a network that is taken to be large."""
    recipe = make_recipe(text, "mlp", settings)
    found = fastest(recipe, load_data(recipe), small_step=0)
    return found["threads"], found["precision"]


@pytest.mark.parametrize("best", [(1, "float32"), (2, "bfloat16"), (2, "float32")])
def test_larger_networks_get_what_is_measured_to_be_fastest(
    text: Path, monkeypatch: pytest.MonkeyPatch, best: tuple[int, str]
) -> None:
    def seconds(setup: Any, training: Any, settings: Any) -> float:
        chosen = (settings["threads"], settings["precision"])
        return sum(a != b for a, b in zip(chosen, best, strict=True))

    torch.set_num_threads(2)
    monkeypatch.setattr(networks, "has_fast_bfloat16", lambda device: True)
    monkeypatch.setattr(networks, "_time_steps", seconds)
    assert measured(text) == best
    assert measured(text, threads=2) == (2, best[1])
    assert measured(text, precision="float32") == (best[0], "float32")


def test_steps_are_really_timed(text: Path) -> None:
    threads, precision = measured(text)
    assert threads in (1, torch.get_num_threads()) and precision in ("float32", "bfloat16")


def test_every_timed_step_reads_the_same_batch(text: Path) -> None:
    recipe = make_recipe(text, "mlp", {"batch_size": 2})
    setup = networks.build_setup(recipe, load_data(recipe))
    asked = []

    class Batches:
        steps_per_epoch = setup.batches.steps_per_epoch

        def at(self, step: int) -> Any:
            asked.append(step)
            return setup.batches.at(step)

    watched = replace(setup, batches=cast(Any, Batches()))
    before, settings = setup.network.tensors(), {"threads": 1, "precision": "float32"}
    for optimizer in ("adamw", "muon"):
        training = replace(recipe.training, optimizer=optimizer)
        assert networks._time_steps(watched, training, settings) > 0
    first = min(networks.TYPICAL_OF, setup.batches.steps_per_epoch)
    assert asked == 2 * [*range(first)]  # Once for each timing, not for each of its steps.
    for name, weights in setup.network.tensors().items():
        assert np.array_equal(weights, before[name])


def test_deterministic_seeds_and_gives_back() -> None:
    state, threads = torch.get_rng_state(), torch.get_num_threads()
    with deterministic_mode(TrainingOptions(seed=3, threads=2)):
        assert torch.get_num_threads() == 2
        one = torch.rand(3)
    with deterministic_mode(TrainingOptions(seed=3)):
        assert torch.equal(torch.rand(3), one)
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.get_num_threads() == threads
    with pytest.raises(KeyError), deterministic_mode(TrainingOptions(threads=2)):
        raise KeyError
    assert torch.get_num_threads() == threads


def test_a_new_network_depends_on_the_seed_alone(text: Path) -> None:
    recipe = make_recipe(text, "mlp", {"seed": 1})
    one = new_network(recipe, 5).tensors()
    torch.rand(7)
    two = new_network(recipe, 5).tensors()
    other = new_network(make_recipe(text, "mlp", {"seed": 2}), 5).tensors()
    for name in one:
        assert one[name].tobytes() == two[name].tobytes()
    assert any(one[name].tobytes() != other[name].tobytes() for name in one)


def test_an_evaluation_that_a_time_limit_has_no_room_for_is_said_once(
    text: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dev = load_data(make_recipe(text, "mlp", {})).dev
    model = SimpleNamespace(score=lambda store, carry_context: np.full(store.num_targets, -1.0))
    clock = count(0, 6)  # Each evaluation takes six seconds.
    monkeypatch.setattr(dev_evaluation, "time", SimpleNamespace(monotonic=lambda: next(clock)))
    for limit in (None, 31.0):  # A fifth of 31 s is more than six.
        assert cast(Any, language_evaluator)(model, dev, False, 9, limit).evaluate().nats == 1
    evaluate = cast(Any, language_evaluator)(model, dev, False, 9, 29.0).evaluate
    with pytest.warns(ThenceWarning, match=r"takes 6 s, much of the 29 s that `time` allows"):
        evaluate()
    evaluate()


def test_a_batch_of_median_size_is_timed() -> None:
    sizes = [256.0, 3000.0, 2000.0, 1.0]
    batches = SimpleNamespace(
        steps_per_epoch=len(sizes), at=lambda step: SimpleNamespace(tokens=sizes[step])
    )
    assert networks.typical_batch(cast(Any, batches)).tokens == 2000.0  # 1, 256, *2000*, 3000.
    batches.steps_per_epoch = 1
    assert networks.typical_batch(cast(Any, batches)).tokens == 256.0
