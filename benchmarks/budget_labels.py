"""The labelled sets of ``budget.py``: ``thence best`` beside others, on all labels and on few."""

import csv
import gzip
import io
import json
import random
from collections.abc import Mapping, Sequence
from math import comb
from pathlib import Path

from budget_peers import Rows, classifiers
from budget_running import BEFORE, THENCE, Given, best, keep, say, seconds_of

FOLDS = 10
"""Folds of the set ``mr``, which has no split of its own; run n is judged on fold n."""
TITLES = {"imdb": "IMDB", "ag": "AG News (sample)", "sst": "SST-2", "mr": "MR (a fold each run)"}
GOALS: Mapping[str, Mapping[str, str]] = {
    "imdb": {"10s": ">= 91.9", "1m": ">= 92.5", "10m": ">= 93.0"},
    "ag": {"1m": ">= 89.8"},
    "ag/1000": {"1m": ">= 84"},
    "sst": {"1m": ">= 84.0"},
    "mr": {"1m": ">= 79.4"},
}
"""The limits that are tried, and the goal at each."""


def measure(name: str, limits: Sequence[str] | None, given: Given) -> None:
    """Keep how many labels each gets right: ``thence best``, an earlier version and others."""
    group, _, size = name.partition("/")
    goals = GOALS.get(name, {"1m": ""})
    for limit in limits or goals:
        right: dict[str, list[float]] = {}
        took: dict[str, list[float]] = {}
        least = {"": 1.0}
        for run in range(given.runs):
            train, test = read(group, given.data, run, int(size or 0))
            answers = answered(train, test, limit, given, took)
            if given.peers:
                for other, labels, seconds in classifiers(train, test, given.folder):
                    answers[other] = labels
                    took.setdefault(seconds_of(other), []).append(seconds)
            is_right = {
                who: [said == label for said, (label, _) in zip(some, test, strict=True)]
                for who, some in answers.items()
            }
            for who, some in is_right.items():
                right.setdefault(who, []).append(100 * sum(some) / len(some))
                if who not in (THENCE, BEFORE):
                    p = probability_of_fewer(is_right[THENCE], some)
                    least[who] = min(least.get(who, 1.0), p)
        below, p = min(least.items(), key=lambda one: one[1])
        note = f"of being so far below {below} by chance: p >= {p:.3g} in each run" if below else ""
        labels = f", {size} labels" if size else ""
        claim = f"{TITLES[group]}{labels}, {limit}"
        keep(f"{name}, {limit}", claim, "% right", right | took, given, goals.get(limit, ""), note)


def answered(
    train: Rows, test: Rows, limit: str, given: Given, took: dict[str, list[float]]
) -> dict[str, list[str]]:
    """Return the labels that each version gives; add the seconds it took."""
    tables = [write(rows, given.folder / f"rows-{at}.csv") for at, rows in enumerate((train, test))]
    found = {}
    for version in given.versions:
        number = sum(1 for _ in given.folder.glob(f"{version}-labels-*"))
        output = given.folder / f"{version}-labels-{number}"
        flags = ["--label", "label", "--split", "90/10/0"]
        seconds = best([str(tables[0]), *flags], limit, output, version, given)
        if seconds is None:
            continue
        took.setdefault(seconds_of(version), []).append(seconds)
        said = say(["classify", str(output), str(tables[1])], version, given)
        found[version] = [str(json.loads(line)["label"]) for line in said.splitlines()]
    return found


def probability_of_fewer(ours: Sequence[bool], theirs: Sequence[bool]) -> float:
    """Return how probable it is to be so far below others, were both equally good.

    It is the one-sided exact test of McNemar: of the texts that only one of the two gets right, the
    number that are ours is binomial with probability one half.
    """
    only_ours = sum(a and not b for a, b in zip(ours, theirs, strict=True))
    apart = sum(a != b for a, b in zip(ours, theirs, strict=True))
    return sum(comb(apart, k) for k in range(only_ours + 1)) / 2**apart


def read(group: str, data: Path, run: int, size: int) -> tuple[Rows, Rows]:
    """Return the train and the test rows of a set.

    Args:
        group: Name of the set.
        data: Folder of the data sets.
        run: Which run: each has other labels where there are few, and other folds.
        size: How many labels to train on; 0: all.
    """
    train: list[tuple[str, str]]
    if group == "mr":
        lines = gzip.decompress((data / "mr" / "rt-polarity.all.gz").read_bytes())
        rows = [_split(line) for line in lines.decode("cp1252").splitlines()]
        random.Random(0).shuffle(rows)
        test = rows[run % FOLDS :: FOLDS]
        train = [row for number, row in enumerate(rows) if number % FOLDS != run % FOLDS]
    elif group == "sst":
        train, test = (
            [_split(line) for line in (data / "sst" / name).read_text("utf-8").splitlines()]
            for name in ("stsa.binary.train", "stsa.binary.test")
        )
    else:
        folder = data / {"imdb": "imdb", "ag": "ag_news"}[group]
        own = "train.csv.gz" if group == "imdb" else "train_10k.csv.gz"
        train, test = _table(folder / own), _table(folder / "test.csv.gz")
    if size:
        train = random.Random(run).sample(train, size)
    return train, test


def _split(line: str) -> tuple[str, str]:
    label, _, text = line.partition(" ")
    return label, text


def _table(path: Path) -> list[tuple[str, str]]:
    content = io.StringIO(gzip.decompress(path.read_bytes()).decode("utf-8"), newline="")
    return [(row["label"], row["text"]) for row in csv.DictReader(content)]


def write(rows: Rows, path: Path) -> Path:
    """Write labelled texts as a table."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerows([("label", "text"), *rows])
    return path
