"""Dynamic evaluation."""

from collections.abc import Callable, Iterable
from dataclasses import replace

import numpy as np
import pytest
import torch

from thence.ensembles.members import dynamic_member
from thence.models.language.dynamic_evaluation import (
    EPSILON,
    MAX_TARGETS,
    UpdateRule,
    choose_rule,
    gradient_sizes,
    score_dynamically,
)
from thence.models.language.members import Member, MixtureOptions
from thence.models.language.mixture import Mixture
from thence.models.language.neural import NeuralLanguageModel, Scoring
from thence.models.registry import get_family
from thence.tokens import TokenStore

WINDOW = Scoring().dynamic_window
SIZES = {"hidden_size": 8, "embedding_size": 6}
SGD = UpdateRule(1.0, 0.001)


def network(vocabulary_size: int, softmax: str = "full") -> NeuralLanguageModel:
    torch.manual_seed(0)
    options = get_family("lstm").options_class()(**SIZES, softmax=softmax)
    model = get_family("lstm").language_model(options, vocabulary_size)
    assert isinstance(model, NeuralLanguageModel)
    return model


@pytest.fixture(scope="module")
def shifting(store_of: Callable[[Iterable[str]], TokenStore]) -> TokenStore:
    """A text of which the second half is of other letters than the first."""
    return store_of(["abcab" * 60, "xyzzy" * 60])


@pytest.mark.parametrize("softmax", ["full", "sampled", "adaptive"])
def test_a_window_is_scored_before_it_is_learned(shifting: TokenStore, softmax: str) -> None:
    model = network(shifting.boundary_id + 1, softmax)
    static = model.score(shifting, carry_context=True)
    dynamic = score_dynamically(model, shifting, SGD)
    np.testing.assert_allclose(dynamic[:WINDOW], static[:WINDOW], atol=1e-5)
    assert np.abs(dynamic[WINDOW:] - static[WINDOW:]).min() > 1e-4


def test_the_weights_are_restored(shifting: TokenStore) -> None:
    model = network(shifting.boundary_id + 1)
    before = model.tensors()
    first = score_dynamically(model, shifting, SGD)
    for name, value in model.tensors().items():
        np.testing.assert_array_equal(value, before[name])
    np.testing.assert_array_equal(score_dynamically(model, shifting, SGD), first)
    assert all(parameter.grad is None for parameter in model.parameters())


def test_one_step_by_hand(shifting: TokenStore) -> None:
    # The second window is scored by w - rate * gradient of the first's mean loss; the pull back
    # to w is nothing at the first step.
    model = network(shifting.boundary_id + 1).eval()  # No dropout.
    ids = torch.from_numpy(shifting.ids[: 2 * WINDOW + 1].astype(np.int64))
    hidden, state = model.network(ids[None, :WINDOW], model.start(1))
    (model.output_layer.loss(hidden[0], ids[1 : WINDOW + 1]) / WINDOW).backward()
    dynamic = score_dynamically(model, shifting, UpdateRule(0.5, 0.001))
    with torch.no_grad():
        for parameter in model.parameters():
            assert parameter.grad is not None
            parameter -= 0.5 * parameter.grad
        hidden, _ = model.network(ids[None, WINDOW:-1], state)
        found = model.output_layer.target_log_probs(hidden[0], ids[WINDOW + 1 :])
    np.testing.assert_allclose(dynamic[WINDOW : 2 * WINDOW], found.numpy(), atol=1e-5)


def rms(model: NeuralLanguageModel, store: TokenStore, rate: float = 0.01) -> UpdateRule:
    return UpdateRule(rate, 0.1, gradient_sizes(model, store))


def test_sizes_of_gradients_by_hand(shifting: TokenStore) -> None:
    # Two windows: the first from the start, the last after the one before it (597 targets).
    model = network(shifting.boundary_id + 1).eval()
    ids = torch.from_numpy(shifting.ids.astype(np.int64))
    last = (shifting.num_targets - 1) // WINDOW * WINDOW
    squares = []
    for begin in (0, last):
        state = model.start(1)
        if begin:
            _, state = model.network(ids[None, begin - WINDOW : begin], state)
        end = min(begin + WINDOW, shifting.num_targets)
        hidden, _ = model.network(ids[None, begin:end], [part.detach() for part in state])
        model.zero_grad()
        (model.output_layer.loss(hidden[0], ids[begin + 1 : end + 1]) / (end - begin)).backward()
        squares.append([parameter.grad**2 for parameter in model.parameters()])  # type: ignore[operator]
    model.zero_grad()
    expected = [((one + other) / 2).sqrt() for one, other in zip(*squares, strict=True)]
    found = gradient_sizes(model, shifting, windows=2)
    assert found.keys() == model.tensors().keys()
    for size, wanted in zip(found.values(), expected, strict=True):
        np.testing.assert_allclose(size, wanted, rtol=1e-4, atol=1e-8)


def test_one_weight_by_the_rms_rule(shifting: TokenStore) -> None:
    # The third window is scored by weights that took two steps; so is a plain loop in NumPy.
    model = network(shifting.boundary_id + 1).eval()
    rule = rms(model, shifting)
    assert rule.sizes is not None
    sizes = list(rule.sizes.values())
    mean = np.concatenate([size.ravel() for size in sizes]).mean()
    trained = [parameter.detach().numpy().copy() for parameter in model.parameters()]
    ids = torch.from_numpy(shifting.ids[: 3 * WINDOW + 1].astype(np.int64))
    dynamic = score_dynamically(model, shifting, rule)
    state = model.start(1)
    for begin in (0, WINDOW, 2 * WINDOW):
        end = begin + WINDOW
        hidden, state = model.network(ids[None, begin:end], [part.detach() for part in state])
        found = model.output_layer.target_log_probs(hidden[0], ids[begin + 1 : end + 1])
        np.testing.assert_allclose(dynamic[begin:end], found.detach().numpy(), atol=1e-5)
        model.zero_grad()
        (-found.mean()).backward()
        for parameter, size, before in zip(model.parameters(), sizes, trained, strict=True):
            assert parameter.grad is not None
            weights, gradient = parameter.detach().numpy(), parameter.grad.numpy()
            weights += np.minimum(0.1 * size / mean, 1) * (before - weights)
            weights -= 0.01 * gradient / (size + EPSILON * mean)


@pytest.mark.parametrize("softmax", ["full", "adaptive"])
def test_a_rate_of_zero_is_static(shifting: TokenStore, softmax: str) -> None:
    model = network(shifting.boundary_id + 1, softmax)
    model.scoring = replace(model.scoring, stream_length=10_000)
    static = model.score(shifting, carry_context=True)
    for rule in (UpdateRule(0.0, 0.001), rms(model, shifting, rate=0.0)):
        np.testing.assert_allclose(score_dynamically(model, shifting, rule), static, atol=1e-5)


def test_nothing_of_the_future_is_used(shifting: TokenStore) -> None:
    model = network(shifting.boundary_id + 1)
    first = shifting.take(np.array([0]))
    whole = score_dynamically(model, shifting, SGD)
    begun = score_dynamically(model, first, SGD)
    np.testing.assert_allclose(whole[: first.num_targets], begun, atol=1e-4)
    np.testing.assert_array_equal(
        score_dynamically(model, shifting, SGD, max_targets=50), whole[:50]
    )
    assert score_dynamically(model, shifting.take(np.zeros(0, np.int64)), SGD).shape == (0,)


def test_it_helps_where_the_text_changes(shifting: TokenStore) -> None:
    model = network(shifting.boundary_id + 1)
    assert shifting.num_targets < MAX_TARGETS
    rule = choose_rule(model, shifting, gradient_sizes(model, shifting))
    gain = score_dynamically(model, shifting, rule) - model.score(shifting, carry_context=True)
    assert gain.mean() > 0.3


def test_a_member_of_a_mixture(shifting: TokenStore) -> None:
    member = Member("lstm", SIZES, carry_context=True, dynamic=1.0)
    mixture = Mixture(MixtureOptions((member,)), shifting.boundary_id + 1)
    alone = mixture.models[0]
    assert isinstance(alone, NeuralLanguageModel)
    expected = score_dynamically(alone, shifting, SGD)
    np.testing.assert_allclose(mixture.score(shifting, carry_context=True), expected, atol=1e-6)
    # Documents apart have nothing to go on learning from, and a step is of the trained weights.
    np.testing.assert_allclose(mixture.score(shifting), alone.score(shifting), atol=1e-6)
    log_probs, _ = mixture.step(shifting.ids[:1], mixture.start(1))
    np.testing.assert_allclose(log_probs, alone.step(shifting.ids[:1], alone.start(1))[0], 1e-5)


def test_a_mixture_keeps_the_sizes_of_gradients(shifting: TokenStore) -> None:
    alone = network(shifting.boundary_id + 1)
    rule = rms(alone, shifting)
    assert rule.sizes is not None
    member = dynamic_member(Member("lstm", SIZES, carry_context=True), rule)
    options = MixtureOptions((member,))
    mixture, again = (Mixture(options, shifting.boundary_id + 1) for _ in range(2))
    mixture.models[0].load_tensors(alone.tensors())
    mixture.gradient_sizes[0] = rule.sizes
    expected = score_dynamically(alone, shifting, rule)
    again.load_tensors(mixture.tensors())
    for made in (mixture, again):
        np.testing.assert_array_equal(made.score(shifting, carry_context=True), expected)
    tensors = mixture.tensors()
    name = next(name for name in tensors if name.startswith("gradients.0."))
    with pytest.raises(ValueError, match="do not fit member 0"):
        again.load_tensors({key: value for key, value in tensors.items() if key != name})
    with pytest.raises(ValueError, match="below 0"):
        again.load_tensors({**tensors, name: -1 - tensors[name]})
    with pytest.raises(ValueError, match="the weights do not fit"):
        again.load_tensors({**tensors, "gradients.1.evil": tensors[name]})
