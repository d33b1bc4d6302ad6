"""The n-gram models measured: against KenLM's figures, by smoothing, in size and in speed.

    python benchmarks/counting.py path/to/data

The folder holds ``ptb``, ``wikitext-2``, ``names`` and ``imdb`` as in their usual distributions.
Prints one table. Times are medians of three runs; a whole job is a process of its own, from the
text to the saved run, its start-up (importing thence) told apart. If the Python module ``kenlm``
is installed, it scores the same text through an ARPA file.
"""

import argparse
import copy
import csv
import gzip
import importlib
import importlib.metadata
import json
import math
import os
import platform
import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any, get_args

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np

import thence
from thence.corpus import Documents, load
from thence.exchange.arpa_writer import write_arpa
from thence.models.language.mixture import Weights
from thence.models.ngram.counting import count_ngrams
from thence.models.ngram.pruning import prune_by_counts, prune_by_entropy
from thence.models.ngram.smoothing import Smoothing

WORDS = {"tokens": "words", "word_split": "whitespace"}
PTB = {**WORDS, "unknown": "refuse"}
WIKITEXT = {**WORDS, "unknown": "symbol", "keep_empty": True}
KENLM = [  # data, order, dev and test perplexity
    ("ptb", 3, 157.77, 148.28), ("ptb", 5, 148.007, 141.186),
    ("wikitext-2", 3, 242.33, 226.05), ("wikitext-2", 5, 234.862, 220.139),
]  # fmt: skip
NAMES = {  # order: dev and test nats
    2: (2.4528, 2.4578), 3: (2.2185, 2.2185), 4: (2.0564, 2.0579),
    5: (1.9841, 1.9854), 6: (1.9746, 1.9779), 7: (1.9771, 1.9802),
}  # fmt: skip
MLP = {
    "context": 5, "embedding_size": 128, "hidden_size": 256, "dropout": 0.4,
    "embedding_dropout": 0.2, "softmax": "sampled", "batch_size": 2048, "lr": 0.005,
    "time": "5m",
}  # fmt: skip
REPEATS = 40
"""How often the test text stands in the text that is scored for speed."""

JOB = """
import json, resource, sys, time
from pathlib import Path
started = time.perf_counter()
import thence, thence.training, thence.models.ngram
imported = time.perf_counter()
text, output, settings = sys.argv[1], sys.argv[2], json.loads(sys.argv[3])
run = thence.train(text, "ngram", output=output, order=5, **settings)
done = time.perf_counter()
status = Path("/proc/self/status")  # Linux's ru_maxrss would count the process that started this.
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
if status.exists():
    peak = int(status.read_text().split("VmHWM:")[1].split()[0]) * 1024
print(json.dumps([imported - started, done - imported, peak]))
"""

Row = tuple[str, str, str, bool | None]


def main() -> None:
    """Measure everything and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path, help="folder of the data sets")
    data = parser.parse_args().data.resolve()
    print_machine()
    parts: list[Callable[[Path, Path], list[Row]]] = [
        parity, names, smoothings, sizes, whole_jobs, scoring, mixtures, text8,
    ]  # fmt: skip
    rows: list[Row] = []
    with TemporaryDirectory() as folder:
        for part in parts:
            print(f"{part.__name__} ...", file=sys.stderr, flush=True)
            rows += part(data, Path(folder))
    print_rows(rows)


def print_machine() -> None:
    """Say where and when the figures were measured."""
    load_now = "/".join(f"{value:.2f}" for value in os.getloadavg())
    print(
        f"{time.strftime('%Y-%m-%d')}, thence {thence.__version__}, numpy {np.__version__}, "
        f"Python {platform.python_version()}, {os.cpu_count()} cores, load at start {load_now}"
    )


def print_rows(rows: list[Row]) -> None:
    """Print the table as Markdown."""
    print("\n| what | expected | measured | |\n|---|---|---|---|")
    for what, expected, measured, good in rows:
        verdict = {True: "ok", False: "MISSED", None: ""}[good]
        print(f"| {what} | {expected} | {measured} | {verdict} |")


def settings_of(name: str, data: Path) -> tuple[Path, dict[str, Any]]:
    """Return the train file of PTB or WikiText-2 and the settings to read it as published."""
    if name == "ptb":
        folder = data / "ptb"
        given = {"dev": folder / "ptb.valid.txt", "test": folder / "ptb.test.txt"}
        return folder / "ptb.train.txt.gz", {**PTB, **{k: str(v) for k, v in given.items()}}
    folder = data / "wikitext-2"
    given = {"dev": folder / "valid.txt.gz", "test": folder / "test.txt.gz"}
    return folder / "train.txt.gz", {**WIKITEXT, **{k: str(v) for k, v in given.items()}}


def nats(run: thence.Run, split: Any) -> float:
    """Return the mean loss of a split."""
    return -float(np.mean(run.model.score(run.store(split))))


def parity(data: Path, folder: Path) -> list[Row]:
    """Perplexities that KenLM gives for the same n-grams."""
    rows: list[Row] = []
    for name, order, *expected in KENLM:
        text, settings = settings_of(name, data)
        run = thence.train(
            text, "ngram", output=folder / f"{name}-{order}", order=order, **settings
        )
        found = [math.exp(nats(run, split)) for split in ("dev", "test")]
        good = all(abs(a - b) <= 0.05 for a, b in zip(found, expected, strict=True))
        what = f"{name}, modified Kneser-Ney, order {order}: dev / test perplexity (KenLM)"
        rows.append((what, pair(expected, 3), pair(found, 3), good))
    return rows


def pair(values: Any, digits: int) -> str:
    """Write two figures."""
    return " / ".join(f"{value:.{digits}f}" for value in values)


def names(data: Path, folder: Path) -> list[Row]:
    """The same for the names, letter by letter."""
    rows: list[Row] = []
    text = data / "names" / "names.txt"
    for order, expected in NAMES.items():
        run = thence.train(
            text, "ngram", output=folder / f"names-{order}", order=order, unknown="refuse"
        )
        found = [nats(run, split) for split in ("dev", "test")]
        good = all(abs(a - b) <= 0.002 for a, b in zip(found, expected, strict=True))
        rows.append(
            (f"names, order {order}: dev / test nats", pair(expected, 4), pair(found, 4), good)
        )
    return rows


def mixtures(data: Path, folder: Path) -> list[Row]:
    """Orders mixed on names; on PTB counts with caches, and with a perceptron of five minutes."""
    rows: list[Row] = []
    for weights in get_args(Weights):
        orders = [folder / f"names-{order}" for order in NAMES]
        mixed = thence.mix(orders, folder / f"names-{weights}", weights=weights)
        found = [nats(mixed, split) for split in ("dev", "test")]
        good = found[1] <= 1.965 if weights == "gated" else None
        expected = "test at most 1.965" if weights == "gated" else ""
        what = f"names, orders 2 to 7 mixed, weights {weights}: dev / test nats"
        rows.append((what, expected, pair(found, 4), good))
    text, settings = settings_of("ptb", data)
    cached = thence.mix([folder / "ptb-5"], folder / "ptb-cache", cache=500)
    found = [math.exp(carried_nats(cached, split)) for split in ("dev", "test")]
    what = "PTB, KN-5 + caches (running text): dev / test perplexity"
    rows.append((what, "test at most 127", pair(found, 2), found[1] <= 127))
    began = time.perf_counter()
    network = thence.train(text, "mlp", output=folder / "ptb-mlp", **MLP, **settings)
    minutes = (time.perf_counter() - began) / 60
    found = [math.exp(nats(network, split)) for split in ("dev", "test")]
    what = f"PTB, the mlp alone, {minutes:.1f} minutes: dev / test perplexity"
    rows.append((what, "", pair(found, 2), None))
    runs = [folder / "ptb-5", network]
    found_by = {
        "KN-5 + caches + mlp": thence.mix(runs, folder / "ptb-all", cache=500),
        "KN-5 + mlp": thence.mix(runs, folder / "ptb-two"),
    }
    for name, mixed in found_by.items():
        found = [math.exp(carried_nats(mixed, split)) for split in ("dev", "test")]
        rows.append((f"PTB, {name}: dev / test perplexity", "", pair(found, 2), None))
    return rows


def carried_nats(run: thence.Run, split: Any) -> float:
    """Return the mean loss of a split as the run reads it: caches see the documents before."""
    return thence.evaluate(run, split).nats_per_token


def text8(data: Path, folder: Path) -> list[Row]:
    """The prefix of text8 as words, the last tenth dev and test."""
    words = gzip.decompress((data / "text8" / "text8.prefix.gz").read_bytes()).decode().split()
    cuts = [0, int(0.9 * len(words)), int(0.95 * len(words)), len(words)]
    paths = []
    for name, first, last in zip(("train", "dev", "test"), cuts, cuts[1:], strict=False):
        paths.append(folder / f"text8-{name}.txt")
        lines = [" ".join(words[at : min(at + 1000, last)]) for at in range(first, last, 1000)]
        paths[-1].write_text("\n".join(lines) + "\n", encoding="utf-8")
    given = {"dev": str(paths[1]), "test": str(paths[2]), "max_size": 50_000}
    rows: list[Row] = []
    for order in (3, 5):
        run = thence.train(
            paths[0], "ngram", output=folder / f"text8-{order}", order=order, **WORDS, **given
        )
        found = [math.exp(nats(run, split)) for split in ("dev", "test")]
        what = f"text8 prefix, 50,000 words and <unk>, order {order}: dev / test perplexity"
        rows.append((what, "", pair(found, 2), None))
    return rows


def smoothings(data: Path, folder: Path) -> list[Row]:
    """Every smoothing on dev."""
    text, settings = settings_of("ptb", data)
    rows: list[Row] = []
    for method in get_args(Smoothing):
        ptb = thence.train(
            text, "ngram", output=folder / f"s-{method}", order=3, smoothing=method, **settings
        )
        letters = thence.train(
            data / "names" / "names.txt", "ngram", output=folder / f"n-{method}",
            order=5, smoothing=method, unknown="refuse",
        )  # fmt: skip
        shown = f"{math.exp(nats(ptb, 'dev')):.2f}; {nats(letters, 'dev'):.4f}"
        note = "" if ptb.model.is_probability else " (no probability)"
        rows.append(
            (f"{method}{note}: PTB order 3 dev perplexity; names order 5 dev nats", "", shown, None)
        )
    return rows


def sizes(data: Path, folder: Path) -> list[Row]:
    """How many n-grams pruning leaves, and what they cost on disk and in perplexity."""
    run = thence.Run(folder / "ptb-5")
    store, dev, size = run.store("train"), run.store("dev"), len(run.tokenizer.vocabulary)
    model: Any = run.model
    counts = [order.counts for order in count_ngrams(store, 5, size, carry_context=False)]
    pruned = {
        "whole": model.tables,
        "counts above 0, 1, 1, 1": prune_by_counts(model.tables, counts, size, (0, 1)),
        **{
            f"entropy {share:g}": prune_by_entropy(model.tables, size, share)
            for share in (1e-8, 1e-7)
        },
    }
    rows: list[Row] = []
    for name, tables in pruned.items():
        smaller = copy.copy(model)
        smaller.tables = tables
        perplexity = math.exp(-float(np.mean(smaller.score(dev))))
        ngrams = smaller.num_parameters()
        shown = f"{ngrams:,}; {perplexity:.2f}"
        rows.append((f"PTB order 5, {name}: n-grams; dev perplexity", "", shown, None))
    path = folder / "ptb-5" / "model.safetensors"
    each = path.stat().st_size / model.num_parameters()
    rows.append(("PTB order 5: saved bytes an n-gram", "at most 25", f"{each:.1f}", each <= 25))
    return rows


def whole_jobs(data: Path, folder: Path) -> list[Row]:
    """From the text to the saved run, each in a process of its own."""
    imdb = folder / "imdb.txt"
    tokens = write_reviews(data / "imdb", imdb)
    whole = {**PTB, "split": "100/0/0"}
    jobs = [
        ("PTB", *settings_of("ptb", data), 1.6, None),
        ("WikiText-2", *settings_of("wikitext-2", data), 4.0, None),
        (f"IMDB ({tokens / 1e6:.2f} M tokens)", imdb, whole, 25.0, 2.5e9),
    ]
    rows: list[Row] = []
    for name, text, settings, limit, memory in jobs:
        runs = [job(text, settings, folder) for _ in range(3)]
        start_up, seconds, peak = (median(values) for values in zip(*runs, strict=True))
        shown = f"{seconds:.2f} (start-up {start_up:.2f})"
        what = f"{name}, order 5, text to saved run: seconds"
        rows.append((what, f"at most {limit:g}", shown, seconds <= limit))
        good = None if memory is None else peak < memory
        bound = "" if memory is None else f"under {memory / 1e9:g}"
        rows.append((f"{name}: peak memory, GB", bound, f"{peak / 1e9:.2f}", good))
    return rows


def write_reviews(source: Path, path: Path) -> int:
    """Write all reviews as words, one review a line; return how many words."""
    csv.field_size_limit(1 << 30)
    total = 0
    with path.open("w", encoding="utf-8") as out:
        for split in ("train", "test"):
            with gzip.open(source / f"{split}.csv.gz", "rt", encoding="utf-8", newline="") as file:
                for row in csv.DictReader(file):
                    words = re.findall(r"[a-z0-9']+|[.,!?]", row["text"].lower())
                    total += len(words)
                    out.write(" ".join(words) + "\n")
    return total


def job(text: Path, settings: dict[str, Any], folder: Path) -> list[float]:
    """Return the start-up's seconds, the job's, and the peak memory in bytes."""
    with TemporaryDirectory(dir=folder) as fresh:  # Nothing in the cache.
        arguments = [str(text), f"{fresh}/run", json.dumps(settings)]
        environment = {**os.environ, "THENCE_HOME": f"{fresh}/home"}
        command = [sys.executable, "-c", JOB, *arguments]
        done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, check=True)
    measured: list[float] = json.loads(done.stdout)
    return measured


def scoring(data: Path, folder: Path) -> list[Row]:
    """Loading, and scoring the test text many times over, with KenLM beside it."""
    loads = [timed(lambda: thence.Run(folder / "ptb-5").model)[0] for _ in range(3)]
    run = thence.Run(folder / "ptb-5")
    test = load(data / "ptb" / "ptb.test.txt")
    store = run.tokenizer.encode(Documents.join([test] * REPEATS))
    times = [timed(lambda: run.model.score(store))[0] for _ in range(3)]
    speed = store.num_targets / median(times) / 1e6
    rows: list[Row] = [
        ("PTB order 5: seconds to load", "under 0.3", f"{median(loads):.2f}", median(loads) < 0.3),
        ("scoring, M tokens a second, one thread", "at least 1.5", f"{speed:.2f}", speed >= 1.5),
    ]
    try:
        kenlm = importlib.import_module("kenlm")
    except ImportError:
        return [*rows, ("the same with KenLM", "", "the module kenlm is not installed", None)]
    return [*rows, *beside_kenlm(kenlm, run, list(test), folder)]


def timed(work: Callable[[], Any]) -> tuple[float, Any]:
    """Return the seconds a piece of work takes, and what it gives."""
    started = time.perf_counter()
    result = work()
    return time.perf_counter() - started, result


def beside_kenlm(kenlm: Any, run: thence.Run, texts: list[str], folder: Path) -> list[Row]:
    """The speed of KenLM's Python module, and how far its scores are from ours."""
    model: Any = run.model
    write_arpa(model.tables, run.tokenizer.vocabulary, folder / "ptb.arpa")
    other = kenlm.Model(str(folder / "ptb.arpa"))
    ours = model.score(run.tokenizer.encode(texts)) / math.log(10)
    theirs = np.array([p for text in texts for p, _, _ in other.full_scores(text)])
    apart = float(np.max(np.abs(ours - theirs)))
    repeated = texts * REPEATS
    seconds = median(timed(lambda: [other.score(text) for text in repeated])[0] for _ in range(3))
    speed = len(theirs) * REPEATS / seconds / 1e6
    version = importlib.metadata.version("kenlm")
    return [
        (f"the same with KenLM {version}, `score` line by line", "", f"{speed:.2f}", None),
        ("largest difference from KenLM of a token, log10", "1e-5", f"{apart:.1e}", apart <= 1e-5),
    ]


if __name__ == "__main__":
    main()
