"""A gate that goes on learning from each target after it was scored."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from thence._core import gate as core
from thence._core import library
from thence.models.mixture_weights import adapt_gate, adapt_gate_in_numpy


def test_steps_by_hand() -> None:
    # One feature, 1; logits 0, 0: weights 1/2, 1/2. The first target has 0.8 and 0.2: p = 0.5,
    # posteriors 0.8 and 0.2, so with rate 1 the logits become 0.3 and -0.3.
    # The second has 0.5 and 0.1: w = e^0.3 / (e^0.3 + e^-0.3) = 0.645656, p = 0.1 + 0.4 w.
    gate = np.zeros((1, 2))
    scores = np.log([[0.8, 0.2], [0.5, 0.1]])
    found = np.exp(adapt_gate(gate, scores, np.ones((2, 1)), rate=1.0))
    assert found == pytest.approx([0.5, 0.1 + 0.4 * 0.645656])
    # The posterior of the first is 0.5 * 0.645656 / 0.358263 = 0.901093: a step of 0.255437.
    assert gate[0] == pytest.approx([0.555437, -0.555437], abs=1e-5)


def test_what_no_member_takes_for_possible_teaches_nothing() -> None:
    gate = np.zeros((1, 2))
    found = adapt_gate(gate, np.array([[-np.inf, -np.inf], [0.0, -np.inf]]), np.ones((2, 1)), 0.5)
    np.testing.assert_array_equal(found, [-np.inf, np.log(0.5)])
    np.testing.assert_allclose(gate, [[0.25, -0.25]])


@pytest.mark.skipif(library() is None, reason="the compiled core is not built")
@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(0, 20), st.integers(1, 5), st.integers(1, 6))
def test_the_core_does_what_numpy_does(seed: int, targets: int, models: int, features: int) -> None:
    random = np.random.default_rng(seed)
    scores = np.log(random.random((targets, models)))
    scores[random.random(scores.shape) < 0.2] = -np.inf
    seen = random.normal(size=(targets, features)) * random.integers(0, 2, (targets, features))
    gates = [random.normal(size=(features, models))] * 2
    one, other = (gate.copy() for gate in gates)
    np.testing.assert_allclose(
        core.adapt_gate(one, scores, seen, 0.1), adapt_gate_in_numpy(other, scores, seen, 0.1)
    )
    np.testing.assert_allclose(one, other, atol=1e-12)
    with pytest.raises(ValueError, match="do not fit the gate"):
        core.adapt_gate(np.zeros((features + 1, models)), scores, seen, 0.1)
