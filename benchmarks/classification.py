"""The classifiers measured: how right, how fast, beside fastText and scikit-learn.

    python benchmarks/classification.py path/to/data [PART ...] [--families linear ...]

The folder holds ``imdb``, ``ag_news``, ``sst`` and ``mr`` as in their usual distributions; the
parts are ``speed``, ``imdb``, ``ag``, ``sst``, ``mr`` and ``cities`` (default: all). All use the
same number of threads, and times are processor seconds. fastText and scikit-learn are measured in
the same run if they are installed.
"""

import argparse
import csv
import gzip
import importlib
import itertools
import json
import sys
from collections.abc import Sequence
from functools import partial
from hashlib import sha256
from pathlib import Path
from statistics import mean, stdev
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from measuring import ROUNDS, Results, command, cpu

import thence
from thence.corpus import LabelledDocuments, LabelOptions, ReadingOptions, load_labelled

THREADS = 2
EPOCHS = 5
"""Of fastText, its own default; ``averaging`` makes two by default."""
FAMILIES = ("averaging", "linear", "convolution", "recurrent")
FOLDS = 10
SEED = 42
JOB = """
import json, sys
import thence
thence.train(sys.argv[1], "averaging", output=sys.argv[2], **json.loads(sys.argv[3]))
"""
FASTTEXT_JOB = """
import json, sys
import fasttext
given = json.loads(sys.argv[2])
model = fasttext.train_supervised(sys.argv[1], wordNgrams=2, verbose=0, lr=0.5, **given)
model.save_model(sys.argv[3])
"""
IMDB = {
    "averaging": {},
    "linear": {},
    "convolution": {"epochs": 2, "min_count": 3, "adversarial": 0.0},
    "recurrent": {"epochs": 2, "max_length": 250, "min_count": 3, "adversarial": 0.0},
}  # fmt: skip
"""Settings for long documents, which would take the networks long with the default ones."""

RESULTS = Results(
    "classification",
    "python benchmarks/classification.py DATA",
    ("torch", "numpy", "fasttext-wheel", "scikit-learn"),
)


def main() -> None:
    """Measure what is asked for and keep the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path, help="folder of the data sets")
    parts = {part.__name__: part for part in (speed, imdb, ag, sst, mr, cities)}
    parser.add_argument("parts", nargs="*", choices=[*parts, []], help="which parts to measure")
    parser.add_argument("--families", nargs="*", default=FAMILIES, help="only these classifiers")
    given = parser.parse_args()
    with TemporaryDirectory() as folder:
        for name in given.parts or parts:
            parts[name](given.data.resolve(), Path(folder), given.families)


def keep(key: str, claim: str, accuracy: float, **facts: Any) -> None:
    """Keep an accuracy."""
    RESULTS.add(key, claim, {"thence": [100 * accuracy]}, "% right", **facts)


def peer(name: str) -> Any:
    """Return a module, or None where it is not installed."""
    try:
        return importlib.import_module(name)
    except ImportError:
        return None


def labelled(path: Path) -> LabelledDocuments:
    """Read a table with the columns label and text."""
    return load_labelled(path, ReadingOptions(column="text"), LabelOptions(label="label"))


def speed(data: Path, folder: Path, families: Sequence[str]) -> None:
    """IMDB with bigrams from the CSV to the saved model, in turn with fastText."""
    train, test = data / "imdb" / "train.csv.gz", data / "imdb" / "test.csv.gz"
    settings = {"column": "text", "label": "label", "split": "100/0/0", "threads": THREADS}
    number = itertools.count()

    def ours(**more: Any) -> float:
        output = folder / f"speed-{next(number)}"
        words = [sys.executable, "-c", JOB, train, output, json.dumps({**settings, **more})]
        return command(words).seconds

    sides = {"thence": ours}
    if (fasttext := peer("fasttext")) is not None:
        # Its files are written beforehand, words set apart, which its seconds do not hold.
        paths = [write_fasttext(path, folder / f"{path.stem}.txt") for path in (train, test)]
        for size in (16, 100):
            given = json.dumps({"thread": THREADS, "dim": size, "epoch": EPOCHS})
            words = [sys.executable, "-c", FASTTEXT_JOB, paths[0], given, folder / f"{size}.bin"]
            sides[f"fastText, dim {size}"] = lambda words=words: command(words).seconds
    claim = "IMDB, averaging with bigrams: training, CSV to saved run"
    RESULTS.measure("imdb-speed", claim, sides, goal="ratio <= 1")
    models = [folder / f"speed-{run}" / "model.safetensors" for run in range(ROUNDS)]
    hashes = {sha256(model.read_bytes()).hexdigest() for model in models}
    claim += f", {EPOCHS} epochs each"
    equal = {**sides, "thence": partial(ours, epochs=EPOCHS)}
    equal.pop("fastText, dim 100", None)
    RESULTS.measure("imdb-epochs", claim, equal, goal="ratio <= 1")
    run = thence.Run(folder / "speed-0")
    right = {"thence": [100 * thence.evaluate(run, text=test).accuracy]}
    if fasttext is not None:
        for size in (16, 100):
            model = fasttext.load_model(str(folder / f"{size}.bin"))
            right[f"fastText, dim {size}"] = [100 * model.test(str(paths[1]))[1]]
    RESULTS.add("imdb-right", "IMDB, averaging with bigrams", right, "% right", goal=">= 89.5")
    found = {"thence": [float(len(hashes))]}
    RESULTS.add("imdb-same", "different weights of three trainings", found, goal="= 1")
    classify_rate(run, labelled(test))


def classify_rate(run: thence.Run, documents: LabelledDocuments) -> None:
    """Measure how fast documents are classified with one thread, from text to labels."""
    import torch

    from thence.tokens import encode_texts

    classifier, tokenizer = run.classifier, run.tokenizer
    store = encode_texts(tokenizer, documents).store
    words = int(store.num_targets - store.num_documents)
    torch.set_num_threads(1)
    side = cpu(lambda: classifier.classify(encode_texts(tokenizer, documents)))
    claim = f"classifying {words:,} words, one thread: a word"
    RESULTS.measure("classify", claim, {"thence": side}, "ns", 1e9 / words, goal="<= 5000")
    torch.set_num_threads(THREADS)


def write_fasttext(source: Path, path: Path) -> Path:
    """Write a table in fastText's format, words set apart and in lower case as ours are."""
    from thence.tokens import TokenOptions, make_tokenizer

    documents = labelled(source)
    tokenizer = make_tokenizer(documents, TokenOptions(tokens="words", lowercase=True))
    store, symbols = tokenizer.encode(documents), tokenizer.vocabulary.symbols
    with path.open("w", encoding="utf-8") as file:
        for at in range(len(documents)):
            words = " ".join(symbols[token] for token in store.document(at))
            file.write(f"__label__{documents.labels.of(at)[0]} {words}\n")
    return path


def train_all(
    name: str,
    train: Path,
    settings: dict[str, Any],
    folder: Path,
    families: Sequence[str],
    own: dict[str, dict[str, Any]] | None = None,
) -> dict[str, tuple[float, float]]:
    """Train classifiers; return the accuracy on test of each and the processor seconds it took."""
    found = {}
    for family in families:
        chosen: dict[str, Any] = {**settings, **(own or {}).get(family, {})}
        chosen |= {"label": "label", "column": "text", "threads": THREADS}
        output = folder / f"{name}-{family}"
        seconds = cpu(partial(thence.train, train, family, output=output, **chosen))()
        found[family] = (thence.evaluate(output, "test").accuracy, seconds)
        print(f"{name} {family}: {found[family][0]:.2%}, {seconds:.0f} s", file=sys.stderr)
    return found


def keep_all(name: str, found: dict[str, tuple[float, float]], goals: dict[str, str]) -> None:
    """Keep a row for each classifier, and one for the best of all."""
    best = max(found, key=lambda family: found[family][0])
    for family, (accuracy, seconds) in found.items():
        facts = {"goal": goals.get(family, ""), "note": f"in {seconds:.0f} s of processor time"}
        keep(f"{name}-{family}", f"{name}, {family}", accuracy, **facts)
    if "best" in goals:
        claim = f"{name}, the best ({best})"
        keep(f"{name}-best", claim, found[best][0], goal=goals["best"])


def keep_sklearn(name: str, train: Path, test: Path) -> None:
    """TF-IDF of words and bigrams with logistic regression."""
    if peer("sklearn") is None:
        return
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    known, others = labelled(train), labelled(test)
    model = make_pipeline(TfidfVectorizer(ngram_range=(1, 2)), LogisticRegression(max_iter=1000))
    seconds = cpu(lambda: model.fit(list(known), known.labels.single))()
    predicted = model.predict(list(others))
    accuracy = float(np.mean(predicted == others.named(known.labels.names).labels.single))
    claim = f"{name}, scikit-learn: TF-IDF of bigrams, logistic regression"
    keep(f"{name}-sklearn", claim, accuracy, note=f"in {seconds:.0f} s of processor time")


def imdb(data: Path, folder: Path, families: Sequence[str]) -> None:
    """25,000 reviews of films to learn from, a tenth of them as dev, and 25,000 to judge."""
    train, test = data / "imdb" / "train.csv.gz", data / "imdb" / "test.csv.gz"
    settings = {"split": "90/10/0", "test": str(test)}
    found = train_all("imdb", train, settings, folder, families, IMDB)
    keep_all("IMDB", found, {"averaging": ">= 89.5", "best": ">= 91.5"})
    keep_sklearn("IMDB", train, test)


def ag(data: Path, folder: Path, families: Sequence[str]) -> None:
    """9,993 headlines of four topics, a tenth of them as dev, and 7,600 to judge."""
    train, test = data / "ag_news" / "train_10k.csv.gz", data / "ag_news" / "test.csv.gz"
    found = train_all("ag", train, {"split": "90/10/0", "test": str(test)}, folder, families)
    keep_all("AG sample", found, {"averaging": ">= 87.5", "best": ">= 88.5"})
    keep_sklearn("AG sample", train, test)


def write_csv(lines: list[str], path: Path) -> Path:
    """Write lines of a label, a space and a text as a table."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["label", "text"])
        writer.writerows(line.split(" ", 1) for line in lines)
    return path


def sst(data: Path, folder: Path, families: Sequence[str]) -> None:
    """SST-2: sentences of reviews of films."""
    paths = {
        split: write_csv(
            (data / "sst" / f"stsa.binary.{split}").read_text("utf-8").splitlines(),
            folder / f"sst-{split}.csv",
        )
        for split in ("train", "dev", "test")
    }
    settings = {name: str(paths[name]) for name in ("dev", "test")}
    settings["word_split"] = "whitespace"
    found = train_all("sst", paths["train"], settings, folder, families)
    keep_all("SST-2", found, {"convolution": ">= 82"})
    keep_sklearn("SST-2", paths["train"], paths["test"])


def mr(data: Path, folder: Path, families: Sequence[str]) -> None:
    """MR, ten folds: sentences of reviews of films; a tenth of each fold's train is dev."""
    with gzip.open(data / "mr" / "rt-polarity.all.gz", "rt", encoding="cp1252") as file:
        lines = file.read().split("\n")
    lines = [line for line in lines if line]
    order = np.random.default_rng(SEED).permutation(len(lines))
    accuracies: dict[str, list[float]] = {family: [] for family in families}
    seconds = dict.fromkeys(families, 0.0)
    for fold in range(FOLDS):
        test = set(order[fold::FOLDS].tolist())
        parts = [[line for at, line in enumerate(lines) if (at in test) == is_test]
                 for is_test in (False, True)]  # fmt: skip
        known, judged = (
            write_csv(part, folder / f"mr-{fold}-{name}.csv")
            for part, name in zip(parts, ("train", "test"), strict=True)
        )
        settings = {"split": "90/10/0", "test": str(judged), "word_split": "whitespace"}
        found = train_all(f"mr{fold}", known, settings, folder, families)
        for family, (accuracy, taken) in found.items():
            accuracies[family].append(accuracy)
            seconds[family] += taken
    for family in families:
        note = (
            f"mean; deviation of folds {stdev(accuracies[family]):.2%}; "
            f"{seconds[family]:.0f} s of processor time in all"
        )
        keep(f"MR-{family}", f"MR, 10 folds, {family}", mean(accuracies[family]), note=note)


def cities(data: Path, folder: Path, families: Sequence[str]) -> None:
    """The bundled cities: country by the characters of the name; guessing gives 2.5 %."""
    for family in [name for name in ("averaging", "linear") if name in families]:
        output = folder / f"cities-{family}"
        chosen: dict[str, Any] = {"output": output, "tokens": "characters", "ngrams": 5}
        seconds = cpu(partial(thence.train, "cities", family, **chosen))()
        note = f"in {seconds:.1f} s of processor time"
        keep(
            f"cities-{family}",
            f"cities, {family}",
            thence.evaluate(output, "test").accuracy,
            note=note,
        )


if __name__ == "__main__":
    main()
