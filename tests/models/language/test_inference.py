"""Models that are only asked, in NumPy, say what the torch modules say that were trained."""

from functools import cache
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from thence.models.base import LanguageModel, leaves, read
from thence.models.graph_evaluation import OPERATORS
from thence.models.registry import families, get_family
from thence.tokens import TokenStore

CLOSE = 1e-5
MANY = 300
"""A vocabulary for which an adaptive softmax has three clusters."""
SMALL = {"hidden_size": 9, "embedding_size": 6}
CASES: dict[str, dict[str, Any]] = {
    "bigram": {},
    "mlp": SMALL,
    "mlp without context": {**SMALL, "context": 1},
    "mlp without hidden layers": {**SMALL, "layers": 0, "context": 2},
    "mlp relu": {**SMALL, "activation": "relu", "layers": 2, "direct": True},
    "mlp gelu": {**SMALL, "activation": "gelu"},
    "mlp sigmoid": {**SMALL, "activation": "sigmoid"},
    "mlp none": {**SMALL, "activation": "none"},
    "mlp adaptive": {**SMALL, "softmax": "adaptive"},
    "mlp sampled": {**SMALL, "softmax": "sampled", "samples": 20},
    "rnn": SMALL,
    "lstm": {**SMALL, "layers": 2},
    "lstm tied": {**SMALL, "tied": True},
    "lstm adaptive": {**SMALL, "softmax": "adaptive"},
    "gru": {**SMALL, "layers": 2},
    "gru tied": {"hidden_size": 6, "embedding_size": 6, "tied": True},
}


@cache
def pair(case: str, vocabulary_size: int = MANY) -> tuple[LanguageModel, LanguageModel]:
    """The torch module with random weights, and the model that is only asked."""
    family = get_family(case.split()[0])
    options = family.options_class()(**CASES[case])
    torch.manual_seed(0)
    trained = family.language_model(options, vocabulary_size)
    assert isinstance(trained, torch.nn.Module)
    with torch.no_grad():
        for parameter in trained.parameters():
            parameter.normal_(0, 0.5)
    asked = family.language_model(options, vocabulary_size, inference=True)
    asked.load_tensors(trained.tensors())
    return trained, asked


def test_every_family_that_is_asked_in_numpy_has_a_case() -> None:
    asked = {name for name, family in families("language").items() if family.inference}
    assert {case.split()[0] for case in CASES} == asked


@pytest.mark.parametrize("case", CASES)
@given(data=st.data())
def test_what_is_read_says_the_same(case: str, data: st.DataObject) -> None:
    trained, asked = pair(case)
    rows = data.draw(st.integers(1, 4))
    states = [model.start(rows) for model in (trained, asked)]
    for _ in range(2):
        time = data.draw(st.integers(1, 9))
        drawn = st.lists(st.integers(0, MANY - 1), min_size=rows * time, max_size=rows * time)
        ids = np.array(data.draw(drawn)).reshape(rows, time)
        last = data.draw(st.booleans())
        (expected, states[0]), (found, states[1]) = (
            read(model, ids, state, last)
            for model, state in zip((trained, asked), states, strict=True)
        )
        np.testing.assert_allclose(found, expected, rtol=CLOSE, atol=CLOSE)
        assert found.dtype == expected.dtype
        for one, other in zip(*map(leaves, states), strict=False):
            np.testing.assert_allclose(one, other, atol=CLOSE)


@pytest.mark.parametrize("carry", [False, True])
@pytest.mark.parametrize("case", CASES)
def test_scores_are_the_same(case: str, carry: bool, train: TokenStore) -> None:
    trained, asked = pair(case, train.boundary_id + 1)
    some = train.take(np.arange(60))
    expected = trained.score(some, carry)
    np.testing.assert_allclose(asked.score(some, carry), expected, rtol=CLOSE, atol=CLOSE)
    assert asked.num_parameters() == trained.num_parameters()


def test_a_context_larger_than_the_weights_is_refused_at_once() -> None:
    family = get_family("mlp")
    tensors = family.language_model(family.options_class()(), 20).tensors()
    other = family.language_model(family.options_class()(context=10**9), 20, inference=True)
    with pytest.raises(ValueError, match="more than there are weights"):
        other.load_tensors(tensors)


def test_the_error_function_of_gelu() -> None:
    values = np.linspace(-6, 6, 2001, dtype=np.float32)
    expected = torch.erf(torch.from_numpy(values)).numpy()
    np.testing.assert_allclose(OPERATORS["Erf"](values), expected, atol=3e-7)


def test_extreme_values_overflow_nowhere() -> None:
    values = np.array([-1e6, -88.8, 0, 88.8, 1e6], np.float32)
    np.testing.assert_allclose(OPERATORS["Sigmoid"](values), [0, 0, 0.5, 1, 1])
    logits = np.array([[1e6, -1e6, 0]], np.float32)
    np.testing.assert_allclose(OPERATORS["LogSoftmax"](logits, axis=-1), [[0, -2e6, -1e6]])
