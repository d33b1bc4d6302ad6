"""Do intervals hold the true mean, and do comparisons find only differences that are there?

    python benchmarks/intervals.py path/to/data

The folder holds ``ptb``, ``wikitext-2``, ``tinyshakespeare`` and ``names``. Prints three tables:
how often the 95 % interval of a passage holds the mean of its whole text; the same of documents
that are drawn at random; and how often at least one of equally good models is found to differ from
the best. Beside thence stands what version 0.1 did: the percentile bootstrap with each document
for itself, and one comparison at a time. Every number is seeded.
"""

import argparse
import gzip
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from names import print_machine

import thence
from thence.corpus import load
from thence.evaluation.bootstrap import bootstrap_means, document_blocks, interval
from thence.evaluation.compare_labels import compare_classifiers
from thence.evaluation.intervals import difference_margins, mean_interval

TRIALS = 500
SIZES = (100, 300, 1000, 3370)
MODELS = (2, 3, 5, 10, 20)
WORDS = {"word_split": "whitespace"}

Costs = tuple[np.ndarray, np.ndarray]
"""Summed nats of each line under a model, and its targets."""


def main() -> None:
    """Measure everything and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path, help="folder of the data sets")
    parser.add_argument("--trials", type=int, default=TRIALS)
    arguments = parser.parse_args()
    print_machine()
    with TemporaryDirectory() as folder:
        texts = running_texts(arguments.data.resolve(), Path(folder))
        names = lines_of(arguments.data / "names" / "names.txt")
        half = len(names) // 2
        shuffled = [names[at] for at in np.random.default_rng(0).permutation(len(names))]
        of_names = line_costs(shuffled[:half], shuffled[half:], Path(folder), tokens="characters")
    print_coverage("lines in a row", texts, passage, arguments.trials, in_order=True)
    at_random = {"names": of_names, "Penn Treebank, lines": texts["Penn Treebank, train"]}
    print_coverage("drawn at random", at_random, draw, arguments.trials, in_order=False)
    print_families(texts["Penn Treebank, train"], arguments.trials)


def running_texts(data: Path, folder: Path) -> dict[str, Costs]:
    """Return what lines of running text cost n-gram models that have not seen them."""
    ptb = {part: lines_of(path_in(data / "ptb", part)) for part in ("train", "valid", "test")}
    wikitext = {
        part: lines_of(path_in(data / "wikitext-2", part)) for part in ("train", "valid", "test")
    }
    plays = lines_of(path_in(data / "tinyshakespeare", "input"))
    fifth = len(plays) // 5
    held_out = ptb["valid"] + ptb["test"]
    texts = {
        "Penn Treebank, train": (held_out, ptb["train"]),
        "Penn Treebank, dev and test": (ptb["train"], held_out),
        "WikiText-2, train": (wikitext["valid"] + wikitext["test"], wikitext["train"]),
        "tiny shakespeare, four fifths": (plays[:fifth], plays[fifth:]),
    }
    return {
        name: line_costs(train, judged, folder, **WORDS) for name, (train, judged) in texts.items()
    }


def path_in(folder: Path, part: str) -> Path:
    """Return the file of a part, packed or not."""
    return next(folder.glob(f"*{part}.txt*"))


def lines_of(path: Path) -> list[str]:
    """Return the lines that are not blank."""
    packed = path.suffix == ".gz"
    text = gzip.decompress(path.read_bytes()) if packed else path.read_bytes()
    return [line for line in text.decode("utf-8").split("\n") if line.strip()]


def line_costs(train: list[str], judged: list[str], folder: Path, **settings: str) -> Costs:
    """Train a trigram model and return what each other line costs it."""
    (folder / "train.txt").write_text("\n".join(train), encoding="utf-8")
    (folder / "judged.txt").write_text("\n".join(judged), encoding="utf-8")
    output = folder / f"run-{len(list(folder.iterdir()))}"
    run = thence.train(folder / "train.txt", "ngram", output=output, order=3, **settings)
    store = run.tokenizer.encode(load(folder / "judged.txt"))
    costs = -run.model.score(store, False)
    return store.sum_by_document(costs).astype(np.float64), store.target_counts.astype(np.float64)


def passage(generator: np.random.Generator, lines: int, size: int) -> np.ndarray:
    """Return the places of neighbouring lines."""
    start = generator.integers(0, lines - size + 1)
    return np.arange(start, start + size)


def draw(generator: np.random.Generator, lines: int, size: int) -> np.ndarray:
    """Return places drawn at random, each draw for itself."""
    return generator.integers(0, lines, size)


def print_coverage(
    title: str, texts: dict[str, Costs], choose: Callable[..., np.ndarray], trials: int,
    in_order: bool,
) -> None:  # fmt: skip
    """Print how often intervals hold the mean of the whole text."""
    print(f"\n| {title} | lines | 0.1 | now | width |\n|---|---|---|---|---|")
    for name, (sums, targets) in texts.items():
        for size in SIZES:
            generator = np.random.default_rng(size)
            whole, held, widths = sums.sum() / targets.sum(), np.zeros(2, int), np.zeros(2)
            for _ in range(trials):
                at = choose(generator, len(sums), size)
                bounds = [old_interval(sums[at], targets[at])]
                bounds.append(mean_interval(sums[at], targets[at], in_order))
                held += [low <= whole <= high for low, high in bounds]
                widths += [high - low for low, high in bounds]
            old, new = (f"{100 * count / trials:.0f} % ({count} of {trials})" for count in held)
            print(f"| {name} | {size:,} | {old} | {new} | {widths[1] / widths[0]:.2f} |")


def old_interval(sums: np.ndarray, targets: np.ndarray) -> tuple[float, float]:
    """The percentile bootstrap of version 0.1."""
    starts = document_blocks(len(sums))
    blocks, sizes = np.add.reduceat(sums, starts), np.add.reduceat(targets, starts)
    return interval(bootstrap_means(blocks[:, None], sizes)[:, 0])


def print_families(costs: Costs, trials: int) -> None:
    """Print how often at least one of equally good models is found to differ from the best."""
    print("\n| equally good models | at random: 0.1 | now | in order: 0.1 | now | classifiers: "
          "0.1 | now |\n|---|---|---|---|---|---|---|")  # fmt: skip
    for models in MODELS:
        found = np.zeros(6, int)
        generator = np.random.default_rng(models)
        for _ in range(trials):
            found[:2] += language_models(generator, costs, models, in_order=False)
            found[2:4] += language_models(generator, costs, models, in_order=True)
            found[4:] += classifiers(generator, models)
        shown = " | ".join(f"{100 * count / trials:.1f} % ({count})" for count in found)
        print(f"| {models} | {shown} |")


def language_models(
    generator: np.random.Generator, costs: Costs, models: int, in_order: bool, size: int = 400
) -> list[bool]:
    """Return whether 0.1 and thence find a difference between equals.

    Each has the costs of real lines, and what it is better or worse at drifts along the text.
    """
    at = (passage if in_order else draw)(generator, len(costs[0]), size)
    sums, targets = costs[0][at], costs[1][at]
    own = generator.standard_normal((size, models))
    if in_order:
        for place in range(1, size):
            own[place] += 0.5 * own[place - 1]
    sums = sums[:, None] + own * np.sqrt(targets)[:, None]
    means = sums.sum(axis=0) / targets.sum()
    best = int(means.argmin())
    margins = difference_margins(sums, targets, best, in_order)
    replicates = bootstrap_means(sums, targets)
    lows = [interval(replicates[:, at] - replicates[:, best])[0] for at in range(models)]
    return [max(lows) > 0, bool((means - means[best] > margins).any())]


def classifiers(generator: np.random.Generator, models: int, size: int = 1000) -> list[bool]:
    """Return whether McNemar's test alone and with Holm finds a difference between equals."""
    hard = generator.random(size) < 0.3
    right = generator.random((models, size)) < np.where(hard, 0.6, 0.97)
    against = [
        run.against_best
        for run in compare_classifiers([str(at) for at in range(models)], right, "").runs
        if run.against_best is not None
    ]
    return [min(one.p_value for one in against) < 0.05, min(one.p_holm for one in against) < 0.05]


if __name__ == "__main__":
    main()
