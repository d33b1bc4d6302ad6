"""Training on from a run: other settings or another text, the same weights to begin with."""

import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import thence
from thence.errors import RunError, SettingError
from thence.runs import Run
from thence.runs.files import load_tensors
from thence.signals import Interrupted
from thence.training import resume, train

SmallTrain = Callable[..., Run]


def weights(run: Run) -> dict[str, Any]:
    return load_tensors(run.folder / "model.safetensors")[0]


def same(one: Run, other: Run) -> bool:
    ones, others = weights(one), weights(other)
    return ones.keys() == others.keys() and all(np.array_equal(ones[n], others[n]) for n in ones)


def test_it_begins_with_the_best_weights(small: SmallTrain, tmp_path: Path) -> None:
    parent = small("parent")
    on = train(from_run=parent, lr=0.01, steps=10, output=tmp_path / "on")
    assert on.recipe.text == parent.recipe.text and on.recipe.options == parent.recipe.options
    assert on.tokenizer.to_json() == parent.tokenizer.to_json()
    assert on.provenance["from"] == {"run": "parent", "identity": parent.identity, "step": 20}
    first, last = on.metrics()[0]["dev_nats_per_token"], parent.metrics()[-1]["dev_nats_per_token"]
    assert abs(first - last) < 0.3 < parent.metrics()[0]["dev_nats_per_token"] - last
    untouched = train(from_run=parent.folder, steps=0, output=tmp_path / "untouched")
    assert same(untouched, parent)


def test_stopped_and_resumed_it_is_the_same(small: SmallTrain, tmp_path: Path) -> None:
    parent = small("parent")
    whole = train(from_run=parent, steps=12, output=tmp_path / "whole")

    def stop(record: Any) -> None:
        if record["step"] == 6:
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(Interrupted):
        train(from_run=parent, steps=12, output=tmp_path / "parts", logs=stop)
    parent.folder.rename(tmp_path / "away")  # Which is needed no more.
    assert same(resume(tmp_path / "parts"), whole)


def test_another_text_is_read_with_its_tokens(small: SmallTrain, tmp_path: Path) -> None:
    parent = small("parent", dev=_file(tmp_path / "dev.txt", "abx"))
    other = _file(tmp_path / "other.txt", "awxy")
    on = train(other, from_run=parent, steps=2, output=tmp_path / "on")
    assert on.recipe.splitting.dev is None and len(on.documents("dev"))
    again = train(parent.recipe.text, from_run=parent, steps=2, output=tmp_path / "again")
    assert again.recipe.splitting == parent.recipe.splitting  # Train is not divided into dev now.
    assert on.tokenizer.to_json() == parent.tokenizer.to_json()
    assert thence.evaluate(on).unknown > 0  # w was no symbol of the first text.


def test_looks_at_the_same_test_split_go_with_it(small: SmallTrain, tmp_path: Path) -> None:
    parent = small("parent")
    thence.evaluate(parent, "test")
    on = train(from_run=parent, steps=1, output=tmp_path / "on")
    further = train(from_run=on, steps=1, output=tmp_path / "further")
    assert [look["run"] for look in further.test_looks()] == ["parent"]
    other = _file(tmp_path / "other.txt", "abxy")
    assert train(other, from_run=on, steps=1, output=tmp_path / "other").test_looks() == []


def test_a_text_that_was_kept_is_read_again(small: SmallTrain, tmp_path: Path) -> None:
    texts = [f"{a}{b}" for a in "abcde" for b in "xyzab"]
    tiny = {"hidden_size": 4, "embedding_size": 2, "context": 1, "steps": 2}
    parent = train(texts, "mlp", output=tmp_path / "parent", **tiny)
    on = train(from_run=parent, steps=2, output=tmp_path / "on")
    assert on.provenance["sha256"] == parent.provenance["sha256"]
    unkept = train(texts, "mlp", output=tmp_path / "unkept", keep_text=False, **tiny)
    with pytest.raises(RunError, match="has not kept its text"):
        train(from_run=unkept, steps=2)
    assert train(texts, from_run=unkept, steps=2, output=tmp_path / "again").finished


def test_classifiers_go_on_with_the_labels_they_know(tmp_path: Path) -> None:
    rows = ["a good film,pos", "a bad film,neg", "so so,none"] * 8
    tiny = {"label": "label", "embedding_size": 4, "threads": 1, "buckets": 64, "epochs": 3}
    text = _table(tmp_path / "one.csv", rows)
    parent = train(text, "averaging", output=tmp_path / "parent", **tiny)
    fewer = _table(tmp_path / "two.csv", [row for row in rows if "none" not in row])
    on = train(fewer, from_run=parent, epochs=20, output=tmp_path / "on")
    assert on.label_names == parent.label_names == ("neg", "none", "pos")
    assert Run(on.folder).documents("dev").labels.names == on.label_names
    judged = thence.evaluate(Run(on.folder), "train")
    assert judged.accuracy == 1
    more = _table(tmp_path / "three.csv", [*rows, *["what,new"] * 9])
    with pytest.raises(SettingError, match=r"has the label 'new', which .* does not know"):
        train(more, from_run=parent, output=tmp_path / "more")
    assert not (tmp_path / "more").exists()


@pytest.mark.parametrize("dropout", [0.0, 0.1])  # With it torch is needed.
def test_averaging_keeps_the_embeddings_of_what_both_texts_have(
    dropout: float, tmp_path: Path
) -> None:
    text = _table(tmp_path / "one.csv", ["a good film,pos", "a bad film,neg"] * 8)
    tiny = {"label": "label", "embedding_size": 4, "threads": 1, "buckets": 64, "steps": 9}
    parent = train(text, "averaging", output=tmp_path / "parent", dropout=dropout, **tiny)
    other = _table(tmp_path / "two.csv", ["a good day,pos", "a bad day,neg"] * 8)
    on = weights(train(other, from_run=parent, steps=0, output=tmp_path / "on"))
    before = weights(parent)
    both, own, others = np.intersect1d(on["kept"], before["kept"], return_indices=True)
    assert 5 < len(both) < len(on["kept"])
    assert np.array_equal(on["embeddings"][own], before["embeddings"][others])
    assert np.array_equal(on["output.weight"], before["output.weight"])


def test_a_parent_that_has_changed_is_told(small: SmallTrain, tmp_path: Path) -> None:
    parent = small("parent")
    on = train(from_run=parent, steps=4, output=tmp_path / "on")
    for part in ("last/checkpoint.safetensors", "model.safetensors", "metrics.jsonl"):
        (on.folder / part).unlink()  # As if it had been killed before its first look.
    (on.folder / "last").rmdir()
    parent.folder.rename(tmp_path / "away")
    small("parent", seed=7)
    with pytest.raises(RunError, match=r"from .*parent as it was at step 20, .* has changed since"):
        resume(on.folder)
    config = on.folder / "config.toml"  # Its path may be changed, as that of a text.
    config.write_text(config.read_text().replace(str(parent.folder), str(tmp_path / "away")))
    whole = train(from_run=tmp_path / "away", steps=4, output=tmp_path / "whole")
    assert same(resume(on.folder), whole)


@pytest.mark.parametrize("model", ["bigram-counts", "ngram"])
def test_what_is_counted_is_refused(small: SmallTrain, model: str) -> None:
    run = small("counted", model=model)
    with pytest.raises(RunError, match="is made in one go, not step by step"):
        train(from_run=run, lr=0.01)


def _file(path: Path, letters: str) -> Path:
    path.write_text("\n".join(a + b + c for a in letters for b in letters for c in letters) + "\n")
    return path


def _table(path: Path, rows: list[str]) -> Path:
    path.write_text("\n".join(["text,label", *rows]) + "\n")
    return path
