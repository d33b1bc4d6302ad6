"""Gradients of surprisals against finite differences, and against a chain of one unit by hand."""

from typing import Any

import numpy as np
import pytest
import torch

from thence.inspection.gradients import input_gradients, state_gradients
from thence.models.language.neural import NeuralLanguageModel
from thence.models.registry import get_family

V = 9
IDS = np.array([8, 0, 3, 3, 1, 5, 2])
TARGETS = [1, 2, 5, 6]
STEP = 1e-2


def make(name: str, **settings: Any) -> NeuralLanguageModel:
    torch.manual_seed(0)
    family = get_family(name)
    model = family.language_model(family.options_class()(**settings), V)
    assert isinstance(model, NeuralLanguageModel)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(0, 0.5)
    return model.eval()


SMALL = {"embedding_size": 3, "hidden_size": 4, "layers": 2}
CASES: dict[str, tuple[str, dict[str, Any]]] = {
    "bigram": ("bigram", {}),
    "mlp": ("mlp", {**SMALL, "context": 3}),
    "rnn": ("rnn", SMALL),
    "lstm": ("lstm", SMALL),
    "gru tied": ("gru", {**SMALL, "tied": True}),
    "adaptive": ("lstm", {**SMALL, "softmax": "adaptive"}),
    "transformer": ("transformer", {"embedding_size": 8, "heads": 2, "layers": 2, "context": 4}),
    "learned": (
        "transformer",
        {"embedding_size": 8, "heads": 2, "layers": 1, "context": 9, "positions": "learned"},
    ),
}


def surprisal(model: NeuralLanguageModel, read: Any, target: int) -> float:
    """Of one id after embeddings, the last of which stands at the place before it."""
    window = model.context_length
    table = dict(model.network.named_parameters())  # type: ignore[attr-defined]
    name = next(one for one in ("embedding.weight", "logits.weight") if one in table)
    before = 0 if window is None else window - 1
    places = torch.arange(len(read))[None]
    state = model.start(1) if window is None else places[:, :before]
    with torch.no_grad():
        hidden, _ = torch.func.functional_call(
            model.network,  # type: ignore[arg-type]
            {name: read},
            (places[:, before:], state),
        )
        return -float(model.output_layer.log_probs(hidden[0, -1:])[0, target])


@pytest.mark.parametrize("case", CASES)
def test_gradients_are_finite_differences(case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("thence.inspection.gradients.MOST_CELLS", 16)  # Two targets at a time.
    name, settings = CASES[case]
    model = make(name, **settings)
    found = input_gradients(model, IDS, TARGETS)
    window = model.context_length or 1
    padded = np.concatenate([np.full(window - 1, IDS[0]), IDS])
    tensors = model.tensors()
    table = tensors.get("network.embedding.weight", tensors.get("network.logits.weight"))
    assert table is not None
    for row, target in enumerate(TARGETS):
        read = torch.from_numpy(table[padded[: window - 1 + target]])
        gradient = np.zeros(read.shape)
        for place in np.ndindex(*read.shape):
            values = []
            for step in (STEP, -STEP):
                moved = read.clone()
                moved[place] += step
                values.append(surprisal(model, moved, int(IDS[target])))
            gradient[place] = (values[0] - values[1]) / (2 * STEP)
        products = (gradient * read.numpy()).sum(1)
        norms = np.linalg.norm(gradient, axis=1)
        for kind, expected in ((found.products, products), (found.norms, norms)):
            by_source = np.concatenate([[expected[:window].sum()], expected[window:]])
            np.testing.assert_allclose(kind[row, :target], by_source, rtol=2e-2, atol=2e-3)
            assert (kind[row, target:] == 0).all()


def test_what_is_subtracted() -> None:
    model = make("lstm", **SMALL)
    others = np.array([4, 4, 7, 0])
    changed = IDS.copy()
    changed[TARGETS] = others
    contrast = input_gradients(model, IDS, TARGETS, others).products
    for row, target in enumerate(TARGETS):
        with_other = IDS.copy()
        with_other[target] = others[row]
        parts = [input_gradients(model, ids, [target]).products[0] for ids in (IDS, with_other)]
        np.testing.assert_allclose(contrast[row], parts[0] - parts[1], atol=1e-5)


@pytest.mark.parametrize("name", ["rnn", "lstm", "gru"])
def test_states_against_finite_differences(name: str) -> None:
    """The state after each id is moved by hand, and the rest of the text is read from there."""
    model = make(name, embedding_size=3, hidden_size=4)
    found = state_gradients(model, IDS, TARGETS)
    assert list(found) == ["layer 1", "layer 1 cell"][: 2 if name == "lstm" else 1]
    for row, target in enumerate(TARGETS):
        for lag in range(target):
            state = model.start(1)
            with torch.inference_mode():
                _, state = model.read_hidden(IDS[None, : target - lag], state)
            gradient = np.zeros(4)
            for unit in range(4):
                values = []
                for step in (STEP, -STEP):
                    moved = state[0].clone()
                    moved[0, 0, unit] += step
                    with torch.inference_mode():
                        last = moved[:, 0]
                        if lag:
                            rest = IDS[None, target - lag : target]
                            last = model.read_hidden(rest, (moved, *state[1:]))[0][:, -1]
                        values.append(-float(model.output_layer.log_probs(last)[0, IDS[target]]))
                gradient[unit] = (values[0] - values[1]) / (2 * STEP)
            expected = np.linalg.norm(gradient)
            assert found["layer 1"][row, lag] == pytest.approx(expected, rel=2e-2, abs=1e-3)
        assert np.isnan(found["layer 1"][row, target:]).all()


def test_a_cell_also_acts_through_its_hidden_state() -> None:
    """One unit, weights 0 but for the output's, whose difference of logits is 2 h.

    All gates are 1/2 and the candidate is 0, so the cell halves at every step and stays 0: of a
    cell c, h = tanh(c) / 2, dh/dc = 1/2 at 0, and through k steps (1/2)^k of that. Both symbols
    are equally likely: dL/dh = -(1 - 1/2) 2 = -1 for the one with weight 2, in size 1.
    """
    model = make("lstm", embedding_size=1, hidden_size=1)
    tensors = {name: np.zeros_like(value) for name, value in model.tensors().items()}
    tensors["readout.project.weight"][0] = 2
    tensors["readout.project.bias"][2:] = -1e4
    tensors["network.embedding.weight"][:] = 1
    # A candidate that is not 0, but so small that nothing else is changed by it.
    tensors["network.layers.0.bias_ih"][2] = 1e-3
    model.load_tensors(tensors)
    found = state_gradients(model, np.array([8, 0, 0, 0]), [3])
    np.testing.assert_allclose(found["layer 1"][0], [1, 0, 0], atol=1e-3)
    np.testing.assert_allclose(found["layer 1 cell"][0], [1 / 2, 1 / 4, 1 / 8], atol=1e-3)
