"""Networks as ONNX files: the log-probabilities of the run, whatever reads them."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from torch import nn

from thence import sample
from thence.ensembles.mix import mix
from thence.errors import MissingExtraError, RunError
from thence.exchange import export, export_checked, onnx_file
from thence.exchange.parity import read_texts
from thence.models.base import leaves
from thence.models.language import graphs
from thence.models.registry import families
from thence.runs import Run
from thence.training import train

from .conftest import ATTENTIVE, OTHERWISE, SMALL

Network = Callable[..., Run]
CASES: dict[str, tuple[str, dict[str, Any]]] = {
    "bigram": ("bigram", {}),
    "mlp": ("mlp", {"context": 3, "layers": 2, "hidden_size": 8, "embedding_size": 3}),
    "mlp-direct": ("mlp", {"context": 2, "direct": True, "dropout": 0.5}),
    "mlp-context-1": ("mlp", {"context": 1}),
    "mlp-relu": ("mlp", {"activation": "relu", "hidden_size": 8, "embedding_size": 3}),
    "mlp-gelu": ("mlp", {"activation": "gelu", "hidden_size": 8, "embedding_size": 3}),
    "mlp-sigmoid": ("mlp", {"activation": "sigmoid", "hidden_size": 8, "embedding_size": 3}),
    "mlp-linear": ("mlp", {"layers": 0, "context": 2}),
    "mlp-no-activation": ("mlp", {"activation": "none", "hidden_size": 8, "embedding_size": 3}),
    "mlp-adaptive": ("mlp", {"softmax": "adaptive", "hidden_size": 8}),
    "rnn": ("rnn", SMALL),
    "rnn-tied": ("rnn", SMALL | {"tied": True}),
    "lstm": ("lstm", SMALL | {"weight_drop": 0.5, "embedding_dropout": 0.5}),
    "lstm-tied-equal": ("lstm", SMALL | {"tied": True, "embedding_size": 8}),
    "gru": ("gru", SMALL | {"softmax": "sampled"}),
    "gru-adaptive": ("gru", SMALL | {"softmax": "adaptive"}),
    "transformer": ("transformer", ATTENTIVE),
    "transformer-learned": ("transformer", ATTENTIVE | OTHERWISE),
    "transformer-context-1": ("transformer", ATTENTIVE | {"context": 1, "heads": 1}),
    "transformer-adaptive": ("transformer", ATTENTIVE | {"tied": False, "softmax": "adaptive"}),
}


def open_file(path: Path) -> Any:
    return onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
def test_log_probabilities_are_the_runs(network: Network, tmp_path: Path, case: str) -> None:
    name, settings = CASES[case]
    run = network(name, **settings)
    exported = export_checked(run, tmp_path / "a.onnx")
    assert exported.difference is not None and exported.difference < 1e-5
    session, size = open_file(exported.path), len(run.tokenizer.vocabulary)
    first, *states = [item.name for item in session.get_inputs()]
    assert first == "ids"
    assert [item.name for item in session.get_outputs()] == [
        "log_probs",
        *(f"next_{state}" for state in states),
    ]
    draw = np.random.default_rng(1)
    for rows, time in [(1, 1), (3, 1), (1, 3), (2, 4), (3, 20)]:
        ids = draw.integers(0, size, (rows, time))
        expected, after = read_texts(run.network, ids)
        given = [np.asarray(part) for part in leaves(run.network.start(rows))] if states else []
        found, *new = session.run(None, dict(zip([first, *states], [ids, *given], strict=True)))
        # As far as float32 goes: a sum of a hundred products has some six digits.
        assert found == pytest.approx(expected, rel=1e-6, abs=1e-5)
        assert np.exp(found).sum(axis=-1) == pytest.approx(np.ones((rows, time)), abs=1e-5)
        for ours, theirs in zip(leaves(after) if states else [], new, strict=True):
            assert theirs == pytest.approx(ours.detach().numpy(), abs=1e-5)
        if not states:
            continue
        more = draw.integers(0, size, (rows, 5))
        expected, _ = read_texts(run.network, more, after)
        found, *_ = session.run(None, dict(zip([first, *states], [more, *new], strict=True)))
        assert found == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("case", ["mlp", "lstm", "transformer"])
def test_a_program_needs_the_file_alone(network: Network, tmp_path: Path, case: str) -> None:
    name, settings = CASES[case]
    run = network(name, **settings)
    session = open_file(export(run, tmp_path / "a.onnx", "onnx"))
    about = session.get_modelmeta().custom_metadata_map
    assert (about["model"], about["tokens"]) == (name, "characters")
    names, boundary = json.loads(about["vocabulary"]), int(about["boundary_id"])
    assert tuple(names) == run.tokenizer.vocabulary.names()
    assert names[int(about["unknown_id"])] == "<unk>"

    state, read, written = None, [boundary], ""
    for _ in range(12):
        given: dict[str, Any] = {}
        for item in session.get_inputs()[1:]:
            shape = [1, *item.shape[1:]]
            kind = np.int64 if item.type == "tensor(int64)" else np.float32
            given[item.name] = np.full(shape, boundary if kind is np.int64 else 0, kind)
        if state is not None:
            given = dict(zip(given, state, strict=True))
        ids = np.array([read[-1:] if given else read])
        log_probs, *state = session.run(None, {"ids": ids, **given})
        read.append(int(log_probs[0, -1].argmax()))
        if read[-1] == boundary:
            break
        written += names[read[-1]].replace("<unk>", "\ufffd")
    assert sample(run, 1, greedy=True, max_length=12).texts == [written]


def test_large_arrays_are_not_kept_twice(network: Network, tmp_path: Path) -> None:
    run = network("lstm", embedding_size=64, hidden_size=64, tied=True)
    path = export(run, tmp_path / "a.onnx")
    assert path.stat().st_size < 4 * run.num_parameters + 6000


def refused(run: Run, path: Path) -> str:
    before = sorted(path.parent.iterdir())
    with pytest.raises(RunError) as caught:
        export(run, path, "onnx")
    assert sorted(path.parent.iterdir()) == before
    return str(caught.value)


def test_every_family_of_networks_is_tried() -> None:
    trained = {name for name, family in families("language").items() if family.method == "train"}
    assert {name for name, _ in CASES.values()} == trained


def test_a_family_without_a_graph_is_refused(network: Network, tmp_path: Path) -> None:
    run = network("bigram")
    run.network.network = nn.Identity()  # As a network of another package may be.
    assert refused(run, tmp_path / "a.onnx") == (
        f"{run.folder} is a run of the model 'bigram', which cannot be written as an ONNX file yet."
    )


def test_counts_mixtures_and_classifiers_are_refused(
    network: Network, tmp_path: Path, opinions: Run
) -> None:
    pair = network("bigram")
    counted = train(tmp_path / "text.txt", "bigram-counts", output=tmp_path / "counts")
    ending = "an ONNX file can only hold a network that models language"
    assert refused(counted, tmp_path / "a.onnx") == (
        f"{counted.folder} is a run of the model 'bigram-counts'; {ending} (such as thence train "
        "--model lstm)."
    )
    mixed = mix([counted, Run(pair.folder)], tmp_path / "mixed")
    assert refused(mixed, tmp_path / "a.onnx").startswith(
        f"{mixed.folder} is a run of the model 'mixture'; {ending}"
    )
    assert refused(opinions, tmp_path / "a.onnx").startswith(
        f"{opinions.folder} is a classifier; {ending}"
    )


def test_a_file_that_would_differ_is_not_written(
    network: Network, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = network("lstm", **SMALL)
    monkeypatch.setitem(graphs.GATE_ORDERS, "lstm", [0, 1, 2, 3])
    said = refused(run, tmp_path / "a.onnx")
    assert said.startswith(
        f"The exported model does not give the same as {run.folder}: log-probabilities after "
        "1 ids differ by up to "
    )
    assert said.endswith(" nats. Nothing was written; please report this.")


def test_what_is_not_a_number_is_not_written(network: Network, tmp_path: Path) -> None:
    run = network("bigram")
    next(run.network.parameters()).data[:] = np.nan
    assert "does not give the same" in refused(run, tmp_path / "a.onnx")


def test_a_network_that_no_file_can_hold(network: Network, tmp_path: Path) -> None:
    with pytest.raises(RunError, match="an ONNX file holds 2 GB at most; train a smaller network"):
        onnx_file.export_onnx(network("bigram"), tmp_path / "a.onnx", limit=100)
    assert not (tmp_path / "a.onnx").exists()


def test_nothing_is_written_over(network: Network, tmp_path: Path) -> None:
    path = tmp_path / "a.onnx"
    path.write_text("mine")
    assert refused(network("bigram"), path) == (
        f"{path} exists already and is left as it is; choose another name."
    )
    assert path.read_text() == "mine"


@pytest.mark.parametrize("library", ["onnx", "onnxruntime"])
def test_a_missing_library(
    network: Network, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, library: str
) -> None:
    run = network("bigram")
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(MissingExtraError) as caught:
        export(run, tmp_path / "a.onnx")
    doing = "writing" if library == "onnx" else "checking"
    assert str(caught.value) == (
        f"{doing} an ONNX file needs {library}, which is not installed: pip install 'thence[onnx]'"
    )
    assert not (tmp_path / "a.onnx").exists()
