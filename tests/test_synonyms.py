import pytest

from thence.cli.commands import COMMANDS
from thence.models.registry import FAMILIES
from thence.recipes.recipe import known_settings
from thence.synonyms import synonyms


def test_commands_that_are_named_exist() -> None:
    names = {name.split()[0] for name in COMMANDS}
    for name, meaning in synonyms("commands").items():
        assert name not in names
        assert meaning.split()[1] in names


def test_settings_that_are_named_exist() -> None:
    known = {setting for model in FAMILIES for setting in known_settings(model)}
    assert set(synonyms("settings").values()) <= known


@pytest.mark.parametrize("name", sorted(synonyms("models")))
def test_models_that_are_named_exist(name: str) -> None:
    assert name not in FAMILIES
    assert synonyms("models")[name].split()[0] in FAMILIES
