"""Every shipped recipe can be read and trained."""

from dataclasses import replace
from pathlib import Path

import pytest

from thence.corpus import BUNDLED, CATALOGUE
from thence.models.registry import families
from thence.recipes import read_recipe
from thence.sweeps import sweep
from thence.sweeps.recipe import read_sweep_recipe
from thence.training import train_recipe

ROOT = Path(__file__).parents[2]
RECIPES = sorted((ROOT / "recipes").glob("*.toml"))


def test_there_are_recipes():
    assert len(RECIPES) >= 9


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_a_recipe_says_how_to_run_it_and_what_to_expect(path):
    recipe = read_recipe(path)
    assert recipe.text in {**BUNDLED, **CATALOGUE}
    assert recipe.model in families("language")
    head = []
    for line in path.read_text(encoding="utf-8").splitlines():
        if not line.startswith("#"):
            break
        head.append(line)
    command = f"#   thence train {recipe.text} --config recipes/{path.name}"
    assert any(line in (command, command.replace(f"{recipe.text} ", "")) for line in head)
    assert any(line.startswith("# Expected: ") for line in head)


@pytest.mark.slow
@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_a_recipe_trains(path, tmp_path):
    recipe = read_recipe(path)
    if recipe.text in CATALOGUE or recipe.text == "python-docs":
        # In its place a bundled text, since nothing is downloaded or built in a test.
        letters = tmp_path / "letters.txt"
        given = (ROOT / "src/thence/corpus/texts/given-names.txt").read_text("utf-8")
        names = [line for line in given.lower().splitlines() if line.isascii() and line.isalpha()]
        size = 8 if recipe.tokens.tokens == "words" else 1
        lines = [" ".join(names[start : start + size]) for start in range(0, 2000, size)]
        letters.write_text("\n".join(lines) + "\n")
        recipe = replace(recipe, text=str(letters))
    short = replace(recipe, training=replace(recipe.training, steps=2))
    run = train_recipe(short, tmp_path / "run")
    (look, *_) = run.metrics()
    assert look["dev_nats_per_token" if len(run.documents("dev")) else "train_nats_per_token"] > 0


@pytest.mark.slow
def test_the_recipe_of_a_sweep(tmp_path):
    pytest.importorskip("optuna")
    path = ROOT / "recipes" / "sweeps" / "names-mlp.toml"
    written = path.read_text(encoding="utf-8")
    assert f"#   thence sweep recipes/sweeps/{path.name}\n" in written
    assert "\n# Expected: " in written
    assert read_sweep_recipe(path).trials == 8
    short = tmp_path / "short.toml"
    # A bundled text in place of one that would be downloaded; it has other symbols in dev.
    written = written.replace('"names"', '"given-names"').replace("epochs = 40", "steps = 2")
    short.write_text(written.replace('unknown = "refuse"', ""), encoding="utf-8")
    done = sweep(short, tmp_path / "sweep")
    assert len({tuple(trial.fields.values()) for trial in done.ranked()}) == 8
