"""``thence train`` and ``thence resume``."""

import shutil
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from thence._core import library
from thence.evaluation.evaluate import evaluate
from thence.models.ngram.queries import Queries
from thence.runs import Run
from thence.training import device
from thence.training.callbacks import SilentProgress

from .conftest import LINES, SMALL


@pytest.fixture(autouse=True)
def text(folder: Path) -> Path:
    path = folder / "text.txt"
    path.write_text("\n".join(LINES) + "\n")
    return path


@pytest.mark.slow
def test_train_prints_the_score_on_dev(thence, small):
    outcome = thence("train", "text.txt", *small)
    assert outcome.code == 0
    run = Run("runs/text-mlp")
    size = f"mlp, {run.model.num_parameters():,} parameters"
    expected = [("run", "runs/text-mlp"), ("model", size), *evaluate(run).rows()]
    assert [line.split(maxsplit=1)[0] for line in outcome.out.splitlines()] == [
        name.split()[0] for name, _ in expected
    ]
    assert all(value in outcome.out for _, value in expected)
    assert "report.html" not in outcome.out and not (run.folder / "report.html").exists()


def test_the_bound_of_memory_holds_for_judging_on_dev_too(thence, monkeypatch):
    bounds = []
    score = Queries.score

    def watched(queries, *arguments):
        bounds.append(queries.core is None)  # Its tables stay on disk.
        return score(queries, *arguments)

    monkeypatch.setattr(Queries, "score", watched)
    for memory in ("200B", "1GB"):
        words = ("train", "text.txt", "--model", "ngram", "--memory", memory)
        assert thence(*words, "--no-report", "-o", memory).code == 0
    half = len(bounds) // 2
    assert all(bounds[:half]) and (library() is None or not any(bounds[half:]))


def test_progress_and_remarks_stay_off_standard_output(thence, small):
    outcome = thence("train", "text.txt", *small)
    *looks, found, last = outcome.err.splitlines()
    assert len(looks) == len(Run("runs/text-mlp").metrics()) == 10
    assert looks[-1].startswith("text-mlp: 100%, step 20, ")
    assert found == str(Run("runs/text-mlp").verdict())
    assert last == (
        "Next: thence sample runs/text-mlp   thence evaluate runs/text-mlp --split test"
    )


def test_settings_of_steps_are_said_to_be_unused_without_any(thence):
    flags = ["text.txt", "--model", "ngram", "--no-report", "-o", "run"]
    outcome = thence("train", *flags, "--steps", 5, "--batch-size", 9)
    note = "A model 'ngram' is made in one step; without effect: --steps, --batch-size.\n"
    assert note in outcome.err
    outcome = thence("train", *flags, "text.txt")
    assert (outcome.code, outcome.out) == (2, "")
    assert "text.txt is left over. To read several files, name a folder with them" in outcome.err


@pytest.mark.slow
@pytest.mark.parametrize("fast", [False, True])
def test_an_imitated_bfloat16_is_said(thence, small, monkeypatch, fast):
    monkeypatch.setattr(device, "has_fast_bfloat16", lambda device: fast)
    outcome = thence("train", "text.txt", "--precision", "bfloat16", "--device", "cpu", *small)
    assert outcome.code == 0
    assert ("This machine emulates bfloat16" in outcome.err) != fast


def test_logs_for_tensorboard(thence, small):
    pytest.importorskip("tensorboard")
    outcome = thence("train", "text.txt", "-o", "run", "--logs", "tensorboard", *small)
    assert outcome.code == 0 and len(list(Path("run/tensorboard").iterdir())) == 1
    assert thence("resume", "run", "--logs", "tensorboard", "--no-report").code == 0
    assert len(list(Path("run/tensorboard").iterdir())) == 1


def test_logs_without_their_library(thence, small, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    outcome = thence("train", "text.txt", "-o", "run", "--logs", "tensorboard", *small)
    assert (outcome.code, outcome.out) == (2, "")
    assert "--logs tensorboard needs tensorboard, which is not installed" in outcome.err
    assert "thence[logs]" in outcome.err and not Path("run").exists()
    assert "Invalid value" in thence("train", "text.txt", "--logs", "nowhere").err


@pytest.mark.parametrize("model", ["mlp", "bigram-counts"])
def test_json_is_alone(thence, small, model):
    flags = small if model == "mlp" else ["--no-report"]
    outcome = thence("train", "text.txt", "--model", model, "--json", *flags)
    assert (outcome.code, outcome.err) == (0, "")
    result = outcome.json()
    run = Run(f"runs/text-{model}")
    assert result == {
        "run": f"runs/text-{model}",
        "model": model,
        "parameters": run.model.num_parameters(),
        "dev": evaluate(run).to_json(),
        "verdict": run.verdict() and run.verdict().to_json(),
        "report": None,
    }


def test_without_a_dev_split_there_is_no_score(thence, small):
    flags = [*small, "--split", "100/0/0", "-o", "run"]
    assert thence("train", "text.txt", *flags, "--json").json()["dev"] is None
    outcome = thence("train", "text.txt", *flags[:-1], "run-2")
    assert outcome.code == 0
    assert [line.split()[0] for line in outcome.out.splitlines()] == ["run", "model"]


@pytest.mark.slow
def test_default_folders_are_numbered(thence):
    flags = ["--model", "bigram-counts", "--no-report", "--json"]
    folders = [thence("train", "text.txt", *flags).json()["run"] for _ in range(3)]
    names = ["text-bigram-counts", "text-bigram-counts-2", "text-bigram-counts-3"]
    assert folders == [f"runs/{name}" for name in names]
    given = thence("train", "first-sentences", "--split=100/0/0", *flags).json()
    assert given["run"] == "runs/first-sentences-bigram-counts"


def test_standard_input_is_kept_in_the_run(thence):
    typed = "\n".join(LINES)
    flags = ["--model", "bigram-counts", "--no-report", "--json"]
    given = thence("train", "-", *flags, stdin=typed).json()
    assert given["run"] == "runs/stdin-bigram-counts"
    assert Path(given["run"], "text").read_text() == typed
    assert thence("evaluate", given["run"], "--json").json() == given["dev"]


def test_a_folder_with_spaces_is_quoted_in_the_hint(thence, small):
    outcome = thence("train", "text.txt", *small, "-o", "my run")
    assert outcome.err.endswith(
        "Next: thence sample 'my run'   thence evaluate 'my run' --split test\n"
    )


@pytest.mark.slow
def test_the_report_is_written_unless_refused(thence):
    flags = ["--model", "bigram-counts", "-o", "run"]
    outcome = thence("train", "text.txt", *flags)
    assert "Figures and all numbers: run/report.html\n" in outcome.out
    assert Path("run/report.html").exists()


@pytest.mark.slow
def test_a_classifier_ends_with_its_report(thence):
    flags = ["--model", "averaging", "--tokens", "characters", "--ngrams", "5", "-o", "run"]
    outcome = thence("train", "cities", *flags)
    assert outcome.code == 0
    assert "accuracy" in outcome.out
    assert outcome.out.endswith("Figures and all numbers: run/report.html\n")
    assert Path("run/report.html").exists()


@contextmanager
def interrupt_at_step_7(name: str) -> Iterator[SilentProgress]:
    class Interrupting(SilentProgress):
        def on_step(self, step: int, tokens: float, share: float) -> None:
            if step == 7:
                signal.raise_signal(signal.SIGINT)

    yield Interrupting()


def test_ctrl_c_says_how_to_go_on_and_resume_goes_on(thence, small, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr("thence.cli.training.progress_for", lambda as_json: interrupt_at_step_7)
        outcome = thence("train", "text.txt", *small, "-o", "run")
    assert (outcome.code, outcome.out) == (130, "")
    assert outcome.err == (
        "thence: Stopped at step 7 of 20, all saved. Continue with: thence resume run\n"
    )
    again = thence("train", "text.txt", *small, "-o", "run")
    assert again.code == 2 and "thence resume run" in again.err

    resumed = thence("resume", "run", "--no-report", "--json")
    assert (resumed.code, resumed.err) == (0, "")
    whole = thence("train", "text.txt", *small, "-o", "whole", "--json")
    assert resumed.json()["dev"] | {"run": ""} == whole.json()["dev"] | {"run": ""}
    assert [line["step"] for line in Run("run").metrics()] == list(range(2, 21, 2))


def contents(folder):
    return {path: (path.stat().st_mtime_ns, path.stat().st_ino) for path in Path(folder).rglob("*")}


@pytest.mark.parametrize("kind", ["mlp", "counts", "mixture"])
def test_resume_of_a_finished_run_changes_nothing_and_says_so(thence, small, kind):
    thence("train", "text.txt", *small, "-o", "mlp")
    if kind != "mlp":
        thence("train", "text.txt", "--model", "bigram-counts", "--no-report", "-o", "counts")
    if kind == "mixture":
        thence("mix", "mlp", "counts", "-o", "mixture", "--no-report")
    before = contents(kind)
    Path("text.txt").unlink()  # Which is not even read.
    outcome = thence("resume", kind)
    assert outcome.code == 0
    assert outcome.out == f"{kind} is finished: there was nothing to do, and nothing was changed.\n"
    assert ("thence train --from mlp" in outcome.err) == (kind == "mlp")
    said = thence("resume", kind, "--json").json()
    assert (said["run"], said["nothing_to_do"]) == (kind, True)
    assert contents(kind) == before


def test_resume_without_a_checkpoint_says_that_it_begins_anew(thence, small):
    trained = thence("train", "text.txt", *small, "-o", "mlp")
    assert trained.code == 0, trained.err
    shutil.rmtree("mlp/last")
    outcome = thence("resume", "mlp", "--no-report")
    assert outcome.code == 0
    assert "mlp had no checkpoint: it was trained from the beginning." in outcome.err


@pytest.mark.slow
def test_a_finished_run_is_trained_on(thence, small):
    first = thence("train", "text.txt", *small, "-o", "run", "--json").json()
    Path("other.txt").write_text("abc\nbca\ncab\n" * 10)
    on = thence("train", "--from", "run", "--lr", "0.01", "--epochs", "50", "-o", "on", "--json")
    assert on.json()["dev"]["nats_per_token"] < first["dev"]["nats_per_token"]
    assert "trained on from" in Path("on/report.html").read_text()
    recipe = Run("on").recipe
    assert (recipe.training.lr, recipe.training.epochs, recipe.training.steps) == (0.01, 50, None)
    assert recipe.options == Run("run").recipe.options
    Path("dev.txt").write_text("abc\n")
    thence("train", "text.txt", *small, "--dev", "dev.txt", "-o", "held-out")
    for number, text in enumerate(([], ["text.txt"], ["other.txt"])):
        folder = f"held-out-{number}"
        thence("train", *text, "--from", "held-out", "--steps", "1", "--no-report", "-o", folder)
        dev = Run(folder).recipe.splitting.dev
        assert (dev is None) == (text == ["other.txt"])
    other = thence("train", "other.txt", "--from=on", "--steps", "3", "-o", "other", "--json")
    assert (other.code, other.err) == (0, "")
    assert Run("other").recipe.text.endswith("other.txt")
    assert Run("other").tokenizer.to_json() == Run("run").tokenizer.to_json()
    Path("on.toml").write_text("from_run = 'run'\nlr = 0.03\nsteps = 2\n")
    by_recipe = thence("train", "--config", "on.toml", "--no-report", "-o", "by-recipe")
    assert by_recipe.code == 0
    assert Run("by-recipe").provenance["from"]["run"] == "run"
    assert "--from" in thence("train", "--help").out


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--hidden-size", "9"], "--hidden-size is 9, but"),
        (["--tokens", "words"], "--tokens is words, but"),
        (["--model", "lstm"], "is a run of mlp, and a training continues with the same model"),
    ],
)
def test_what_cannot_change_is_refused(thence, small, flags, said):
    thence("train", "text.txt", *small, "-o", "run")
    outcome = thence("train", "--from", "run", *flags, "-o", "on")
    assert outcome.code == 2 and said in outcome.err
    assert not Path("on").exists()


def test_a_person_at_a_terminal_sees_what_is_read(thence, small, monkeypatch):
    monkeypatch.setattr("thence.cli.training.is_at_terminal", lambda: True)
    assert thence("train", "text.txt", *small).err.startswith("Reading text.txt ...\n")
    assert thence("train", "text.txt", *small, "--json").err == ""


def test_settings_reach_the_run(thence, small):
    thence("train", "text.txt", *small, "-o", "run", "--lr", "auto", "--tokens", "bytes")
    recipe = Run("run").recipe
    assert recipe.options.hidden_size == SMALL["hidden_size"]
    assert recipe.tokens.tokens == "bytes"
    assert recipe.training.lr != 0.01


@pytest.mark.slow
def test_best_proposes_no_test_split_that_is_empty(thence):
    flags = "--steps", "2", "--no-report"
    outcome = thence("best", "text.txt", "--dev", "text.txt", *flags, "-o", "own-dev")
    assert outcome.err.endswith("Next: thence sample own-dev   thence report own-dev\n")
