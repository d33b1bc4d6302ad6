"""The numbers of the classic lectures on names.txt, measured against what they should be.

    python benchmarks/names.py path/to/names.txt

The last part times a plain notebook loop (200,000 steps, a minute or two) and thence training the
same network in turn, both from the text to the dev loss.
"""

import argparse
import itertools
import random
import time
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from measuring import Results, cpu

import thence  # Before torch, which it tells how its threads wait.
from thence.batches import windows
from thence.batches.windows import group_by_context

import torch  # isort: skip
from torch.nn import functional  # isort: skip

CLOSED = {"unknown": "refuse"}
"""27 symbols, as in the lectures: the letters and the boundary, no symbol for unknown ones."""

QUICK = {"lr": 0.05, "epochs": 12}
GOOD = {"lr": 0.05, "epochs": 40}
BEST = Path(__file__).parent.parent / "recipes" / "names-mlp-best.toml"

RESULTS = Results("names", "python benchmarks/names.py NAMES", ("numpy", "torch"))


def main() -> None:
    """Measure everything and keep the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", type=Path, help="names.txt, one name a line")
    parser.add_argument("--no-loop", action="store_true", help="leave the notebook loop out")
    arguments = parser.parse_args()
    parts = [split_sizes, bigrams, neural_bigram, sizes, overfitting, best]
    with TemporaryDirectory() as folder:
        for part in parts if arguments.no_loop else [*parts, speed_to_quality]:
            part(arguments.names.resolve(), Path(folder))


def keep(key: str, claim: str, value: float, unit: str = "nats", **facts: Any) -> None:
    """Keep one number."""
    RESULTS.add(key, claim, {"thence": [value]}, unit, **facts)


def split_sizes(names: Path, folder: Path) -> None:
    """The seeded split of the lectures, in targets."""
    run = thence.train(names, "bigram-counts", output=folder / "split", **CLOSED)
    for split, expected in (("train", 182_625), ("dev", 22_655), ("test", 22_866)):
        found = run.store(split).num_targets
        keep(f"targets-{split}", f"targets of {split}", found, "", goal=f"= {expected}")


def bigrams(names: Path, folder: Path) -> None:
    """Bigram counts on all names, with and without smoothing."""
    whole = {"split": "100/0/0", **CLOSED}
    runs = {
        k: thence.train(names, "bigram-counts", output=folder / f"counts-{k}", add_k=k, **whole)
        for k in (0, 1)
    }
    every = [line["log_probability"] for line in thence.score(runs[1], runs[1].documents("train"))]
    unseen = [next(thence.score(runs[k], ["andrejq"]))["log_probability"] for k in (0, 1)]
    assert unseen[0] is None  # Impossible without smoothing.
    plain, smooth = (thence.evaluate(run, "train").nats_per_token for run in runs.values())
    keep("bigram-counts", "bigram counts, all names", plain, goal="2.4541")
    keep("bigram-counts-1", "bigram counts, k = 1", smooth)
    keep("impossible", "names impossible with k = 1", every.count(None), "", goal="= 0")
    keep("andrejq", "log-probability of andrejq, k = 1 (with k = 0 impossible)", unseen[1])


def neural_bigram(names: Path, folder: Path) -> None:
    """The one-layer network against the counts it can at best reach."""
    whole = {"split": "100/0/0", **CLOSED}
    counts = thence.train(names, "bigram-counts", output=folder / "c", add_k=0, **whole)
    network = thence.train(names, "bigram", output=folder / "b", lr=0.3, steps=600, **whole)
    losses = [thence.evaluate(run, "train").nats_per_token for run in (counts, network)]
    note = f"in {network.metrics()[-1]['seconds']:.2f} s"
    claim = "neural bigram above the counts"
    keep("neural-bigram", claim, losses[1] - losses[0], goal="<= 0.002", note=note)


def sizes(names: Path, folder: Path) -> None:
    """The three networks of the lectures; the largest trained well."""
    for embedding, hidden, expected in ((2, 100, 3_481), (2, 300, 10_281), (10, 200, 11_897)):
        shape = {"context": 3, "embedding_size": embedding, "hidden_size": hidden}
        key, name = f"mlp-{embedding}-{hidden}", f"mlp, context 3, {embedding} x {hidden}"
        run = thence.train(names, "mlp", output=folder / key, **shape, **GOOD, **CLOSED)
        size = run.model.num_parameters()
        keep(f"{key}-size", f"{name}: parameters", size, "", goal=f"= {expected}")
        dev = thence.evaluate(run, "dev").nats_per_token
        note = f"in {run.metrics()[-1]['seconds']:.2f} s of training"
        keep(key, f"{name}: dev", dev, goal="<= 2.15" if hidden == 200 else "", note=note)


def overfitting(names: Path, folder: Path) -> None:
    """Five names learned by heart: what is left is the entropy that equal contexts force."""
    few = folder / "five.txt"
    few.write_text("\n".join(names.read_text("utf-8").split("\n")[:5]) + "\n", "utf-8")
    shape = {"context": 3, "embedding_size": 2, "hidden_size": 100}
    run = thence.train(
        few, "mlp", output=folder / "five", split="100/0/0", steps=1000, lr=0.05, **shape, **CLOSED
    )
    store = run.store("train")
    above = thence.evaluate(run, "train").nats_per_token - conditional_entropy(
        store, 3, len(run.tokenizer.vocabulary)
    )
    keep("five-names", "five names: loss above the forced entropy", above, goal="<= 0.01")


def conditional_entropy(store: thence.tokens.TokenStore, context: int, size: int) -> float:
    """Return the entropy in nats of the target given its context, as counted in a store."""
    order, starts = group_by_context(windows(store, context), size)
    nats = 0.0
    for first, last in itertools.pairwise(starts):
        counts = np.bincount(store.targets[order[first:last]])
        shares = counts[counts > 0] / counts.sum()
        nats -= counts.sum() * float(shares @ np.log(shares))
    return nats / store.num_targets


def best(names: Path, folder: Path) -> None:
    """One larger network, within two minutes from the text to the saved run."""
    started = time.monotonic()
    measured: list[thence.Run] = []
    work = partial(thence.train, names, config=BEST, output=folder / "best")
    seconds = cpu(lambda: measured.append(work()))()
    note = f"{time.monotonic() - started:.1f} s in all"
    (run,) = measured
    dev, test = (thence.evaluate(run, split).nats_per_token for split in ("dev", "test"))
    name = f"best mlp ({run.model.num_parameters():,} parameters)"
    keep("best-dev", f"{name}: dev", dev, goal="<= 1.99")
    keep("best-test", f"{name}: test", test)
    keep("best-seconds", f"{name}: processor time", seconds, "s", goal="<= 120", note=note)


def speed_to_quality(names: Path, folder: Path) -> None:
    """The plain loop and thence, both from the text to dev 2.17 or better."""
    shape = {"context": 3, "embedding_size": 10, "hidden_size": 200}
    number, losses = itertools.count(), {"thence": 0.0, "notebook loop": 0.0}

    def ours() -> None:
        output = folder / f"quick-{next(number)}"
        run = thence.train(names, "mlp", output=output, threads=1, **shape, **QUICK, **CLOSED)
        losses["thence"] = thence.evaluate(run, "dev").nats_per_token

    def theirs() -> None:
        losses["notebook loop"] = notebook_loop(names)

    sides = {"thence": cpu(ours), "notebook loop": cpu(theirs)}
    claim = "processor time of the same network, text to dev loss"
    RESULTS.measure("speed", claim, sides, goal="ratio <= 0.033")
    RESULTS.add("speed-dev", "its dev loss", {k: [v] for k, v in losses.items()}, goal="<= 2.17")


def notebook_loop(names: Path) -> float:
    """Train as a notebook does; return dev nats."""
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
        return float(loss_on(dev_x, dev_y))


if __name__ == "__main__":
    main()
