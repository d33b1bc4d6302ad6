"""What a killed or hostile process has left in the folder of a sweep."""

import json
import shutil
from itertools import product

import pytest

from thence.errors import RunError
from thence.evaluation.evaluate import evaluate
from thence.runs import Run
from thence.sweeps import read_sweep, sweep
from thence.sweeps.best import recover

from ..processes import Process

KILLED = """\
import os, sys
from pathlib import Path
rename, left = Path.rename, int(sys.argv[1])
def killed(self, target):
    global left
    if ".best." in str(self) + str(target):
        left -= 1
        if left < 0:
            os._exit(9)
    return rename(self, target)
Path.rename = killed
from thence.sweeps.results import Trial
from thence.sweeps.best import keep_best
keep_best(Path(sys.argv[2]), Trial(1, {}, "finished"))
os._exit(9)
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A sweep of one trial whose best run has been judged on test five times, and its recipe."""
    place = tmp_path_factory.mktemp("made")
    (place / "text.txt").write_text("\n".join(map("".join, product("abcde", "xyz", "abc"))))
    text = f"text = '{place / 'text.txt'}'\nmodel = 'bigram-counts'\n"
    (place / "recipe.toml").write_text(text + "[sweep]\ntrials = 1\n[sweep.space]\nadd_k = [1.0]\n")
    sweep(place / "recipe.toml", place / "sweep")
    for _ in range(4):
        evaluate(place / "sweep/best", "test")
    return place


@pytest.fixture
def recipe(made):
    return made / "recipe.toml"


@pytest.fixture
def folder(made, tmp_path):
    shutil.copytree(made / "sweep", tmp_path / "sweep")
    return tmp_path / "sweep"


def looks(folder):
    return len(Run(folder / "best").test_looks())


@pytest.mark.slow
@pytest.mark.parametrize("renames", [0, 1, 2])
def test_a_kill_while_the_best_is_replaced_loses_no_look(recipe, folder, renames):
    (folder / "trial-0000").rename(folder / "trial-0001")
    with Process("-c", KILLED, renames, folder) as process:
        assert process.wait() == 9
    (folder / "trial-0001").rename(folder / "trial-0000")
    done = sweep(recipe, folder)
    assert looks(folder) == (5 if renames < 2 else 7)  # That of the new best, and of the next.
    assert done.best_is_here
    assert not list(folder.glob(".*"))


def test_looks_at_what_is_being_replaced_count(folder):
    leftover = folder / ".best.abcd"
    leftover.mkdir()
    (folder / "best").rename(leftover / "beaten")
    recover(folder)
    assert looks(folder) == 5
    leftover.mkdir()
    (leftover / "beaten").mkdir()
    line = {"time": "2026-01-01T00:00:00+00:00", "command": "evaluate"}
    (leftover / "beaten/test-looks.jsonl").write_text(json.dumps(line) + "\n")
    recover(folder)
    assert looks(folder) == 6
    assert not leftover.exists()


def test_what_killed_processes_left_is_cleared(recipe, folder):
    for name in (".best.abcd", ".trial-0000.abcd", ".trial-0001.new"):
        (folder / name).mkdir()
        (folder / name / "config.toml").write_text("half")
    for name in (".sweep.json.77.tmp", ".sweep.json.new", "trial-0000/.model.safetensors.9.tmp"):
        (folder / name).write_text("half")
    sweep(recipe, folder)
    assert not list(folder.rglob(".*"))


def test_looks_at_a_trial_go_with_it(recipe, folder):
    for _ in range(2):
        evaluate(folder / "trial-0000", "test")
    shutil.rmtree(folder / "best")
    assert sweep(recipe, folder).test["test_looks"] == 3


TRIAL = {"run": "x", "number": 0, "fields": {}, "state": "finished", "value": 1.0, "nats": 1.0}
WHOLE = {"unit": "token", "space": {"a": [1]}, "trials": [TRIAL], "test": None}


def of(**changed):
    return json.dumps({**WHOLE, **changed})


def of_trial(**changed):
    return of(trials=[{**TRIAL, **changed}])


@pytest.mark.parametrize(
    "content",
    [
        "", "{", "[]", "3", "[" * 100_000, '{"trials": []}', "\x00" * 100, of(unit="line"),
        of(unit=[]), of(space=[]), of(space={"a": [[[[1]]]]}), of(trials=5),
        of(trials=["x"]), of(trials=[TRIAL, TRIAL]), of(test=[]), of(test={"evil": 1}),
        of_trial(number=-1), of_trial(number="../../x"), of_trial(number=10**30),
        of_trial(state="evil"), of_trial(state=[]), of_trial(value="x"), of_trial(nats=None),
        of_trial(fields=[1]), of_trial(fields={"a": [[[[]]]]}), of_trial(seconds=-5),
        of_trial(accuracy=7), of_trial(parameters=1.5), of_trial(reason=5),
        of_trial(fields={"a": "x" * 100_000}), of_trial(nats=1e300), of_trial(where={}),
        of().replace("1.0", "NaN"), of().replace("1.0", "9" * 10_000),
    ],
)  # fmt: skip
def test_a_result_that_no_sweep_wrote_is_a_sentence(tmp_path, content):
    (tmp_path / "sweep.json").write_text(of())
    assert len(read_sweep(tmp_path).trials) == 1
    (tmp_path / "sweep.json").write_text(content)
    with pytest.raises(RunError, match=r"sweep\.json is damaged") as caught:
        read_sweep(tmp_path)
    assert len(str(caught.value)) < 1000


LOG = '{"op_code": 0, "worker_id": "a", "study_name": "sweep", "directions": [1]}\n'
BEGUN = LOG + '{"op_code": 4, "worker_id": "a", "study_id": 0, "datetime_start": null}\n'
SAYS = '{"op_code": 8, "worker_id": "a", "trial_id": 0, "user_attr": %s}\n'


@pytest.mark.parametrize(
    "content",
    [
        "evil\n", "[]\n", "[" * 100_000 + "\n", "{}\n", '{"op_code": 99, "worker_id": "a"}\n',
        LOG + '{"op_code": 4, "worker_id": 7}\n', LOG + "3\n", "\xff\n",
        BEGUN + SAYS % '{"began": "x"}', BEGUN + SAYS % '{"where": [1]}',
        BEGUN.replace('"datetime_start": null', '"state": 1, "value": 1.0, "datetime_start": null')
        + SAYS % '{"outcome": {"value": "x"}}',
    ],
)  # fmt: skip
def test_a_study_that_no_sweep_wrote_is_a_sentence(recipe, folder, content):
    (folder / "study.log").write_text(content, "latin-1")
    with pytest.raises(RunError, match=r"The study "):
        sweep(recipe, folder)
    assert looks(folder) == 5


@pytest.mark.parametrize("content", ["", "x", "study = 5\nformat = 1", "a." * 50_000, "\xff"])
def test_a_recipe_that_no_sweep_wrote_is_a_sentence(recipe, folder, content):
    (folder / "sweep.toml").write_text(content, "latin-1")
    with pytest.raises(RunError, match=r"sweep\.toml is damaged|has format"):
        sweep(recipe, folder)


@pytest.mark.parametrize("content", ["{", "[]", '{"run": 3, "test": null}', '{"run": "a"}'])
def test_a_record_of_the_best_that_no_sweep_wrote_is_made_anew(recipe, folder, content):
    (folder / "best/best-of-sweep.json").write_text(content)
    assert sweep(recipe, folder).best_is_here
    assert looks(folder) == 6
