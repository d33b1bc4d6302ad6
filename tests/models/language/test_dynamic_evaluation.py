"""Dynamic evaluation."""

from collections.abc import Callable, Iterable

import numpy as np
import pytest
import torch

from thence.models.language.dynamic_evaluation import (
    MAX_TARGETS,
    choose_rate,
    score_dynamically,
)
from thence.models.language.mixture import Member, Mixture, MixtureOptions
from thence.models.language.neural import NeuralLanguageModel, Scoring
from thence.models.registry import get_family
from thence.tokens import TokenStore

WINDOW = Scoring().dynamic_window
SIZES = {"hidden_size": 8, "embedding_size": 6}


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
    dynamic = score_dynamically(model, shifting, 1.0)
    np.testing.assert_allclose(dynamic[:WINDOW], static[:WINDOW], atol=1e-5)
    assert np.abs(dynamic[WINDOW:] - static[WINDOW:]).min() > 1e-4


def test_the_weights_are_restored(shifting: TokenStore) -> None:
    model = network(shifting.boundary_id + 1)
    before = model.tensors()
    first = score_dynamically(model, shifting, 1.0)
    for name, value in model.tensors().items():
        np.testing.assert_array_equal(value, before[name])
    np.testing.assert_array_equal(score_dynamically(model, shifting, 1.0), first)
    assert all(parameter.grad is None for parameter in model.parameters())


def test_one_step_by_hand(shifting: TokenStore) -> None:
    # The second window is scored by w - rate * gradient of the first's mean loss; the pull back
    # to w is nothing at the first step.
    model = network(shifting.boundary_id + 1).eval()  # No dropout.
    ids = torch.from_numpy(shifting.ids[: 2 * WINDOW + 1].astype(np.int64))
    hidden, state = model.network(ids[None, :WINDOW], model.start(1))
    (model.output_layer.loss(hidden[0], ids[1 : WINDOW + 1]) / WINDOW).backward()
    dynamic = score_dynamically(model, shifting, 0.5)
    with torch.no_grad():
        for parameter in model.parameters():
            assert parameter.grad is not None
            parameter -= 0.5 * parameter.grad
        hidden, _ = model.network(ids[None, WINDOW:-1], state)
        found = model.output_layer.target_log_probs(hidden[0], ids[WINDOW + 1 :])
    np.testing.assert_allclose(dynamic[WINDOW : 2 * WINDOW], found.numpy(), atol=1e-5)


def test_nothing_of_the_future_is_used(shifting: TokenStore) -> None:
    model = network(shifting.boundary_id + 1)
    first = shifting.take(np.array([0]))
    whole = score_dynamically(model, shifting, 1.0)
    begun = score_dynamically(model, first, 1.0)
    np.testing.assert_allclose(whole[: first.num_targets], begun, atol=1e-4)
    np.testing.assert_array_equal(
        score_dynamically(model, shifting, 1.0, max_targets=50), whole[:50]
    )
    assert score_dynamically(model, shifting.take(np.zeros(0, np.int64)), 1.0).shape == (0,)


def test_it_helps_where_the_text_changes(shifting: TokenStore) -> None:
    model = network(shifting.boundary_id + 1)
    assert shifting.num_targets < MAX_TARGETS
    rate = choose_rate(model, shifting)
    gain = score_dynamically(model, shifting, rate) - model.score(shifting, carry_context=True)
    assert gain.mean() > 0.3


def test_a_member_of_a_mixture(shifting: TokenStore) -> None:
    member = Member("lstm", SIZES, carry_context=True, dynamic=1.0)
    mixture = Mixture(MixtureOptions((member,)), shifting.boundary_id + 1)
    alone = mixture.models[0]
    assert isinstance(alone, NeuralLanguageModel)
    expected = score_dynamically(alone, shifting, 1.0)
    np.testing.assert_allclose(mixture.score(shifting, carry_context=True), expected, atol=1e-6)
    # Documents apart have nothing to go on learning from, and a step is of the trained weights.
    np.testing.assert_allclose(mixture.score(shifting), alone.score(shifting), atol=1e-6)
    log_probs, _ = mixture.step(shifting.ids[:1], mixture.start(1))
    np.testing.assert_allclose(log_probs, alone.step(shifting.ids[:1], alone.start(1))[0], 1e-5)
