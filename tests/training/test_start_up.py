"""Counting never waits for torch, which takes seconds to load, nor training for its compiler."""

import subprocess
import sys
from pathlib import Path

import pytest

import thence
from thence.models.registry import families

pytestmark = pytest.mark.slow  # Each test starts Python anew.

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


LEARNING = """
import sys, thence
from thence._core import library
for model, more in (("linear", {}), ("averaging", {}), ("averaging", {"dropout": 0.1})):
    settings = {"label": "label", "buckets": 1024, **more}
    thence.train("table.csv", model, output="-".join([model, *more]), **settings)
    needs_torch = model != "linear" and (bool(more) or library() is None)
    assert ("torch" in sys.modules) == needs_torch, (model, more)
    assert "torch._dynamo" not in sys.modules, (model, more)
"""


def test_training_imports_no_more_than_it_needs(tmp_path: Path) -> None:
    rows = "text,label\n" + "a b c,one\nd e f,two\n" * 20
    (tmp_path / "table.csv").write_text(rows)
    program = [sys.executable, "-c", LEARNING]
    done = subprocess.run(program, cwd=tmp_path, capture_output=True, text=True)
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
from thence.corpus import MinimalPair
for name in sys.argv[1:]:
    run = thence.open_run(name)
    print(thence.next_tokens(run, "a"), thence.sample(run, 3), thence.complete(run, "a"))
    print(list(thence.score(run, ["ab"], tokens=True)), thence.rank(run, ["ab", "ba"]))
    print(thence.evaluate(run, "dev"), thence.fill(run, "a___"), run.num_parameters, repr(run))
    print(thence.pairs(run, [MinimalPair("ab", "ba", "order")]).table())
    print(list(thence.surprisal(run, ["ab ba"])))
    assert "torch" not in sys.modules, name
"""
ASKED = [name for name, family in families("language").items() if family.inference]


def test_a_trained_model_is_asked_without_torch(tmp_path: Path) -> None:
    text = tmp_path / "text.txt"
    text.write_text("\n".join(["ab", "ba", "abba", "cab"] * 10))
    for kind in [*ASKED, "ngram"]:
        steps = {} if kind == "ngram" else {"steps": 2}
        thence.train(text, kind, output=tmp_path / kind, **steps)
    thence.mix([tmp_path / kind for kind in ("mlp", "lstm", "ngram")], tmp_path / "mixture")
    program = [sys.executable, "-c", ASKING, *ASKED, "mixture"]
    done = subprocess.run(program, cwd=tmp_path, capture_output=True, text=True)
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
from thence.cli.main import main
main(["classify", "averaging", "ab"])
assert not {"thence.inspection", "thence.models.ngram", "thence.training"} & set(sys.modules)
for name in ("linear", "averaging", "fasttext", "ensemble"):
    print(thence.classify(run := thence.open_run(name), ["ab", "ba", ""])[0])
    print(thence.evaluate(run, "dev"), thence.explain(run, "ab ba"), run.num_parameters, repr(run))
    assert "torch" not in sys.modules, name
"""


def test_a_classifier_is_asked_without_torch(tmp_path: Path) -> None:
    table = tmp_path / "table.csv"
    table.write_text("text,label\n" + "a b c,one\nd e f,two\n" * 20)
    for kind in ("linear", "averaging", "fasttext"):
        thence.train(table, kind, output=tmp_path / kind, label="label", buckets=1024)
    thence.mix([tmp_path / kind for kind in ("linear", "averaging")], tmp_path / "ensemble")
    program = [sys.executable, "-c", CLASSIFYING]
    done = subprocess.run(program, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
