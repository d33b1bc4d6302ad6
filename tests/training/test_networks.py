from pathlib import Path

import pytest
import torch

from thence.errors import SettingError
from thence.training import make_recipe
from thence.training.networks import choose_device, deterministic, new_network, resolve_training
from thence.training.options import TrainingOptions
from thence.training.train import prepare


def test_an_absent_device_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    with pytest.raises(SettingError, match="--device is cuda, which this machine lacks"):
        choose_device("cuda")
    assert choose_device("auto") == choose_device("cpu") == torch.device("cpu")


def test_small_networks_get_one_thread_and_large_ones_all(text: Path) -> None:
    torch.set_num_threads(2)
    for batch_size, threads in ((16, 1), (10**7, 2)):
        recipe = make_recipe(text, "mlp", {"batch_size": batch_size})
        prepared = prepare(recipe, str(text))
        resolved = resolve_training(recipe, len(prepared.tokenizer.vocabulary), prepared.train)
        assert resolved.training.threads == threads


def test_deterministic_seeds_and_gives_back() -> None:
    state, threads = torch.get_rng_state(), torch.get_num_threads()
    with deterministic(TrainingOptions(seed=3, threads=2)):
        assert torch.get_num_threads() == 2
        one = torch.rand(3)
    with deterministic(TrainingOptions(seed=3)):
        assert torch.equal(torch.rand(3), one)
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.get_num_threads() == threads
    with pytest.raises(KeyError), deterministic(TrainingOptions(threads=2)):
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
