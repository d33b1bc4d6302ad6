"""Our updates against PyTorch's optimiser classes, which are the same functions beneath."""

import math
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from torch import Tensor, nn

from thence.models.registry import get_family
from thence.recipes.options import TrainingOptions
from thence.training.network_learner import load_state, state_dict
from thence.training.optimizers import AdamW, Muon, Optimizer, clip_gradients, orthogonalized


def train(model: nn.Module, step: Any, first: int, last: int) -> None:
    for index in range(first, last):
        inputs = torch.randn(4, 3, generator=torch.Generator().manual_seed(index))
        (model(inputs) ** 2).sum().backward()
        step(0.01 * (index + 1))


def linear() -> nn.Linear:
    model = nn.Linear(3, 2)
    nn.init.constant_(model.weight, 0.5)
    nn.init.constant_(model.bias, -0.1)
    return model


SETTINGS = [
    {"optimizer": "adamw", "weight_decay": 0.1},
    {"optimizer": "sgd"},
    {"optimizer": "sgd", "momentum": 0.9, "weight_decay": 0.1},
]


@pytest.mark.parametrize("settings", SETTINGS)
def test_steps_equal_those_of_torch(settings: dict[str, Any]) -> None:
    options = TrainingOptions(**settings)
    ours, theirs = linear(), linear()
    groups = [
        {"params": [theirs.weight], "weight_decay": options.weight_decay},
        {"params": [theirs.bias], "weight_decay": 0.0},
    ]
    if options.optimizer == "adamw":
        oracle: Any = torch.optim.AdamW(groups, lr=1.0, betas=(0.9, 0.99))
    else:
        oracle = torch.optim.SGD(groups, lr=1.0, momentum=options.momentum)

    def step(rate: float) -> None:
        for group in oracle.param_groups:
            group["lr"] = rate
        oracle.step()
        oracle.zero_grad()

    train(ours, Optimizer(ours, options).step, 0, 5)
    train(theirs, step, 0, 5)
    torch.testing.assert_close(ours.weight, theirs.weight)
    torch.testing.assert_close(ours.bias, theirs.bias)


@pytest.mark.parametrize("settings", [*SETTINGS, {"optimizer": "muon"}])
def test_a_saved_state_goes_on_bit_for_bit(settings: dict[str, Any]) -> None:
    options = TrainingOptions(**settings)
    whole, parts = linear(), linear()
    train(whole, Optimizer(whole, options).step, 0, 6)
    first = Optimizer(parts, options)
    train(parts, first.step, 0, 3)
    second = Optimizer(parts, options)
    load_state("optimizer", second.state(), state_dict("optimizer", first.state()))
    train(parts, second.step, 3, 6)
    assert torch.equal(whole.weight, parts.weight)
    assert torch.equal(whole.bias, parts.bias)


@pytest.mark.parametrize("limit", [0.1, 3.0, 1e6, math.inf])
def test_clipped_gradients_equal_those_of_torch(limit: float) -> None:
    ours, theirs = linear(), linear()
    for model in (ours, theirs):
        (model(torch.ones(4, 3)) ** 2).sum().backward()
    norm = nn.utils.clip_grad_norm_(theirs.parameters(), limit)
    assert clip_gradients(ours.parameters(), limit) == (norm > limit)
    for one, other in zip(ours.parameters(), theirs.parameters(), strict=True):
        assert torch.equal(one.grad, other.grad)  # type: ignore[arg-type]


def test_without_gradients_nothing_is_clipped() -> None:
    assert not clip_gradients(linear().parameters(), 0.1)


def test_a_state_of_another_shape_is_refused() -> None:
    options = TrainingOptions()
    saved = state_dict("optimizer", Optimizer(linear(), options).state())
    with pytest.raises(ValueError, match=r"optimizer\.0 has shape \(2, 3\)"):
        load_state("optimizer", Optimizer(nn.Linear(3, 4), options).state(), saved)


class TwoLayers(nn.Module):
    """The upper layer learns at the full rate; the lower one at half, from the middle on."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.upper, self.lower = nn.Linear(3, 2), nn.Linear(2, 3)

    def forward(self) -> Tensor:
        loss: Tensor = self.upper(self.lower(torch.ones(2))).square().sum()
        return loss

    def layers(self) -> list[list[nn.Parameter]]:
        return [list(self.upper.parameters()), list(self.lower.parameters())]

    def rate_factors(self, share: float) -> list[float]:
        return [1.0, 0.5 if share >= 0.5 else 0.0]


@pytest.mark.parametrize("kind", ["adamw", "adagrad", "sgd"])
def test_layers_have_rates_of_their_own(kind: Any) -> None:
    options = TrainingOptions(optimizer=kind, weight_decay=0.1)
    model, other = TwoLayers(), TwoLayers()
    optimizer = Optimizer(model, options)
    alone = [Optimizer(part, options) for part in (other.upper, other.lower)]
    for share in (0.0, 0.4, 0.5, 0.9):
        optimizer.unfreeze(share)
        model().backward()
        assert (model.lower.weight.grad is None) == (share < 0.5)
        optimizer.step(0.1)
        other().backward()
        alone[0].step(0.1)
        if share >= 0.5:
            alone[1].step(0.05)
        other.zero_grad()
        for mine, its in zip(model.parameters(), other.parameters(), strict=True):
            torch.testing.assert_close(mine, its, rtol=0, atol=0)
    assert len(optimizer.state()) == sum(len(part.state()) for part in alone)


@pytest.mark.parametrize("shape", [(6, 4), (4, 6)])
def test_muon_moves_a_hidden_matrix_as_torch_does(shape: tuple[int, int]) -> None:
    options = TrainingOptions(optimizer="muon", weight_decay=0.1)
    torch.manual_seed(0)
    ours = nn.Linear(*shape, bias=False)
    theirs = nn.Linear(*shape, bias=False)
    theirs.load_state_dict(ours.state_dict())
    oracle = torch.optim.Muon(
        theirs.parameters(), lr=0.05, weight_decay=0.1, adjust_lr_fn="match_rms_adamw"
    )
    optimizer = Optimizer(ours, options)
    inputs = torch.randn(5, shape[0])
    for _ in range(4):
        for model in (ours, theirs):
            (model(inputs) ** 2).sum().backward()
        oracle.step()
        oracle.zero_grad()
        optimizer.step(0.05)
    # PyTorch iterates in bfloat16, which has two digits.
    torch.testing.assert_close(ours.weight, theirs.weight, atol=0.02, rtol=0.02)


def test_muon_is_for_hidden_matrices_alone() -> None:
    options = get_family("gru").options_class()(embedding_size=4, hidden_size=5)
    model = get_family("gru").language_model(options, 9)
    assert isinstance(model, nn.Module)
    optimizer = Optimizer(model, TrainingOptions(optimizer="muon"))
    muon, adamw = (
        [part for rules in optimizer._rules for part in rules if isinstance(part, kind)]
        for kind in (Muon, AdamW)
    )
    # W and U of three gates by Muon; two tables, and three vectors of biases, by AdamW.
    assert [[tuple(mean.shape) for mean in part.state()] for part in muon] == [[(15, 4), (15, 5)]]
    assert sorted(len(part.state()) // 3 for part in adamw) == [2, 3]


@given(seed=st.integers(0, 1000), rows=st.integers(1, 12), columns=st.integers(1, 12))
@hypothesis_settings(max_examples=20, deadline=None, derandomize=True)
def test_an_orthogonalized_matrix_keeps_its_directions(seed: int, rows: int, columns: int) -> None:
    matrix = torch.randn(rows, columns, generator=torch.Generator().manual_seed(seed))
    left, values, right = torch.linalg.svd(matrix, full_matrices=False)
    found = left.T @ orthogonalized(matrix) @ right.T  # Diagonal: the new singular values.
    kept = torch.diagonal(found)
    torch.testing.assert_close(found, torch.diag(kept), atol=1e-3, rtol=0)
    # The iteration brings all but the smallest of them close to 1.
    large = kept[values > 0.05 * values.max()]
    assert float(large.min()) > 0.3 and float(large.max()) < 1.3


def adagrad(*parameters: nn.Parameter) -> Optimizer:
    model = SimpleNamespace(parameters=lambda: iter(parameters))
    return Optimizer(model, TrainingOptions(optimizer="adagrad", weight_decay=0.0))


def test_adagrad_has_one_rate_for_each_row() -> None:
    weights = torch.nn.Parameter(torch.tensor([[1.0, 2.0], [3.0, 4.0]]))
    bias = torch.nn.Parameter(torch.tensor([1.0]))
    optimizer = adagrad(weights, bias)
    weights.grad = torch.tensor([[3.0, 4.0], [0.0, 0.0]])
    bias.grad = torch.tensor([2.0])
    optimizer.step(0.1)
    # Row 1: the sum is (9 + 16) / 2 = 12.5; the bias: 4.
    root = 12.5**0.5
    assert weights.tolist()[0] == pytest.approx([1 - 0.3 / root, 2 - 0.4 / root])
    assert weights.tolist()[1] == [3, 4]
    assert bias.item() == pytest.approx(0.9)


def test_adagrad_of_a_sparse_gradient_is_that_of_the_dense_one() -> None:
    torch.manual_seed(0)
    dense, sparse = (torch.nn.Parameter(torch.arange(12.0).reshape(4, 3)) for _ in range(2))
    optimizers = [adagrad(parameter) for parameter in (dense, sparse)]
    for rows in ([0, 2], [2, 3], [0]):
        values = torch.randn(len(rows), 3)
        dense.grad = torch.zeros(4, 3).index_add(0, torch.tensor(rows), values)
        sparse.grad = torch.sparse_coo_tensor(
            torch.tensor([rows]), values, (4, 3), is_coalesced=True, check_invariants=True
        )
        for optimizer in optimizers:
            optimizer.step(0.5)
        torch.testing.assert_close(dense, sparse)
