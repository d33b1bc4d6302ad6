from collections import Counter

import numpy as np
import pytest
import torch

from thence.batches import window_batches, windows
from thence.batches.batch import Batch, Batches, epoch_orders
from thence.batches.windows import (
    DistinctWindows,
    ShuffledWindows,
    StratifiedContexts,
    distinct_windows,
)
from thence.models.language.neural import NeuralLanguageModel
from thence.models.registry import get_family
from thence.tokens import TokenStore

V = 14  # The letters of the five names, and the boundary.
CONTEXT = 2


@pytest.fixture
def names(five_names: TokenStore) -> TokenStore:
    """The five names, repeated so that collapsing pays."""
    return five_names.take(np.array([0, 1, 2, 3, 4, 4, 0, 2, 2, 1]))


@pytest.fixture
def collapsed(names: TokenStore) -> DistinctWindows:
    found = distinct_windows(names, CONTEXT, V)
    assert found is not None
    return found


def contexts_of(batch: Batch) -> np.ndarray:
    assert batch.before is not None
    return np.hstack([batch.before, batch.ids])


def examples_of_epoch(batches: Batches, epoch: int) -> list[tuple[int, ...]]:
    first = epoch * batches.steps_per_epoch
    found = [batches.at(step) for step in range(first, first + batches.steps_per_epoch)]
    return [tuple(row) for b in found for row in np.hstack([contexts_of(b), b.targets]).tolist()]


@pytest.mark.parametrize("batch_size", [1, 7, 32, 100])
@pytest.mark.parametrize("carry", [False, True])
def test_every_example_comes_once_an_epoch(
    five_names: TokenStore, batch_size: int, carry: bool
) -> None:
    batches = ShuffledWindows(five_names, CONTEXT, batch_size, 0, carry)
    expected = [
        tuple(row) for row in windows(five_names, CONTEXT, carry).gather(slice(None)).tolist()
    ]
    first, second = examples_of_epoch(batches, 0), examples_of_epoch(batches, 1)
    assert sorted(first) == sorted(second) == sorted(expected)
    assert first != second
    # 32 examples: the last of the batches holds what is left.
    sizes = [len(batches.at(step).targets) for step in range(batches.steps_per_epoch)]
    assert sum(sizes) == 32
    assert set(sizes[:-1]) <= {batch_size}
    assert all(b.weight == b.tokens == len(b.targets) for b in map(batches.at, range(len(sizes))))


def test_the_same_seed_gives_the_same_order_from_any_step(five_names: TokenStore) -> None:
    one = ShuffledWindows(five_names, CONTEXT, 5, 3, False)
    other = ShuffledWindows(five_names, CONTEXT, 5, 3, False)
    for step in (20, 0, 8, 7, 20):  # Resumed in any epoch.
        np.testing.assert_array_equal(contexts_of(one.at(step)), contexts_of(other.at(step)))
        np.testing.assert_array_equal(one.at(step).targets, other.at(step).targets)
    another = ShuffledWindows(five_names, CONTEXT, 5, 4, False)
    assert examples_of_epoch(one, 0) != examples_of_epoch(another, 0)


def test_orders_are_permutations() -> None:
    order = epoch_orders(10, 1)
    assert sorted(order(0).tolist()) == list(range(10))
    first = order(0).tolist()
    assert order(1).tolist() != first
    assert order(0).tolist() == first
    assert epoch_orders(0, 1)(0).tolist() == []


@pytest.mark.parametrize("batch_size", [1, 2, 5, 8, 1000])
def test_rare_contexts_come_once_an_epoch_and_frequent_ones_at_every_step(
    collapsed: DistinctWindows, batch_size: int
) -> None:
    batches = StratifiedContexts(collapsed, batch_size, 0)
    times: Counter[tuple[int, ...]] = Counter()
    for step in range(batches.steps_per_epoch):
        batch = batches.at(step)
        assert len(batch.ids) <= max(2, batch_size)
        times.update(map(tuple, contexts_of(batch).tolist()))
    assert set(times) == set(map(tuple, collapsed.contexts.tolist()))
    assert set(times.values()) <= {1, batches.steps_per_epoch}
    assert times[tuple(collapsed.contexts[0].tolist())] == batches.steps_per_epoch


def network() -> NeuralLanguageModel:
    torch.manual_seed(0)
    mlp = get_family("mlp")
    settings = mlp.options_class()(context=CONTEXT, embedding_size=3, hidden_size=5)
    model = mlp.language_model(settings, V)
    assert isinstance(model, NeuralLanguageModel)
    return model.double().eval()


def epoch_loss(model: NeuralLanguageModel, batches: Batches, epoch: int) -> torch.Tensor:
    """The mean loss per target over the steps of one epoch: summed loss by summed weight."""
    steps = range(epoch * batches.steps_per_epoch, (epoch + 1) * batches.steps_per_epoch)
    loss, weight = torch.zeros((), dtype=torch.float64), 0.0
    for batch in map(batches.at, steps):
        targets = torch.from_numpy(batch.targets)
        targets = targets.double() if targets.is_floating_point() else targets
        loss = loss + model.loss(torch.from_numpy(contexts_of(batch)), targets)
        weight += batch.weight
    return loss / weight


@pytest.mark.slow
@pytest.mark.parametrize("batch_size", [1, 3, 8, 1000])
@pytest.mark.parametrize("epoch", [0, 2])
def test_an_epoch_of_collapsed_contexts_has_the_loss_and_gradient_of_all_examples(
    names: TokenStore, collapsed: DistinctWindows, batch_size: int, epoch: int
) -> None:
    model = network()
    gradients, losses = [], []
    for batches in (
        ShuffledWindows(names, CONTEXT, 8, 0, False),
        StratifiedContexts(collapsed, batch_size, 0),
    ):
        loss = epoch_loss(model, batches, epoch)
        losses.append(loss.item())
        found = torch.autograd.grad(loss, list(model.parameters()))
        gradients.append(torch.cat([gradient.flatten() for gradient in found]))
    assert losses[0] == pytest.approx(losses[1], rel=1e-13)
    torch.testing.assert_close(gradients[0], gradients[1], rtol=1e-11, atol=1e-13)


def test_tokens_of_an_epoch_are_the_targets(collapsed: DistinctWindows, names: TokenStore) -> None:
    batches = StratifiedContexts(collapsed, 5, 0)
    tokens = sum(batches.at(step).tokens for step in range(batches.steps_per_epoch))
    assert tokens == pytest.approx(names.num_targets)


def test_the_table_of_counts_is_not_changed_by_a_step(collapsed: DistinctWindows) -> None:
    before = collapsed.counts.copy()
    batches = StratifiedContexts(collapsed, 3, 0)
    for step in range(2 * batches.steps_per_epoch):
        batches.at(step)
    np.testing.assert_array_equal(collapsed.counts, before)


def test_collapsing_is_chosen_where_it_pays(names: TokenStore, five_names: TokenStore) -> None:
    assert isinstance(window_batches(names, CONTEXT, V, 8, 0, False), StratifiedContexts)
    assert isinstance(window_batches(five_names, 6, V, 8, 0, False), ShuffledWindows)
