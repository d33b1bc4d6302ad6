"""The n-gram models measured: against KenLM's figures, by smoothing, in size and in speed.

    python benchmarks/counting.py path/to/data

The folder holds ``ptb``, ``wikitext-2``, ``names`` and ``imdb`` as in their usual distributions.
Times are processor seconds; a whole job is a process of its own, from the text to the saved run,
beside one that only imports thence. If the Python module ``kenlm`` is installed, it scores the same
text through an ARPA file, in turn with thence.
"""

import argparse
import copy
import csv
import gzip
import importlib
import json
import math
import os
import re
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, get_args

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
from measuring import Results, Usage, command, cpu

import thence
from thence.corpus import Documents, load
from thence.exchange.arpa_writer import write_arpa
from thence.models.language.members import Weights
from thence.models.ngram.counting import count_ngrams
from thence.models.ngram.pruning import prune
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
import json, sys
import thence, thence.training, thence.models.ngram
if sys.argv[1:]:
    thence.train(sys.argv[1], "ngram", output=sys.argv[2], order=5, **json.loads(sys.argv[3]))
"""
RESULTS = Results("counting", "python benchmarks/counting.py DATA", ("numpy", "kenlm"))


def main() -> None:
    """Measure everything and keep the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path, help="folder of the data sets")
    data = parser.parse_args().data.resolve()
    with TemporaryDirectory() as folder:
        for part in (parity, names, smoothings, sizes, whole_jobs, scoring, mixtures, text8):
            part(data, Path(folder))


def keep(key: str, claim: str, unit: str, **facts: Any) -> None:
    """Keep numbers that are the same in every run; those beside the facts of ``Results.add``."""
    known = {name: facts.pop(name) for name in ("goal", "note") if name in facts}
    RESULTS.add(key, claim, {name: [value] for name, value in facts.items()}, unit, **known)


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


def parity(data: Path, folder: Path) -> None:
    """Perplexities that KenLM gives for the same n-grams."""
    for name, order, *expected in KENLM:
        text, settings = settings_of(name, data)
        output = folder / f"{name}-{order}"
        run = thence.train(text, "ngram", output=output, order=order, **settings)
        for split, kenlm in zip(("dev", "test"), expected, strict=True):
            claim = f"{name}, modified Kneser-Ney, order {order}: {split}"
            found = math.exp(nats(run, split))
            keep(f"{name}-{order}-{split}", claim, "perplexity", thence=found, KenLM=kenlm)


def names(data: Path, folder: Path) -> None:
    """The same for the names, letter by letter."""
    text = data / "names" / "names.txt"
    for order, expected in NAMES.items():
        output = folder / f"names-{order}"
        run = thence.train(text, "ngram", output=output, order=order, unknown="refuse")
        for split, kenlm in zip(("dev", "test"), expected, strict=True):
            claim = f"names, modified Kneser-Ney, order {order}: {split}"
            keep(f"names-{order}-{split}", claim, "nats", thence=nats(run, split), KenLM=kenlm)


def mixtures(data: Path, folder: Path) -> None:
    """Orders mixed on names; on PTB counts with caches, and with a perceptron of five minutes."""
    for weights in get_args(Weights):
        orders = [folder / f"names-{order}" for order in NAMES]
        mixed = thence.mix(orders, folder / f"names-{weights}", weights=weights)
        claim = f"names, orders 2 to 7 mixed, weights {weights}"
        keep(f"names-{weights}", claim, "nats", **on_both(mixed, nats))
    text, settings = settings_of("ptb", data)
    network = thence.train(text, "mlp", output=folder / "ptb-mlp", **MLP, **settings)
    counts = folder / "ptb-5"
    for key, claim, made in (
        ("cache", "KN-5 + caches (running text)", thence.mix([counts], folder / "c", cache=500)),
        ("mlp", "the mlp alone, 5 minutes", network),
        ("all", "KN-5 + caches + mlp", thence.mix([counts, network], folder / "a", cache=500)),
        ("two", "KN-5 + mlp", thence.mix([counts, network], folder / "t")),
    ):
        keep(f"ptb-{key}", f"PTB, {claim}", "perplexity", **on_both(made, carried_perplexity))


def on_both(run: thence.Run, measure: Any) -> dict[str, float]:
    """Return a number of dev and of test."""
    return {split: measure(run, split) for split in ("dev", "test")}


def carried_perplexity(run: thence.Run, split: Any) -> float:
    """Return the perplexity of a split as the run reads it: caches see the documents before."""
    return thence.evaluate(run, split).perplexity


def text8(data: Path, folder: Path) -> None:
    """The prefix of text8 as words, the last tenth dev and test."""
    words = gzip.decompress((data / "text8" / "text8.prefix.gz").read_bytes()).decode().split()
    cuts = [0, int(0.9 * len(words)), int(0.95 * len(words)), len(words)]
    paths = []
    for name, first, last in zip(("train", "dev", "test"), cuts, cuts[1:], strict=False):
        paths.append(folder / f"text8-{name}.txt")
        lines = [" ".join(words[at : min(at + 1000, last)]) for at in range(first, last, 1000)]
        paths[-1].write_text("\n".join(lines) + "\n", encoding="utf-8")
    given = {"dev": str(paths[1]), "test": str(paths[2]), "max_size": 50_000}
    for order in (3, 5):
        output = folder / f"text8-{order}"
        run = thence.train(paths[0], "ngram", output=output, order=order, **WORDS, **given)
        claim = f"text8 prefix, 50,000 words and <unk>, order {order}"
        keep(f"text8-{order}", claim, "perplexity", **on_both(run, carried_perplexity))


def smoothings(data: Path, folder: Path) -> None:
    """Every smoothing on dev."""
    text, settings = settings_of("ptb", data)
    letters = {"order": 5, "unknown": "refuse"}
    for method in get_args(Smoothing):
        output = folder / f"s-{method}"
        ptb = thence.train(text, "ngram", output=output, order=3, smoothing=method, **settings)
        given = {"output": folder / f"n-{method}", "smoothing": method, **letters}
        run = thence.train(data / "names" / "names.txt", "ngram", **given)
        note = "" if ptb.model.is_probability else "no probability"
        found = {"PTB order 3, dev perplexity": math.exp(nats(ptb, "dev"))}
        found["names order 5, dev nats"] = nats(run, "dev")
        keep(method, method, "", note=note, **found)


def sizes(data: Path, folder: Path) -> None:
    """How many n-grams pruning leaves, and what they cost on disk and in perplexity."""
    run = thence.Run(folder / "ptb-5")
    store, dev, size = run.store("train"), run.store("dev"), len(run.tokenizer.vocabulary)
    model: Any = run.model
    counts = count_ngrams(store, 5, size, carry_context=False)
    pruned = {
        "whole": model.tables,
        "counts above 0, 1, 1, 1": prune(model.tables, counts, size, (0, 1)),
        **{
            f"entropy {share:g}": prune(model.tables, counts, size, share=share)
            for share in (1e-8, 1e-7)
        },
    }
    for name, tables in pruned.items():
        smaller = copy.copy(model)
        smaller.tables = tables
        perplexity = math.exp(-float(np.mean(smaller.score(dev))))
        found = {"n-grams": smaller.num_parameters(), "dev perplexity": perplexity}
        keep(f"pruned-{name}", f"PTB order 5, {name}", "", **found)
    path = folder / "ptb-5" / "model.safetensors"
    each = path.stat().st_size / model.num_parameters()
    keep("bytes", "PTB order 5: saved bytes an n-gram", "bytes", goal="<= 25", thence=each)


def whole_jobs(data: Path, folder: Path) -> None:
    """From the text to the saved run, each in a process of its own, beside the start-up alone."""
    imdb = folder / "imdb.txt"
    tokens = write_reviews(data / "imdb", imdb)
    for key, name, (text, settings), goal in (
        ("ptb", "PTB", settings_of("ptb", data), 1.6),
        ("wikitext-2", "WikiText-2", settings_of("wikitext-2", data), 4.0),
        ("imdb", f"IMDB ({tokens / 1e6:.2f} M tokens)", (imdb, {**PTB, "split": "100/0/0"}), 25.0),
    ):
        used: list[Usage] = []

        def whole(text: Path = text, settings: Any = settings, used: Any = used) -> float:
            used.append(job(folder, str(text), settings))
            return used[-1].seconds

        sides = {"thence": whole, "start-up": lambda: job(folder).seconds}
        claim = f"{name}, order 5, text to saved run"
        RESULTS.measure(f"job-{key}", claim, sides, goal=f"<= {goal:g}", ratio=False)
        peaks = {"thence": [usage.peak / 1e9 for usage in used]}
        RESULTS.add(f"memory-{key}", f"{claim}: peak memory", peaks, "GB")


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


def job(folder: Path, *given: Any) -> Usage:
    """Train in a process of its own, with nothing in the cache; without a text only start it."""
    with TemporaryDirectory(dir=folder) as fresh:
        words = [given[0], f"{fresh}/run", json.dumps(given[1])] if given else []
        return command([sys.executable, "-c", JOB, *words], THENCE_HOME=f"{fresh}/home")


def scoring(data: Path, folder: Path) -> None:
    """Loading, and scoring the test text many times over, beside KenLM's module."""
    folder = folder / "ptb-5"
    loading = {"thence": cpu(lambda: thence.Run(folder).model)}
    RESULTS.measure("load", "PTB order 5: loading", loading, goal="<= 0.3")
    run = thence.Run(folder)
    model: Any = run.model
    texts = list(load(data / "ptb" / "ptb.test.txt"))
    store = run.tokenizer.encode(Documents.from_strings(texts * REPEATS))
    sides = {"thence": cpu(lambda: model.score(store))}
    try:
        kenlm = importlib.import_module("kenlm")
    except ImportError:
        print("KenLM is not installed", file=sys.stderr)
    else:
        write_arpa(model.tables, run.tokenizer.vocabulary, folder / "ptb.arpa")
        other = kenlm.Model(str(folder / "ptb.arpa"))
        ours = model.score(run.tokenizer.encode(texts)) / math.log(10)
        theirs = [p for text in texts for p, _, _ in other.full_scores(text)]
        apart = float(np.max(np.abs(ours - theirs)))
        claim = "largest difference from KenLM of a token"
        keep("difference", claim, "log10", goal="<= 0.00001", thence=apart)
        sides["KenLM, line by line"] = cpu(lambda: [other.score(t) for t in texts * REPEATS])
    scale = 1e9 / store.num_targets
    RESULTS.measure("score", "scoring a token, one thread", sides, "ns", scale)


if __name__ == "__main__":
    main()
