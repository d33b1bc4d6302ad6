"""Networks as folders of Hugging Face: what its libraries make of them is what the run says."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file

from thence import sample
from thence.errors import MissingExtraError, RunError, SettingError
from thence.exchange import export, export_checked, hugging_face, parity
from thence.exchange.parity import read_texts
from thence.runs import Run

from .conftest import ATTENTIVE, OTHERWISE, SMALL

pytestmark = pytest.mark.slow

Network = Callable[..., Run]
CASES: dict[str, tuple[str, dict[str, Any]]] = {
    "rnn": ("rnn", SMALL),
    "gru-tied": ("gru", SMALL | {"tied": True}),
    "lstm": ("lstm", SMALL | {"layers": 1, "dropout": 0.5, "weight_drop": 0.5}),
    "lstm-tied-equal": ("lstm", SMALL | {"tied": True, "embedding_size": 8, "softmax": "sampled"}),
    "transformer": ("transformer", ATTENTIVE | {"dropout": 0.5}),
    "transformer-learned": ("transformer", ATTENTIVE | OTHERWISE),
    "transformer-words": ("transformer", ATTENTIVE | {"tokens": "words"}),
    "lstm-bytes": ("lstm", SMALL | {"tokens": "bytes"}),
    "lstm-subwords": ("lstm", SMALL | {"tokens": "subwords", "max_size": 300}),
    "lstm-closed": ("lstm", SMALL | {"unknown": "refuse", "lowercase": True}),
}
FILES = {
    "README.md",
    "config.json",
    "generation_config.json",
    "model.safetensors",
    "modeling_thence.py",
    "tokenizer.json",
    "tokenizer_config.json",
}
PROGRAM = """
import json, sys
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

def answers(folder, texts):
    tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=True)
    model = AutoModelForCausalLM.from_pretrained(folder, trust_remote_code=True)
    one = tokenizer(texts[0], return_tensors="pt")
    with torch.no_grad():
        answer = model(**one, labels=one.input_ids)
    batch = tokenizer(texts, return_tensors="pt", padding=True)
    written = model.generate(**batch, max_new_tokens=10, do_sample=False)
    return {
        "ids": [tokenizer(text).input_ids for text in texts],
        "log_probs": answer.logits.log_softmax(-1)[0].tolist(),
        "loss": answer.loss.item(),
        "written": tokenizer.batch_decode(written, skip_special_tokens=True),
        "thence": "thence" in sys.modules,
    }

texts, *folders = json.loads(sys.argv[1])
print(json.dumps([answers(folder, texts) for folder in folders]))
"""


@pytest.mark.parametrize("case", CASES)
def test_log_probabilities_are_the_runs(network: Network, tmp_path: Path, case: str) -> None:
    name, settings = CASES[case]
    run = network(name, **settings)
    exported = export_checked(run, tmp_path / "deep" / "folder", "huggingface")
    assert exported.difference is not None and exported.difference < 1e-5
    assert {item.name for item in exported.path.iterdir()} == FILES
    assert [item.name for item in exported.path.parent.iterdir()] == ["folder"]
    ask = hugging_face.load_folder(exported.path)
    for ids in parity.random_texts(run):
        assert ask(ids) == pytest.approx(read_texts(run.network, ids)[0], abs=1e-5)
    weights = load_file(exported.path / "model.safetensors")
    assert sum(value.size for value in weights.values()) == run.num_parameters


def test_transformers_loads_and_generates(network: Network, tmp_path: Path) -> None:
    runs = {case: network(CASES[case][0], **CASES[case][1]) for case in ("lstm", "transformer")}
    folders = [str(export(run, tmp_path / case, "huggingface")) for case, run in runs.items()]
    texts = ["ax cy<unk>", "", "bz", "<document boundary>"]
    kept = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    # One process for both, since importing transformers takes longer than all the rest.
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", PROGRAM, json.dumps([texts, *folders])],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
        stdin=subprocess.DEVNULL,
        env={**kept, "HF_HOME": str(tmp_path / "hf"), "HF_HUB_OFFLINE": "1"},
    )
    assert done.returncode == 0, done.stderr
    for run, found in zip(runs.values(), json.loads(done.stdout), strict=True):
        boundary = run.tokenizer.vocabulary.boundary_id
        ids = [[boundary, *run.tokenizer.encode([text]).document(0).tolist()] for text in texts]
        assert found["ids"] == ids
        expected = read_texts(run.network, np.array(ids[:1]))[0][0]
        assert np.array(found["log_probs"]) == pytest.approx(expected, abs=1e-5)
        of_next = [expected[place, index] for place, index in enumerate(ids[0][1:])]
        assert found["loss"] == pytest.approx(-np.mean(of_next), abs=1e-5)
        # Samples keep the prefix as it was typed; transformers decodes its ids, without symbols.
        greedy = [
            run.tokenizer.decode(np.array(known[1:]))
            + sample(run, 1, prefix=text, greedy=True, max_length=10).texts[0].removeprefix(text)
            for known, text in zip(ids, texts, strict=True)
        ]
        assert found["written"] == [text.replace("\ufffd", "") for text in greedy]
        assert not found["thence"]


def test_padding_and_labels_that_do_not_count(network: Network, tmp_path: Path) -> None:
    folder = export(network("gru", **SMALL), tmp_path / "folder", "huggingface")
    model = hugging_face.load_model(folder)
    ids = torch.tensor([[9, 1, 2, 3], [0, 0, 9, 4], [9, 4, 0, 0]])
    mask = torch.tensor([[1, 1, 1, 1], [0, 0, 1, 1], [1, 1, 0, 0]])
    with torch.no_grad():
        logits = model(ids, attention_mask=mask).logits
        alone = [model(ids[:1]).logits[0], model(ids[1:2, 2:]).logits[0]]
        loss = model(ids, attention_mask=mask, labels=ids.where(mask == 1, -100)).loss
        summed = model(ids[:1], labels=ids[:1], num_items_in_batch=2).loss
        single = model(ids[:1], labels=ids[:1]).loss
    assert logits[0] == pytest.approx(alone[0], abs=1e-6)
    for found in (logits[1, 2:], logits[2, :2]):
        assert found == pytest.approx(alone[1], abs=1e-6)
    firsts = [logits[0, :3].log_softmax(-1)[range(3), [1, 2, 3]]]
    firsts += [alone[1].log_softmax(-1)[:1, 4]] * 2
    # The first label that counts of the second row is the boundary, after what fills it up.
    firsts += [logits[1, 1:2].log_softmax(-1)[:, 9]]
    assert float(loss) == pytest.approx(-float(torch.cat(firsts).mean()), abs=1e-5)
    assert float(summed) == pytest.approx(1.5 * float(single), abs=1e-5)


def test_it_says_what_it_is(network: Network, tmp_path: Path) -> None:
    run = network("transformer", **ATTENTIVE)
    folder = export(run, tmp_path / "small", "huggingface")
    config = json.loads((folder / "config.json").read_text())
    boundary = run.tokenizer.vocabulary.boundary_id
    assert {config[f"{name}_token_id"] for name in ("bos", "eos", "pad")} == {boundary}
    assert config["auto_map"]["AutoModelForCausalLM"] == "modeling_thence.ThenceForCausalLM"
    assert (config["family"], config["context"], config["heads"]) == ("transformer", 4, 2)
    page = (folder / "README.md").read_text()
    assert 'AutoModelForCausalLM.from_pretrained("small", trust_remote_code=True)' in page
    assert f"{run.num_parameters:,} parameters, characters as tokens" in page


def refused(run: Run, path: Path, kind: type[Exception] = RunError) -> str:
    before = sorted(path.parent.iterdir())
    with pytest.raises(kind) as caught:
        export(run, path, "huggingface")
    assert sorted(path.parent.iterdir()) == before
    return str(caught.value)


def test_what_a_folder_cannot_hold(network: Network, tmp_path: Path, opinions: Run) -> None:
    mlp = network("mlp")
    assert refused(mlp, tmp_path / "x") == (
        f"{mlp.folder} is a run of the model 'mlp'; a Hugging Face folder can only hold rnn, lstm, "
        "gru and transformer. Use `to='onnx'`."
    )
    assert "is a classifier; a Hugging Face folder can only hold a network" in refused(
        opinions, tmp_path / "x"
    )
    adaptive = network("lstm", softmax="adaptive", **SMALL)
    assert refused(adaptive, tmp_path / "x", SettingError) == (
        f"{adaptive.folder} was made with `softmax='adaptive'`, which a Hugging Face folder cannot "
        "hold; use `to='onnx'`, or train with `softmax='sampled'`."
    )
    spelled = network("lstm", tokens="words", unknown="bytes", **SMALL)
    assert "a tokenizer of Hugging Face cannot do both." in refused(
        spelled, tmp_path / "x", SettingError
    )


def test_a_folder_that_would_differ_is_not_written(
    network: Network, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = network("lstm", **SMALL)
    true = hugging_face.renamed

    def wrong(tensors: Any) -> Any:
        return {name: value * 1.01 for name, value in true(tensors).items()}

    monkeypatch.setattr(hugging_face, "renamed", wrong)
    assert "does not give the same" in refused(run, tmp_path / "x")


def test_a_tokenizer_that_would_differ_is_not_written(
    network: Network, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = network("lstm", **SMALL)
    other = network("lstm", tokens="bytes", **SMALL)
    monkeypatch.setattr(
        hugging_face,
        "tokenizer_file",
        lambda _, true=hugging_face.tokenizer_file: true(other.tokenizer),
    )
    assert refused(run, tmp_path / "x").startswith(
        f"The exported tokenizer would not give the ids of {run.folder} for "
    )


def test_nothing_is_written_over(network: Network, tmp_path: Path) -> None:
    path = tmp_path / "folder"
    path.mkdir()
    assert "exists already and is left as it is" in refused(network("lstm", **SMALL), path)
    assert list(path.iterdir()) == []


def test_a_disk_that_is_full(
    network: Network, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    run = network("lstm", **SMALL)
    monkeypatch.setattr(Path, "write_bytes", full)
    assert refused(run, tmp_path / "x") == (
        f"Cannot write {tmp_path / 'x'}: No space left on device. Free some space or choose "
        "another place."
    )


def test_transformers_is_missing(
    network: Network, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = network("lstm", **SMALL)
    monkeypatch.setitem(sys.modules, "transformers", None)
    assert refused(run, tmp_path / "x", MissingExtraError) == (
        "checking a Hugging Face folder needs transformers, which is not installed: pip install "
        "'thence[hf]'"
    )
