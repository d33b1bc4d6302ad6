"""``thence best`` on labelled sets and cuts of them, beside three peers in the same run.

    python benchmarks/labels_best.py path/to/data [SET ...] [--time 1m] [--cuts 100 1000 0]
        [--held-out] [--fasttext PYTHON]

The folder holds ``imdb``, ``ag_news``, ``sst`` and ``mr`` as in their usual distributions; ``mr``
is judged by its first tenth. A cut is so many documents drawn from train; 0 is all of it. The peers
are scikit-learn's LinearSVC on TF-IDF of words and pairs of words, and of 1 to 5 characters within
words, both with their defaults, and fastText with pairs of words, a rate of 0.5 and 25 epochs, in
the Python that ``--fasttext`` names. A row says how likely a difference as large as that to the
best peer is by chance (McNemar's exact test). With ``--held-out`` all are judged by 2,000 documents
of train that were left out, not by test: for whoever changes something. With ``--unlabelled`` the
texts of train that a cut leaves out, at most 10,000, are given to ``thence best`` without labels.
"""

import argparse
import csv
import gzip
import re
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from measuring import Results
from scipy.stats import binomtest
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.pipeline import make_pipeline
from sklearn.svm import LinearSVC

import thence
from thence.corpus import Documents
from thence.tokens import encode_texts

SEED = 7
HELD_OUT, UNLABELLED = 2000, 10_000
UNLABELLED_SIDE = "with unlabelled text"
RESULTS = Results(
    "labels_best", "python benchmarks/labels_best.py DATA", ("torch", "numpy", "scikit-learn")
)
FASTTEXT_JOB = """
import sys
import fasttext
model = fasttext.train_supervised(sys.argv[1], wordNgrams=2, lr=0.5, epoch=25, thread=1, verbose=0)
for line in open(sys.argv[2]):
    print(model.f.predict(line, 1, 0.0, "strict")[0][1].removeprefix("__label__"))
"""


Predicted = np.ndarray[tuple[int], np.dtype[np.str_]]


@dataclass(frozen=True)
class Labelled:
    """Texts and the label of each."""

    texts: list[str]
    labels: list[str]

    def take(self, chosen: Sequence[int]) -> "Labelled":
        """Return the chosen ones."""
        return Labelled([self.texts[at] for at in chosen], [self.labels[at] for at in chosen])

    def write(self, path: Path) -> Path:
        """Write a table."""
        with path.open("w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows(
                [("label", "text"), *zip(self.labels, self.texts, strict=True)]
            )
        return path


def table(path: Path) -> Labelled:
    """Read a table with the columns label and text."""
    with gzip.open(path, "rt", encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    return Labelled([row["text"] for row in rows], [row["label"] for row in rows])


def lines(text: str) -> Labelled:
    """Read lines of a label, a space and a text."""
    pairs = [line.split(" ", 1) for line in text.split("\n") if line]
    return Labelled([text for _, text in pairs], [label for label, _ in pairs])


def load(name: str, data: Path) -> tuple[Labelled, Labelled]:
    """Return train and test of a set."""
    if name == "imdb":
        return table(data / "imdb" / "train.csv.gz"), table(data / "imdb" / "test.csv.gz")
    if name == "ag":
        folder = data / "ag_news"
        return table(folder / "train_10k.csv.gz"), table(folder / "test.csv.gz")
    if name == "mr":
        text = gzip.decompress((data / "mr" / "rt-polarity.all.gz").read_bytes()).decode("cp1252")
        known = lines(text)
        order = np.random.default_rng(SEED).permutation(len(known.texts)).tolist()
        tenth = len(order) // 10
        return known.take(order[tenth:]), known.take(order[:tenth])
    kind = {"sst2": "binary", "sst5": "fine"}[name]
    train, test = (
        lines((data / "sst" / f"stsa.{kind}.{part}").read_text("utf-8"))
        for part in ("train", "test")
    )
    return train, test


def best(
    train: Labelled, test: Labelled, limit: str, folder: Path, more: Sequence[str] = ()
) -> tuple[Predicted, str]:
    """Return what the best of a time says of test, and how long it took.

    Args:
        train: Labelled documents.
        test: Those that it is judged by.
        limit: The time.
        folder: For files.
        more: Texts without labels.
    """
    used = time.process_time()
    path = train.write(folder / "train.csv")
    output = folder / f"run-{time.monotonic()}"
    settings: dict[str, Any] = {"label": "label", "column": "text", "split": "90/10/0"}
    if more:
        settings["unlabelled"] = list(more)
    done = thence.best(str(path), time=limit, output=output, **settings)
    used = time.process_time() - used
    texts = encode_texts(done.run.tokenizer, Documents.from_strings(test.texts))
    chosen = done.run.classifier.classify(texts).argmax(1)
    members = ", ".join(f"{one.name} {one.weight:.2f}" for one in done.tried if one.weight)
    print(f"{done.accuracy:.4f} on dev: {members}", file=sys.stderr)
    return np.array(done.run.label_names)[chosen], f"{used:.0f} s of processor time"


def linear_svc(train: Labelled, test: Labelled, analyzer: str, longest: int) -> Predicted:
    """Return what scikit-learn's LinearSVC says of test."""
    features = TfidfVectorizer(analyzer=analyzer, ngram_range=(1, longest))
    model = make_pipeline(features, LinearSVC()).fit(train.texts, train.labels)
    return np.array(model.predict(test.texts))


def fasttext(train: Labelled, test: Labelled, folder: Path, python: str) -> Predicted:
    """Return what fastText says of test, its words in lower case and set apart."""

    def words(text: str) -> str:
        return " ".join(re.findall(r"\w+|[^\w\s]", text.lower()))

    pairs = zip(train.labels, train.texts, strict=True)
    marked = "".join(f"__label__{label} {words(text)}\n" for label, text in pairs)
    (folder / "train.txt").write_text(marked, "utf-8")
    (folder / "test.txt").write_text("".join(f"{words(text)}\n" for text in test.texts), "utf-8")
    command = [python, "-c", FASTTEXT_JOB, str(folder / "train.txt"), str(folder / "test.txt")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return np.array(done.stdout.split("\n")[: len(test.texts)])


def compare(
    name: str, train: Labelled, test: Labelled, given: argparse.Namespace, more: Sequence[str]
) -> None:
    """Measure one cut of a set, and keep its row; ``more`` are texts without labels."""
    with TemporaryDirectory() as kept:
        folder = Path(kept)
        ours, note = best(train, test, given.time, folder)
        found = {
            "thence": ours,
            "TF-IDF words + LinearSVC": linear_svc(train, test, "word", 2),
            "TF-IDF characters + LinearSVC": linear_svc(train, test, "char_wb", 5),
        }
        if more:
            found[UNLABELLED_SIDE] = best(train, test, given.time, folder, more)[0]
        if given.fasttext:
            found["fastText"] = fasttext(train, test, folder, given.fasttext)
    right = {side: said == np.array(test.labels) for side, said in found.items()}
    shares = {side: [round(100 * float(one.mean()), 2)] for side, one in right.items()}
    mine, *others = right.values()
    if more:  # Peers cannot use it, so it is shown and not compared.
        others = [one for side, one in list(right.items())[1:] if side != UNLABELLED_SIDE]
    peer = max(others, key=lambda one: float(one.mean()))
    only = int((mine & ~peer).sum()), int((~mine & peer).sum())
    chance = binomtest(only[0], sum(only)).pvalue if sum(only) else 1.0
    note = f"difference to the best peer by chance: p = {chance:.3g}; {note}"
    print(name, shares, note, flush=True)
    if not given.held_out:
        RESULTS.add(name, f"{name}, {len(train.texts):,} labels", shares, "% right", note=note)


def main() -> None:
    """Measure what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path, help="folder of the data sets")
    parser.add_argument("sets", nargs="*", default=["mr", "sst2", "sst5", "ag", "imdb"])
    parser.add_argument("--time", default="1m", help="limit of each thence best")
    parser.add_argument("--cuts", nargs="*", type=int, default=[100, 1000, 0])
    parser.add_argument("--seed", type=int, default=SEED, help="of the cuts")
    parser.add_argument("--held-out", action="store_true", help="judge by a part of train")
    parser.add_argument("--unlabelled", action="store_true", help="give the rest of train too")
    parser.add_argument("--fasttext", help="a Python that has fastText")
    given = parser.parse_args()
    for name in given.sets:
        train, test = load(name, given.data)
        order = np.random.default_rng(given.seed).permutation(len(train.texts)).tolist()
        if given.held_out:
            test, order = train.take(order[:HELD_OUT]), order[HELD_OUT:]
        for cut in given.cuts:
            left = train.take(order[cut : cut + UNLABELLED] if cut and given.unlabelled else [])
            part = train.take(order[: cut or None])
            compare(f"{name} {cut or 'all'}", part, test, given, left.texts)


if __name__ == "__main__":
    main()
