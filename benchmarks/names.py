"""The numbers of the classic lectures on names.txt, measured against what they should be.

    python benchmarks/names.py path/to/names.txt

Prints one table. The last part times a plain notebook loop (200,000 steps, a minute or two)
against thence training the same network, both from the text to the dev loss.
"""

import argparse
import itertools
import os
import platform
import random
import sys
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from torch.nn import functional

import thence
from thence.batches import windows
from thence.batches.windows import group_by_context

CLOSED = {"unknown": "refuse"}
"""27 symbols, as in the lectures: the letters and the boundary, no symbol for unknown ones."""

QUICK = {"lr": 0.05, "epochs": 12}
GOOD = {"lr": 0.05, "epochs": 40}
BEST = Path(__file__).parent.parent / "recipes" / "names-mlp-best.toml"

Row = tuple[str, str, str, bool | None]


def main() -> None:
    """Measure everything and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", type=Path, help="names.txt, one name a line")
    parser.add_argument("--no-loop", action="store_true", help="leave the notebook loop out")
    arguments = parser.parse_args()
    print_machine()
    parts: list[Callable[[Path, Path], list[Row]]] = [
        split_sizes, bigrams, neural_bigram, sizes, overfitting, best,
    ]  # fmt: skip
    if not arguments.no_loop:
        parts.append(speed_to_quality)
    rows: list[Row] = []
    with TemporaryDirectory() as folder:
        for part in parts:
            print(f"{part.__name__} ...", file=sys.stderr, flush=True)
            rows += part(arguments.names.resolve(), Path(folder))
    print_rows(rows)


def print_machine() -> None:
    """Say where and when the figures were measured."""
    load = "/".join(f"{value:.2f}" for value in os.getloadavg())
    print(
        f"{time.strftime('%Y-%m-%d')}, thence {thence.__version__}, torch {torch.__version__}, "
        f"Python {platform.python_version()}, {os.cpu_count()} cores, load at start {load}"
    )


def print_rows(rows: list[Row]) -> None:
    """Print the table as Markdown."""
    print("\n| what | expected | measured | |\n|---|---|---|---|")
    for what, expected, measured, good in rows:
        verdict = {True: "ok", False: "MISSED", None: ""}[good]
        print(f"| {what} | {expected} | {measured} | {verdict} |")


def split_sizes(names: Path, folder: Path) -> list[Row]:
    """The seeded split of the lectures, in targets."""
    run = thence.train(names, "bigram-counts", output=folder / "split", **CLOSED)
    counts = [run.store(split).num_targets for split in ("train", "dev", "test")]
    expected = [182_625, 22_655, 22_866]
    shown = " / ".join(f"{count:,}" for count in counts)
    return [
        ("targets of train / dev / test", "182,625 / 22,655 / 22,866", shown, counts == expected)
    ]


def bigrams(names: Path, folder: Path) -> list[Row]:
    """Bigram counts on all names, with and without smoothing."""
    whole = {"split": "100/0/0", **CLOSED}
    runs = {
        k: thence.train(names, "bigram-counts", output=folder / f"counts-{k}", add_k=k, **whole)
        for k in (0, 1)
    }
    plain = thence.evaluate(runs[0], "train")
    smooth = thence.evaluate(runs[1], "train")
    unseen = [next(thence.score(runs[k], ["andrejq"]))["log_probability"] for k in (0, 1)]
    every = [line["log_probability"] for line in thence.score(runs[1], runs[1].documents("train"))]
    nats = plain.nats_per_token
    return [
        ("bigram counts, all names, nats", "2.4541", f"{nats:.5f}", abs(nats - 2.4541) < 1e-4),
        ("names impossible with k = 1", "0", str(every.count(None)), None not in every),
        ("log-probability of andrejq, k = 0", "-inf", str(unseen[0] or "-inf"), unseen[0] is None),
        ("log-probability of andrejq, k = 1", "finite", f"{unseen[1]:.3f}", unseen[1] is not None),
        ("bigram counts, k = 1, nats", "", f"{smooth.nats_per_token:.4f}", None),
    ]


def neural_bigram(names: Path, folder: Path) -> list[Row]:
    """The one-layer network against the counts it can at best reach."""
    whole = {"split": "100/0/0", **CLOSED}
    counts = thence.train(names, "bigram-counts", output=folder / "c", add_k=0, **whole)
    network = thence.train(names, "bigram", output=folder / "b", lr=0.3, steps=600, **whole)
    losses = [thence.evaluate(run, "train").nats_per_token for run in (counts, network)]
    gap = losses[1] - losses[0]
    seconds = network.metrics()[-1]["seconds"]
    shown = f"{gap:.5f} ({losses[1]:.4f} in {seconds:.2f} s)"
    return [("neural bigram above the counts, nats", "at most 0.002", shown, gap <= 0.002)]


def sizes(names: Path, folder: Path) -> list[Row]:
    """The three networks of the lectures; the largest trained well."""
    rows: list[Row] = []
    for embedding, hidden, expected in ((2, 100, 3_481), (2, 300, 10_281), (10, 200, 11_897)):
        shape = {"context": 3, "embedding_size": embedding, "hidden_size": hidden}
        output = folder / f"mlp-{embedding}-{hidden}"
        run = thence.train(names, "mlp", output=output, **shape, **GOOD, **CLOSED)
        size = run.model.num_parameters()
        name = f"mlp, context 3, embedding {embedding}, hidden {hidden}"
        rows.append((f"{name}: parameters", f"{expected:,}", f"{size:,}", size == expected))
        dev = thence.evaluate(run, "dev")
        shown = f"{dev.nats_per_token:.4f} in {run.metrics()[-1]['seconds']:.2f} s of training"
        bound = "at most 2.15" if hidden == 200 else ""
        good = dev.nats_per_token <= 2.15 if bound else None
        rows.append((f"{name}: dev nats", bound, shown, good))
    return rows


def overfitting(names: Path, folder: Path) -> list[Row]:
    """Five names learned by heart: what is left is the entropy that equal contexts force."""
    few = folder / "five.txt"
    few.write_text("\n".join(names.read_text("utf-8").split("\n")[:5]) + "\n", "utf-8")
    shape = {"context": 3, "embedding_size": 2, "hidden_size": 100}
    run = thence.train(
        few, "mlp", output=folder / "five", split="100/0/0", steps=1000, lr=0.05, **shape, **CLOSED
    )
    store = run.store("train")
    loss = thence.evaluate(run, "train").nats_per_token
    floor = conditional_entropy(store, 3, len(run.tokenizer.vocabulary))
    name = f"five names ({store.num_targets} targets): nats against the forced entropy"
    return [(name, f"{floor:.4f}", f"{loss:.4f}", 0 <= loss - floor < 0.01)]


def conditional_entropy(store: thence.tokens.TokenStore, context: int, size: int) -> float:
    """Return the entropy in nats of the target given its context, as counted in a store."""
    order, starts = group_by_context(windows(store, context), size)
    nats = 0.0
    for first, last in itertools.pairwise(starts):
        counts = np.bincount(store.targets[order[first:last]])
        shares = counts[counts > 0] / counts.sum()
        nats -= counts.sum() * float(shares @ np.log(shares))
    return nats / store.num_targets


def best(names: Path, folder: Path) -> list[Row]:
    """One larger network, within two minutes from the text to the saved run."""
    started, cpu = time.monotonic(), time.process_time()
    run = thence.train(names, config=BEST, output=folder / "best")
    seconds, cpu = time.monotonic() - started, time.process_time() - cpu
    dev = thence.evaluate(run, "dev").nats_per_token
    test = thence.evaluate(run, "test").nats_per_token
    size = f"{run.model.num_parameters():,} parameters"
    shown = f"{seconds:.1f} ({cpu:.1f} of processor)"
    return [
        (f"best mlp ({size}): dev nats", "at most 1.99", f"{dev:.4f}", dev <= 1.99),
        ("best mlp: test nats", "", f"{test:.4f}", None),
        ("best mlp: seconds in all", "at most 120", shown, seconds <= 120),
    ]


def speed_to_quality(names: Path, folder: Path) -> list[Row]:
    """The plain loop against thence, both from the text to dev 2.17 or better."""
    shape = {"context": 3, "embedding_size": 10, "hidden_size": 200}
    times = []
    for attempt in range(3):
        started = time.monotonic()
        run = thence.train(
            names, "mlp", output=folder / f"quick-{attempt}", **shape, **QUICK, **CLOSED
        )
        times.append(time.monotonic() - started)
    dev = thence.evaluate(run, "dev").nats_per_token
    seconds = sorted(times)[1]
    loop_seconds, loop_dev = notebook_loop(names)
    ratio = loop_seconds / seconds
    loop = in_time(loop_dev, loop_seconds)
    return [
        ("notebook loop, 200,000 steps: dev nats", "about 2.17", loop, None),
        ("thence, same network (median of 3)", "at most 2.17", in_time(dev, seconds), dev <= 2.17),
        ("times sooner", "at least 30", f"{ratio:.0f}", ratio >= 30),
    ]


def in_time(nats: float, seconds: float) -> str:
    """Return a loss and the time it took in words."""
    return f"{nats:.4f} in {seconds:.2f} s"


def notebook_loop(names: Path) -> tuple[float, float]:
    """Train as a notebook does; return seconds and dev nats."""
    started = time.monotonic()
    words = names.read_text("utf-8").split()
    symbols = {letter: index + 1 for index, letter in enumerate(sorted(set("".join(words))))}
    symbols["."] = 0
    random.seed(42)
    random.shuffle(words)
    cuts = [0, int(0.8 * len(words)), int(0.9 * len(words))]

    def examples(part: list[str]) -> tuple[torch.Tensor, torch.Tensor]:
        contexts, targets = [], []
        for word in part:
            context = [0] * 3
            for letter in word + ".":
                contexts.append(context)
                targets.append(symbols[letter])
                context = [*context[1:], symbols[letter]]
        return torch.tensor(contexts), torch.tensor(targets)

    train_x, train_y = examples(words[: cuts[1]])
    dev_x, dev_y = examples(words[cuts[1] : cuts[2]])
    generator = torch.Generator().manual_seed(2147483647)
    shapes = [(27, 10), (30, 200), (200,), (200, 27), (27,)]
    parameters = [torch.randn(shape, generator=generator) for shape in shapes]
    for parameter in parameters:
        parameter.requires_grad = True
    table, weights, bias, output, output_bias = parameters

    def loss_on(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        hidden = torch.tanh(table[x].view(-1, 30) @ weights + bias)
        return functional.cross_entropy(hidden @ output + output_bias, y)

    for step in range(200_000):
        chosen = torch.randint(0, len(train_x), (32,), generator=generator)
        loss = loss_on(train_x[chosen], train_y[chosen])
        for parameter in parameters:
            parameter.grad = None
        loss.backward()
        rate = 0.1 if step < 100_000 else 0.01
        for parameter in parameters:
            parameter.data += -rate * parameter.grad
    with torch.no_grad():
        dev = float(loss_on(dev_x, dev_y))
    return time.monotonic() - started, dev


if __name__ == "__main__":
    main()
