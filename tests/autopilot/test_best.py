"""From a text to a run folder, with a budget of a few steps."""

import io
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest

import thence
from thence.autopilot import Best, read_best
from thence.autopilot.candidates import ScheduledCandidate
from thence.autopilot.language import LanguageStrategy
from thence.cli.main import main
from thence.errors import RunError, SettingError, TextError
from thence.runs import ClassifierRun, Run
from thence.runs.files import load_tensors

from ..processes import Process

ROWS = ["a good film,pos", "a bad film,neg", "good and long,pos", "bad and long,neg"] * 15
SEVERAL = ["a good film,pos;film", "a bad film,neg;film", "good and long,pos", "so long,"] * 15
STEPS = 6


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "table.csv"
    path.write_text("\n".join(["text,label", *ROWS]) + "\n")
    return path


@pytest.fixture
def make(tmp_path: Path) -> Callable[..., Best]:
    """Make the best of a text in a few steps."""

    def run(text: Path, name: str = "run", **settings: Any) -> Best:
        return thence.best(text, steps=STEPS, output=tmp_path / name, **settings)

    return run


def write(folder: Path, text: str, name: str = "text.txt") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def same_tensors(one: Path, other: Path) -> bool:
    first, second = (load_tensors(folder / "model.safetensors")[0] for folder in (one, other))
    assert first.keys() == second.keys()
    return all(np.array_equal(first[name], second[name]) for name in first)


def test_names_make_a_run_like_any_other(names: Path, make: Callable[..., Best]) -> None:
    done = make(names)
    assert read_best(done.folder).to_json() == json.loads(json.dumps(done.to_json()))
    assert done.steps == STEPS and done.limit is None and not done.interrupted
    assert done.nats <= min(one.nats for one in done.tried)
    assert sum(one.weight or 0 for one in done.tried) == pytest.approx(1)
    run = done.run
    assert thence.evaluate(run, "dev").nats_per_token > 0
    assert len(thence.sample(run, 3).texts) == 3
    assert thence.next_tokens(run, "ax")
    assert thence.complete(run, "a")


def test_labels_make_a_run_like_any_other(table: Path, make: Callable[..., Best]) -> None:
    done = make(table, label="label")
    assert done.unit == "document" and done.accuracy == 1.0
    assert isinstance(done.run, ClassifierRun)
    assert [one.labels for one in thence.classify(done.run, ["a good film"])] == [("pos",)]
    judged = thence.evaluate(done.run, "dev")
    assert done.refit and "judge it by test" in (judged.chosen_on_dev or "")


def test_several_labels(tmp_path: Path, make: Callable[..., Best]) -> None:
    text = write(tmp_path, "\n".join(["text,label", *SEVERAL]) + "\n", "several.csv")
    done = make(text, label="label", label_separator=";")
    assert "any number of 3 labels" in done.text
    assert done.accuracy is not None and done.accuracy >= max(one.accuracy for one in done.tried)


@pytest.mark.slow
@pytest.mark.parametrize("label", [None, "label"])
def test_the_default_folder_is_named_after_the_text(
    table: Path, monkeypatch: pytest.MonkeyPatch, label: str | None
) -> None:
    monkeypatch.chdir(table.parent)
    more = {} if label is None else {"label": label}
    first = thence.best(table, steps=1, column="text", **more)
    second = thence.best(table, steps=1, column="text", **more)
    assert [one.folder for one in (first, second)] == [
        Path("runs/table-best"), Path("runs/table-best-2")
    ]  # fmt: skip


@pytest.mark.parametrize(
    "text",
    [
        "\n".join(["emma", "anna", "ella", "mia", "lena", "nora", "alma", "ida", "eva", "zoe"]),
        "\n".join(["пётр", "анна", "мария", "иван", "ольга"] * 5),
        "\n".join(["北京", "上海", "広島", "東京"] * 5),
        " ".join(f"word{number % 7}" for number in range(400)),
    ],
    ids=["ten lines", "Cyrillic", "Han", "one long line"],
)
def test_odd_texts_make_a_run(tmp_path: Path, make: Callable[..., Best], text: str) -> None:
    done = make(write(tmp_path, text))
    assert np.isfinite(done.nats) and done.run.num_parameters > 0


def test_one_short_document_cannot_be_split(tmp_path: Path, make: Callable[..., Best]) -> None:
    with pytest.raises(TextError, match="`by='position'`"):
        make(write(tmp_path, "a single line"))


def test_without_dev_nothing_can_be_chosen(names: Path, make: Callable[..., Best]) -> None:
    with pytest.raises(TextError, match="dev split, which is empty"):
        make(names, split="90/0/10")


def test_unknown_settings_are_refused_with_a_hint(names: Path, make: Callable[..., Best]) -> None:
    with pytest.raises(SettingError, match="Did you mean 'column'"):
        make(names, colunm="x")
    with pytest.raises(SettingError, match="chosen to fit the time"):
        make(names, hidden_size=3)


def test_a_wrong_column_is_refused(table: Path, make: Callable[..., Best]) -> None:
    with pytest.raises(TextError, match="has no column 'words'"):
        make(table, column="words")
    with pytest.raises(TextError, match="has no column 'stars'"):
        make(table, label="stars")


def test_what_is_there_is_never_written_over(
    names: Path, tmp_path: Path, make: Callable[..., Best]
) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "mine").touch()
    with pytest.raises(RunError, match="exists"):
        make(names)
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["mine"]


def test_standard_input_is_kept_in_the_run(
    tmp_path: Path, names: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(names.read_bytes())))
    folder = tmp_path / "run"
    main(["best", "-", "--steps", "5", "-o", str(folder), "--no-report", "--json"])
    said = json.loads(capsys.readouterr().out, parse_constant=pytest.fail)
    assert said["nats"] == read_best(folder).nats
    assert (folder / "text").read_bytes() == names.read_bytes()
    assert thence.evaluate(Run(folder), "dev").nats_per_token > 0


@pytest.mark.slow
def test_the_report_has_what_was_tried(names: Path, make: Callable[..., Best]) -> None:
    done = make(names)
    assert "How it was found" in thence.report(done.folder).read_text("utf-8")
    (done.folder / "best.json").write_text("{")
    with pytest.raises(RunError, match="damaged"):
        thence.report(done.folder)


@pytest.mark.slow
@pytest.mark.parametrize("text", ["given-names", "first-sentences", "cities"])
def test_the_same_steps_give_the_same_weights(tmp_path: Path, text: str) -> None:
    more = {"label": "country", "tokens": "characters"} if text == "cities" else {}
    steps = 3 if text == "first-sentences" else 60
    for name in ("one", "other"):
        thence.best(text, steps=steps, output=tmp_path / name, seed=3, threads=1, **more)
    assert same_tensors(tmp_path / "one", tmp_path / "other")


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="asks Unix how busy a process was")
@pytest.mark.parametrize(
    "text",
    [("given-names",), ("first-sentences",), ("cities", "--label", "country")],
    ids=lambda text: text[0],
)
def test_a_time_is_kept_beside_a_busy_process(tmp_path: Path, text: tuple[str, ...]) -> None:
    """More runs and texts are in ``benchmarks/time_limits.py``."""
    limit = Random(" ".join(text)).choice([1, 2, 3, 5])
    busy = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    folder, began = tmp_path / "run", time.monotonic()
    command = [sys.executable, "-m", "thence", "best", *text, "--time", f"{limit}s", "-o", folder]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    took = time.monotonic() - began
    busy.kill()
    _, _, usage = os.wait4(busy.pid, 0)
    busy.returncode = 0  # It was waited for.
    assert done.returncode == 0, done.stderr
    assert thence.evaluate(read_best(folder).run, "dev")
    if took > 1.05 * limit + 1:
        if usage.ru_utime < 0.7 * took:
            pytest.skip("others want the machine: a busy process has not even a processor")
        pytest.fail(f"It took {took:.1f} s instead of {limit} s.")


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="signals are those of Unix")
def test_an_interrupt_gives_the_best_so_far(tmp_path: Path) -> None:
    command = ("best", "given-names", "--time", "10m", "-o", tmp_path / "run")
    process = Process("-m", "thence", *command)
    assert process.stderr is not None
    for line in process.stderr:
        if "step" in line:  # A network is at work.
            break
    time.sleep(0.5)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=240)
    assert process.returncode == 0, err
    done = read_best(tmp_path / "run")
    assert done.interrupted and "broken off" in out
    assert done.nats <= min(one.nats for one in done.tried)


@pytest.mark.slow
def test_one_classifier_alone_is_reported_and_drawn(
    table: Path, make: Callable[..., Best], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("thence.autopilot.labels.schedule", lambda *about: ONE)
    done = make(table, label="label")
    assert done.run.recipe.model == "ensemble" and done.run.finished
    assert thence.evaluate(done.run, "dev").accuracy == done.accuracy
    assert "How it was found" in thence.report(done.run).read_text()
    thence.plot(done.run, formats=["svg"])


@pytest.mark.slow
def test_one_network_alone_is_a_run(
    names: Path, make: Callable[..., Best], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(LanguageStrategy, "count", lambda self: iter(()))
    only = (ScheduledCandidate("mlp", 1.0),)
    monkeypatch.setattr("thence.autopilot.language.schedule", lambda *about: only)
    done = make(names)
    assert done.run.recipe.model == "mixture" and len(done.tried) == 1
    assert thence.evaluate(done.run, "dev").nats_per_token == pytest.approx(done.nats, rel=1e-5)


def test_a_network_learns_from_running_text_where_that_gains(
    make: Callable[..., Best], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Every part of the text has letters of its own, so that what was just read tells what comes.
    lines = [f"{chr(97 + part)}{chr(98 + part)} " * 8 for part in range(12) for _ in range(6)]
    text = write(tmp_path, "\n".join(lines))
    monkeypatch.setattr(LanguageStrategy, "count", lambda self: iter(()))
    only = (ScheduledCandidate("gru", 1.0),)
    monkeypatch.setattr("thence.autopilot.language.schedule", lambda *about: only)
    monkeypatch.setattr("thence.autopilot.adapting.MAX_ADAPTING_SHARE", 1e9)
    done = make(text, tokens="characters", carry_context=True, by="position")
    (member,) = done.run.recipe.options.members
    assert member.dynamic_rule == "rms" and member.dynamic > 0
    adapted, static = (thence.evaluate(done.run, "dev", static=still) for still in (False, True))
    assert adapted.nats_per_token == pytest.approx(done.nats, rel=1e-5)
    assert adapted.nats_per_token < static.nats_per_token


ONE = (ScheduledCandidate("averaging", 1.0),)


def test_an_output_that_cannot_be_written_is_refused_before_the_work(
    names: Path, make: Callable[..., Best], tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    heard: list[Any] = []
    with pytest.raises(RunError, match="Cannot write"):
        make(names, "file/run", watch=heard.append)
    assert not heard


def test_settings_of_labels_need_labels(names: Path, make: Callable[..., Best]) -> None:
    with pytest.raises(SettingError, match="about labels"):
        make(names, label_separator=";")
