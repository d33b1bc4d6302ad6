"""The recipes of the lectures give the lectures' numbers."""

import os
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import thence
from thence.recipes import Recipe, read_recipe
from thence.runs import LanguageRun, Run
from thence.training import train_recipe

ROOT = Path(__file__).parents[2]
LECTURES = sorted((ROOT / "recipes" / "lectures").glob("*/*.toml"))
NAMES = [ROOT / "recipes" / f"names-{name}.toml" for name in ("mlp-2d", "mlp-2d-wide", "mlp")]
QUICK = [path for path in LECTURES if path.parent.name in ("2-bigrams",)] + NAMES
EXPECTED = re.compile(r"^# Expected: (?:about )?([\d.]+) nats per token on (train|dev)", re.M)
FIVE_NAMES_LOSSES = [17.77, 13.66, 11.30, 9.45, 7.98, 6.89, 6.10, 5.45, 4.90, 4.41]


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT / "recipes"))


@pytest.fixture
def at_root(monkeypatch: pytest.MonkeyPatch) -> None:
    """Recipes name their files from the project's folder on."""
    monkeypatch.chdir(ROOT)


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of real data sets; the test is skipped where there is none."""
    folder = Path(os.environ.get("THENCE_TEST_DATA", ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip("there are no data sets here (THENCE_TEST_DATA)")
    monkeypatch.setenv("THENCE_DATA", str(folder))
    monkeypatch.setenv("THENCE_HOME", str(tmp_path / "home"))
    return folder


def recipe_of(name: str) -> Recipe:
    return read_recipe(ROOT / "recipes" / "lectures" / name)


def with_steps(recipe: Recipe, steps: int) -> Recipe:
    return replace(recipe, training=replace(recipe.training, steps=steps, evaluate_every=None))


@pytest.mark.parametrize("path", LECTURES, ids=name_of)
def test_a_recipe_says_how_to_run_it(path: Path, at_root: None) -> None:
    recipe, written = read_recipe(path), path.read_text("utf-8")
    command = f"--config {path.relative_to(ROOT).as_posix()}\n"
    assert f"#   thence train {command}" in written or (
        f"#   thence train {recipe.text} {command}" in written
    )
    assert "\n# Expected: " in written
    readme = (ROOT / "recipes" / "lectures" / "README.md").read_text("utf-8")
    assert f"({path.parent.name}/{path.name})" in readme


def train_loss(run: Run) -> float:
    assert isinstance(run, LanguageRun)
    store = run.store("train")
    return -float(np.mean(run.model.score(store), dtype=np.float64))


def test_the_words_of_the_first_lecture(tmp_path: Path, at_root: None) -> None:
    recipe = recipe_of("1-words/network.toml")
    found = []
    for steps in (20, 100):
        run = train_recipe(with_steps(recipe, steps), tmp_path / str(steps))
        assert len(run.tokenizer.vocabulary.symbols) == 11
        word, probability = thence.next_tokens(run, "anna likes")[0]
        assert word == "sheep"
        found.append(probability)
    assert found == pytest.approx([0.75, 0.989], abs=0.12)
    assert found[1] == pytest.approx(0.989, abs=0.012)
    assert run.metrics()[-1]["train_nats_per_token"] < 0.03


def test_the_first_ten_losses_of_the_perceptron(tmp_path: Path, at_root: None) -> None:
    recipe = recipe_of("3-perceptron/start.toml")
    run = train_recipe(recipe, tmp_path / "run")
    assert run.model.num_parameters() == 3_481
    assert len(run.store("train").targets) == 32
    losses = [line["train_nats_per_token"] for line in run.metrics()]
    assert losses == pytest.approx(FIVE_NAMES_LOSSES, abs=0.006)
    written = (ROOT / "recipes/lectures/3-perceptron/start.toml").read_text("utf-8")
    said = re.search(r"^# Losses: (.*)$", written, re.M)
    assert said and losses == pytest.approx([float(n) for n in said[1].split()], abs=1e-3)


@pytest.mark.slow
def test_the_perceptron_learns_32_examples_by_heart(tmp_path: Path, at_root: None) -> None:
    run = train_recipe(with_steps(recipe_of("3-perceptron/start.toml"), 1100), tmp_path / "run")
    assert train_loss(run) == pytest.approx(0.256, abs=0.001)


@pytest.mark.data
@pytest.mark.slow
@pytest.mark.parametrize("path", QUICK, ids=name_of)
def test_what_a_recipe_expects_comes_out(path: Path, data: Path, tmp_path: Path) -> None:
    said = EXPECTED.search(path.read_text("utf-8"))
    assert said is not None
    run = train_recipe(read_recipe(path), tmp_path / "run")
    if said[2] == "train":
        assert train_loss(run) == pytest.approx(float(said[1]), abs=1e-3)
    else:
        losses = [line["dev_nats_per_token"] for line in run.metrics()]
        assert min(losses) == pytest.approx(float(said[1]), abs=0.01)


@pytest.mark.data
@pytest.mark.slow
def test_an_impossible_pair_and_its_cure(data: Path, tmp_path: Path) -> None:
    recipe = recipe_of("2-bigrams/counts.toml")
    counts = train_recipe(recipe, tmp_path / "counts")
    assert thence.score(counts, "andrejq")[0]["log_probability"] is None
    cured = replace(recipe, options=replace(recipe.options, add_k=1))
    (found,) = thence.score(train_recipe(cured, tmp_path / "cured"), "andrejq")
    assert -40 < found["log_probability"] < -25


@pytest.mark.data
@pytest.mark.slow
def test_counts_of_running_text(data: Path, tmp_path: Path) -> None:
    recipe = recipe_of("4-running-text/counts.toml")
    run = train_recipe(replace(recipe, text=str(data / "text8/text8.prefix.gz")), tmp_path / "run")
    (look,) = run.metrics()
    assert np.exp(look["dev_nats_per_token"]) == pytest.approx(366, abs=1)


@pytest.mark.data
@pytest.mark.slow
def test_averages_of_word_vectors_on_reviews(data: Path, tmp_path: Path) -> None:
    run = train_recipe(recipe_of("5-classification/averaging.toml"), tmp_path / "run")
    assert max(line["dev_accuracy"] for line in run.metrics()) == pytest.approx(0.913, abs=0.005)
