"""The neural cache against counting by hand, and step against score."""

import copy
import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from thence.errors import SettingError
from thence.models.language.members import Member, MixtureOptions
from thence.models.language.mixture import Mixture
from thence.models.language.neural import NeuralLanguageModel
from thence.models.language.neural_cache import NeuralCache, cache_log_probs
from thence.models.language.options import NeuralCacheOptions
from thence.models.registry import get_family
from thence.tokens import TokenStore

LSTM = {"hidden_size": 6, "embedding_size": 4}


def cache_of(vocabulary_size: int, length: int, theta: float = 2.0) -> NeuralCache:
    torch.manual_seed(0)
    model = get_family("lstm").language_model(
        get_family("lstm").options_class()(**LSTM), vocabulary_size
    )
    assert isinstance(model, NeuralLanguageModel)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(0, 0.5)
    return NeuralCache(NeuralCacheOptions(length, theta, 0), model)


def test_three_places_by_hand() -> None:
    # Hidden states 1, 2 and -1 (of one number), what followed them 5, 7 and 5, and theta ln 2.
    # Place 0 remembers nothing. Place 1 remembers 5 only, so its target 7 is impossible.
    # Place 2: exp(theta h2 . h0) = 2^-1 for 5, exp(theta h2 . h1) = 2^-2 for 7;
    # so 5 has 1/2 / (1/2 + 1/4) = 2/3.
    hidden = torch.tensor([[1.0], [2.0], [-1.0]])
    found = cache_log_probs(hidden, np.array([5, 7, 5]), np.zeros(3, np.int64), math.log(2))
    assert np.exp(found) == pytest.approx([math.nan, 0, 2 / 3], nan_ok=True)
    # With one place to remember, place 2 knows only 7.
    found = cache_log_probs(hidden, np.array([5, 7, 5]), np.array([0, 0, 1]), math.log(2))
    assert np.exp(found) == pytest.approx([math.nan, 0, 0], nan_ok=True)


def test_blocks_change_nothing() -> None:
    random = np.random.default_rng(0)
    hidden = torch.from_numpy(random.normal(size=(50, 3)))
    targets, oldest = random.integers(0, 4, 50), np.maximum(np.arange(50) - 7, 0)
    whole = cache_log_probs(hidden, targets, oldest, 0.5)
    np.testing.assert_allclose(cache_log_probs(hidden, targets, oldest, 0.5, max_cells=1), whole)
    products = np.exp(0.5 * (hidden @ hidden.T).numpy())
    for place in (1, 20, 49):
        band = np.arange(oldest[place], place)
        same = band[targets[band] == targets[place]]
        expected = products[place, same].sum() / products[place, band].sum()
        assert np.exp(whole[place]) == pytest.approx(expected)


@pytest.mark.parametrize("length", [3, 100])
def test_score_equals_step_by_step(train: TokenStore, length: int) -> None:
    store = train.take(np.arange(6))
    model = cache_of(train.boundary_id + 1, length)
    state, stepped = model.start(1), []
    for index in range(store.num_targets):
        before = copy.deepcopy(state)
        log_probs, after = model.step(store.ids[index : index + 1], state)
        assert np.exp(log_probs).sum() == pytest.approx(1, abs=1e-5)
        again, _ = model.step(store.ids[index : index + 1], before)
        np.testing.assert_array_equal(again, log_probs)  # The state stayed as it was.
        stepped.append(log_probs[0, store.targets[index]])
        state = after
    scores = model.score(store, carry_context=True)
    assert np.isinf(scores).any()
    np.testing.assert_allclose(np.exp(scores), np.exp(stepped), atol=1e-5)


def test_documents_apart_begin_with_nothing(train: TokenStore) -> None:
    model = cache_of(train.boundary_id + 1, 50)
    parts = [train.take(np.array([index])) for index in range(3)]
    apart = [model.score(part, carry_context=True) for part in parts]
    np.testing.assert_allclose(model.score(train.take(np.arange(3))), np.concatenate(apart), 1e-4)
    assert apart[0][0] == pytest.approx(-math.log(train.boundary_id + 1))


def test_rows_of_a_batch_are_strangers(train: TokenStore) -> None:
    model = cache_of(train.boundary_id + 1, 4)
    ids = np.random.default_rng(0).integers(0, 5, (3, 6))

    def read(rows: np.ndarray[Any, Any]) -> Any:
        state = model.start(len(rows))
        for column in rows.T:
            log_probs, state = model.step(column, state)
        return np.exp(log_probs)

    together = read(ids)
    for row in range(3):
        np.testing.assert_allclose(read(ids[row : row + 1])[0], together[row], atol=1e-5)


def test_a_score_ignores_what_comes_later(train: TokenStore) -> None:
    store = train.take(np.arange(6))
    model = cache_of(train.boundary_id + 1, 50)
    later = store.ids.copy()
    later[20:-1] = 3
    changed = TokenStore(
        later, store.offsets, store.byte_counts, store.character_counts, store.boundary_id
    )
    np.testing.assert_allclose(model.score(changed, True)[:19], model.score(store, True)[:19])


def test_a_mixture_keeps_the_network_once(train: TokenStore) -> None:
    size = train.boundary_id + 1
    options = {"length": 9, "theta": 1.0, "of": 0}
    members = (Member("lstm", LSTM, True), Member("neural-cache", options, True))
    mixture = Mixture(MixtureOptions(members), size)
    cache = mixture.models[1]
    assert isinstance(cache, NeuralCache)
    assert cache.model is mixture.models[0]
    assert mixture.num_parameters() == mixture.models[0].num_parameters() + mixture.weights.size
    assert not [name for name in mixture.tensors() if name.startswith("1/")]
    assert copy.deepcopy(mixture).models[1].model is not cache.model  # type: ignore[attr-defined]


def test_settings_that_cannot_be() -> None:
    with pytest.raises(
        SettingError, match="`length` is 0; it must be a whole number of at least 1"
    ):
        NeuralCacheOptions(0, 1.0, 0)


def test_hidden_states_are_those_of_the_targets(train: TokenStore) -> None:
    model = cache_of(train.boundary_id + 1, 1).model
    for carry in (False, True):
        hidden = model.hidden_states(train, carry)
        targets = torch.from_numpy(train.targets.astype(np.int64))
        with torch.no_grad():
            found: Tensor = model.output_layer.target_log_probs(hidden, targets)
        np.testing.assert_allclose(found.numpy(), model.score(train, carry), atol=1e-5)
