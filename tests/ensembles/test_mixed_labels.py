"""Mixing runs of classifiers."""

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import thence
from thence.cli.main import main
from thence.ensembles.mix import mix, weights_of
from thence.ensembles.recipe import read_mixture_recipe, train_mixture
from thence.errors import RunError, SettingError, TextError
from thence.runs import Run
from thence.training import resume, train

from ..training.test_classifiers import FAST, sentences, write

SETTINGS: dict[str, Any] = {"label": "label", "split": "60/20/20", "threads": 1}


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("mixed") / "things.csv", sentences(150))


@pytest.fixture(scope="module")
def runs(table: Path) -> list[Run]:
    return [
        train(table, name, output=table.parent / name, **SETTINGS, **FAST[name])
        for name in ("linear", "averaging", "convolution")
    ]


@pytest.fixture(scope="module")
def mixed(runs: list[Run], table: Path) -> Run:
    return mix(runs, table.parent / "ensemble")


@pytest.mark.slow
def test_an_ensemble_is_on_dev_as_good_as_its_best_member(runs: list[Run], mixed: Run) -> None:
    alone = [thence.evaluate(run).nats_per_document for run in runs]
    judged = thence.evaluate(mixed)
    assert judged.nats_per_document <= min(alone) + 1e-6
    (line,) = mixed.metrics()
    assert line["dev_nats_per_document"] == pytest.approx(judged.nats_per_document, rel=1e-5)
    assert line["dev_accuracy"] == judged.accuracy
    named = weights_of(mixed)
    assert [name for name, _ in named] == ["linear", "averaging", "convolution"]
    assert sum(weight for _, weight in named) == pytest.approx(1)


def test_its_probabilities_are_the_average_of_its_members(runs: list[Run], mixed: Run) -> None:
    def probs(run: Run) -> np.ndarray:
        (said,) = thence.classify(run, "the plum and a saw")
        return np.array([said.probabilities[name] for name in run.label_names])

    weights = [weight for _, weight in weights_of(mixed)]
    expected = sum(w * probs(run) for w, run in zip(weights, runs, strict=True))
    np.testing.assert_allclose(probs(mixed), expected, rtol=1e-5)


def test_an_ensemble_is_a_run_like_any_other(runs: list[Run], mixed: Run) -> None:
    again = Run(mixed.folder)
    assert again.finished
    assert again.label_names == runs[0].label_names
    assert again.num_parameters == sum(run.num_parameters for run in runs) + 3
    assert resume(mixed.folder).finished
    assert len(thence.compare([again, runs[0]]).runs) == 2
    estimator = thence.TextClassifier.from_run(again)
    assert estimator.predict(["a plum"]).tolist() == ["fruit"]


def test_the_command(runs: list[Run], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folders = [str(run.folder) for run in runs[:2]]
    main(["mix", *folders, "-o", str(tmp_path / "mixed"), "--json"])
    said = json.loads(capsys.readouterr().out)
    assert said["model"] == "ensemble"
    assert [member["name"] for member in said["members"]] == ["linear", "averaging"]
    assert (tmp_path / "mixed" / "report.html").exists()
    (tmp_path / "texts.txt").write_text("the drill\n")
    main(["classify", str(tmp_path / "mixed"), str(tmp_path / "texts.txt"), "--explain", "--json"])
    assert json.loads(capsys.readouterr().out)["label"] == "tool"


def test_several_labels(tmp_path: Path) -> None:
    rows = [(f"{text} pear", f"{label};fruit") for text, label in sentences(60)]
    with (tmp_path / "several.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("text", "label"), *rows, ("the of", "")])
    given = {**SETTINGS, "label_separator": ";"}
    runs = [
        train(tmp_path / "several.csv", name, output=tmp_path / name, **given, **FAST[name])
        for name in ("linear", "averaging")
    ]
    mixed = mix(runs, tmp_path / "mixed")
    assert mixed.classes.multilabel
    alone = [thence.evaluate(run).nats_per_document for run in runs]
    assert thence.evaluate(mixed).nats_per_document <= min(alone) + 1e-6


def test_a_finetuned_member(table: Path, runs: list[Run], tmp_path: Path) -> None:
    tiny = {"embedding_size": 4, "hidden_size": 4, "steps": 2}
    given = {"column": "text", "tokens": "words", "split": "60/20/20"}
    language = train(table, "lstm", output=tmp_path / "language", **given, **tiny)
    given = {**SETTINGS, "start_from": str(language.folder), "steps": 4}
    parts = [
        train(table, "finetuned", output=tmp_path / str(seed), seed=seed, **given)
        for seed in (1, 2)
    ]
    mixed = mix(parts, tmp_path / "mixed")
    assert [name for name, _ in weights_of(mixed)] == ["finetuned", "finetuned"]
    assert thence.evaluate(Run(mixed.folder)).documents == 30
    with pytest.raises(RunError, match="cannot be mixed"):
        mix([language, runs[0]], tmp_path / "both")


@pytest.mark.parametrize(
    "setting", [{"cache": 5}, {"neural_cache": 5}, {"dynamic": True}, {"weights": "single"}]
)
def test_settings_of_language_models_are_refused(
    runs: list[Run], tmp_path: Path, setting: dict[str, Any]
) -> None:
    name = next(iter(setting))
    with pytest.raises(SettingError, match=f"`{name}` is for language models, but linear is"):
        mix(runs, tmp_path / "mixed", **setting)
    assert not (tmp_path / "mixed").exists()


def test_runs_that_do_not_fit_together_are_refused(
    table: Path, runs: list[Run], mixed: Run, tmp_path: Path
) -> None:
    with pytest.raises(RunError, match=r"needs at least two runs\.$"):
        mix(runs[:1], tmp_path / "mixed")
    with pytest.raises(RunError, match="cannot be mixed again"):
        mix([mixed, runs[0]], tmp_path / "mixed")
    given = {**SETTINGS, **FAST["linear"]}
    other = train(table, "linear", output=tmp_path / "other", split_seed=7, **given)
    with pytest.raises(RunError, match="different texts, labels or splits"):
        mix([runs[0], other], tmp_path / "mixed")
    cut = train(table, "linear", output=tmp_path / "cut", min_count=3, **given)
    with pytest.raises(RunError, match="different tokens"):
        mix([runs[0], cut], tmp_path / "mixed")
    whole = [
        train(table, "linear", output=tmp_path / name, **{**given, "split": "100/0/0"})
        for name in ("one", "two")
    ]
    with pytest.raises(TextError, match="dev split, which is empty"):
        mix(whole, tmp_path / "mixed")
    with pytest.raises(SettingError, match="made of runs: thence mix"):
        train(table, "ensemble", output=tmp_path / "mixed", label="label")
    with pytest.raises(SettingError, match="made of runs: thence mix"):
        thence.TextClassifier("ensemble").fit(["a", "b"], [0, 1])
    assert not (tmp_path / "mixed").exists()


def test_a_recipe_for_an_ensemble(table: Path, tmp_path: Path) -> None:
    recipe = tmp_path / "ensemble.toml"
    head = f'text = "{table}"\nlabel = "label"\nsplit = "60/20/20"\nthreads = 1\nbuckets = 4096\n'
    parts = '\n[[runs]]\nmodel = "linear"\n\n[[runs]]\nmodel = "averaging"\nembedding_size = 4\n'
    recipe.write_text(head + parts)
    made = train_mixture(recipe, tmp_path / "made")
    assert made.recipe.model == "ensemble"
    recipe.write_text(head + "\n[mix]\ncache = 5\n" + parts)
    with pytest.raises(SettingError, match="'cache' is for language models"):
        read_mixture_recipe(recipe)
