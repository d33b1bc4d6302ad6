"""What the recipe of a sweep may say, and what is refused before anything is run."""

import pytest

from thence.errors import SettingError
from thence.sweeps.recipe import read_sweep_recipe
from thence.sweeps.space import Choices, Range

TEN = "trials = 10\n[sweep.space]\n"


def test_choices_and_ranges(language):
    path = language(
        TEN + "hidden_size = [100, 300]\nlr = {low = 1e-3, high = 1e-1, log = true}\n"
        "context = {low = 2, high = 8, step = 2}\nepochs = {low = 1, high = 2}\n"
        "step_points = [[0.5], [0.5, 0.75]]\nschedule = ['step', 'constant']\n"
    )
    recipe = read_sweep_recipe(path)
    assert recipe.space == {
        "hidden_size": Choices((100, 300)),
        "lr": Range(1e-3, 1e-1, None, True),
        "context": Range(2, 8, 2, whole=True),
        "epochs": Range(1.0, 2.0),
        "step_points": Choices(((0.5,), (0.5, 0.75))),
        "schedule": Choices(("step", "constant")),
    }
    assert recipe.space["context"].points() == (2, 4, 6, 8)
    assert recipe.space["step_points"].encoded == ["[0.5]", "[0.5, 0.75]"]
    assert recipe.trials == 10
    made = recipe.recipe_of({"hidden_size": 300, "step_points": (0.5, 0.75)})
    assert (made.options.hidden_size, made.training.step_points) == (300, (0.5, 0.75))
    assert made.options.embedding_size == 3


def test_trials_and_time_may_be_given_besides(language):
    path = language("time = '2h'\n[sweep.space]\nhidden_size = [1, 2, 3, 4, 5]\n")
    assert read_sweep_recipe(path).options.seconds == 7200
    recipe = read_sweep_recipe(path, trials=4, time="90s")
    assert (recipe.trials, recipe.options.seconds) == (4, 90)


def test_a_grid_has_every_combination(language):
    path = language(
        'sampler = "grid"\n[sweep.space]\nhidden_size = [2, 4]\nlr = {low=0.1, high=0.3, step=0.1}'
    )
    recipe = read_sweep_recipe(path)
    assert recipe.trials == 6
    assert [point["lr"] for point in recipe.grid()] == [0.1, 0.2, 0.3] * 2
    assert read_sweep_recipe(path, trials=4).trials == 4
    assert read_sweep_recipe(path, trials=9).trials == 6


@pytest.mark.parametrize(
    ("trials", "more", "grid"),
    [
        (6, "", True),  # Exactly the combinations of two and three values.
        (5, "", False),
        (9, "epochs = {low = 1, high = 2}\n", False),
        (10**6, "seed = {low = 1, high = 1_000_000_000}\n", False),
    ],
)
def test_few_combinations_are_all_tried_once(language, trials, more, grid):
    space = f"[sweep.space]\nhidden_size = [2, 4]\ncontext = [1, 2, 3]\n{more}"
    recipe = read_sweep_recipe(language(space), trials=trials)
    assert (recipe.is_grid, recipe.trials) == (grid, trials)
    assert not read_sweep_recipe(language(f"sampler = 'random'\n{space}"), trials=6).is_grid


def test_each_model_has_its_own_fields(language):
    path = language(
        'sampler = "grid"\n[sweep.space]\nmodel = ["mlp", "lstm"]\ncontext = [2, 3]\nlr = [0.1]\n'
    )
    recipe = read_sweep_recipe(path)
    assert recipe.grid() == [
        {"model": "mlp", "context": 2, "lr": 0.1},
        {"model": "mlp", "context": 3, "lr": 0.1},
        {"model": "lstm", "lr": 0.1},
    ]
    assert recipe.recipe_of(recipe.grid()[2]).model == "lstm"


@pytest.mark.parametrize(
    ("written", "sentence"),
    [
        (TEN + "hiden_size = [1]", "no setting 'hiden_size'.*Did you mean 'hidden_size'"),
        (TEN + "hidden_size = 3", "must be a list of choices such as"),
        (TEN + "hidden_size = []", "is empty; give at least one choice"),
        (TEN + "hidden_size = [2, 2]", "has 2 twice"),
        (TEN + "hidden_size = [2, 'x']", "'hidden_size' is 'x'; it must be a whole number"),
        (TEN + "hidden_size = [2, 0]", "0"),
        (TEN + "hidden_size = {low = 2}", "lacks 'high'"),
        (TEN + "hidden_size = {low = 2, hihg = 3}", "unknown part 'hihg'.*Did you mean 'high'"),
        (TEN + "hidden_size = {low = 2.5, high = 3}", "must be a whole number"),
        (TEN + "hidden_size = {low = 3, high = 2}", "low must be below high"),
        (TEN + "lr = {low = 0, high = 1, log = true}", "must begin above 0"),
        (TEN + "lr = {low = 1, high = 2, step = 9}", "has step 9.0"),
        (TEN + "lr = {low = -1, high = 2}", "'lr' is -1.0"),
        (TEN + "schedule = {low = 1, high = 2}", "'schedule' is no number"),
        (TEN + "schedule = ['constnt']", "Did you mean 'constant'"),
        (TEN + "model = ['mpl']", "Did you mean 'mlp'"),
        (TEN + "model = ['mlp', 'averaging']", "not all classifiers or all language models"),
        (TEN + "model = ['mixture']", "mixture"),
        (TEN + "split = ['80/10/10']", "changes what is evaluated"),
        (TEN + "tokens = ['words', 'bytes']", "where the tokens differ"),
        (TEN, "is empty; name at least one field"),
        ("trails = 3\n[sweep.space]\nlr = [1.0]", "no setting 'trails'.*Did you mean 'trials'"),
        ("trials = 'x'\n[sweep.space]\nlr = [1.0]", "'trials' is 'x'; it must be a whole number"),
        (
            "trials = 0\n[sweep.space]\nlr = [1.0]",
            "'trials' is 0; it must be a whole number of at least 1",
        ),
        ("time = '3 x'\n[sweep.space]\nlr = [1.0]", "write it like 90s"),
        ("sampler = 'gird'\n[sweep.space]\nlr = [1.0]", "Did you mean 'grid'"),
        ("pruner = 'ahsa'\n[sweep.space]\nlr = [1.0]", "Did you mean 'asha'"),
        ("[sweep.space]\nlr = [1.0]", "names no end; give it trials"),
        ("sampler = 'grid'\n[sweep.space]\nlr = {low = 1, high = 2}", "has no steps"),
        ("trials = 3", "does not say what to try"),
    ],
)
def test_what_cannot_be_is_refused(language, written, sentence):
    with pytest.raises(SettingError, match=sentence) as caught:
        read_sweep_recipe(language(written))
    assert "recipe.toml" in str(caught.value)


def test_settings_outside_the_space_are_checked_too(language, tmp_path):
    with pytest.raises(SettingError, match="Did you mean 'epochs'"):
        read_sweep_recipe(language(TEN + "lr = [1.0]", more="epohcs = 3\n"))
    recipe = language(TEN + "lr = [1.0]")
    recipe.write_text(recipe.read_text().replace("text = ", "txet = "))
    with pytest.raises(SettingError, match="does not say its 'text'"):
        read_sweep_recipe(recipe)
