"""The list of runs, and runs that are named without their folder."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import thence
from thence.ensembles.mix import mix
from thence.errors import RunError
from thence.locks import locked
from thence.runs import Run
from thence.training import train

SmallTrain = Callable[..., Run]


@pytest.fixture
def runs(small: SmallTrain, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder ``runs`` where the test is, with two runs of which one was looked at on test."""
    monkeypatch.chdir(tmp_path)
    small("runs/mlp")
    thence.evaluate(small("runs/counts", model="bigram-counts"), "test")
    return tmp_path / "runs"


def states(folder: Path) -> dict[str, str]:
    return {run.name: run.in_words() for run in thence.list_runs(folder)}


def test_runs_are_listed_with_what_their_small_files_say(runs: Path) -> None:
    mix(["mlp", "counts"], runs / "mixture")
    found = {run.name: run for run in thence.list_runs()}
    assert found.keys() == {"mlp", "counts", "mixture"}
    mlp = found["mlp"]
    assert (mlp.model, mlp.text, mlp.step, mlp.unit) == ("mlp", "text.txt", 20, "token")
    assert mlp.nats == min(line["dev_nats_per_token"] for line in Run("mlp").metrics())
    assert mlp.on_dev() == f"{mlp.nats:.4f} nats per token"
    assert [found[name].test_looks for name in ("mlp", "counts", "mixture")] == [0, 1, 1]
    assert {run.state for run in found.values()} == {"finished"}
    assert [run.made for run in thence.list_runs()] == sorted(
        str(run.made) for run in found.values()
    )


def test_a_state_says_what_is_the_matter(runs: Path) -> None:
    (runs / "mlp/last/checkpoint.safetensors").unlink()
    assert states(runs)["mlp"] == "stopped at step 20"
    with locked(runs / "mlp"):
        assert states(runs)["mlp"] == "training at step 20"
    (runs / "photographs").mkdir()
    (runs / "notes.txt").write_text("mine")
    (runs / ".hidden").mkdir()
    shutil.copytree(runs / "mlp", runs / "group/inside")
    os.mkfifo(runs / "pipe")
    odd = {"text": b"= 3", "bytes": b"\xff\x00", "lists": b"a = " + b"[" * 9999, "empty": b""}
    for name, content in odd.items():
        (runs / name).mkdir()
        (runs / name / "config.toml").write_bytes(content)
    (runs / "fifo").mkdir()
    os.mkfifo(runs / "fifo/config.toml")
    (runs / "counts/metrics.jsonl").write_text("[]\n")
    found = states(runs)
    assert found.pop("photographs") == found.pop("fifo") == "no run"
    assert found.pop("mlp") == found.pop("group/inside") == "stopped at step 20"
    assert found.pop("counts").startswith("damaged: metrics.jsonl, line 1, is damaged")
    assert all(found.pop(name).startswith("damaged: ") for name in odd)
    assert not found


def test_a_sweep_is_one_entry_with_its_best_run(runs: Path) -> None:
    sweep = runs / "sweep"
    for name in ("trial-0000", "trial-0001", "best"):
        shutil.copytree(runs / "counts", sweep / name)
    (sweep / "sweep.toml").write_text("")
    (found,) = (run for run in thence.list_runs() if run.state == "sweep")
    assert found.in_words() == "sweep of 2 trials"
    assert (found.folder, found.model, found.test_looks) == (Path("runs/sweep"), "bigram-counts", 1)
    assert thence.evaluate("sweep/best").documents


def test_no_folder_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"There is no folder .*nowhere to look for runs in"):
        thence.list_runs(tmp_path / "nowhere")
    assert thence.list_runs(tmp_path) == []


def test_listing_waits_for_no_torch(runs: Path) -> None:
    code = "import sys, thence; print(len(thence.list_runs()), 'torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "2 False\n"


@pytest.mark.slow
def test_a_name_is_looked_for_in_runs(runs: Path, text: Path) -> None:
    assert Run("mlp").folder == Path("runs/mlp")
    assert thence.resume("mlp").folder == Path("runs/mlp")
    assert len(thence.compare(["mlp", "counts"]).runs) == 2
    assert thence.report("mlp") == Path("runs/mlp/report.html")
    assert train(from_run="mlp", steps=1, output="on").provenance["from"]["run"] == "mlp"
    shutil.copytree("runs/counts", "mlp")
    assert Run("mlp").recipe.model == "bigram-counts"  # What is here comes first.
    Path("mlp/config.toml").unlink()
    with pytest.raises(RunError, match=r"no config\.toml\. There is a run runs/mlp; name that"):
        Run("mlp")
    with pytest.raises(RunError, match=r"no run count here, or in runs\. Did you mean 'counts'"):
        Run("count")
    with pytest.raises(RunError, match="There is no run elsewhere/mlp"):
        Run("elsewhere/mlp")
