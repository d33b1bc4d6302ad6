"""A text that cannot be read again is kept, and its run is like any other; or its hash alone is."""

import errno
import io
import os
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import thence
from thence.corpus import read_documents
from thence.ensembles.mix import mix
from thence.errors import RunError, SettingError, TextError
from thence.exchange import export
from thence.recipes import make_recipe
from thence.runs import Run
from thence.runs.files import load_tensors
from thence.signals import Interrupted
from thence.sweeps import read_sweep
from thence.training import find_learning_rate, resume, train

SmallTrain = Callable[..., Run]
COUNTS = {"model": "bigram-counts"}
TINY = {"hidden_size": 8, "embedding_size": 3, "context": 2, "batch_size": 16, "steps": 20}


@pytest.fixture
def lines(text: Path) -> list[str]:
    return list(read_documents(text))


@pytest.fixture
def pipe(tmp_path: Path) -> Iterator[Callable[..., str]]:
    """Make a pipe that gives some bytes once; a second reader would wait for ever."""
    writers = []

    def make(content: bytes, name: str = "pipe") -> str:
        path = tmp_path / name
        os.mkfifo(path)
        writers.append(threading.Thread(target=path.write_bytes, args=(content,), daemon=True))
        writers[-1].start()
        return str(path)

    yield make
    for writer in writers:
        writer.join(10)


def weights(run: Run) -> dict[str, Any]:
    tensors, _ = load_tensors(run.folder / "model.safetensors")
    return {name: value.tolist() for name, value in tensors.items()}


@pytest.mark.slow
def test_a_text_in_memory_trains_what_its_file_would(small: SmallTrain, lines: list[str]) -> None:
    of_file = small("file")
    of_memory = train((line for line in lines), output=of_file.folder.parent / "memory", **TINY)
    assert weights(of_memory) == weights(of_file)
    assert of_memory.provenance["sha256"] == of_file.provenance["sha256"]
    opened = Run(of_memory.folder)
    assert opened.text_name == "text in memory"
    assert opened.kept_texts == {"text": "text.jsonl"}
    assert thence.evaluate(opened).nats == thence.evaluate(of_file).nats
    assert "text in memory" in thence.report(opened).read_text()
    assert thence.compare([of_file, opened]).runs[1].difference == (0, 0, 0)
    assert mix([of_file, opened], of_file.folder.parent / "mixture").num_parameters
    mixture = mix([opened, of_file], of_file.folder.parent / "other")
    assert thence.evaluate(mixture.folder).documents == 10
    export(opened, of_file.folder.parent / "net.onnx", "onnx")


@pytest.mark.parametrize("keep", [True, False])
def test_a_training_in_memory_that_was_stopped_goes_on_bit_for_bit(
    lines: list[str], tmp_path: Path, telling: Callable[..., Any], keep: bool
) -> None:
    def stop(step: int) -> None:
        if step == 9:
            raise KeyboardInterrupt

    whole = train(lines, output=tmp_path / "whole", **TINY)
    with pytest.raises((Interrupted, KeyboardInterrupt)):
        train(
            lines,
            output=tmp_path / "run",
            progress=telling(stop),
            keep_text=keep,
            checkpoint_seconds=0.0,
            **TINY,
        )
    again: dict[str, Any] = {} if keep else {"text": iter(lines)}
    assert (tmp_path / "run" / "text.jsonl").exists() == keep
    if not keep:
        with pytest.raises(TextError, match="keeps only the hash of its text"):
            resume(tmp_path / "run")
        with pytest.raises(TextError, match=r"is not what .* was trained on"):
            resume(tmp_path / "run", text=lines[1:])
    assert weights(resume(tmp_path / "run", **again)) == weights(whole)


def test_documents_with_line_ends_and_odd_characters_are_kept_as_they_are(tmp_path: Path) -> None:
    odd = ["a\nb", "", "\r", "\x85\u2028", '"{', "\ufeff", "😀"]
    run = train(odd, split="100/0/0", keep_empty=True, output=tmp_path / "run", **COUNTS)
    assert list(Run(run.folder).documents("train")) != odd  # They are shuffled,
    assert sorted(Run(run.folder).documents("train")) == sorted(odd)  # and all there.


def test_dev_and_test_may_be_in_memory_too(lines: list[str], text: Path, tmp_path: Path) -> None:
    held = {"dev": lines[:5], "test": np.array(["axa\nbyd"])}
    run = train(text, output=tmp_path / "run", **held, **COUNTS)
    opened = Run(run.folder)
    assert opened.kept_texts == {"dev": "dev.jsonl", "test": "test.jsonl"}
    assert list(opened.documents("dev")) == lines[:5]
    assert list(opened.documents("test")) == ["axa\nbyd"]
    assert Path(opened.recipe.text) == text


def test_a_run_may_have_the_hash_of_its_text_alone(lines: list[str], tmp_path: Path) -> None:
    made = train(lines, output=tmp_path / "run", keep_text=False, **COUNTS)
    assert thence.evaluate(made).documents == 10  # As long as the program has the text.
    assert not list(made.folder.glob("*.jsonl*")) or made.metrics()
    assert not (made.folder / "text.jsonl").exists()
    run = Run(made.folder)
    with pytest.raises(TextError, match="keeps only the hash of its text"):
        thence.evaluate(run)
    assert thence.evaluate(run, text=lines).documents == 105
    assert thence.sample(run, 2, seed=1)
    assert "of which the run has only the hash" in thence.report(run).read_text()
    with pytest.raises(TextError, match="keeps only the hash"):
        mix([run, made], tmp_path / "mixture")
    assert thence.evaluate(resume(run.folder, text=lines)).documents == 10


def test_what_a_run_keeps_must_still_be_there(lines: list[str], tmp_path: Path) -> None:
    run = train(lines, output=tmp_path / "run", **COUNTS)
    (run.folder / "text.jsonl").unlink()
    with pytest.raises(TextError, match=r"text\.jsonl, is no longer there"):
        thence.evaluate(run.folder)


@pytest.mark.parametrize("name", ["../text", "/etc/hostname", "config.toml", 3])
def test_a_kept_text_is_in_the_run_folder(lines: list[str], tmp_path: Path, name: Any) -> None:
    run = train(lines, output=tmp_path / "run", **COUNTS)
    config = run.folder / "config.toml"
    config.write_text(config.read_text().replace('text = "text.jsonl"', f"text = {name!r}"))
    with pytest.raises(RunError, match=r"\[provenance\] of .* is unusable"):
        Run(run.folder)


@pytest.mark.parametrize("role", ["text", "dev", "test"])
def test_a_pipe_is_copied_like_standard_input(
    text: Path, pipe: Callable[..., str], tmp_path: Path, role: str
) -> None:
    given = {"text": str(text), role: pipe(text.read_bytes())}
    run = train(output=tmp_path / "run", **given, **COUNTS)
    opened = Run(run.folder)
    assert opened.kept_texts == {role: role}
    assert (run.folder / role).read_bytes() == text.read_bytes()
    expected = train(output=tmp_path / "ordinary", **(given | {role: str(text)}), **COUNTS)
    assert opened.provenance["sha256"] == expected.provenance["sha256"]
    assert thence.evaluate(opened).documents == len(expected.documents("dev"))
    assert resume(run.folder).metrics() == run.metrics()


def test_a_pipe_of_rows_is_a_table(pipe: Callable[..., str], tmp_path: Path) -> None:
    rows = b"text,label\n" + b"a good film,pos\na bad film,neg\n" * 10
    table = pipe(rows, "rows.csv")
    run = train(table, "linear", label="label", output=tmp_path / "run", split="50/50/0")
    assert Run(run.folder).kept_texts == {"text": "text.csv"}
    assert thence.evaluate(run.folder).documents == 10


def test_descriptors_of_pipes_are_texts(text: Path, tmp_path: Path) -> None:
    reading, writing = os.pipe()
    os.write(writing, text.read_bytes())
    os.close(writing)
    run = train(f"/dev/fd/{reading}", output=tmp_path / "run", **COUNTS)
    os.close(reading)
    assert Run(run.folder).text_name == "a pipe"
    assert thence.evaluate(run.folder).documents == 10


def test_a_copy_for_which_there_is_no_space_is_a_sentence(
    text: Path, pipe: Callable[..., str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(self: Path, data: bytes) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    fifo = pipe(text.read_bytes())
    monkeypatch.setattr("thence.runs.sources.Path.write_bytes", full)
    with pytest.raises(RunError, match=r"No space left on device.* Set TMPDIR"):
        train(fifo, output=tmp_path / "run", **COUNTS)
    assert not (tmp_path / "run").exists()


def test_what_is_typed_at_a_terminal_is_kept(text: Path, tmp_path: Path) -> None:
    pty = pytest.importorskip("pty")
    master, slave = pty.openpty()
    os.write(master, b"axa\nbyd\n\x04")  # Ctrl-D ends it.
    run = train(os.ttyname(slave), output=tmp_path / "run", split="100/0/0", **COUNTS)
    os.close(master)
    os.close(slave)
    assert sorted(Run(run.folder).documents("train")) == ["axa", "byd"]


def test_what_is_wrong_with_a_copy_is_said_of_its_source(
    pipe: Callable[..., str], tmp_path: Path
) -> None:
    with pytest.raises(TextError, match=rf"^{tmp_path}/pipe holds no text"):
        train(pipe(b""), output=tmp_path / "run", **COUNTS)
    assert not (tmp_path / "run").exists()


def test_a_file_that_is_deleted_but_open_is_copied(text: Path, tmp_path: Path) -> None:
    with text.open("rb") as file:  # As the shell gives a long here-document.
        text.unlink()
        run = train(f"/dev/fd/{file.fileno()}", output=tmp_path / "run", **COUNTS)
    assert thence.evaluate(run.folder).documents == 10


def test_the_hash_alone_of_standard_input(
    text: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def type_again() -> None:
        given = SimpleNamespace(buffer=io.BytesIO(text.read_bytes()))
        monkeypatch.setattr(sys, "stdin", given)

    type_again()
    run = train("-", output=tmp_path / "run", keep_text=False, **COUNTS)
    assert not (run.folder / "text").exists()
    type_again()
    assert resume(run.folder, text="-").documents("dev")[0]


def test_the_finder_and_best_take_what_train_takes(
    lines: list[str], pipe: Callable[..., str], text: Path, tmp_path: Path
) -> None:
    recipe = make_recipe(pipe(text.read_bytes()), "mlp", TINY)
    of_memory = find_learning_rate(recipe, rates=10, text=iter(lines))
    of_pipe = find_learning_rate(recipe, rates=10)
    assert of_memory.losses.tolist() == of_pipe.losses.tolist()
    done = thence.best(lines, steps=2, output=tmp_path / "best", threads=1, dev=lines[:9])
    assert Run(done.folder).kept_texts == {"text": "text.jsonl", "dev": "dev.jsonl"}
    assert thence.evaluate(done.folder).documents == 9


def test_a_recipe_whose_text_was_in_memory_asks_for_it(lines: list[str], tmp_path: Path) -> None:
    run = train(lines, output=tmp_path / "run", **COUNTS)
    config = run.folder / "config.toml"
    with pytest.raises(TextError, match="was made with a text in memory"):
        train(config=config, output=tmp_path / "other")
    again = train(lines, config=config, output=tmp_path / "again")
    assert weights(again) == weights(run)


def test_a_sentence_is_no_path_and_the_message_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(TextError, match=r"give texts in a list"):
        train("It was a dark and stormy night.", output=tmp_path / "run")


def test_a_recipe_names_its_text(lines: list[str]) -> None:
    with pytest.raises(SettingError, match=r"give texts in memory to thence\.train"):
        make_recipe(lines, "mlp", {})


def test_labels_beside_texts_in_memory_are_for_the_estimator(tmp_path: Path) -> None:
    for given in ({"labels": [0, 1]}, {"label": "label"}, {"model": "linear"}):
        with pytest.raises(SettingError, match=r"thence\.TextClassifier"):
            train(["a", "b"], output=tmp_path / "run", **given)
    with pytest.raises(SettingError, match="document 'file' does not fit texts in memory"):
        train(["a", "b"], document="file", output=tmp_path / "run", **COUNTS)


def test_a_sweep_of_texts_in_memory_keeps_them(lines: list[str], tmp_path: Path) -> None:
    recipe = tmp_path / "recipe.toml"
    space = "[sweep]\nsampler = 'grid'\n[sweep.space]\nadd_k = [0.1, 1.0]\n"
    recipe.write_text(f"model = 'bigram-counts'\n{space}")
    folder = tmp_path / "sweep"
    done = thence.sweep(recipe, folder, text=iter(lines), dev=lines[:9])
    assert len(done.trials) == 2
    assert thence.evaluate(folder / "best").documents == 9
    again = thence.sweep(recipe, folder, text=lines, dev=lines[:9])
    assert again.best_trial == done.best_trial == read_sweep(folder).best_trial
    with pytest.raises(RunError, match="was started with another text"):
        thence.sweep(recipe, folder, text=lines[1:], dev=lines[:9])
    assert not list(tmp_path.glob("**/.*"))
