"""Do intervals hold the true mean, and do comparisons find only differences that are there?

    python benchmarks/intervals.py path/to/data

The folder holds ``ptb``, ``wikitext-2``, ``tinyshakespeare`` and ``names``. Measured are
how often the 95 % interval of a passage holds the mean of its whole text; the same of documents
that are drawn at random; and how often at least one of equally good models is found to differ from
the best. Beside coverage stands what version 0.1 did: the percentile bootstrap with each document
for itself. Every number is seeded.
"""

import argparse
import gzip
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from measuring import Results

import thence
from thence.corpus import load
from thence.evaluation.compare_labels import compare_classifiers
from thence.evaluation.intervals import (
    bootstrap_means,
    difference_margins,
    document_blocks,
    mean_interval,
    percentile_interval,
)

TRIALS = 500
SIZES = (100, 300, 1000, 3370)
MODELS = (2, 3, 5, 10, 20)
FAMILIES = (
    (200, False, 0.0),
    (300, True, 0.0),
    (1000, True, 0.0),
    (300, True, 0.8),
    (1000, True, 0.8),
    (3000, True, 0.8),
)
"""Documents, whether they stand in order, and autocorrelation of what tells models apart."""
WORDS = {"word_split": "whitespace"}

RESULTS = Results("intervals", "python benchmarks/intervals.py DATA", ("numpy",))

Costs = tuple[np.ndarray, np.ndarray]
"""Summed nats of each line under a model, and its targets."""


def main() -> None:
    """Measure everything and keep the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path, help="folder of the data sets")
    parser.add_argument("--trials", type=int, default=TRIALS)
    arguments = parser.parse_args()
    with TemporaryDirectory() as folder:
        texts = running_texts(arguments.data.resolve(), Path(folder))
        names = lines_of(arguments.data / "names" / "names.txt")
        half = len(names) // 2
        shuffled = [names[at] for at in np.random.default_rng(0).permutation(len(names))]
        of_names = line_costs(shuffled[:half], shuffled[half:], Path(folder), tokens="characters")
    keep_coverage("lines in a row", texts, passage, arguments.trials, in_order=True)
    at_random = {"names": of_names, "Penn Treebank, lines": texts["Penn Treebank, train"]}
    keep_coverage("drawn at random", at_random, draw, arguments.trials, in_order=False)
    keep_families(arguments.trials)


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


def keep_coverage(
    title: str, texts: dict[str, Costs], choose: Callable[..., np.ndarray], trials: int,
    in_order: bool,
) -> None:  # fmt: skip
    """Keep how often intervals hold the mean of the whole text."""
    for name, (sums, targets) in texts.items():
        for size in SIZES:
            generator = np.random.default_rng(size)
            whole, held, widths = sums.sum() / targets.sum(), np.zeros(2, int), np.zeros(2)
            for _ in range(trials):
                at = choose(generator, len(sums), size)
                bounds = [mean_interval(sums[at], targets[at], in_order)]
                bounds.append(old_interval(sums[at], targets[at]))
                held += [low <= whole <= high for low, high in bounds]
                widths += [high - low for low, high in bounds]
            now, old = (100 * held / trials).tolist()
            note = f"width {widths[0] / widths[1]:.2f} times that of 0.1"
            claim, unit = f"{name}: {size:,} {title}", f"% of {trials} passages"
            RESULTS.add(
                f"{title}-{name}-{size}", claim, {"now": [now], "0.1": [old]}, unit, note=note
            )


def old_interval(sums: np.ndarray, targets: np.ndarray) -> tuple[float, float]:
    """The percentile bootstrap of version 0.1."""
    starts = document_blocks(len(sums))
    blocks, sizes = np.add.reduceat(sums, starts), np.add.reduceat(targets, starts)
    return percentile_interval(bootstrap_means(blocks[:, None], sizes)[:, 0])


def keep_families(trials: int) -> None:
    """Keep how often at least one of equally good models is found to differ from the best."""
    for documents, in_order, drift in FAMILIES:
        generator = np.random.default_rng(1)
        order = f"in order, autocorrelation {drift:g}" if in_order else "drawn at random"
        found = {
            f"{models} models": [
                sum(is_found(generator, documents, models, in_order, drift) for _ in range(trials))
            ]
            for models in MODELS
        }
        keep_found(f"{documents:,} documents {order}", found, trials)
    for column, what in enumerate(("McNemar alone", "McNemar, Holm")):
        generator = np.random.default_rng(1)
        found = {
            f"{models} models": [sum(classifiers(generator, models)[column] for _ in range(trials))]
            for models in MODELS
        }
        keep_found(f"classifiers, 1,000 documents: {what}", found, trials)


def keep_found(claim: str, found: dict[str, list[int]], trials: int) -> None:
    """Keep in how many of the trials a difference was found, in per cent."""
    shares = {models: [100 * count / trials for count in some] for models, some in found.items()}
    RESULTS.add(claim, claim, shares, f"% of {trials} trials")


def is_found(
    generator: np.random.Generator, documents: int, models: int, in_order: bool, drift: float
) -> bool:
    """Return whether one of equals is found to differ from the best.

    Costs have a part in common, thrice as large as what each model is better or worse at; models
    differ in how much that varies where documents are drawn at random.
    """
    common = 3 * generator.standard_normal((documents, 1))
    own = generator.standard_normal((documents, models))
    for place in range(1, documents if drift else 0):
        own[place] += drift * own[place - 1]
    if not in_order:
        own *= np.linspace(0.1, 2, models)
    sums, sizes = 5 + common + own, np.ones(documents)
    means = sums.mean(axis=0)
    margins = difference_margins(sums, sizes, int(means.argmin()), in_order)
    return bool((means - means.min() > margins).any())


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
