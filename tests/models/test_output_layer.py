"""Output layers: chunks change nothing, samples are right on average, clusters sum to one."""

import numpy as np
import pytest
import torch
from torch import nn

from thence.models.output_layer import (
    AdaptiveSoftmax,
    FullSoftmax,
    SampledSoftmax,
    TiedLinear,
    log_inclusion_probs,
)

V, H, N = 40, 6, 50


@pytest.fixture(autouse=True)
def seeded() -> None:
    torch.manual_seed(0)


@pytest.fixture
def hidden() -> torch.Tensor:
    return torch.randn(N, H, requires_grad=True)


@pytest.fixture
def targets() -> torch.Tensor:
    return torch.randint(0, V, (N,))


def test_the_loss_in_chunks_is_the_loss_at_once(
    hidden: torch.Tensor, targets: torch.Tensor
) -> None:
    layer = nn.Linear(H, V)
    found = []
    for memory in (1 << 30, 7 * 4 * V):  # All at once; seven rows at a time.
        loss = FullSoftmax(layer, memory).loss(hidden, targets)
        gradients = torch.autograd.grad(loss / 3, [hidden, layer.weight, layer.bias])
        found.append([loss.detach(), *gradients])
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-6)


def test_chunks_in_bfloat16_are_close(hidden: torch.Tensor, targets: torch.Tensor) -> None:
    output_layer = FullSoftmax(nn.Linear(H, V), 7 * 4 * V)
    exact = output_layer.loss(hidden, targets)
    with torch.autocast("cpu", torch.bfloat16):
        low = output_layer.loss(hidden, targets)
    assert low.dtype == torch.float32
    assert low.item() == pytest.approx(exact.item(), rel=5e-3)


def test_log_probabilities_of_targets_are_those_of_all(
    hidden: torch.Tensor, targets: torch.Tensor
) -> None:
    for output_layer in (
        FullSoftmax(nn.Linear(H, V), 7 * 4 * V),
        SampledSoftmax(nn.Linear(H, V), 5),
        AdaptiveSoftmax(H, V, 7 * 4 * V),
    ):
        log_probs = output_layer.eval().log_probs(hidden)
        torch.testing.assert_close(log_probs.exp().sum(dim=1), torch.ones(N))
        torch.testing.assert_close(
            output_layer.target_log_probs(hidden, targets), log_probs[torch.arange(N), targets]
        )
        assert output_layer.target_log_probs(hidden[:0], targets[:0]).shape == (0,)
        stacked = output_layer.log_probs(hidden.unflatten(0, (5, 10)))
        torch.testing.assert_close(stacked.flatten(0, 1), log_probs)


def test_the_adaptive_loss_is_the_summed_negative_log_likelihood(
    hidden: torch.Tensor, targets: torch.Tensor
) -> None:
    output_layer = AdaptiveSoftmax(H, V)
    expected = -output_layer.log_probs(hidden)[torch.arange(N), targets].sum()
    torch.testing.assert_close(output_layer.loss(hidden, targets), expected)
    counts = nn.functional.one_hot(targets, V).float()
    torch.testing.assert_close(output_layer.loss(hidden, counts), expected)


def test_chances_of_the_sample_are_what_is_drawn() -> None:
    output_layer = SampledSoftmax(nn.Linear(H, V), samples=10)
    times = torch.zeros(V)
    for _ in range(4000):
        times[output_layer._draw(V, torch.device("cpu"))] += 1
    # Four standard errors of 4,000 draws are 0.032 at most.
    np.testing.assert_allclose(times / 4000, log_inclusion_probs(V, 10).exp(), atol=0.035)
    assert times[-2:].tolist() == [4000, 4000]


def test_sampled_gradients_are_near_those_of_the_whole(
    hidden: torch.Tensor, targets: torch.Tensor
) -> None:
    layer = nn.Linear(H, V)
    whole = torch.autograd.grad(FullSoftmax(layer).loss(hidden, targets), [hidden])[0]
    sampled = SampledSoftmax(layer, samples=25)
    mean = torch.zeros_like(whole)
    for _ in range(500):
        mean += torch.autograd.grad(sampled.loss(hidden, targets), [hidden])[0] / 500
    assert float((mean - whole).norm() / whole.norm()) < 0.1
    torch.testing.assert_close(
        sampled.eval().loss(hidden, targets), FullSoftmax(layer).loss(hidden, targets)
    )


def plain_sampled_loss(
    layer: nn.Linear, hidden: torch.Tensor, targets: torch.Tensor, drawn: torch.Tensor
) -> torch.Tensor:
    """The equation of the sampled softmax, target by target."""
    logits = layer(hidden) - log_inclusion_probs(V, 10)
    losses = []
    for row, target in zip(logits, targets, strict=True):
        compared = torch.cat([row[drawn[drawn != target]], row[target, None]])
        losses.append(compared.logsumexp(0) - row[target])
    return torch.stack(losses).sum()


@pytest.mark.parametrize("precision", [torch.float32, torch.bfloat16])
def test_the_sampled_loss_and_its_gradients_are_those_of_the_equation(
    hidden: torch.Tensor, targets: torch.Tensor, precision: torch.dtype
) -> None:
    layer = nn.Linear(H, V)
    nn.init.normal_(layer.bias)
    sampled = SampledSoftmax(layer, samples=10)
    drawn = sampled._draw(V, hidden.device)
    sampled._draw = lambda *given: drawn  # type: ignore[method-assign]
    assert 0 < int(torch.isin(targets, drawn).sum()) < N  # Some targets are in the sample.
    inputs = [hidden, layer.weight, layer.bias]
    expected = plain_sampled_loss(layer, hidden, targets, drawn)
    with torch.autocast("cpu", precision, enabled=precision != torch.float32):
        loss = sampled.loss(hidden, targets)
    tolerance = 1e-5 if precision == torch.float32 else 0.02
    torch.testing.assert_close(loss, expected, rtol=tolerance, atol=0)
    gradients = [torch.autograd.grad(found / 3, inputs) for found in (loss, expected)]
    for one, other in zip(*gradients, strict=True):
        torch.testing.assert_close(one, other, rtol=tolerance, atol=tolerance)


def test_a_tied_layer_has_the_weights_of_the_embedding() -> None:
    embedding = nn.Embedding(V, H)
    layer = TiedLinear(embedding)
    torch.testing.assert_close(layer(torch.eye(H)), embedding.weight.T)
    assert [name for name, _ in layer.named_parameters()] == ["bias"]


def test_biases_may_begin_with_frequencies(hidden: torch.Tensor) -> None:
    output_layer = FullSoftmax(nn.Linear(H, V))
    nn.init.zeros_(output_layer.project.weight)
    counts = torch.zeros(V)
    counts[3] = 59  # 1 is added to each of 40 counts: 60 of 99 in all.
    output_layer.init_bias(counts)
    probs = output_layer.log_probs(hidden).exp()[0]
    assert probs[3].item() == pytest.approx(60 / 99)
    assert probs[0].item() == pytest.approx(1 / 99)
    FullSoftmax(nn.Identity()).init_bias(counts)  # It has no biases, and is left as it is.
    AdaptiveSoftmax(H, V).init_bias(counts)
