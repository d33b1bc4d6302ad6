"""Counting on a cluster of two real workers, against counting here."""

import os
import random
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file

from thence.cluster import engine
from thence.ensembles.mix import mix
from thence.errors import MissingExtraError, RunError, SettingError, TextError
from thence.evaluation.evaluate import evaluate
from thence.generation import sample
from thence.recipes import make_recipe
from thence.reports import report
from thence.runs import Run
from thence.training import train
from thence.training.callbacks import SilentProgress
from thence.training.fitting import fit_on_cluster

pytestmark = pytest.mark.filterwarnings("ignore")  # Those of the engine are not ours.


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six files of lines of words, one of them packed; dev and test beside them."""
    folder = tmp_path_factory.mktemp("corpus")
    draw = random.Random(0)
    words = [f"w{number}" for number in range(300)] + ["É", "zoë", "<unk>"]
    weights = [1 / (rank + 2) for rank in range(len(words))]

    def lines(count: int) -> str:
        drawn = (draw.choices(words, weights, k=draw.randint(0, 14)) for _ in range(count))
        return "".join(" ".join(line) + "\n" for line in drawn)

    (folder / "text").mkdir()
    for number in range(6):
        (folder / "text" / f"{number}.txt").write_text(lines(400), "utf-8")
    import gzip

    (folder / "text" / "9.txt.gz").write_bytes(gzip.compress(lines(100).encode()))
    (folder / "dev.txt").write_text(lines(80), "utf-8")
    (folder / "test.txt").write_text(lines(80), "utf-8")
    return folder


@pytest.fixture(scope="module")
def workers() -> Iterator[Any]:
    distributed = pytest.importorskip("distributed")
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, dashboard_address=None
    ) as cluster:
        yield cluster


def count_there(text: Path, output: Path, cluster: str, *progress: Any, **settings: Any) -> Run:
    """Count on the cluster, in blocks that are small enough for there to be many."""
    recipe = make_recipe(text, "ngram", settings)
    return fit_on_cluster(recipe, output, cluster, *progress, smallest_block=1000)


def tensors(run: Run) -> dict[str, Any]:
    return load_file(run.folder / "model.safetensors")


def both(folder: Path, output: Path, cluster: str, **settings: Any) -> tuple[Run, Run]:
    """Count the folder here and on the cluster."""
    settings = {
        "tokens": "words",
        "dev": str(folder / "dev.txt"),
        "test": str(folder / "test.txt"),
        **settings,
    }
    text = folder / "text"
    here = train(text, "ngram", output=output / "here", **settings)
    there = count_there(text, output / "there", cluster, **settings)
    return here, there


def assert_same(here: Run, there: Run) -> None:
    assert here.tokenizer.to_json() == there.tokenizer.to_json()
    expected, found = tensors(here), tensors(there)
    assert expected.keys() == found.keys()
    for name, values in expected.items():
        assert values.dtype == found[name].dtype
        assert values.tobytes() == found[name].tobytes(), name
    [one], [other] = here.metrics(), there.metrics()
    assert one["tokens"] == other["tokens"]
    assert one["dev_nats_per_token"] == other["dev_nats_per_token"]
    assert one["train_nats_per_token"] == pytest.approx(other["train_nats_per_token"], rel=1e-12)


@pytest.mark.slow
@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"carry_context": True, "order": 4, "keep_empty": True},
        {
            "tokens": "characters",
            "order": 6,
            "lowercase": True,
            "carry_context": True,
            "prune": [0, 1],
        },
        {"tokens": "bytes", "smoothing": "witten-bell", "order": 3},
        {"smoothing": "jelinek-mercer", "order": 3, "min_count": 3, "max_size": 100},
        {"smoothing": "add-k", "order": 2, "unknown": "bytes", "max_size": 50},
        {"prune_entropy": 1e-6, "memory": "1MB", "document": "file"},
        {"order": 1, "word_split": "whitespace"},
    ],
    ids=lambda settings: "-".join(settings) or "defaults",
)
def test_the_model_is_the_same_to_the_bit(
    folder: Path, tmp_path: Path, workers: Any, settings: dict[str, Any]
) -> None:
    assert_same(*both(folder, tmp_path, workers.scheduler_address, **settings))


@pytest.mark.slow
def test_a_run_from_a_cluster_is_used_as_any_other(
    folder: Path, tmp_path: Path, workers: Any
) -> None:
    here, there = both(folder, tmp_path, workers.scheduler_address, order=3)
    assert there.cluster_counts is not None
    assert there.cluster_counts["files"] == 7
    for split in ("dev", "test"):
        assert evaluate(there, split).nats == evaluate(here, split).nats  # type: ignore[arg-type]
    assert evaluate(there).seen is None
    assert sample(there, 2, seed=1).texts == sample(here, 2, seed=1).texts
    page = report(there).read_text("utf-8")
    assert "7 files, " in page
    assert "read on a cluster" in page
    with pytest.raises(
        TextError, match=r"was read on a cluster, 7 files at .* and is not read here"
    ):
        there.documents("train")
    mixed = mix([there], tmp_path / "mixed", cache=50)
    assert evaluate(mixed).targets == evaluate(here).targets
    (folder / "dev.txt").write_text("something else\n")
    with pytest.raises(TextError, match=r"The dev text .* has changed since"):
        evaluate(Run(there.folder))


@pytest.mark.slow
def test_a_killed_worker_changes_nothing(folder: Path, tmp_path: Path, workers: Any) -> None:
    from distributed import Client

    with Client(workers) as client:
        pids = list(client.run(os.getpid).values())
    killed = []

    class Killer(SilentProgress):
        def on_step(self, step: int, tokens: float, share: float) -> None:
            if share > 0.45 and not killed:  # Some blocks are counted, none is merged.
                killed.append(pids[0])
                os.kill(pids[0], signal.SIGKILL)

    @contextmanager
    def progress(name: str) -> Iterator[Killer]:
        yield Killer()

    given = {"tokens": "words", "split": "100/0/0"}
    here = train(folder / "text", "ngram", output=tmp_path / "here", **given)
    address = workers.scheduler_address
    there = count_there(folder / "text", tmp_path / "there", address, progress, **given)
    assert killed
    expected, found = tensors(here), tensors(there)
    assert all(np.array_equal(values, found[name]) for name, values in expected.items())


@pytest.mark.slow
def test_workers_are_started_here(folder: Path, tmp_path: Path) -> None:
    pytest.importorskip("distributed")
    assert_same(*both(folder, tmp_path, "local:2", dev=str(folder / "test.txt"), order=3))


@pytest.mark.slow
def test_what_workers_find_wrong_is_said_here(tmp_path: Path, workers: Any) -> None:
    (tmp_path / "text").mkdir()
    (tmp_path / "text" / "bad.txt").write_bytes(b"good\n\xeb\n")
    given = {"split": "100/0/0", "cluster": workers.scheduler_address}
    with pytest.raises(TextError, match=r"bad.txt, line 2: byte 0xeb"):
        train(tmp_path / "text", "ngram", output=tmp_path / "run", **given)
    (tmp_path / "text" / "bad.txt").write_bytes(b"\n\n")
    with pytest.raises(TextError, match="holds no text"):
        train(tmp_path / "text", "ngram", output=tmp_path / "run", **given)
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_clusters_that_cannot_be_used(
    folder: Path, tmp_path: Path, workers: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from distributed import LocalCluster

    given = {"split": "100/0/0", "output": tmp_path / "run"}
    for address in ("tcp://127.0.0.1:1", "nonsense://x"):
        said = f"`cluster` is {address}, where no scheduler answers"
        with pytest.raises(SettingError, match=said), engine.connect(address, timeout=1):
            pass
    for address in ("local", "local:0", "local:x"):
        with pytest.raises(SettingError, match="write local:2"):
            train(folder / "text", "ngram", cluster=address, **given)
    with (
        LocalCluster(n_workers=0, dashboard_address=None) as empty,
        pytest.raises(SettingError, match="has no workers"),
    ):
        train(folder / "text", "ngram", cluster=empty.scheduler_address, **given)
    monkeypatch.setattr(engine, "own_version", lambda: "0.0.9")
    with pytest.raises(SettingError, match="2 of the cluster's workers have another thence"):
        train(folder / "text", "ngram", cluster=workers.scheduler_address, **given)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"model": "mlp"}, "`cluster` counts n-grams, but the model is mlp"),
        ({"text": "-"}, "reads files that every worker can reach, not -"),
        ({"tokens": "subwords"}, "cannot learn subwords"),
        ({"split": "80/10/10"}, "name the file of dev with `dev`"),
        ({"test": "test.txt"}, "name the file of dev with `dev`"),
    ],
)
def test_what_is_not_counted_on_a_cluster(
    folder: Path, tmp_path: Path, settings: dict[str, Any], message: str
) -> None:
    given = {"text": folder / "text", "model": "ngram", "split": "100/0/0", **settings}
    with pytest.raises(SettingError, match=message):
        train(output=tmp_path / "run", cluster="local:2", **given)


@pytest.mark.slow
def test_refusals_before_any_work(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = {"split": "100/0/0", "cluster": "local:2"}
    (tmp_path / "taken").mkdir()
    with pytest.raises(RunError, match="exists already"):
        train(folder / "text", "ngram", output=tmp_path / "taken", **given)
    with pytest.raises(TextError, match="holds no text files, or does not exist"):
        train(folder / "nothing", "ngram", output=tmp_path / "run", **given)
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(MissingExtraError, match=r'pip install "thence\[cluster\]"'):
        train(folder / "text", "ngram", output=tmp_path / "run", **given)
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(SettingError, match="start it without torchrun"):
        train(folder / "text", "ngram", output=tmp_path / "run", **given)
