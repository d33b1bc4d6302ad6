import dataclasses
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from thence.errors import SettingError
from thence.models.registry import families, get_family
from thence.recipes import Recipe, make_recipe, read_recipe
from thence.recipes.recipe import GROUPS, read_settings
from thence.settings import validate

MADE_FROM_TEXT = [name for name, line in families("language").items() if line.method != "combine"]


def values(kind: Any) -> st.SearchStrategy[Any]:
    """Return values of a setting's type, numbers within (0, 1) or from 1 up."""
    if get_origin(kind) in (Union, UnionType):
        return st.one_of(*map(values, get_args(kind)))
    if get_origin(kind) is Literal:
        return st.sampled_from(get_args(kind))
    if get_origin(kind) is tuple:
        return st.lists(values(get_args(kind)[0]), max_size=3).map(tuple)
    simple = {
        NoneType: st.none(),
        bool: st.booleans(),
        int: st.integers(1, 1 << 62),
        float: st.floats(0, 1, exclude_min=True, exclude_max=True),
        str: st.text(),
    }
    return simple[kind]


WRITTEN = {
    "tokens": st.sampled_from(["characters", "bytes", "words", "subwords"]),
    "time": st.sampled_from(["90s", "1.5 m", "2h"]),
    "memory": st.sampled_from(["500MB", "1.5 GB"]),
    "logits_memory": st.sampled_from(["16MB", "1k"]),
    "softmax": st.sampled_from(["full", "sampled"]),  # The adaptive one does not go with --tied.
    "embedding_size": st.sampled_from([16, 48]),  # Of a transformer, to be divided by --heads.
    "heads": st.sampled_from([1, 2, 8]),
    "context": st.integers(1, 1 << 24),
    "layers": st.integers(1, 1000),
    "order": st.sampled_from([1, 2]),
    "classes": st.integers(1, 20_000),
    "bits": st.integers(2, 16),
    "slot_bits": st.none() | st.integers(8, 28),
    "threads": st.integers(1, 1024),
}
"""Settings that are not any text, or not any of their choices beside any others."""
WRITTEN_FOR = {"class-ngram": {"order": st.sampled_from([2, 3])}}
"""The same of single models: classes say nothing without a context."""


@st.composite
def recipes(draw: Any, model: str) -> Recipe:
    chosen: dict[str, Any] = {}
    written = WRITTEN | WRITTEN_FOR.get(model, {})
    for kind in (get_family(model).options_class(), *GROUPS.values()):
        hints = get_type_hints(kind)
        for name in (item.name for item in dataclasses.fields(kind)):
            if draw(st.booleans()):
                chosen[name] = draw(written[name] if name in written else values(hints[name]))
    return make_recipe(draw(st.text(min_size=1)), model, chosen)


@pytest.mark.slow
@pytest.mark.parametrize("model", MADE_FROM_TEXT)
@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_round_trip_through_toml(tmp_path: Path, model: str, data: st.DataObject) -> None:
    recipe = data.draw(recipes(model))
    path = tmp_path / "recipe.toml"
    path.write_bytes(recipe.to_toml({"made": "today"}).encode("utf-8"))
    assert read_recipe(path) == recipe


@pytest.mark.parametrize("model", MADE_FROM_TEXT)
def test_every_setting_is_known_in_one_group_only(model: str) -> None:
    kinds = (get_family(model).options_class(), *GROUPS.values())
    names = [item.name for kind in kinds for item in dataclasses.fields(kind)]
    assert len(names) == len(set(names))
    assert not {"text", "model", "output", "config", "progress"} & set(names)


def test_defaults_and_types() -> None:
    recipe = make_recipe(Path("a.txt"), "mlp", {"lr": 1, "step_points": [0.5], "dev": Path("b")})
    assert recipe.text == "a.txt"
    assert recipe.training.lr == 1.0
    assert isinstance(recipe.training.lr, float)
    assert recipe.training.step_points == (0.5,)
    assert recipe.splitting.dev == "b"
    assert recipe.options.context == 3


@pytest.mark.parametrize(
    ("name", "near"),
    [("hiden_size", "hidden_size"), ("learning_rat", ""), ("batchsize", "batch_size")],
)
def test_a_typo_is_refused_with_the_nearest_name(name: str, near: str) -> None:
    with pytest.raises(SettingError, match=f"There is no setting `{name}`") as caught:
        make_recipe("text", "mlp", {name: 1})
    assert (f"Did you mean `{near}`?" in str(caught.value)) == bool(near)


def test_a_setting_of_another_model_is_refused() -> None:
    with pytest.raises(SettingError, match="There is no setting `hidden_size` for the model 'big"):
        make_recipe("text", "bigram-counts", {"hidden_size": 3})


@pytest.mark.parametrize(
    ("name", "value", "hint"),
    [
        ("context", 2.0, "a whole number of at least 1"),
        ("context", True, "a whole number of at least 1"),
        ("context", "3", "a whole number of at least 1"),
        ("context", None, "a whole number of at least 1"),
        ("dropout", "0.1", "a number from 0 to below 1"),
        ("dropout", True, "a number from 0 to below 1"),
        ("direct", 1, "true or false"),
        ("steps", 1.5, "a whole number of at least 0"),
        ("split", 80, "a text"),
        ("step_points", 0.5, "a list"),
        ("step_points", ["x"], "a number above 0 and below 1"),
        ("lr", "fast", "a number above 0 or auto"),
        ("tokens", "character", "one of characters, bytes, words, subwords"),
        ("optimizer", ["adamw"], "one of adamw, muon, adagrad, sgd"),
    ],
)
def test_wrong_types_are_refused_with_the_right_one(name: str, value: object, hint: str) -> None:
    with pytest.raises(SettingError, match=f"`{name}` (is|holds) .*; (it|each) must be {hint}\\."):
        make_recipe("text", "mlp", {name: value})


def test_a_wrong_choice_suggests_the_nearest() -> None:
    with pytest.raises(SettingError, match=r"Did you mean 'characters'\?"):
        make_recipe("text", "mlp", {"tokens": "character"})


def test_an_unknown_model_suggests_the_nearest() -> None:
    with pytest.raises(SettingError, match=r"no model 'mpl'; choose one of .*Did you mean 'mlp'\?"):
        make_recipe("text", "mpl", {})


def test_none_is_kept_where_it_is_allowed() -> None:
    assert validate("steps", None, int | None) is None


def test_settings_may_stand_in_their_table_or_at_the_top(tmp_path: Path) -> None:
    path = tmp_path / "recipe.toml"
    path.write_text('text = "a"\nmodel = "mlp"\nlr = 0.5\n[options]\ncontext = 2\n[training]\n')
    assert read_settings(path) == {"text": "a", "model": "mlp", "lr": 0.5, "context": 2}
    recipe = read_recipe(path)
    assert (recipe.training.lr, recipe.options.context) == (0.5, 2)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"lr = ", "is not valid TOML"),
        (b"\xff", "is not valid TOML"),
        (b"[trainin]\nlr = 1", r"no table \[trainin\].*Did you mean 'training'\?"),
        (b"text = 'a'", "does not say its 'model'"),
        (b"model = 'mlp'", "does not say its 'text'"),
        (b"text = 'a'\nmodel = 'mlp'\nlrr = 1", "There is no setting 'lrr'"),
        (b"text = 5\nmodel = 'mlp'", "'text' is 5; it must be a text"),
        (b"text = 'a'\nmodel = 5", "'model' is 5; it must be a text"),
        (b"text = 'a'\nmodel = ['mlp']", "'model' is .*; it must be a text"),
        (b"text = 'a'\nmodel = 'mlp'\noptions = 3", "There is no setting 'options'"),
    ],
)
def test_an_unusable_recipe_is_a_sentence(tmp_path: Path, content: bytes, sentence: str) -> None:
    path = tmp_path / "recipe.toml"
    path.write_bytes(content)
    with pytest.raises(SettingError, match=sentence) as caught:
        read_recipe(path)
    assert str(path) in str(caught.value)


def test_a_missing_recipe_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match="cannot be read: No such file"):
        read_recipe(tmp_path / "none.toml")


def test_whole_numbers_beyond_64_bits_are_refused_wherever_a_recipe_comes_from() -> None:
    kind = get_family("mlp").options_class()
    with pytest.raises(SettingError, match="`hidden_size` is a whole number of more than 64 bits"):
        Recipe("text", "mlp", kind(hidden_size=10**30))
