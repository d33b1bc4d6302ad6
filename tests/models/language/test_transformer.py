import math
from typing import Any

import numpy as np
import pytest
import torch

from thence.batches import Padded, Streams
from thence.errors import SettingError
from thence.models.base import reset_rows, take_rows
from thence.models.language.neural import NeuralLanguageModel
from thence.models.language.options import TransformerOptions
from thence.models.language.transformer import create, rotate
from thence.tokens import TokenStore

V = 7
POSITIONS = ["rotary", "learned"]


def make(**settings: Any) -> NeuralLanguageModel:
    """A small network with large random weights, so that all it reads is felt."""
    small = {"context": 4, "embedding_size": 8, "layers": 2, "heads": 2}
    torch.manual_seed(0)
    model = create(TransformerOptions(**(small | settings)), V).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(0, 0.5)
    return model


def ids_of(rows: int, time: int, seed: int = 0) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(seed).integers(0, V, (rows, time)))


@torch.inference_mode()
def read(
    model: NeuralLanguageModel, ids: torch.Tensor, cuts: tuple[int, ...] = (), state: Any = None
) -> tuple[np.ndarray, Any]:
    """Hidden states after ids that are read in one pass, or in parts cut at these places."""
    state = model.start(len(ids)) if state is None else state
    parts = []
    for part in torch.tensor_split(ids, cuts, dim=1):
        hidden, state = model.network(part, state)
        parts.append(hidden)
    return torch.cat(parts, dim=1).numpy(), state


def normed(values: np.ndarray, weights: dict[str, np.ndarray], name: str) -> np.ndarray:
    centred = values - values.mean()
    scaled = centred / np.sqrt((centred**2).mean() + 1e-5)
    return weights[f"{name}.weight"] * scaled + weights[f"{name}.bias"]


def linear(values: np.ndarray, weights: dict[str, np.ndarray], name: str) -> np.ndarray:
    return weights[f"{name}.weight"] @ values + weights[f"{name}.bias"]


@pytest.mark.parametrize("positions", POSITIONS)
def test_the_equations(positions: str) -> None:
    # One layer, one head of four numbers, so that rotary turns two pairs: place by place.
    model = make(positions=positions, layers=1, heads=1, embedding_size=4, context=3)
    weights = {name: value.astype(np.float64) for name, value in model.tensors().items()}
    net, layer = "network", "network.layers.0"
    table = weights[f"{net}.embedding.weight"]
    text = [6, 1, 4, 4]
    xs, queries, keys, values = [], [], [], []
    for place, symbol in enumerate(text):
        x = table[symbol]
        if positions == "learned":
            x = x + weights[f"{net}.positions.weight"][place % 3]
        x = 2 * x  # The root of 4 numbers.
        projected = linear(
            normed(x, weights, f"{layer}.attention_norm"), weights, f"{layer}.attention.project"
        )
        q, k, v = np.split(projected, 3)
        if positions == "rotary":
            # Numbers 0 and 2 are a pair, 1 and 3 another, a hundred times slower.
            angle = place * np.array([1, 0.01])
            q, k = (
                np.concatenate(
                    [
                        part[:2] * np.cos(angle) - part[2:] * np.sin(angle),
                        part[:2] * np.sin(angle) + part[2:] * np.cos(angle),
                    ]
                )
                for part in (q, k)
            )
        for kept, value in zip((xs, queries, keys, values), (x, q, k, v), strict=True):
            kept.append(value)

    for last in range(len(text)):
        seen = range(max(0, last - 2), last + 1)
        strength = np.exp([queries[last] @ keys[j] / 2 for j in seen])  # The root of 4 is 2.
        a = sum(w * values[j] for w, j in zip(strength / strength.sum(), seen, strict=True))
        x = xs[last] + linear(a, weights, f"{layer}.attention.output")
        inner = linear(
            normed(x, weights, f"{layer}.feed_forward_norm"), weights, f"{layer}.feed_forward.0"
        )
        gelu = inner * 0.5 * (1 + np.vectorize(math.erf)(inner / math.sqrt(2)))
        x = x + linear(gelu, weights, f"{layer}.feed_forward.2")
        logits = table @ normed(x, weights, f"{net}.norm") + weights["readout.project.bias"]
        expected = logits - np.log(np.exp(logits).sum())

        state = model.start(1)
        for symbol in text[: last + 1]:
            log_probs, state = model.step(np.array([symbol]), state)
        np.testing.assert_allclose(log_probs[0], expected, atol=1e-5)


@pytest.mark.parametrize("tied", [True, False])
def test_numbers_of_parameters(tied: bool) -> None:
    # V H + layers (two norms 4 H, W_q, W_k, W_v and W_o 4 H H + 4 H, feed-forward 8 H H + 5 H)
    # + the last norm 2 H + V, with V = 7 and H = 8; without tying V H again.
    expected = 7 * 8 + 2 * (12 * 64 + 13 * 8) + 2 * 8 + 7 + (0 if tied else 7 * 8)
    assert make(tied=tied).num_parameters() == expected
    assert make(tied=tied, positions="learned").num_parameters() == expected + 4 * 8
    # With SwiGLU a feed-forward part is 8 x 32 + 32 and 16 x 8 + 8, for 8 x 32 + 32 and 32 x 8 + 8.
    assert make(tied=tied, feed_forward="swiglu").num_parameters() == expected - 2 * 16 * 8


def test_turning_all_places_alike_changes_no_product() -> None:
    network = make(heads=1).network
    rotations = network._angles(30, torch.device("cpu"))  # type: ignore[attr-defined]
    queries, keys = torch.randn(2, 1, 1, 5, 8, generator=torch.Generator().manual_seed(0))

    def products(shift: int) -> torch.Tensor:
        there = rotations[:, shift : shift + 5]
        return rotate(queries, there) @ rotate(keys, there).mT

    torch.testing.assert_close(products(25), products(0), atol=1e-5, rtol=0)
    assert (products(0) - queries @ keys.mT).abs().max() > 0.1


def test_rotary_positions_are_only_of_the_band() -> None:
    # Two places further on, what was read before is out of reach of one layer's context of 3.
    model = make(layers=1, context=3)
    late, _ = read(model, torch.tensor([[0, 1, 2, 3, 4, 5]]))
    early, _ = read(model, torch.tensor([[2, 3, 4, 5]]))
    np.testing.assert_allclose(late[:, 4:], early[:, 2:], atol=1e-5)


def test_learned_positions_begin_again_after_the_context() -> None:
    model = make(layers=1, context=3, positions="learned")
    late, _ = read(model, torch.tensor([[0, 1, 2, 3, 4, 5]]))
    three_later, _ = read(model, torch.tensor([[0, 0, 0, 0, 1, 2, 3, 4, 5]]))
    one_later, _ = read(model, torch.tensor([[0, 0, 1, 2, 3, 4, 5]]))
    np.testing.assert_allclose(late[0, -1], three_later[0, -1], atol=1e-5)
    assert np.abs(late[0, -1] - one_later[0, -1]).max() > 0.01


@pytest.mark.parametrize("positions", POSITIONS)
@pytest.mark.parametrize(("layers", "context"), [(1, 1), (1, 4), (2, 3), (3, 2)])
def test_each_layer_reaches_so_far_and_no_further(
    positions: str, layers: int, context: int
) -> None:
    model = make(layers=layers, context=context, positions=positions)
    ids = ids_of(1, 12)
    whole, _ = read(model, ids)
    reach = layers * (context - 1)
    for back in range(12):
        changed = ids.clone()
        changed[0, -1 - back] = (ids[0, -1 - back] + 1) % V
        difference = np.abs(read(model, changed)[0][0, -1] - whole[0, -1]).max()
        assert difference > 1e-4 if back <= reach else difference == 0


@pytest.mark.parametrize("positions", POSITIONS)
@pytest.mark.parametrize("context", [1, 2, 4, 20])
@pytest.mark.parametrize(
    "cuts", [tuple(range(1, 15)), (4, 8, 12), (1, 12), (2, 3)], ids=lambda cuts: str(len(cuts))
)
def test_a_carried_state_equals_one_pass(
    positions: str, context: int, cuts: tuple[int, ...]
) -> None:
    model = make(positions=positions, context=context)
    ids = ids_of(3, 15)
    together, after = read(model, ids)
    apart, after_parts = read(model, ids, cuts)
    np.testing.assert_allclose(apart, together, atol=1e-5)
    for one, other in zip(after, after_parts, strict=True):
        torch.testing.assert_close(one, other, atol=1e-5, rtol=0)


@pytest.mark.parametrize("positions", POSITIONS)
@pytest.mark.parametrize("read_before", [2, 9])
def test_restarted_rows_equal_fresh_ones(positions: str, read_before: int) -> None:
    model = make(positions=positions)
    _, old = read(model, ids_of(3, read_before))
    rows = np.array([False, True, False])
    ids = ids_of(3, 6, seed=1)
    after, _ = read(model, ids, (1, 3), reset_rows(old, model.start(3), rows))
    fresh, _ = read(model, ids)
    carried, _ = read(model, ids, (), old)
    np.testing.assert_allclose(after[1], fresh[1], atol=1e-5)
    np.testing.assert_allclose(after[[0, 2]], carried[[0, 2]], atol=1e-5)
    assert np.abs(carried[1] - fresh[1]).max() > 0.01


def test_rows_of_a_state_may_be_taken() -> None:
    model = make()
    ids = ids_of(3, 5)
    _, state = read(model, ids)
    chosen = np.array([2, 0, 2])
    more = ids_of(3, 3, seed=1)
    taken, _ = read(model, more[chosen], (), take_rows(state, chosen))
    np.testing.assert_allclose(taken, read(model, more, (), state)[0][chosen], atol=1e-5)


def test_the_fresh_state_takes_no_memory() -> None:
    model = make(context=1 << 20, embedding_size=64)
    _, *caches = model.start(1000)
    assert caches[0].shape == (1000, 2, 2, (1 << 20) - 1, 32)
    assert all(cache.untyped_storage().nbytes() == 4 for cache in caches)


def test_streams_give_what_one_long_row_gives(five_names: TokenStore) -> None:
    torch.manual_seed(0)
    options = TransformerOptions(context=5, embedding_size=8, layers=2, heads=2)
    model = create(options, five_names.boundary_id + 1).eval()
    loss, state = 0.0, None
    batches = Streams(five_names, 1, 4)
    for step in range(batches.steps_per_epoch):
        part, state = model.batch_loss(batches.at(step), state)
        assert not any(leaf.requires_grad for leaf in state)
        loss += part.item()
    scores = model.score(five_names, carry_context=True)
    assert loss == pytest.approx(-scores.sum(), rel=1e-5)


@pytest.mark.parametrize("positions", POSITIONS)
def test_bfloat16_is_near_and_its_state_goes_on(positions: str, five_names: TokenStore) -> None:
    torch.manual_seed(0)
    options = TransformerOptions(16, 8, 2, 2, positions=positions, dropout=0.0)  # type: ignore[arg-type]
    model = create(options, five_names.boundary_id + 1).train()
    batches = Padded(five_names, 5, 4)
    losses = []
    for narrow in (False, True):
        state, total = None, torch.zeros(())
        with torch.autocast("cpu", torch.bfloat16, enabled=narrow):
            for step in range(batches.steps_per_epoch):
                loss, state = model.batch_loss(batches.at(step), state)
                total = total + loss
        total.backward()
        losses.append(total.item())
        assert all(leaf.dtype in (torch.float32, torch.int64) for leaf in state)
        assert all(weight.grad is not None for weight in model.parameters())
    assert losses[1] == pytest.approx(losses[0], rel=0.02)


def test_dropout_acts_only_in_training() -> None:
    model = make(dropout=0.5)
    ids = ids_of(2, 4)
    model.train()
    assert np.abs(read(model, ids)[0] - read(model, ids)[0]).max() > 0.01
    model.eval()
    np.testing.assert_array_equal(read(model, ids)[0], read(model, ids)[0])


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"context": 0}, "`context` is 0; it must be a whole number from 1 to"),
        ({"embedding_size": 0}, "`embedding_size` is 0; it must be a whole number of at least 1"),
        ({"layers": -1}, "`layers` is -1; it must be a whole number from 1 to"),
        ({"heads": 0}, "`heads` is 0; it must be a whole number of at least 1"),
        ({"dropout": 1.0}, "`dropout` is 1.0; it must be a number from 0 to below 1"),
        ({"embedding_size": 10}, "`embedding_size` is 10, which 4 heads cannot divide evenly"),
        ({"embedding_size": 12}, "12 and `heads` 4, so each head has 3 numbers, but rotary"),
        (
            {"softmax": "adaptive"},
            "`tied` does not go with `softmax='adaptive'`.* use `tied=False`",
        ),
        ({"samples": 0}, "`samples` is 0; it must be a whole number of at least 1"),
    ],
)
def test_settings_that_make_no_sense_are_refused(setting: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingError, match=message):
        TransformerOptions(**setting)


def test_learned_positions_take_heads_of_any_size() -> None:
    assert TransformerOptions(embedding_size=12, positions="learned").heads == 4
    assert TransformerOptions(softmax="adaptive", tied=False).softmax == "adaptive"
