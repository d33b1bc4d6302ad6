"""Loggers hear the records of ``metrics.jsonl``; TensorBoard's files say the same."""

import json
import math
import os
import signal
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, cast

import pytest

from thence.errors import MissingExtraError, RunError, SettingError
from thence.runs import Run
from thence.signals import Interrupted
from thence.training import resume, train
from thence.training.callbacks import Logs, StopTraining, check_logs, scalars

SmallTrain = Callable[..., Run]
Series = dict[str, list[tuple[int, float]]]
SETTINGS: dict[str, Any] = {"steps": 20, "evaluate_every": 4, "split": "60/20/20"}


def read_back(run: Run) -> tuple[Series, dict[str, list[float]]]:
    """Return steps and values by tag, and the times, of every event: none is purged as orphaned."""
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(run.folder / "tensorboard"), purge_orphaned_data=False)
    events.Reload()
    found = {tag: events.Scalars(tag) for tag in events.Tags()["scalars"]}
    values = {tag: [(event.step, event.value) for event in some] for tag, some in found.items()}
    return values, {tag: [event.wall_time for event in some] for tag, some in found.items()}


def recorded(run: Run, name: str) -> list[tuple[int, float]]:
    return [(line["step"], pytest.approx(line[name], rel=1e-6)) for line in run.metrics()]


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "labelled.csv"
    rows = [f"{label},{word} film {n}" for n in range(20) for label, word in ("af", "bd")]
    path.write_text("\n".join(["label,text", *rows]) + "\n")
    return path


def test_tensorboard_says_what_the_metrics_say(small: SmallTrain) -> None:
    run = small("logged", logs="tensorboard", **SETTINGS)
    values, times = read_back(run)
    assert set(values) == {
        "nats_per_token/train",
        "nats_per_token/dev",
        "perplexity/dev",
        "bits_per_byte/dev",
        "training/learning_rate",
        "training/tokens_per_second",
    }
    assert len(values["nats_per_token/dev"]) == 5
    for split in ("train", "dev"):
        assert values[f"nats_per_token/{split}"] == recorded(run, f"{split}_nats_per_token")
    assert values["training/learning_rate"] == recorded(run, "learning_rate")
    dev = [line["dev_nats_per_token"] for line in run.metrics()]
    perplexities = [value for _, value in values["perplexity/dev"]]
    assert perplexities == pytest.approx([math.exp(nats) for nats in dev], rel=1e-5)
    # Documents of three letters of one byte each: four targets, four bytes.
    bits = [value for _, value in values["bits_per_byte/dev"]]
    assert bits == pytest.approx([nats / math.log(2) for nats in dev], rel=1e-5)
    since = [time - times["nats_per_token/dev"][0] for time in times["nats_per_token/dev"]]
    seconds = [line["seconds"] for line in run.metrics()]
    assert since == pytest.approx([second - seconds[0] for second in seconds], abs=1e-3)


def test_a_run_is_the_same_with_and_without_logs(small: SmallTrain) -> None:
    logged, silent = small("logged", logs="tensorboard", **SETTINGS), small("silent", **SETTINGS)
    assert logged.identity == silent.identity
    assert "logs" not in (logged.folder / "config.toml").read_text()
    weights = [(run.folder / "model.safetensors").read_bytes() for run in (logged, silent)]
    assert weights[0] == weights[1]
    assert not (silent.folder / "tensorboard").exists()


def stop_at(step: int, telling: Callable[..., Any]) -> Any:
    return telling(lambda done: done == step and os.kill(os.getpid(), signal.SIGINT))


@pytest.mark.parametrize("first", ["tensorboard", None])
def test_a_resumed_run_goes_on_in_the_same_folder(
    small: SmallTrain, telling: Callable[..., Any], first: Logs, tmp_path: Path
) -> None:
    whole, _ = read_back(small("whole", logs="tensorboard", **SETTINGS))
    with pytest.raises(Interrupted):
        small("stopped", progress=stop_at(10, telling), logs=first, **SETTINGS)
    # A look that came after the checkpoint, before a crash: it is heard again.
    folder = tmp_path / "stopped"
    stopped = Run(folder)
    with (folder / "metrics.jsonl").open("a") as file:
        late = {**stopped.metrics()[-1], "step": 12, "train_nats_per_token": 9.0}
        file.write(json.dumps(late) + "\n")
    values, _ = read_back(resume(folder, logs="tensorboard"))
    for tags in (whole, values):
        assert len(tags.pop("training/tokens_per_second")) == 5
    assert values == whole
    assert len(list((folder / "tensorboard").iterdir())) == 1


def test_a_finished_run_gets_its_logs_afterwards(small: SmallTrain) -> None:
    run = small("silent", **SETTINGS)
    values, _ = read_back(resume(run.folder, logs="tensorboard"))
    assert values["nats_per_token/dev"] == recorded(run, "dev_nats_per_token")


@pytest.mark.parametrize("again", [False, True])
def test_a_counted_model_is_one_point(small: SmallTrain, again: bool) -> None:
    run = small("counts", "bigram-counts", logs="tensorboard")
    values, _ = read_back(resume(run.folder, logs="tensorboard") if again else run)
    assert values["nats_per_token/dev"] == recorded(run, "dev_nats_per_token")
    assert values["perplexity/dev"][0][0] == 0 and len(values["perplexity/dev"]) == 1


@pytest.mark.parametrize("model", ["linear", "averaging"])
def test_a_classifier_has_its_accuracy(table: Path, tmp_path: Path, model: str) -> None:
    steps = {"steps": 4, "evaluate_every": 2} if model == "averaging" else {}
    output = tmp_path / "labels"
    run = train(table, model, label="label", output=output, logs="tensorboard", **steps)
    values, _ = read_back(run)
    assert values["accuracy/dev"] == recorded(run, "dev_accuracy")
    assert values["nats_per_document/train"] == recorded(run, "train_nats_per_document")
    assert "perplexity/dev" not in values and "bits_per_byte/dev" not in values


@pytest.mark.parametrize("model", ["mlp", "bigram-counts"])
def test_any_function_can_listen(small: SmallTrain, model: str) -> None:
    heard: list[Mapping[str, Any]] = []
    steps = SETTINGS if model == "mlp" else {}
    run = small("heard", model, logs=heard.append, **steps)
    assert heard == run.metrics()
    resume(run.folder, logs=heard.append)
    assert heard == run.metrics()


def test_a_missing_library_is_said_before_anything_is_done(
    small: SmallTrain, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    with pytest.raises(MissingExtraError, match=r"`logs='tensorboard'` .*'thence\[logs\]'"):
        small("run", logs="tensorboard")
    assert not (tmp_path / "run").exists()
    silent = small("silent", **SETTINGS)
    with pytest.raises(MissingExtraError):
        resume(silent.folder, logs="tensorboard")
    monkeypatch.setenv("RANK", "1")  # Of several processes another one, which writes nothing.
    check_logs("tensorboard")


def test_an_unknown_logger_is_refused(small: SmallTrain) -> None:
    with pytest.raises(SettingError, match="Did you mean 'tensorboard'"):
        small(logs=cast(Any, "tensorbord"))


def test_a_folder_that_cannot_be_written_is_said(small: SmallTrain, tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    run = small("run", **SETTINGS)
    (run.folder / "tensorboard").write_text("in the way")
    with pytest.raises(RunError, match=r"Cannot write .*tensorboard"):
        resume(run.folder, logs="tensorboard")


def test_what_is_not_known_is_left_out() -> None:
    record = {"step": 4, "seconds": 2.0, "tokens": 50, "dev_nats_per_token": 800.0}
    before = {"step": 2, "seconds": 1.0, "tokens": 20}
    rate = {"training/tokens_per_second": 30.0}
    assert scalars(record, before, 0.0) == {"nats_per_token/dev": 800.0, **rate}
    assert scalars({**record, "dev_nats_per_token": None}, record, 1.0) == {}


def test_a_function_may_end_a_training(small: SmallTrain) -> None:
    heard: list[Any] = []

    def stop(record: Mapping[str, Any]) -> None:
        heard.append(record)
        if record["step"] == 8:
            raise StopTraining

    run = small("stopped", logs=stop, **SETTINGS)
    assert [record["step"] for record in heard] == [4, 8]
    assert run.finished and run.metrics() == heard
    assert run.num_parameters > 0
    resume(run.folder, logs=stop)
    assert len(heard) == 2
    assert small("counted", "ngram", logs=lambda record: (_ for _ in ()).throw(StopTraining))
