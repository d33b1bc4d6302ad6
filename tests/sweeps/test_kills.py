"""Sweeps whose processes are killed lose no trial and make none twice."""

import json
import random
import signal
import time
from collections import Counter

import pytest

from thence.runs import Run
from thence.sweeps import sweep
from thence.sweeps.study import open_study

from ..processes import Process

TRIALS = 18
SPACE = """\
trials = 18
sampler = "{sampler}"
pruner = "median"
[sweep.space]
hidden_size = [2, 4, 8]
lr = {{low = 1e-3, high = 1e-1, log = true}}
"""


def begin(recipe, folder, *flags):
    return Process("-m", "thence", "sweep", recipe, "-o", folder, "--no-report", *flags)


@pytest.mark.slow
@pytest.mark.parametrize("storage", [None, "sqlite"])
def test_killed_three_times_and_continued_by_two(language, tmp_path, storage):
    recipe, folder = language(SPACE.format(sampler="tpe")), tmp_path / "sweep"
    flags = [] if storage is None else ["--storage", f"sqlite:///{tmp_path / 'study.db'}"]
    moments, ends = random.Random(), []
    for _ in range(3):
        process = begin(recipe, folder, *flags)
        begun = len(list(folder.glob("trial-*")))
        until = time.monotonic() + 60
        wanted = begun + moments.randint(1, 3)
        while len(list(folder.glob("trial-*"))) < wanted and time.monotonic() < until:
            if process.poll() is not None:
                break
            time.sleep(0.01)
        time.sleep(moments.random() * 0.3)
        process.send_signal(signal.SIGKILL)
        ends.append((process.communicate()[1], process.returncode))
    # Where this process had to wait for a processor, the last one may have done all trials.
    assert {end for _, end in ends} <= {-signal.SIGKILL, 0} and ends[0][1] != 0, ends
    both = [begin(recipe, folder, "--json", *flags) for _ in range(2)]
    results = []
    for process in both:
        out, err = process.communicate(timeout=300)
        assert process.returncode == 0, err
        results.append(json.loads(out))
    assert results[0]["trials"] == results[1]["trials"]
    trials = results[0]["trials"]
    assert [trial["number"] for trial in trials] == list(range(TRIALS))
    assert {trial["state"] for trial in trials} <= {"finished", "pruned"}
    assert Counter(trial["state"] for trial in trials)["finished"] >= 5
    folders = sorted(path.name for path in folder.glob("trial-*"))
    assert folders == [trial["run"] for trial in trials]
    for trial in trials:
        run = Run(folder / trial["run"])
        assert run.finished
        options = {"hidden_size": run.recipe.options.hidden_size, "lr": run.recipe.training.lr}
        assert options == trial["fields"]
        looks = [line["step"] for line in run.metrics()]
        assert looks == sorted(set(looks))
        assert min(line["dev_nats_per_token"] for line in run.metrics()) == trial["nats"]
    assert not list(folder.glob(".*"))
    assert len(Run(folder / "best").test_looks()) == 1


def test_an_unfinished_line_of_the_journal_is_dropped(language, tmp_path):
    recipe = language("trials = 1\n[sweep.space]\nhidden_size = [2, 4]\n")
    folder = tmp_path / "sweep"
    sweep(recipe, folder)
    with (folder / "study.log").open("ab") as file:
        file.write(b'{"op_code":4,"trial_id":')
    done = sweep(recipe, folder, trials=2)
    assert [trial.state for trial in done.trials] == ["finished", "finished"]
    # The first was drawn, the second is what was left.
    assert sorted(trial.fields["hidden_size"] for trial in done.trials) == [2, 4]
    assert len(open_study(folder, "sweep", None)[0].trials) == 2


@pytest.mark.slow
def test_ctrl_c_says_how_to_go_on(language, tmp_path):
    space = "trials = 2\n[sweep.space]\nhidden_size = [2, 4]\n"
    recipe, folder = language(space, more="evaluate_every = 20\n"), tmp_path / "sweep"
    recipe.write_text(recipe.read_text().replace("steps = 20\n", "steps = 1000000\n"))
    process = begin(recipe, folder)
    while not (folder / "trial-0000" / "metrics.jsonl").exists():
        assert process.poll() is None, process.communicate()
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert "Stopped after 0 of 2 trials, all saved. Continue with: thence sweep" in err
    assert (folder / "trial-0000" / "last").is_dir()
    assert out == ""
