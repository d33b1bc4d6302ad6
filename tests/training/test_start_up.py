"""Counting never waits for torch, which takes seconds to load, nor training for its compiler."""

import subprocess
import sys
from pathlib import Path

import pytest

import thence
from thence._core import library
from thence.models.registry import families

JOBS = {
    "train": "thence.train('given-names', 'ngram', output='made')",
    "best": "thence.best('given-names', time='1s', output='made')",
    "mix": (
        "thence.mix([thence.train('given-names', 'ngram', order=order, output=f'of-{order}') "
        "for order in (2, 3)], 'made')"
    ),
}


@pytest.mark.parametrize("job", JOBS)
def test_counting_never_imports_torch(job: str, tmp_path: Path) -> None:
    program = f"import sys, thence\n{JOBS[job]}\nassert 'torch' not in sys.modules"
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "made" / "model.safetensors").exists()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("model", "more"), [("linear", {}), ("averaging", {}), ("averaging", {"dropout": 0.1})]
)
def test_training_imports_no_more_than_it_needs(
    model: str, more: dict[str, float], tmp_path: Path
) -> None:
    rows = "text,label\n" + "a b c,one\nd e f,two\n" * 20
    (tmp_path / "table.csv").write_text(rows)
    needs_torch = model != "linear" and (bool(more) or library() is None)
    program = (
        "import sys, thence\n"
        f"thence.train('table.csv', {model!r}, label='label', output='made', buckets=1024, "
        f"**{more})\n"
        f"assert ('torch' in sys.modules) == {needs_torch}\n"
        "assert 'torch._dynamo' not in sys.modules"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


NEXT = """
import sys
from thence.cli.main import main
main(["next", "made", "t"])
print(*sys.modules, file=sys.stderr)
"""


def test_asking_a_count_model_loads_neither_training_nor_evaluation(tmp_path: Path) -> None:
    folder = tmp_path / "made"
    thence.train("first-sentences", "bigram-counts", split="100/0/0", output=folder)
    done = subprocess.run(
        [sys.executable, "-c", NEXT], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    loaded = set(done.stderr.split())
    assert "thence.generation.completion" in loaded
    assert not {"torch", "thence.training", "thence.evaluation", "matplotlib"} & loaded


ASKING = """
import sys, thence
run = thence.open_run("made")
print(thence.next_tokens(run, "a"), thence.sample(run, 3), thence.complete(run, "a"))
print(list(thence.score(run, ["ab"], tokens=True)), thence.rank(run, ["ab", "ba"]))
print(thence.evaluate(run, "dev"), thence.fill(run, "a___"), run.num_parameters, repr(run))
assert "torch" not in sys.modules
"""
ASKED = [name for name, family in families("language").items() if family.inference]


@pytest.mark.parametrize("model", [*ASKED, "mixture"])
def test_a_trained_model_is_asked_without_torch(model: str, tmp_path: Path) -> None:
    (tmp_path / "text.txt").write_text("\n".join(["ab", "ba", "abba", "cab"] * 10))
    kinds = ["mlp", "lstm", "ngram"] if model == "mixture" else [model]
    runs = []
    for kind in kinds:
        steps = {} if kind == "ngram" else {"steps": 2}
        runs.append(thence.train(tmp_path / "text.txt", kind, output=tmp_path / kind, **steps))
    asked = runs[0] if len(runs) == 1 else thence.mix(runs, tmp_path / "mixed")
    program = ASKING.replace('"made"', repr(str(asked.folder)))
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


def test_settings_of_every_family_are_read_without_torch() -> None:
    program = (
        "import sys\nfrom thence.models.registry import FAMILIES\n"
        "print([family.options_class() for family in FAMILIES.values()])\n"
        "assert 'torch' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


CLASSIFYING = """
import sys, thence
print(thence.classify(run := thence.open_run("made"), ["ab", "ba", ""])[0])
print(thence.evaluate(run, "dev"), thence.explain(run, "ab ba"), run.num_parameters, repr(run))
assert "torch" not in sys.modules
"""


@pytest.mark.parametrize("model", ["linear", "averaging", "ensemble"])
def test_a_classifier_is_asked_without_torch(model: str, tmp_path: Path) -> None:
    (tmp_path / "table.csv").write_text("text,label\n" + "a b c,one\nd e f,two\n" * 20)
    kinds = ["linear", "averaging"] if model == "ensemble" else [model]
    settings = {"label": "label", "buckets": 1024}
    runs = [
        thence.train(tmp_path / "table.csv", kind, output=tmp_path / kind, **settings)
        for kind in kinds
    ]
    asked = runs[0] if len(runs) == 1 else thence.mix(runs, tmp_path / "mixed")
    program = CLASSIFYING.replace('"made"', repr(str(asked.folder)))
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
