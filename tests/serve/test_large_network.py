"""A large network answers the same whoever reads: the compiled core, NumPy or PyTorch."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from thence.models.language import inference, mlp, recurrent
from thence.models.language.options import GRUOptions, LSTMOptions, MLPOptions
from thence.serve.large_network import LargeNetwork

SIZE, VOCABULARY, TEXTS = 9, 500, 8
CLOSE = 1e-4
"""In nats; the matrices of a few texts are rounded."""
NETWORKS = {
    "lstm": (recurrent.create, inference.recurrent, LSTMOptions(hidden_size=6, layers=2)),
    "gru": (recurrent.create, inference.recurrent, GRUOptions(hidden_size=6)),
    "mlp": (mlp.create, inference.mlp, MLPOptions(context=3, hidden_size=6)),
    "one id": (mlp.create, inference.mlp, MLPOptions(context=1, hidden_size=6)),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_both_forms_agree(name: str) -> None:
    make, make_single, options = NETWORKS[name]
    several = make(options, SIZE)  # type: ignore[operator]  # Each goes with its own options.
    single: Any = make_single(options, SIZE)  # type: ignore[operator]
    single.load_tensors(several.tensors())
    network = LargeNetwork(single, several)
    ids = np.random.default_rng(1).integers(0, SIZE, (2, 5))
    whole, end = network.read(ids, network.start(2))
    for row in (0, 1):  # Read id by id, rounded; then all at once, in PyTorch, from its states.
        state = network.start(1)
        for place in (0, 1):
            log_probs, state = network.read(ids[row : row + 1, place : place + 1], state)
            np.testing.assert_allclose(log_probs[0, 0], whole[row, place], atol=CLOSE)
        log_probs, state = network.read(ids[row : row + 1, 2:], state, last=True)
        np.testing.assert_allclose(log_probs[0, 0], whole[row, -1], atol=CLOSE)
        for part, of_all in zip(state, end, strict=True):
            np.testing.assert_allclose(part[0], of_all[row], atol=CLOSE)


@pytest.mark.parametrize("name", NETWORKS)
def test_greedy_completions_are_those_of_single_precision(name: str) -> None:
    make, make_single, options = NETWORKS[name]
    options = replace(options, hidden_size=40, embedding_size=40)  # type: ignore[call-arg]
    exact: Any = make_single(options, VOCABULARY)  # type: ignore[operator]
    exact.load_tensors(make(options, VOCABULARY).tensors())  # type: ignore[operator]
    ids, state = np.arange(TEXTS)[:, None], exact.start(TEXTS)
    rounded, rounded_state = exact.rounded(), state
    for _ in range(20):
        expected, state = exact.read(ids, state)
        found, rounded_state = rounded.read(ids, rounded_state)
        np.testing.assert_allclose(found, expected, atol=CLOSE)
        ids = expected.argmax(axis=2)
        assert np.array_equal(found.argmax(axis=2), ids)
