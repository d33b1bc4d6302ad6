"""The flags of ``train`` and ``find-lr``, which are the keys of a recipe in TOML."""

from dataclasses import fields
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Literal, get_args, get_origin, get_type_hints

import pytest
import tomli_w

from thence.errors import ThenceError
from thence.models.registry import families
from thence.recipes import Recipe
from thence.recipes.recipe import setting_groups

pytestmark = pytest.mark.usefixtures("folder")

MADE_FROM_TEXT = [name for name, line in families("language").items() if line.method != "combine"]


@pytest.fixture
def recipe_of(thence, monkeypatch):
    """Return the recipe that a command line stands for, without training it."""

    def parse(*arguments: str) -> Recipe:
        seen: list[Recipe] = []

        def print_trained(call: object, given: SimpleNamespace) -> None:
            seen.append(given.recipe)
            raise ThenceError("That is all.")

        with monkeypatch.context() as patch:
            patch.setattr("thence.cli.training.print_trained", print_trained)
            outcome = thence("train", *arguments)
        assert outcome.err == "thence: That is all.\n"
        return seen[0]

    return parse


def another_value(kind: Any, default: Any) -> Any:
    """Return a usable value of a setting that is not its default."""
    for choice in get_args(kind) or (kind,):
        if get_origin(choice) is Literal:
            return get_args(choice)[-1]
        if get_origin(kind) is Literal:
            return get_args(kind)[-1] if default != get_args(kind)[-1] else get_args(kind)[0]
    if get_origin(kind) is tuple:
        return (2, 1) if get_args(kind)[0] is int else (0.25, 0.75)
    kinds = set(get_args(kind) or (kind,))
    if bool in kinds:
        return not default
    if int in kinds:
        return 2 * (default or 0) or 3  # A multiple: heads still divide the embedding size.
    return "x" if str in kinds else 0.25 if default == 0.5 else 0.5


WRITTEN = {
    "tokens": "words",
    "time": "30m",
    "memory": "1GB",
    "logits_memory": "1MB",
    "softmax": "sampled",
    "slot_bits": 12,
}
"""Settings whose texts must mean something, or that do not go with all others."""


def other_settings(model: str) -> dict[str, dict[str, Any]]:
    settings = {}
    for group, kind in setting_groups(model).items():
        hints = get_type_hints(kind)
        settings[group] = {
            item.name: WRITTEN.get(item.name)
            or another_value(hints[item.name], getattr(kind(), item.name))
            for item in fields(kind)
        }
        assert all(value != getattr(kind(), name) for name, value in settings[group].items())
    return settings


def as_flags(settings: dict[str, Any]) -> list[str]:
    flags = []
    for name, value in settings.items():
        flag = name.replace("_", "-")
        if isinstance(value, bool):
            flags.append(f"--{flag}" if value else f"--no-{flag}")
        else:
            values = value if isinstance(value, tuple) else (value,)
            flags += [f"--{flag}={item}" for item in values]
    return flags


@pytest.mark.slow
@pytest.mark.parametrize("model", MADE_FROM_TEXT)
def test_every_setting_is_a_flag_and_a_key(recipe_of, model):
    settings = other_settings(model)
    made = {group: kind(**settings[group]) for group, kind in setting_groups(model).items()}
    expected = Recipe("some-text", model, **made)
    flags = [flag for group in settings.values() for flag in as_flags(group)]
    assert recipe_of("some-text", "--model", model, *flags) == expected

    content = {"text": "some-text", "model": model, **settings}
    Path("recipe.toml").write_text(tomli_w.dumps(content))
    assert recipe_of("--config", "recipe.toml") == expected
    flat = {key: value for group in settings.values() for key, value in group.items()}
    Path("flat.toml").write_text(tomli_w.dumps({"text": "some-text", "model": model, **flat}))
    assert recipe_of("--config=flat.toml") == expected


@pytest.mark.slow
@pytest.mark.parametrize("command", ["train", "find-lr"])
@pytest.mark.parametrize("model", MADE_FROM_TEXT)
def test_help_mentions_every_setting(thence, command, model):
    text = thence(command, "--model", model, "--help").out
    settings = [item.name for kind in setting_groups(model).values() for item in fields(kind)]
    own = {
        "train": ["output", "logs", "no-report", "json"],
        "find-lr": ["output", "low", "high", "rates"],
    }
    names = [*settings, *own[command], "config", "model"]
    assert [name for name in names if f"--{name.replace('_', '-')} " not in text] == []
    assert all(name in text for name in families("language"))


def test_help_without_a_model_has_no_model_flags(thence):
    text = thence("train", "--help").out
    assert "thence train --model NAME --help" in text
    assert "--batch-size" in text and "--hidden-size" not in text


def test_help_follows_the_recipe(thence):
    Path("recipe.toml").write_text('model = "bigram-counts"')
    assert "--add-k" in thence("train", "--config", "recipe.toml", "--help").out


def test_flags_come_before_the_recipe(recipe_of):
    Path("recipe.toml").write_text(
        'text = "a"\nmodel = "mlp"\n[options]\ncontext = 4\nhidden_size = 7\n'
        '[training]\nlr = "auto"\nepochs = 3\ncarry_context = true\n'
    )
    recipe = recipe_of(
        "b", "--config", "recipe.toml", "--context", "5", "--lr", "0.5", "--no-carry-context"
    )
    assert (recipe.text, recipe.options.context, recipe.options.hidden_size) == ("b", 5, 7)
    assert (recipe.training.lr, recipe.training.epochs) == (0.5, 3.0)
    assert recipe.training.carry_context is False
    assert recipe_of("--config", "recipe.toml").training.lr == "auto"


def test_another_model_may_take_the_place_of_the_recipes(recipe_of):
    Path("recipe.toml").write_text('text = "a"\nmodel = "mlp"\nseed = 7\n')
    recipe = recipe_of("--config", "recipe.toml", "--model", "bigram")
    assert (recipe.model, recipe.training.seed) == ("bigram", 7)


def test_the_config_of_a_run_is_a_recipe(recipe_of, trained):
    recipe = recipe_of("--config", str(trained.mlp / "config.toml"))
    assert recipe.text == str(trained.text)
    assert recipe.options.hidden_size == 8


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("epoch = 3", "recipe.toml: There is no setting 'epoch' for the model 'mlp'. "
         "Did you mean 'epochs'?"),
        ("[training]\nbatch-size = 3", "recipe.toml: There is no setting 'batch-size' for the "
         "model 'mlp'. Did you mean 'batch_size'?"),
        ("[trainning]\nepochs = 3", "recipe.toml: there is no table [trainning] in a recipe"),
        ("add_k = 1", "recipe.toml: There is no setting 'add_k' for the model 'mlp'."),
        ("report = false", "recipe.toml: There is no setting 'report' for the model 'mlp'."),
        ('epochs = "3"', "recipe.toml: 'epochs' is '3'; it must be a number above 0."),
        ("steps = 1.5", "recipe.toml: 'steps' is 1.5; it must be a whole number of at least 0."),
        ("nfc = 1", "recipe.toml: 'nfc' is 1; it must be true or false."),
        ('by = "shufle"', "recipe.toml: 'by' is 'shufle'; it must be one of shuffle, "
         "position. Did you mean 'shuffle'?"),
        ("text = 3", "recipe.toml: 'text' is 3; it must be a text."),
        ('model = "mpl"', "recipe.toml: There is no model 'mpl'"),
        ("lr = -1", "recipe.toml: 'lr' is -1; it must be a number above 0 or auto."),
        ("lr = ", "The recipe recipe.toml is not valid TOML"),
    ],
)  # fmt: skip
def test_a_wrong_recipe_is_refused_by_name(thence, content, message):
    Path("recipe.toml").write_text(content)
    outcome = thence("train", "some-text", "--config", "recipe.toml")
    assert (outcome.code, outcome.out) == (2, "")
    assert outcome.err.startswith(f"thence: {message}")
    assert outcome.err.count("\n") == 1


def test_a_missing_recipe_is_a_sentence(thence):
    outcome = thence("train", "some-text", "--config", "none.toml")
    assert outcome.err == (
        "thence: The recipe none.toml cannot be read: No such file or directory.\n"
    )


def test_what_is_filled_in_is_no_flag_and_a_saved_config_may_hold_it(thence, recipe_of):
    text = thence("train", "--model", "finetuned", "--help").out
    assert "--start-from" in text and "encoder" not in text
    Path("saved.toml").write_text(
        'text = "a"\nmodel = "finetuned"\n[options]\nstart_from = "b"\n'
        '[options.encoder]\nmodel = "lstm"\nhidden_size = 3\n'
    )
    # The training asks the run b what its encoder is (``with_encoder``).
    assert recipe_of("--config", "saved.toml").options.start_from == "b"
