import copy
import dataclasses
import errno
import io
import json
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from thence.errors import RunError, SettingError, TextError, ThenceError
from thence.evaluation.evaluate import evaluate
from thence.recipes import read_recipe
from thence.runs import ClassifierRun, LanguageRun, Run, open_run
from thence.training import resume, train

SmallTrain = Callable[..., Run]


def test_files_of_a_run(small: SmallTrain) -> None:
    run = small()
    names = {str(path.relative_to(run.folder)) for path in run.folder.rglob("*") if path.is_file()}
    assert names == {
        "config.toml",
        "tokenizer.json",
        "model.safetensors",
        "metrics.jsonl",
        "curve.jsonl",
        "last/checkpoint.safetensors",
    }
    assert [path.name for path in run.folder.parent.glob(".*")] == []


def test_files_of_a_counted_run(small: SmallTrain) -> None:
    run = small(model="bigram-counts")
    names = {path.name for path in run.folder.iterdir()}
    assert names == {"config.toml", "tokenizer.json", "model.safetensors", "metrics.jsonl"}


@pytest.mark.slow
def test_config_read_back_is_the_recipe_with_everything_resolved(
    small: SmallTrain, text: Path
) -> None:
    run = small(dropout=0.25, momentum=0.5, optimizer="sgd")
    recipe = read_recipe(run.folder / "config.toml")
    assert recipe == run.recipe == Run(run.folder).recipe
    assert (recipe.text, recipe.training.threads) == (str(text.resolve()), 1)
    assert (recipe.options.dropout, recipe.training.momentum) == (0.25, 0.5)


def test_a_run_keeps_the_tokens_it_was_trained_on(small: SmallTrain) -> None:
    run = small()
    kept, read = run.store("train"), Run(run.folder).store("train")
    assert run.store("train") is kept
    assert np.array_equal(kept.ids, read.ids) and np.array_equal(kept.offsets, read.offsets)
    assert "_train_store" not in run.__getstate__()


def test_a_run_can_be_repeated_from_its_config(small: SmallTrain, tmp_path: Path) -> None:
    run = small()
    again = train(config=run.folder / "config.toml", output=tmp_path / "again")
    assert weights(run) == weights(again)
    assert run.recipe == again.recipe


def weights(run: Run) -> bytes:
    return (run.folder / "model.safetensors").read_bytes()


def test_an_existing_output_is_refused_and_left_untouched(small: SmallTrain) -> None:
    run = small()
    before = {path: path.read_bytes() for path in run.folder.rglob("*") if path.is_file()}
    with pytest.raises(RunError, match=r"exists already .* another `output`, or continue with"):
        small()
    assert before == {path: path.read_bytes() for path in run.folder.rglob("*") if path.is_file()}
    (run.folder.parent / "file").write_text("mine")
    with pytest.raises(RunError, match="exists already and is left as it is"):
        small("file")
    assert (run.folder.parent / "file").read_text() == "mine"


def test_what_is_no_run_is_a_sentence(small: SmallTrain, tmp_path: Path) -> None:
    small("names")
    with pytest.raises(RunError, match=r"There is no run .*nmes\. Did you mean 'names'\?"):
        Run(tmp_path / "nmes")
    with pytest.raises(RunError, match="is not a run folder: it has no config"):
        Run(tmp_path)
    with pytest.raises(RunError, match="cannot be opened: File name too long"):
        Run(tmp_path / ("x" * 300))


def test_a_run_is_of_a_language_model_or_of_a_classifier(small: SmallTrain, tmp_path: Path) -> None:
    language = open_run(small(model="bigram-counts").folder)
    (tmp_path / "texts.csv").write_text("text,label\n" + "good,a\nbad,b\n" * 10)
    labels = Run(
        train(tmp_path / "texts.csv", "linear", label="label", output=tmp_path / "l").folder
    )
    assert isinstance(language, LanguageRun) and isinstance(labels, ClassifierRun)
    assert open_run(language) is language and copy.copy(labels).classes == labels.classes
    assert (language.kind, labels.kind) == ("language model", "classifier")
    assert language.load() is language.model and labels.load() is labels.classifier
    for other, kind in ((labels, LanguageRun), (language, ClassifierRun)):
        with pytest.raises(SettingError, match=f"is a {other.kind} "):
            kind(other.folder)
    with pytest.raises(SettingError, match="knows labels but not what comes next"):
        _ = labels.model
    with pytest.raises(SettingError, match="not a classifier"):
        _ = language.classifier


def test_half_made_folders_are_not_suggested(tmp_path: Path) -> None:
    (tmp_path / ".names.x").mkdir()
    with pytest.raises(RunError) as caught:
        Run(tmp_path / "names.x")
    assert "Did you mean" not in str(caught.value)


def opens_as(folder: Path) -> tuple[object, ...]:
    """Return everything that a run's config and tokenizer say, where texts are left aside."""
    run = Run(folder)
    recipe = dataclasses.replace(run.recipe, text="")
    return recipe, run.provenance, run.tokenizer.to_json(), run.tokenizer.vocabulary.names()


@pytest.mark.parametrize("name", ["config.toml", "tokenizer.json"])
@pytest.mark.parametrize(
    "bit", [0, pytest.param(4, marks=pytest.mark.slow), pytest.param(7, marks=pytest.mark.slow)]
)
def test_every_flipped_byte_is_refused_or_harmless(small: SmallTrain, name: str, bit: int) -> None:
    run = small(model="bigram-counts")
    expected = opens_as(run.folder)
    path = run.folder / name
    intact = path.read_bytes()
    for place in range(bit, len(intact), 3):
        damaged = bytearray(intact)
        damaged[place] ^= 1 << bit
        path.write_bytes(damaged)
        try:
            found = opens_as(run.folder)
        except ThenceError as error:
            assert str(error)
        else:
            assert found == expected, (place, bytes(damaged[max(0, place - 20) : place + 20]))


@pytest.mark.parametrize("name", ["config.toml", "tokenizer.json", "model.safetensors"])
def test_every_truncation_is_refused(small: SmallTrain, name: str) -> None:
    run = small(model="bigram-counts")
    path = run.folder / name
    intact = path.read_bytes().rstrip(b"\n")
    for size in range(0, len(intact), 41):
        path.write_bytes(intact[:size])
        with pytest.raises(ThenceError):
            opens_as(run.folder)
            _ = Run(run.folder).model


def test_damaged_weights_and_checkpoints_are_refused(small: SmallTrain) -> None:
    run = small()
    for name, use in (
        ("model.safetensors", lambda: Run(run.folder).model),
        ("last/checkpoint.safetensors", lambda: resume(run.folder)),
    ):
        path = run.folder / name
        intact = path.read_bytes()
        for place in range(0, len(intact), len(intact) // 23):
            damaged = bytearray(intact)
            damaged[place] ^= 16
            path.write_bytes(damaged)
            with pytest.raises(RunError, match="is damaged"):
                use()
        path.write_bytes(intact)
        use()


def test_weights_of_another_model_are_refused(small: SmallTrain) -> None:
    run, other = small(), small("other", hidden_size=9)
    for name in ("model.safetensors", "last/checkpoint.safetensors"):
        shutil.copyfile(other.folder / name, run.folder / name)
    with pytest.raises(RunError, match="belongs to another run"):
        _ = Run(run.folder).model
    with pytest.raises(RunError, match="belongs to another run"):
        resume(run.folder)


def test_a_changed_setting_is_refused_and_a_moved_text_is_not(
    small: SmallTrain, text: Path, tmp_path: Path
) -> None:
    run = small()
    config = run.folder / "config.toml"
    written = config.read_text()
    config.write_text(written.replace("context = 2", "context = 3"))
    with pytest.raises(RunError, match="was changed after the run was made, or is damaged"):
        Run(run.folder)
    moved = tmp_path / "moved.txt"
    text.rename(moved)
    config.write_text(written.replace(str(text), str(moved)))
    assert evaluate(run.folder).documents == 10


def test_a_changed_text_is_refused(small: SmallTrain, text: Path) -> None:
    run = small()
    (run.folder / "last/checkpoint.safetensors").unlink()  # Or there would be nothing to do.
    text.write_text(text.read_text() + "abc\n")
    with pytest.raises(TextError, match=r"is not what .* was trained on"):
        resume(run.folder)
    with pytest.raises(TextError, match=r"is not what .* was trained on"):
        evaluate(run.folder)


def test_a_text_that_is_gone_is_a_sentence(small: SmallTrain, text: Path) -> None:
    run = small()
    (run.folder / "last/checkpoint.safetensors").unlink()
    text.unlink()
    with pytest.raises(TextError):
        resume(run.folder)


def test_standard_input_is_kept_in_the_run(
    text: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(text.read_bytes())))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "-").write_text("a file with an unlucky name\n")
    run = train("-", model="bigram-counts")
    assert run.folder == Path("runs/stdin-bigram-counts")
    assert (run.folder / "text").read_bytes() == text.read_bytes()
    assert Run(run.folder).recipe.text == "-"
    assert evaluate(run.folder).documents == 10


def test_test_looks_are_recorded(small: SmallTrain) -> None:
    run = small(model="bigram-counts")
    assert run.test_looks() == []
    assert run.record_test_look("evaluate") == 1
    assert run.record_test_look("compare") == 2
    assert [look["command"] for look in run.test_looks()] == ["evaluate", "compare"]


def test_an_output_below_a_file_is_a_sentence(small: SmallTrain, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    for name, cause in (("file/run", ".*/file is a file"), ("file/a/run", ".*/file is a file")):
        with pytest.raises(RunError, match=rf"Cannot write .*{name}: {cause}"):
            small(name)
    assert (tmp_path / "file").read_text() == "mine"


def test_an_output_with_an_endless_name_is_a_sentence(small: SmallTrain) -> None:
    with pytest.raises(RunError, match=r"Cannot write .*File name too long"):
        small("x" * 300)


def test_a_full_disk_at_the_start_leaves_nothing(
    small: SmallTrain, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    before = sorted(tmp_path.rglob("*"))
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(RunError, match=r"Cannot write .*/run: No space left on device"):
        small()
    assert sorted(tmp_path.rglob("*")) == before


def test_a_full_disk_during_training_keeps_the_last_checkpoint(
    small: SmallTrain, telling: Callable[..., object], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    def hear(step: int) -> None:
        if step == 11:
            monkeypatch.setattr(os, "fsync", full)

    whole = small("whole")
    folder = whole.folder.parent / "run"
    kept = f"All up to the last checkpoint is kept; continue with: thence resume {folder}"
    with pytest.raises(RunError, match=rf"No space left on device\. Free some space\. {kept}"):
        small(progress=telling(hear))
    assert [line["step"] for line in Run(folder).metrics()] == [2, 4, 6, 8, 10]
    assert not list(folder.rglob("*.tmp"))
    monkeypatch.undo()
    assert weights(resume(folder)) == weights(whole)


def test_json_of_the_checksum_does_not_depend_on_the_order_of_tables(small: SmallTrain) -> None:
    run = small(model="bigram-counts")
    config = run.folder / "config.toml"
    head, *tables = config.read_text().split("\n\n")
    config.write_text("\n\n".join([head, *reversed(tables)]))
    assert Run(run.folder).recipe == run.recipe


def test_metrics_are_valid_json_with_impossible_targets(text: Path, tmp_path: Path) -> None:
    text.write_text("\n".join(["ab", "ba", "aab", "bba", "abb", "baa", "aa", "bb", "q", "xyz"]))
    run = train(text, model="bigram-counts", add_k=0.0, output=tmp_path / "run", split_seed=1)
    line = json.loads((run.folder / "metrics.jsonl").read_text(), parse_constant=pytest.fail)
    assert line["train_nats_per_token"] > 0
    model = np.concatenate(list(run.model.tensors().values()))
    assert np.all(np.isfinite(model))
