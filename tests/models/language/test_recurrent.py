"""Recurrent networks against cells written by hand, and what may not change their numbers."""

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import pytest
import torch

from thence.batches import Padded, Streams
from thence.errors import SettingError
from thence.models.base import leaves
from thence.models.language.neural import NeuralLanguageModel, Scoring
from thence.models.registry import get_family
from thence.tokens import TokenStore

CELLS = ["rnn", "lstm", "gru"]
V = 7


def make(name: str, size: int = V, **settings: Any) -> NeuralLanguageModel:
    torch.manual_seed(0)
    entry = get_family(name)
    sizes = {"embedding_size": 3, "hidden_size": 4, "layers": 2}
    model = entry.language_model(entry.options_class()(**{**sizes, **settings}), size)
    assert isinstance(model, NeuralLanguageModel)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(0, 0.6)
    return model


def sigmoid(x: Any) -> Any:
    return 1 / (1 + np.exp(-x))


def cell_by_hand(name: str, w: dict[str, Any], x: Any, h: Any, c: Any) -> tuple[Any, Any]:
    """One step of one layer, the equations of the module in NumPy."""
    reads, recalls = w["weight_ih"] @ x + w["bias_ih"], w["weight_hh"] @ h + w["bias_hh"]
    if name == "rnn":
        return np.tanh(reads + recalls), c
    size = len(h)
    reads, recalls = reads.reshape(-1, size), recalls.reshape(-1, size)
    if name == "lstm":
        i, f, g, o = reads + recalls
        c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
        return sigmoid(o) * np.tanh(c), c
    r, z = sigmoid(reads[0] + recalls[0]), sigmoid(reads[1] + recalls[1])
    return (1 - z) * np.tanh(reads[2] + r * recalls[2]) + z * h, c


@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize("name", CELLS)
def test_the_cells_by_hand(name: str, tied: bool) -> None:
    model = make(name, tied=tied)
    weights = {key: value.astype(np.float64) for key, value in model.tensors().items()}
    hidden, cells = np.zeros((2, 4)), np.zeros((2, 4))
    state = model.start(1)
    for symbol in [6, 0, 3, 3, 1]:
        x = np.sqrt(3) * weights["network.embedding.weight"][symbol]
        for layer in range(2):
            prefix = f"network.layers.{layer}."
            own = {k.removeprefix(prefix): v for k, v in weights.items() if k.startswith(prefix)}
            x, cells[layer] = cell_by_hand(name, own, x, hidden[layer], cells[layer])
            hidden[layer] = x
        if tied:  # 4 units are projected to the embedding's 3, whose table is the output's.
            x = weights["network.projection.weight"] @ x
        output = weights["network.embedding.weight" if tied else "readout.project.weight"]
        logits = output @ x + weights["readout.project.bias"]
        log_probs, state = model.step(np.array([symbol]), state)
        np.testing.assert_allclose(
            log_probs[0], logits - np.log(np.exp(logits).sum()), rtol=1e-4, atol=1e-5
        )


@pytest.mark.parametrize("name", CELLS)
def test_windows_with_a_carried_state_are_one_long_pass(name: str, five_names: TokenStore) -> None:
    model = make(name, size=five_names.boundary_id + 1).eval()
    expected = model.batch_loss(Streams(five_names, 1, 99).at(0))[0].item()
    streams, state, total = Streams(five_names, 1, 5), None, 0.0
    for step in range(streams.steps_per_epoch):
        loss, state = model.batch_loss(streams.at(step), state)
        total += loss.item()
    assert all(not leaf.requires_grad for leaf in leaves(state))
    assert total == pytest.approx(expected, rel=1e-5)
    assert total == pytest.approx(-model.score(five_names, carry_context=True).sum(), rel=1e-5)


@pytest.mark.parametrize("name", CELLS)
def test_padding_changes_nothing(name: str, five_names: TokenStore) -> None:
    model = make(name, size=five_names.boundary_id + 1).eval()
    together = Padded(five_names, 5, 99).at(0)
    assert together.valid is not None and not together.valid.all()
    alone = [Padded(five_names.take(np.array([index])), 1, 99).at(0) for index in range(5)]
    losses, gradients = [], []
    for batches in ([together], alone):
        loss = sum((model.batch_loss(batch)[0] for batch in batches), torch.zeros(()))
        found = torch.autograd.grad(loss, list(model.parameters()))
        losses.append(loss.item())
        gradients.append(torch.cat([gradient.flatten() for gradient in found]))
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)
    torch.testing.assert_close(gradients[0], gradients[1], rtol=1e-3, atol=1e-4)


def test_streams_are_scored_nearly_as_one_long_text(
    store_of: Callable[[Iterable[str]], TokenStore],
) -> None:
    random = np.random.default_rng(0)
    store = store_of(["".join(random.choice(list("abcd"), 40)) for _ in range(30)])
    model = make("lstm", size=store.boundary_id + 1)
    whole = model.score(store, carry_context=True)
    model.scoring = Scoring(stream_length=100, warm_up=60)
    np.testing.assert_allclose(model.score(store, carry_context=True), whole, atol=1e-3)


@pytest.mark.parametrize("settings", [
    {"dropout": 0.5}, {"dropout": 0.5, "locked": False}, {"input_dropout": 0.5},
    {"embedding_dropout": 0.5}, {"weight_drop": 0.5},
])  # fmt: skip
def test_every_dropout_acts_in_training_only(settings: Any, five_names: TokenStore) -> None:
    model = make("lstm", **{"dropout": 0.0, "size": five_names.boundary_id + 1, **settings})
    batch = Padded(five_names, 5, 99).at(0)
    losses = [model.train().batch_loss(batch)[0].item() for _ in range(2)]
    assert losses[0] != losses[1]
    still = [model.eval().batch_loss(batch)[0].item() for _ in range(2)]
    assert still[0] == still[1]


def test_locked_dropout_keeps_its_mask_along_a_sequence() -> None:
    from thence.models.network import LockedDropout

    torch.manual_seed(0)
    values = LockedDropout(0.5)(torch.ones(4, 6, 50))
    assert torch.equal(values, values[:, :1].expand_as(values))
    assert set(values.unique().tolist()) == {0.0, 2.0}
    assert not torch.equal(values[0], values[1])


def test_tied_weights_are_one_and_counted_once() -> None:
    apart, tied = make("gru", embedding_size=4), make("gru", embedding_size=4, tied=True)
    assert apart.num_parameters() - tied.num_parameters() == 4 * V
    assert "readout.project.weight" not in tied.tensors()


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"layers": 0}, "`layers` is 0; it must be a whole number from 1 to"),
        ({"weight_drop": 1.0}, "`weight_drop` is 1.0; it must be a number from 0 to below 1"),
        ({"tied": True, "softmax": "adaptive"}, "`tied` does not go with `softmax='adaptive'`"),
        ({"samples": 0}, "`samples` is 0"),
        ({"logits_memory": "much"}, "`logits_memory` is 'much'; write it like 500MB"),
    ],
)
def test_settings_that_make_no_sense_are_refused(setting: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingError, match=message):
        get_family("lstm").options_class()(**setting)
