"""Sweeps from end to end, in this process."""

import math
import shutil
import warnings

import pytest

import thence
from thence.errors import RunError, SettingError
from thence.reports import plot, report
from thence.runs import Run
from thence.sweeps import read_sweep, sweep
from thence.sweeps.results import importances

GRID = 'sampler = "grid"\n[sweep.space]\nhidden_size = [2, 8]\ncontext = [1, 2]\n'


def test_a_grid_covers_each_point_once(language, tmp_path):
    events = []
    done = sweep(
        language(GRID), tmp_path / "sweep", watch=lambda s: events.append((s.event, s.trial.number))
    )
    assert [dict(trial.fields) for trial in done.trials] == [
        {"hidden_size": hidden, "context": context} for hidden in (2, 8) for context in (1, 2)
    ]
    assert {trial.state for trial in done.trials} == {"finished"}
    assert [number for event, number in events if event == "started"] == [0, 1, 2, 3]
    assert events.count(("evaluated", 0)) == len(Run(tmp_path / "sweep/trial-0000").metrics())
    best = min(done.trials, key=lambda trial: trial.nats)
    assert done.best_trial == best
    assert done.best.recipe == Run(tmp_path / "sweep" / best.name).recipe
    # Computed without torch, so equal within single precision.
    nats = thence.evaluate(done.best, "dev").nats_per_token
    assert math.isclose(nats, best.nats, rel_tol=1e-6)
    assert set(done.importances) == {"hidden_size", "context"}
    assert read_sweep(tmp_path / "sweep") == done


def test_the_best_is_judged_on_test_once(language, tmp_path):
    recipe, folder = language(GRID), tmp_path / "sweep"
    done = sweep(recipe, folder, trials=2)
    assert len(done.best.test_looks()) == done.test["test_looks"] == 1
    again = sweep(recipe, folder, trials=2)
    assert again == done
    assert len(again.best.test_looks()) == 1
    more = sweep(recipe, folder)
    assert [trial.number for trial in more.trials] == [0, 1, 2, 3]
    changed = more.best_trial.number != done.best_trial.number
    assert len(more.best.test_looks()) == 1 + changed


@pytest.mark.slow
def test_that_the_best_was_chosen_on_dev_is_said(language, tmp_path):
    recipe, folder = language(GRID), tmp_path / "sweep"
    done = sweep(recipe, folder, trials=1)
    assert done.chosen_on_dev is None  # The only one had no luck.
    assert thence.evaluate(done.best, "dev").chosen_on_dev is None
    done = sweep(recipe, folder)
    words = "chosen on dev among 4 trials: expect the test number to be worse"
    assert done.chosen_on_dev == done.to_json()["chosen_on_dev"] == words
    judged = thence.evaluate(done.best, "dev")
    assert dict(judged.rows())["this run"] == judged.to_json()["chosen_on_dev"] == words
    assert thence.evaluate(done.best, "test").chosen_on_dev is None
    assert thence.evaluate(folder / "trial-0000", "dev").chosen_on_dev is None
    assert f"best: {words}." in thence.compare([done.best, folder / "trial-0000"]).remark
    assert words in report(folder).read_text()
    (folder / "best/best-of-sweep.json").write_text('{"run": "trial-0000", "test": null}')
    several = "chosen on dev among several trials: expect the test number to be worse"
    assert thence.evaluate(done.best, "dev").chosen_on_dev == several  # As 0.1 wrote it.


@pytest.mark.slow
def test_a_classifier_is_judged_by_its_mistakes(labels, tmp_path):
    space = 'trials = 4\npruner = "asha"\n[sweep.space]\nlr = {low=0.01, high=1.0, log=true}\n'
    done = sweep(labels(space + "ngrams = [1, 2]\n"), tmp_path / "sweep")
    assert done.unit == "document"
    assert max(trial.accuracy for trial in done.ranked()) == done.best_trial.accuracy
    assert 0 <= done.test["accuracy"] <= 1
    pages = report(tmp_path / "sweep").read_text()
    assert "documents right" in pages


@pytest.mark.slow
def test_the_same_seed_gives_the_same_trials_also_after_a_pause(language, tmp_path):
    space = (
        'trials = 3\nseed = {seed}\nsampler = "{sampler}"\n[sweep.space]\nhidden_size = [2, 8]\n'
    )
    space += "lr = {{low = 1e-3, high = 1e-1, log = true}}\n"
    for sampler in ("tpe", "random"):
        recipe = language(space.format(seed=1, sampler=sampler))
        whole = sweep(recipe, tmp_path / f"{sampler}-whole")
        sweep(recipe, tmp_path / f"{sampler}-parts", trials=1)
        parts = sweep(recipe, tmp_path / f"{sampler}-parts")
        assert [t.fields for t in whole.trials] == [t.fields for t in parts.trials]
        assert [t.nats for t in whole.trials] == [t.nats for t in parts.trials]
    recipe = language(space.format(seed=2, sampler="random"))
    other = sweep(recipe, tmp_path / "other", trials=1)
    assert other.trials[0].fields != whole.trials[0].fields


@pytest.mark.slow
@pytest.mark.parametrize("pruner", ["median", "asha", "hyperband"])
def test_hopeless_trials_are_given_up(language, tmp_path, pruner):
    space = f'pruner = "{pruner}"\nsampler = "grid"\n[sweep.space]\nlr = '
    rates = [0.1, 0.09, 0.08, 0.07, 0.06, 0.05, *(10.0**-power for power in range(4, 14))]
    done = sweep(language(space + str(rates)), tmp_path / "sweep")
    pruned = [trial for trial in done.trials if trial.state == "pruned"]
    assert sum(trial.fields["lr"] < 0.05 for trial in pruned) >= 4
    for trial in pruned:
        run = Run(tmp_path / "sweep" / trial.name)
        assert run.finished and len(run.metrics()) < 10
        assert trial.nats == min(look["dev_nats_per_token"] for look in run.metrics())
        assert math.isfinite(thence.evaluate(run, "dev").nats_per_token)
    assert done.best_trial.fields["lr"] >= 0.05


def test_a_trial_that_cannot_be_trained_fails_and_the_others_go_on(language, tmp_path):
    space = 'sampler = "grid"\n[sweep.space]\nlr = [1e30, 0.1]\n'
    done = sweep(language(space, more="optimizer = 'sgd'\n"), tmp_path / "sweep")
    assert [trial.state for trial in done.trials] == ["failed", "finished"]
    assert "the steps are too large" in done.trials[0].reason
    assert done.best_trial.number == 1
    assert "the steps are too large" in report(tmp_path / "sweep").read_text()


def test_without_any_finished_trial_the_first_reason_is_told(language, tmp_path):
    space = 'sampler = "grid"\n[sweep.space]\nlr = [1e30]\n'
    with pytest.raises(SettingError, match=r"No trial .* the steps are too large"):
        sweep(language(space, more="optimizer = 'sgd'\n"), tmp_path / "sweep")


def test_counted_models_can_be_swept(language, tmp_path):
    recipe = language('sampler = "grid"\n[sweep.space]\norder = [1, 2, 3]\n')
    text = recipe.read_text().splitlines()[0]
    recipe.write_text(
        f'{text}\nmodel = "ngram"\n[sweep]\nsampler = "grid"\npruner = "median"\n'
        "[sweep.space]\norder = [1, 2, 3]\n"
    )
    done = sweep(recipe, tmp_path / "sweep")
    assert [trial.state for trial in done.trials] == ["finished"] * 3


def test_another_recipe_is_refused(language, tmp_path):
    folder = tmp_path / "sweep"
    sweep(language(GRID), folder, trials=1)
    with pytest.raises(RunError, match=r"the space of 'context' was .* and is now"):
        sweep(language(GRID.replace("[1, 2]", "[1, 3]")), folder)
    with pytest.raises(RunError, match=r"'lr' was not given and is now 0.1"):
        sweep(language(GRID, more="lr = 0.1\n"), folder)
    with pytest.raises(RunError, match=r"\[sweep\] 'pruner' was none and is now asha"):
        sweep(language('pruner = "asha"\n' + GRID), folder)
    with pytest.raises(RunError, match="its study is in a file"):
        sweep(language(GRID), folder, storage="sqlite://")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "file").touch()
    with pytest.raises(RunError, match="is no sweep"):
        sweep(language(GRID), tmp_path / "other")


def test_a_damaged_trial_is_made_anew(language, tmp_path, monkeypatch):
    recipe, folder = language(GRID), tmp_path / "sweep"
    whole = sweep(recipe, tmp_path / "whole", trials=1)

    class Killed(BaseException):
        pass

    def kill(standing):
        if standing.event == "evaluated":
            raise Killed

    with pytest.raises(Killed):
        sweep(recipe, folder, trials=1, watch=kill)
    (folder / "trial-0000" / "tokenizer.json").write_text("{")
    done = sweep(recipe, folder, trials=1)
    assert done.trials[0].nats == whole.trials[0].nats


@pytest.mark.slow
def test_a_trial_that_is_given_up_stays_so_though_killed_before_it_is_told(
    language, tmp_path, monkeypatch
):
    class Killed(BaseException):
        pass

    def kill(*arguments):
        raise Killed

    rates = [0.1] * 5 + [1e-12]
    space = f'pruner = "median"\nsampler = "grid"\n[sweep.space]\nlr = {rates[-2:]}\nseed = '
    recipe, folder = language(space + "[1, 2, 3, 4, 5]\n"), tmp_path / "sweep"
    sweep(recipe, folder, trials=5)
    with monkeypatch.context() as patch:
        patch.setattr("thence.sweeps.worker._tell", kill)
        with pytest.raises(Killed):
            sweep(recipe, folder, trials=6)
    looks = Run(folder / "trial-0005").metrics()
    assert len(looks) < 10
    monkeypatch.setattr("optuna.trial.Trial.should_prune", lambda trial: False)
    done = sweep(recipe, folder, trials=6)
    assert done.trials[5].state == "pruned"
    assert Run(folder / "trial-0005").metrics() == looks


@pytest.mark.slow
def test_time_ends_a_sweep_and_more_time_goes_on(language, tmp_path):
    space = 'time = "1s"\nsampler = "random"\n[sweep.space]\nlr = {low = 0.01, high = 0.1}\n'
    done = sweep(language(space), tmp_path / "sweep")
    assert done.trials
    assert len(sweep(language(space), tmp_path / "sweep").trials) == len(done.trials)
    more = sweep(language(space), tmp_path / "sweep", time="1h", trials=len(done.trials) + 1)
    assert len(more.trials) == len(done.trials) + 1


@pytest.mark.slow
def test_pictures_and_page(language, tmp_path):
    space = "hidden_size = [2, 8]\nlr = {low = 1e-3, high = 1e-1, log = true}\n"
    space += "step_points = [[0.5], [0.5, 0.75]]\n"
    done = sweep(language("trials = 4\n[sweep.space]\n" + space), tmp_path / "sweep")
    written = plot(done.folder, formats=["svg"])
    names = ["history", "importance", "parallel", "size", "seconds"]
    names += [f"against-{name}" for name in ("hidden-size", "lr", "step-points")]
    assert sorted(path.stem for path in written) == sorted(names)
    page = report(done.folder)
    assert page.name == "sweep.html"
    text = page.read_text()
    # In order, fields side by side, three fields, size and time; what matters needs more trials.
    assert text.count("<figure") == 7 and "looked at once" in text
    assert "it cannot be said what matters; that takes 12 or more" in text
    assert "<title>trial-0002: " in text
    shutil.rmtree(done.folder / "locks")  # Nothing but the result is read.


def test_no_result_yet(tmp_path):
    with pytest.raises(RunError, match="no sweep with a result"):
        read_sweep(tmp_path)


def test_without_dev_nothing_can_be_compared(language, tmp_path):
    with pytest.raises(SettingError, match="compared on the dev split"):
        sweep(language(GRID, more="split = '100/0/0'\n"), tmp_path / "sweep")


def test_no_warning_is_left_for_the_user(language, tmp_path):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        sweep(language("trials = 2\n[sweep.space]\nhidden_size = [2, 8]\n"), tmp_path / "sweep")
    assert not caught


def test_importance():
    points = [{"a": a, "b": b} for a in (1, 2) for b in (1, 2, 3)]
    found = importances(points, [float(point["a"]) + point["b"] / 100 for point in points])
    assert list(found) == ["a", "b"]
    # Ranks 1 to 6 about 3.5: 17.5 in all, 13.5 of it between a = 1 and 2, 4 between the three b.
    assert found == pytest.approx({"a": 13.5 / 17.5, "b": 4 / 17.5})
    points = [{"x": place / 10} for place in range(40)]
    assert importances(points, [float(place) for place in range(40)])["x"] > 0.9
    assert importances([{"x": 1}], [2.0]) == {"x": 0.0}
    assert importances([{"x": 1}, {"x": 2}] * 3, [2.0] * 6) == {"x": 0.0}
