"""Snapshots: the weights of a training at some steps, opened as ``RUN@STEP``."""

import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import thence
from thence.errors import RunError
from thence.runs import Run
from thence.runs.files import load_tensors, save_tensors
from thence.runs.snapshots import is_snapshot_due, save_snapshot, snapshot_steps

SmallTrain = Callable[..., Run]


def test_steps_are_evenly_spaced_in_their_logarithm() -> None:
    # 1000^(k / 6) is 1, 3.2, 10, 31.6, 100, 316.2 and 1000; with step 0 they are eight.
    assert [step for step in range(1001) if is_snapshot_due(step, 1000, 8)] == [
        0, 1, 4, 10, 32, 100, 317, 1000,
    ]  # fmt: skip
    assert [step for step in range(11) if is_snapshot_due(step, 10, 100)] == list(range(11))
    assert [step for step in range(11) if is_snapshot_due(step, 10, 0)] == []
    assert [step for step in range(10) if is_snapshot_due(step, 10, 2)] == [0]


@pytest.mark.parametrize("model", ["mlp", "lstm"])
def test_a_snapshot_is_the_run_as_it_was(small: SmallTrain, model: str) -> None:
    run = small(model=model, snapshots=5, steps=12, hidden_size=8)
    # 12^(k / 3) is 1, 2.3, 5.2 and 12.
    assert [step for step, _ in run.snapshots] == [0, 1, 3, 6, 12]
    untrained = small("untrained", model=model, steps=0, hidden_size=8)
    first, last = run.at(0), thence.open_run(f"{run.folder}@12")
    for name, value in untrained.model.tensors().items():
        # Half precision keeps 11 bits.
        assert np.allclose(first.model.tensors()[name], value, rtol=2**-11, atol=1e-6)
    for one, other in ((last, run), (first, untrained)):
        nats = one.evaluate().nats_per_token
        assert nats == pytest.approx(other.evaluate().nats_per_token, rel=1e-3)
    assert (last.name, last.step) == ("run@12", 12)
    assert pickle.loads(pickle.dumps(run.at(12))).step == 12
    assert "snapshots of" in repr(run)
    assert "dev" in repr(run)
    assert "as it was at step 0" in repr(first) and "dev " not in repr(first)


def test_a_step_without_snapshot_is_a_sentence(small: SmallTrain) -> None:
    run = small(snapshots=3)
    with pytest.raises(RunError, match="no snapshot of step 7; there are 0, 1, 20"):
        run.at(7)
    with pytest.raises(RunError, match=r"has no snapshots: a network .* with `snapshots=20`"):
        thence.open_run(f"{small('none').folder}@7")


def test_a_training_goes_on_from_a_snapshot(small: SmallTrain, tmp_path: Path) -> None:
    run = small(snapshots=3)
    more = thence.train(from_run=run.at(1), steps=0, output=tmp_path / "more")
    assert more.provenance["from"] == {"run": "run@1", "identity": run.identity, "step": 1}
    assert more.evaluate().nats_per_token == pytest.approx(run.at(1).evaluate().nats_per_token)


def test_what_is_of_a_snapshot_is_not_mistaken_for_the_run(
    small: SmallTrain, tmp_path: Path
) -> None:
    run = small(snapshots=2, steps=2)
    assert {path.parent.name for path in thence.plot(run.at(0), formats=["svg"])} == {"pictures@0"}
    with pytest.raises(RunError, match=r"export .*run instead"):
        thence.export(run.at(0), tmp_path / "script.py")


def test_weights_too_large_for_half_precision_stay_as_they_are(tmp_path: Path) -> None:
    tensors = {"a": np.array([1e6, 1], np.float32), "b": np.array([1.5], np.float32)}
    save_snapshot(tmp_path, 3, tensors, "identity")
    saved, about = load_tensors(tmp_path / "snapshots" / "3.safetensors")
    assert (saved["a"].dtype, saved["b"].dtype) == (np.float32, np.float16)
    assert about["half"] == ["b"]


def test_a_snapshot_of_another_run_is_refused(small: SmallTrain) -> None:
    run = small(snapshots=2)
    path = run.folder / "snapshots" / "0.safetensors"
    tensors, about = load_tensors(path)
    save_tensors(path, tensors, {**about, "run": "another"})
    with pytest.raises(RunError, match="belongs to another run"):
        _ = run.at(0).model
    (run.folder / "snapshots" / "notes.safetensors").write_bytes(b"")
    assert snapshot_steps(run.folder) == [0, 20]
