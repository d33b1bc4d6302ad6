"""A recipe that trains several runs and mixes them."""

from pathlib import Path

import pytest

import thence
from thence.ensembles.recipe import read_mixture_recipe, train_mixture
from thence.errors import SettingError

RECIPE = """
text = "{text}"
[splitting]
split = "60/20/20"
[mix]
weights = "single"
[[runs]]
model = "ngram"
order = 3
[[runs]]
model = "lstm"
hidden_size = 8
embedding_size = 4
[runs.training]
steps = 4
"""


@pytest.fixture
def recipe(text: Path, tmp_path: Path) -> Path:
    path = tmp_path / "mixture.toml"
    path.write_text(RECIPE.format(text=text))
    return path


def test_the_runs_are_trained_and_mixed(recipe: Path, tmp_path: Path) -> None:
    mixed = train_mixture(recipe, tmp_path / "mixed")
    assert [member.model for member in mixed.recipe.options.members] == ["ngram", "lstm"]
    parts = sorted((tmp_path / "mixed-runs").iterdir())
    assert [part.name for part in parts] == ["1-ngram", "2-lstm"]
    alone = min(thence.evaluate(part).nats_per_token for part in parts)
    assert thence.evaluate(mixed).nats_per_token <= alone + 1e-6


def test_what_is_done_is_not_done_again(recipe: Path, tmp_path: Path) -> None:
    train_mixture(recipe, tmp_path / "mixed")
    weights = tmp_path / "mixed-runs" / "2-lstm" / "model.safetensors"
    before = weights.stat().st_mtime_ns
    again = train_mixture(recipe, tmp_path / "again")
    (tmp_path / "mixed").rename(tmp_path / "moved")
    train_mixture(recipe, tmp_path / "mixed")
    assert weights.stat().st_mtime_ns == before
    assert again.finished


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("[[runs]]", "[[others]]"), r"mixture.toml names no runs to mix; give each a table"),
        (("order = 3", "ordr = 3"), r"mixture.toml: There is no setting 'ordr'.*'order'"),
        (('model = "ngram"', ""), r"mixture.toml: a run does not say its 'model'"),
        (("[splitting]", "[spliting]"), r"there is no table \[spliting\]"),
        (
            ('"single"', '"foo"'),
            r"mixture.toml: 'weights' is 'foo'; it must be one of gated, buckets",
        ),
        (
            ('weights = "single"', "cache = 0"),
            r"mixture.toml: 'cache' is 0; it must be a whole number of at least 1",
        ),
        (('model = "lstm"', 'model = "mixture"'), r"a run of a mixture cannot be a mixture"),
    ],
)
def test_a_recipe_that_cannot_be_used_is_a_sentence(
    recipe: Path, change: tuple[str, str], message: str
) -> None:
    recipe.write_text(recipe.read_text().replace(*change))
    with pytest.raises(SettingError, match=message):
        read_mixture_recipe(recipe)


def test_an_unknown_setting_of_mixing_is_a_sentence(recipe: Path, tmp_path: Path) -> None:
    recipe.write_text(recipe.read_text().replace("weights = ", "weigths = "))
    with pytest.raises(SettingError, match=r"\[mix\]"):
        train_mixture(recipe, tmp_path / "mixed")


@pytest.mark.parametrize(
    "path", sorted((Path(__file__).parents[2] / "recipes" / "mixtures").glob("*.toml"))
)
def test_shipped_mixtures_can_be_read(path: Path) -> None:
    head = path.read_text("utf-8").splitlines()
    assert any(
        line.startswith(f"#   thence mix --config recipes/mixtures/{path.name}") for line in head
    )
    assert len(read_mixture_recipe(path).runs) >= 2
