"""What networks compute on the way: stages, gates, attention, and what each layer predicts."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import thence
from thence.inspection import Look, look
from thence.inspection.networks import NetworkPart, trace
from thence.models.base import read
from thence.models.language.neural import NeuralLanguageModel
from thence.models.registry import get_family
from thence.runs import Run

V = 9
IDS = np.array([8, 0, 3, 3, 1, 5, 2, 2, 7])
"""The boundary, and then a text."""
Counted = Callable[..., Run]


def make(name: str, **settings: Any) -> tuple[NetworkPart, NeuralLanguageModel]:
    """A network with random weights, as it is looked at and as it was trained."""
    torch.manual_seed(0)
    family = get_family(name)
    options = family.options_class()(**settings)
    trained = family.language_model(options, V)
    assert isinstance(trained, NeuralLanguageModel)
    with torch.no_grad():
        for parameter in trained.parameters():
            parameter.normal_(0, 0.6)
    asked = family.language_model(options, V, inference=True)
    asked.load_tensors(trained.tensors())
    return NetworkPart("", family, options, asked, False), trained


SMALL = {"embedding_size": 4, "hidden_size": 6, "layers": 2}
CASES: dict[str, tuple[str, dict[str, Any], list[str]]] = {
    "bigram": ("bigram", {}, ["logits"]),
    "mlp": ("mlp", {**SMALL, "context": 3}, ["layer 1", "layer 2"]),
    "mlp direct": ("mlp", {**SMALL, "direct": True}, ["layer 1", "layer 2"]),
    "mlp linear": ("mlp", {**SMALL, "layers": 0}, ["concatenated"]),
    "rnn": ("rnn", SMALL, ["layer 1", "layer 2"]),
    "lstm": ("lstm", SMALL, ["layer 1", "layer 2"]),
    "lstm adaptive": ("lstm", {**SMALL, "softmax": "adaptive"}, ["layer 1", "layer 2"]),
    "gru projected": ("gru", {**SMALL, "tied": True}, ["layer 1", "layer 2"]),
    "gru tied": (
        "gru", {**SMALL, "hidden_size": 4, "tied": True}, ["embedding", "layer 1", "layer 2"],
    ),
    "transformer": (
        "transformer", {"embedding_size": 8, "heads": 2, "layers": 2, "context": 5},
        ["embedding", "layer 1", "layer 2"],
    ),
    "learned": (
        "transformer",
        {"embedding_size": 8, "heads": 2, "layers": 1, "context": 5, "positions": "learned"},
        ["embedding", "layer 1"],
    ),
}  # fmt: skip


@pytest.mark.parametrize("first", [0, 4])
@pytest.mark.parametrize("case", CASES)
def test_the_last_layer_predicts_what_the_network_does(case: str, first: int) -> None:
    name, settings, readable = CASES[case]
    part, trained = make(name, **settings)
    found = trace(part, IDS, first)
    assert list(found.readable) == readable
    expected, _ = read(trained, IDS[None], trained.start(1))
    for stage in readable:
        log_probs = found.predictions(stage)
        np.testing.assert_allclose(np.exp(log_probs).sum(1), 1, rtol=1e-5)
    np.testing.assert_allclose(log_probs, expected[0, first:], rtol=1e-4, atol=1e-5)
    assert {len(values) for values in found.stages.values()} == {len(IDS) - first}


def test_a_layer_below_is_read_as_the_last_one() -> None:
    part, trained = make("gru", **{**SMALL, "tied": True})
    found = trace(part, IDS)
    below = torch.from_numpy(found.stages["layer 1"])
    with torch.no_grad():
        hidden = trained.network.projection(below)  # type: ignore[attr-defined]
        expected = trained.output_layer.log_probs(hidden).numpy()
    np.testing.assert_allclose(found.predictions("layer 1"), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ["rnn", "lstm", "gru"])
def test_gates_are_those_of_torch(name: str) -> None:
    part, trained = make(name, **SMALL)
    found = trace(part, IDS)
    names = [f"network.layers.1.{kind}_{to}" for kind in ("weight", "bias") for to in ("ih", "hh")]
    weights = [torch.from_numpy(trained.tensors()[one]) for one in names]
    cell: Any = {"rnn": torch.rnn_tanh_cell, "lstm": torch.lstm_cell, "gru": torch.gru_cell}[name]
    hidden, cells = torch.zeros(1, 6), torch.zeros(1, 6)
    for time, below in enumerate(torch.from_numpy(found.stages["layer 1"])):
        reads = (weights[0] @ below + weights[2]).reshape(-1, 6)
        recalls = (weights[1] @ hidden[0] + weights[3]).reshape(-1, 6)
        if name == "lstm":  # PyTorch's order: input, forget, candidate, output.
            hidden, cells = cell(below[None], [hidden, cells], *weights)
            total = reads + recalls
            expected = {
                "input": total[0].sigmoid(), "forget": total[1].sigmoid(),
                "candidate": total[2].tanh(), "output": total[3].sigmoid(), "cell": cells[0],
            }  # fmt: skip
        else:  # Reset, update, candidate.
            hidden = cell(below[None], hidden, *weights)
            expected = {}
        if name == "gru":
            reset, update = (reads + recalls)[:2].sigmoid()
            candidate = (reads[2] + reset * recalls[2]).tanh()
            expected = {"reset": reset, "update": update, "candidate": candidate}
        gates = {gate: values[time] for gate, values in found.gates["layer 2"].items()}
        assert gates.keys() == expected.keys()
        for gate, values in expected.items():
            np.testing.assert_allclose(gates[gate], values, rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(found.stages["layer 2"][time], hidden[0], rtol=1e-4, atol=1e-5)


def test_gates_by_hand() -> None:
    """One unit, all weights 1 and no biases: after the boundary, whose embedding is ln 3.

    i = f = o = sigmoid(ln 3) = 3/4 and the candidate tanh(ln 3) = (9 - 1) / (9 + 1) = 0.8, so the
    cell is 0.6. Next, h = 0.75 tanh(0.6) is recalled and the embedding is 0.
    """
    part, trained = make("lstm", embedding_size=1, hidden_size=1)
    tensors = {name: np.ones_like(value) for name, value in trained.tensors().items()}
    for name in tensors:
        if "bias" in name:
            tensors[name][:] = 0
    table = tensors["network.embedding.weight"]
    table[:], table[8] = 0, np.log(3)
    part.model.load_tensors(tensors)
    gates = trace(part, np.array([8, 0])).gates["layer 1"]
    recalled = 0.75 * np.tanh(0.6)
    opened = 1 / (1 + np.exp(-recalled))
    cell = opened * 0.6 + opened * np.tanh(recalled)
    for gate in ("input", "forget", "output"):
        np.testing.assert_allclose(gates[gate][:, 0], [0.75, opened], rtol=1e-5)
    np.testing.assert_allclose(gates["candidate"][:, 0], [0.8, np.tanh(recalled)], rtol=1e-5)
    np.testing.assert_allclose(gates["cell"][:, 0], [0.6, cell], rtol=1e-5)


@pytest.mark.parametrize("positions", ["rotary", "learned"])
@pytest.mark.parametrize("first", [0, 3, 6])
def test_attention_reads_what_the_layer_reads(positions: str, first: int) -> None:
    settings = {"embedding_size": 8, "heads": 2, "layers": 1, "context": 5, "positions": positions}
    part, trained = make("transformer", **settings)
    (shares,) = trace(part, IDS, first, attention=True).attention.values()
    np.testing.assert_allclose(shares.sum(2), 1, rtol=1e-5)
    _, rows, keys = shares.shape
    lags = np.arange(first, len(IDS))[:, None] - np.arange(len(IDS) - keys, len(IDS))
    assert rows == len(IDS) - first
    assert (shares[:, (lags < 0) | (lags >= 5)] == 0).all()
    assert (shares[:, (lags >= 0) & (lags < 5)] > 0).all()
    # The first head's values, weighted so, are what the layer's output is made of.
    layer = trained.network.layers[0]  # type: ignore[attr-defined]
    whole = trace(part, IDS).stages
    with torch.no_grad():
        values = torch.from_numpy(whole["embedding"][len(IDS) - keys :])
        read_values = layer.attention.project(layer.attention_norm(values))[:, 16:].reshape(
            -1, 2, 4
        )
        weighed = torch.einsum("hqk,khd->qhd", torch.from_numpy(shares), read_values).flatten(1)
        after = torch.from_numpy(whole["embedding"][first:]) + layer.attention.output(weighed)
        after = after + layer.feed_forward(layer.feed_forward_norm(after))
    np.testing.assert_allclose(whole["layer 1"][first:], after, rtol=1e-3, atol=1e-4)


def seen(run: Run, text: str, *lenses: str, **settings: Any) -> Look:
    found = look(run, text, lenses=lenses, **settings)
    assert isinstance(found, Look)
    return found


@pytest.mark.parametrize("carry", [False, True])
@pytest.mark.parametrize("model", ["gru", "transformer", "mlp"])
def test_layers_predict_what_the_tokens_say(
    runs: Callable[..., Run], model: str, carry: bool
) -> None:
    run = runs(model, **({"carry_context": carry} if model != "mlp" else {}))
    for places in (None, (2, 7)):
        found = seen(run, "abc\nbca\nab", "layers", "following", places=places)
        shown = found.tokens[slice(*found.places)]
        last = found.lenses["layers"].layers[-1]
        assert [one.bits for one in last.tokens] == pytest.approx(
            [token.bits for token in shown], rel=1e-4
        )
        assert [one.rank for one in last.tokens] == [token.rank for token in shown]
        assert [one.top[0].id for one in last.tokens] == [token.top[0].id for token in shown]


@pytest.mark.parametrize("carry", [False, True])
def test_attention_stays_within_documents(runs: Callable[..., Run], carry: bool) -> None:
    run = runs("transformer", carry_context=carry)
    found = seen(run, "abc\nbca\nab", "attention", places=(2, 7)).lenses["attention"]
    # Tokens 2 to 6 are c, the end of a line, b, c, a; token 3 begins the second document.
    heads = found.layers[0].heads
    assert heads.shape == (4, 5, 7 - found.starts)
    np.testing.assert_allclose(heads.sum(2), 1, atol=1e-5)
    seen_first = heads[0] > 0
    assert found.starts == -1
    assert seen_first[0].tolist() == [True] * 4 + [False] * 4
    before = [carry] * 4
    assert seen_first[2].tolist() == [*before, True, True, False, False]


def test_what_is_shown_is_bounded(
    runs: Callable[..., Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("thence.inspection.hidden.MOST_NUMBERS", 1000)
    text = "abc" * 30
    for model, lens in (("gru", "activations"), ("gru", "gates"), ("transformer", "attention")):
        found = seen(runs(model), text, lens).lenses[lens]
        first, stop = found.places
        size = sum(
            array.size
            for layer in found.layers
            for array in (
                layer.gates.values()
                if lens == "gates"
                else [layer.values if lens == "activations" else layer.heads]
            )
        )
        assert first == 0
        assert 1 <= stop < len(text)
        assert size <= 1032  # At least one token, of 8 + 256 numbers or 1,024.


def test_the_networks_of_a_mixture_are_named(runs: Callable[..., Run], tmp_path: Path) -> None:
    mixed = thence.mix([runs("gru"), runs("mlp")], output=tmp_path / "mixed")
    found = seen(mixed, "abca", "activations", "gates", "layers")
    names = [layer.name for layer in found.lenses["activations"].layers]
    assert names == ["gru: embedding", "gru: layer 1", "mlp: embedding", "mlp: layer 1"]
    assert [layer.name for layer in found.lenses["gates"].layers] == ["gru: layer 1"]
    alone = seen(runs("gru"), "abca", "gates").lenses["gates"].layers[0]
    for gate, values in found.lenses["gates"].layers[0].gates.items():
        np.testing.assert_array_equal(values, alone.gates[gate])


def test_an_empty_text(runs: Callable[..., Run]) -> None:
    for model in ("gru", "transformer", "mlp"):
        run = runs(model)
        found = seen(run, "", *seen(run, "").available)
        assert found.lenses["activations"].layers[-1].values.shape[0] == 0
        found.to_json()


def test_shapes_and_windows(runs: Callable[..., Run], tmp_path: Path) -> None:
    found = seen(runs("mlp", context=2, hidden_size=5), "abc\nb", "shapes").lenses["shapes"]
    # Five tokens and the boundary before them; a, b, c, the unknown symbol and the boundary.
    assert [(stage.name, stage.shape) for stage in found.stages] == [
        ("ids", (1, 6)),
        ("embedding", (1, 6, 8)),
        ("concatenated", (1, 6, 16)),
        ("layer 1", (1, 6, 5)),
        ("probabilities", (1, 6, 5)),
    ]
    end = "<boundary>"
    assert found.contexts == ((end, end), (end, "a"), ("a", "b"), ("b", "c"), (end, end))
    tied = seen(runs("gru", tied=True, hidden_size=6), "ab", "shapes").lenses["shapes"]
    assert tied.contexts == ()
    assert [stage.shape[2:] for stage in tied.stages] == [(), (8,), (6,), (8,), (5,)]
    attentive = seen(runs("transformer"), "ab", "shapes").lenses["shapes"].stages
    assert [stage.shape[2:] for stage in attentive] == [(), (8,), *[(8,)] * 4, (5,)]
    assert "4 heads" in attentive[2].about


@pytest.mark.parametrize("model", ["mlp", "rnn", "lstm", "transformer"])
def test_as_text_of_80_columns(runs: Callable[..., Run], model: str) -> None:
    text = "abc\nbca\nabcab"
    run = runs(model)
    found = seen(run, text, *seen(run, text).available)
    for lens in found.lenses:
        lines = "\n".join(map(str, found.tables(lens))).splitlines()
        assert all(len(line) <= 80 for line in lines), lines
        assert lines, lens


def test_attention_and_why_in_words(runs: Callable[..., Run]) -> None:
    found = seen(runs("transformer"), "abc", "attention", "why", places=(1, 3))
    lines = str(found.tables("attention")[0]).splitlines()
    assert lines[0].startswith("layer 1: the token that each head")
    # Tokens before the first that is shown have numbers for names.
    first = found.lenses["attention"].layers[0].heads[0, 0]
    name = ["<boundary>", "#0", "b", "c"][first.argmax()]
    assert lines[2].split()[:3] == ["b", name, f"{first.max():.2f}"]
    assert "bits from" in str(found.tables("why")[0])
