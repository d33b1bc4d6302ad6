"""Variations of how networks are trained, at equal processor seconds.

    python benchmarks/experiments.py DATA run TEXT VARIATION SEED [SEED ...]
    python benchmarks/experiments.py DATA table

``run`` trains a small network for the steps of ``TEXTS``, or for as many as take equally long where
a step of the variation takes longer, and adds its loss on dev to ``results/experiments.jsonl``.
``table`` compares what is there: the mean difference over the seeds, and the p-value of a paired
t-test. ``docs/experiments.md`` tells what came of it. A training takes 10 to 20 seconds.
"""

import argparse
import json
import math
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import mean, median
from typing import Any

import thence  # noqa: F401  (Before torch, which it tells how its threads wait.)
from thence.models.registry import get_family
from thence.recipes.options import TrainingOptions
from thence.recipes.recipe import Recipe, make_recipe
from thence.training.data import TrainingData, load_data
from thence.training.network_learner import NetworkLearner
from thence.training.schedules import learning_rate_factor
from thence.training.setup import build_setup
from thence.training.world import World

import torch  # isort: skip
from scipy.stats import ttest_rel  # isort: skip
from torch import Tensor, nn  # isort: skip
from torch.nn import functional  # isort: skip

RESULTS = Path(__file__).parent / "results" / "experiments.jsonl"
TIMED_STEPS = 14
"""Steps of the plain training and of the variation that are timed in turn."""


@dataclass(frozen=True)
class Text:
    """A text and the network that is trained on it.

    Attributes:
        path: Below the folder of data sets.
        reading: How it is read.
        kind: What is modelled.
        family: Of the network.
        hidden: Its hidden units.
        steps: Of the plain training.
        train: Tokens of the beginning that it is trained on; None for all.
    """

    path: str
    reading: Mapping[str, Any]
    kind: Any
    family: str
    hidden: int
    steps: int
    train: int | None = None


PLAYS = "tinyshakespeare/input.txt.gz"
RUNNING = {"by": "position", "carry_context": True}
CHARACTERS = {**RUNNING, "tokens": "characters", "keep_empty": True}
WORDS = {**RUNNING, "tokens": "words", "word_split": "whitespace"}
TEXTS = {
    "names": Text("names/names.txt", {}, "names", "gru", 96, 700),
    "names-mlp": Text("names/names.txt", {}, "names", "mlp", 128, 1400),
    "names-lstm": Text("names/names.txt", {}, "names", "lstm", 96, 700),
    "plays": Text(PLAYS, CHARACTERS, "characters", "gru", 128, 700),
    "plays-200k": Text(PLAYS, CHARACTERS, "characters", "gru", 128, 700, 200_000),
    "news": Text("ptb/ptb.train.txt.gz", WORDS, "words", "lstm", 96, 500),
}
DEV_TARGETS = {"names": 10**9, "characters": 30_000, "words": 15_000}
"""Targets of dev, from its beginning, that are scored."""


@dataclass(frozen=True)
class Variation:
    """What differs from the plain training.

    Attributes:
        training: Settings of training.
        rate: Multiple of the learning rate.
        ngrams: Orders of n-grams that have embeddings of their own, in hashed tables.
        last: Share of the learning rate at which it stays at the end.
        snapshots: Steps, as shares of all, whose probabilities are averaged.
    """

    training: Mapping[str, Any] = field(default_factory=dict)
    rate: float = 1.0
    ngrams: tuple[int, ...] = ()
    last: float = 0.0
    snapshots: tuple[float, ...] = (1.0,)


VARIATIONS = {
    "plain": Variation(),
    "double rate": Variation(rate=2.0),
    "muon": Variation({"optimizer": "muon"}),
    "muon, double rate": Variation({"optimizer": "muon"}, rate=2.0),
    "ngrams": Variation(ngrams=(2, 3)),
    "muon and ngrams": Variation({"optimizer": "muon"}, ngrams=(2, 3)),
    "decay 0.03": Variation({"weight_decay": 0.03}),
    "decay 0.3": Variation({"weight_decay": 0.3}),
    "muon, decay 0.3": Variation({"optimizer": "muon", "weight_decay": 0.3}),
    "ema": Variation({"average": "ema", "ema_decay": 0.99}),
    "ema, rate ends at a tenth": Variation({"average": "ema", "ema_decay": 0.99}, last=0.1),
    "2 snapshots": Variation(snapshots=(0.8, 1.0)),
    "3 snapshots": Variation(snapshots=(0.6, 0.8, 1.0)),
}


class WithNgrams(nn.Module):
    """A recurrent network whose symbols have embeddings of the n-grams that they end, too.

    Args:
        network: The network, with its own embedding.
        orders: Of the n-grams.
        boundary: The id before every text.
        rows: Of each table; n-grams share the rows that their hashes fall on.
    """

    context_length = None

    def __init__(
        self, network: Any, orders: tuple[int, ...], boundary: int, rows: int = 1 << 13
    ) -> None:
        super().__init__()
        self.network, self.orders, self.boundary, self.rows = network, orders, boundary, rows
        size = network.options.embedding_size
        self.tables = nn.ModuleList(nn.Embedding(rows, size) for _ in orders)
        for table in self.tables:
            nn.init.zeros_(table.weight)

    def start(self, batch_size: int, device: torch.device) -> Any:
        """Return the state before any text: boundaries, and the state of the network."""
        before = torch.full((batch_size, max(self.orders) - 1), self.boundary, device=device)
        return (before, *self.network.start(batch_size, device))

    def forward(self, ids: Tensor, state: Any) -> tuple[Tensor, Any]:
        """Return the hidden states after each id, and the state after the last."""
        before, *inner = state
        read = torch.cat([before, ids], dim=1)
        first, time_steps = before.shape[1], ids.shape[1]
        added = torch.zeros(())
        for order, table in zip(self.orders, self.tables, strict=True):
            hashes = torch.zeros_like(ids)
            for back in range(order):
                place = read[:, first - back : first - back + time_steps]
                hashes = hashes * 1_000_003 + place + 1
            rows = (hashes * 0x9E3779B1 % (1 << 40) >> 8) % self.rows
            added = added + functional.embedding(rows, table.weight)
        # The network adds them to what it looks up, before its own scaling and dropout.
        scale = math.sqrt(self.network.options.embedding_size)
        hook = self.network.input_dropout.register_forward_pre_hook(
            lambda _, inputs: (inputs[0] + scale * added,)
        )
        hidden, new = self.network(ids, tuple(inner))
        hook.remove()
        return hidden, (read[:, time_steps:], *new)


class Training:
    """One training, step by step."""

    def __init__(
        self, recipe: Recipe, data: TrainingData, variation: Variation, steps: int
    ) -> None:
        torch.manual_seed(recipe.training.seed)
        self.recipe, self.variation, self.steps = recipe, variation, steps
        setup = build_setup(recipe, data)
        self.model, self.batches = setup.network, setup.batches
        if variation.ngrams:
            network, boundary = self.model.network, self.model.vocabulary_size - 1
            self.model.network = WithNgrams(network, variation.ngrams, boundary)
        self.learner = NetworkLearner(self.model, recipe.training, World())

    def step(self, step: int) -> float:
        """Make a step; return its processor seconds."""
        began, training = time.process_time(), self.recipe.training
        done = step / self.steps
        factor = learning_rate_factor(training, step, done)
        if done > 0.5:
            factor = max(factor, self.variation.last)
        self.learner.step([self.batches.at(step)], float(training.lr) * factor, done)  # type: ignore[arg-type]
        return time.process_time() - began

    def run(self, dev: Any) -> tuple[Any, float]:
        """Train to the end; return the scores of dev, and the processor seconds of all steps."""
        at = {max(1, round(share * self.steps)) for share in self.variation.snapshots}
        scores, seconds = [], 0.0
        for step in range(self.steps):
            seconds += self.step(step)
            if step + 1 in at:
                with self.learner.averaged():
                    found = self.model.score(dev, self.recipe.training.carry_context)
                scores.append(torch.from_numpy(found).double())
        mixed = torch.logsumexp(torch.stack(scores), 0) - math.log(len(scores))
        return mixed, seconds


def recipe_for(base: Recipe, text: Text, variation: Variation, seed: int) -> Recipe:
    """Return the recipe of a training on a text, with the sizes of ``thence best``."""
    family = get_family(text.family)
    size = family.sized(text.kind, text.hidden, {})
    options = family.options_class()(**size.options)
    rate = float(size.training["lr"]) * variation.rate
    more = {"lr": rate, "seed": seed, "threads": 1, "precision": "float32", "steps": text.steps}
    training = TrainingOptions(
        **{**size.training, "carry_context": base.training.carry_context},  # type: ignore[arg-type]
    )
    training = replace(training, **{"optimizer": "adamw", **variation.training, **more})
    return replace(base, model=text.family, options=options, training=training)


def run(data_folder: Path, name: str, variation_name: str, seed: int) -> dict[str, Any]:
    """Train once; return the record."""
    text, variation = TEXTS[name], VARIATIONS[variation_name]
    base = make_recipe(str(data_folder / text.path), "ngram", dict(text.reading))
    data = load_data(base)
    if text.train is not None:
        data = replace(data, train=data.train.beginning(text.train))
    plain, recipe = (recipe_for(base, text, one, seed) for one in (Variation(), variation))
    steps, ratio = text.steps, 1.0
    if variation_name != "plain":
        pair = [Training(plain, data, Variation(), steps), Training(recipe, data, variation, steps)]
        times = [[one.step(step) for one in pair] for step in range(TIMED_STEPS)]
        own, others = (median(column) for column in zip(*times[2:], strict=True))
        ratio = others / own
        steps = round(steps / ratio)
    scores, seconds = Training(recipe, data, variation, steps).run(
        data.dev.beginning(DEV_TARGETS[text.kind])
    )
    nats = round(-float(scores.mean()), 4)
    record = {"text": name, "variation": variation_name, "seed": seed, "nats": nats}
    return {**record, "steps": steps, "step": round(ratio, 3), "seconds": round(seconds, 1)}


def table(records: list[dict[str, Any]]) -> str:
    """Return the mean gain of each variation on each text over the seeds, with p-values."""
    nats = {(one["text"], one["variation"], one["seed"]): one["nats"] for one in records}
    lines = ["| text | variation | seeds | plain | gain | p |", "|---|---|---:|---:|---:|---:|"]
    for text, variation in dict.fromkeys((one["text"], one["variation"]) for one in records):
        seeds = [s for t, v, s in nats if (t, v) == (text, variation) and (t, "plain", s) in nats]
        if variation == "plain" or not seeds:
            continue
        plain = [nats[text, "plain", seed] for seed in seeds]
        changed = [nats[text, variation, seed] for seed in seeds]
        p = f"{ttest_rel(plain, changed).pvalue:.3f}" if len(seeds) > 1 else ""
        gain = mean(plain) - mean(changed)
        row = (text, variation, len(seeds), f"{mean(plain):.4f}", f"{gain:+.4f}", p)
        lines.append(f"| {' | '.join(map(str, row))} |")
    return "\n".join(lines)


def main() -> None:
    """Train, or compare what was trained."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path, help="folder of the data sets")
    parser.add_argument("what", choices=["run", "table"])
    parser.add_argument("text", nargs="?", choices=TEXTS)
    parser.add_argument("variation", nargs="?", choices=VARIATIONS)
    parser.add_argument("seeds", nargs="*", type=int)
    given = parser.parse_args()
    if given.what == "table":
        print(table([json.loads(line) for line in RESULTS.read_text("utf-8").splitlines()]))
        return
    for seed in given.seeds:
        line = json.dumps(run(given.data.resolve(), given.text, given.variation, seed))
        print(line, flush=True)
        with RESULTS.open("a", encoding="utf-8") as file:
            file.write(line + "\n")


if __name__ == "__main__":
    main()
