"""Variations of how networks are trained, at equal processor seconds.

    python benchmarks/experiments.py DATA run TEXT VARIATIONS SEED [SEED ...]
    python benchmarks/experiments.py DATA table

``run`` trains a small network for the steps of ``TEXTS``, or for as many as take equally long where
a step of the variation takes longer, and adds its loss on dev, alone and mixed with counted
n-grams, to a file of ``results``. ``table`` compares what is there: the mean difference over the
seeds, and the p-value of a paired t-test. ``docs/experiments.md`` tells what came of it. A training
takes 10 to 40 seconds. ``results/experiments.jsonl`` is of another machine, and of trainings alone.
"""

import argparse
import json
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import mean, median
from typing import Any

import numpy as np
from experiment_parts import (
    Change,
    gated_heads,
    mixed_softmaxes,
    more_samples,
    ngrams,
    taught,
    two_tokens,
)

import thence  # noqa: F401  (Before torch, which it tells how its threads wait.)
from thence.autopilot.candidates import TrainedCandidate
from thence.autopilot.combining import _mixed
from thence.models.ngram import NGram, NGramOptions
from thence.models.ngram.model import fit_orders
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

RESULTS = Path(__file__).parent / "results" / "experiments-networks.jsonl"
TIMED_STEPS = 40
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
        options: Settings of a network whose family has no sizes.
        training: Settings of its training.
    """

    path: str
    reading: Mapping[str, Any]
    kind: Any
    family: str
    hidden: int
    steps: int
    train: int | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    training: Mapping[str, Any] = field(default_factory=dict)


PLAYS = "tinyshakespeare/input.txt.gz"
RUNNING = {"by": "position", "carry_context": True}
CHARACTERS = {**RUNNING, "tokens": "characters", "keep_empty": True}
WORDS = {**RUNNING, "tokens": "words", "word_split": "whitespace"}
ATTENDING = {"embedding_size": 96, "layers": 3, "heads": 4, "context": 64, "dropout": 0.0}
OF_WORDS = {**ATTENDING, "layers": 2, "softmax": "sampled", "dropout": 0.1}
STREAMS = {"lr": 0.004, "batch_size": 16, "window": 64, "vary_windows": True, "clip": 5.0}
DOCUMENTS = {"lr": 0.004, "batch_size": 128, "clip": 5.0}
TEXTS = {
    "names": Text("names/names.txt", {}, "names", "gru", 96, 700),
    "names-mlp": Text("names/names.txt", {}, "names", "mlp", 128, 1400),
    "names-lstm": Text("names/names.txt", {}, "names", "lstm", 96, 700),
    "plays": Text(PLAYS, CHARACTERS, "characters", "gru", 128, 700),
    "plays-200k": Text(PLAYS, CHARACTERS, "characters", "gru", 128, 700, 200_000),
    "news": Text("ptb/ptb.train.txt.gz", WORDS, "words", "lstm", 96, 500),
    "news-256": Text("ptb/ptb.train.txt.gz", WORDS, "words", "lstm", 256, 700),
    "wiki": Text("wikitext-2/train.txt.gz", WORDS, "words", "lstm", 96, 400, 800_000),
    "names-transformer": Text(
        "names/names.txt", {}, "names", "transformer", 96, 300, None, ATTENDING, DOCUMENTS
    ),
    "plays-transformer": Text(
        PLAYS, CHARACTERS, "characters", "transformer", 96, 700, None, ATTENDING, STREAMS
    ),
    "news-transformer": Text(
        "ptb/ptb.train.txt.gz", WORDS, "words", "transformer", 96, 500, None, OF_WORDS, STREAMS
    ),
}
ORDERS = {"names": range(2, 8), "characters": (3, 4, 5, 6, 7, 9), "words": (3, 5)}
"""Orders of the counted n-grams that the networks are mixed with, as in ``thence best``."""
DEV_TARGETS = {"names": 10**9, "characters": 30_000, "words": 15_000}
"""Targets of dev, from its beginning, that are scored."""


@dataclass(frozen=True)
class Variation:
    """What differs from the plain training.

    Attributes:
        training: Settings of training.
        rate: Multiple of the learning rate.
        options: Settings of the model.
        change: Is called with the model before its training.
        late: Is called with the model and the share of the steps that are done before each step.
        teachers: How many models of other seeds are trained before, and teach it.
        last: Share of the learning rate at which it stays at the end.
        snapshots: Steps, as shares of all, whose probabilities are averaged.
        over: The variation that it is compared with.
    """

    training: Mapping[str, Any] = field(default_factory=dict)
    rate: float = 1.0
    options: Mapping[str, Any] = field(default_factory=dict)
    change: Change | None = None
    late: Callable[[Any, float], None] | None = None
    teachers: int = 0
    last: float = 0.0
    snapshots: tuple[float, ...] = (1.0,)
    over: str = "plain"


MUON: Mapping[str, Any] = {"optimizer": "muon"}
VARIATIONS = {
    "plain": Variation(),
    "double rate": Variation(rate=2.0),
    "muon": Variation(MUON),
    "muon, double rate": Variation(MUON, rate=2.0),
    "ngrams": Variation(change=ngrams(2, 3)),
    "muon and ngrams": Variation(MUON, change=ngrams(2, 3)),
    "decay 0.03": Variation({"weight_decay": 0.03}),
    "decay 0.3": Variation({"weight_decay": 0.3}),
    "muon, decay 0.3": Variation({**MUON, "weight_decay": 0.3}),
    "ema": Variation({"average": "ema", "ema_decay": 0.99}),
    "ema, rate ends at a tenth": Variation({"average": "ema", "ema_decay": 0.99}, last=0.1),
    "2 snapshots": Variation(snapshots=(0.8, 1.0)),
    "3 snapshots": Variation(snapshots=(0.6, 0.8, 1.0)),
    "SwiGLU": Variation(options={"feed_forward": "swiglu"}),
    "gated heads": Variation(change=gated_heads),
    "muon, 2 softmaxes": Variation(MUON, change=mixed_softmaxes(2), over="muon"),
    "2 tokens": Variation(change=two_tokens(0.3)),
    "muon, 2 tokens": Variation(MUON, change=two_tokens(0.3), over="muon"),
    "muon, 2 teachers": Variation(MUON, teachers=2, over="muon"),
    "samples 384": Variation(options={"samples": 384}),
    "samples 512": Variation(options={"samples": 512}),
    "samples 1024": Variation(options={"samples": 1024}),
    "samples 512, then 2048": Variation(options={"samples": 512}, late=more_samples(2048, 0.8)),
    "samples 512, then 4096": Variation(options={"samples": 512}, late=more_samples(4096, 0.8)),
    "samples 2048, then all": Variation(late=more_samples(10**6, 0.85)),
}
PLAIN: Mapping[str, Any] = {"samples": 2048}
"""Settings of plain networks that those of ``thence best`` no longer have."""
TEACHING = 0.2
"""Share of the steps of the plain training that each teacher is trained for."""


class Training:
    """One training, step by step."""

    def __init__(
        self,
        recipe: Recipe,
        data: TrainingData,
        variation: Variation,
        steps: int,
        teachers: Sequence[Any] = (),
    ) -> None:
        torch.manual_seed(recipe.training.seed)
        self.recipe, self.variation, self.steps = recipe, variation, steps
        setup = build_setup(recipe, data)
        self.model, self.batches = setup.network, setup.batches
        for change in (variation.change, taught(teachers) if teachers else None):
            if change is not None:
                change(self.model)
        self.learner = NetworkLearner(self.model, recipe.training, World())

    def step(self, step: int) -> float:
        """Make a step; return its processor seconds."""
        began, training = time.process_time(), self.recipe.training
        done = step / self.steps
        self.model.done = done
        factor = learning_rate_factor(training, step, done)
        if done > 0.5:
            factor = max(factor, self.variation.last)
        if self.variation.late is not None:
            self.variation.late(self.model, done)
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
        return mixed.numpy(), seconds


def recipe_for(base: Recipe, text: Text, variation: Variation, seed: int) -> Recipe:
    """Return the recipe of a training on a text, with the sizes of ``thence best``."""
    family = get_family(text.family)
    if family.size is None:
        options, own = dict(text.options), dict(text.training)
    else:
        size = family.sized(text.kind, text.hidden, {})
        options, own = dict(size.options), dict(size.training)
    rate = float(own["lr"]) * variation.rate
    more = {"lr": rate, "seed": seed, "threads": 1, "precision": "float32", "steps": text.steps}
    training = TrainingOptions(**{**own, "carry_context": base.training.carry_context})
    training = replace(training, **{"optimizer": "adamw", **variation.training, **more})
    made = family.options_class()(**{**options, **PLAIN, **variation.options})
    return replace(base, model=text.family, options=made, training=training)


class Bench:
    """A text, its networks, and counted n-grams to mix them with.

    Args:
        data_folder: That of the data sets.
        name: Of the text.
        times: Multiple of its steps.
    """

    def __init__(self, data_folder: Path, name: str, times: float = 1.0) -> None:
        self.name, self.text = name, TEXTS[name]
        if times != 1:
            self.name = f"{name}, {times:g} times"
            self.text = replace(self.text, steps=round(times * self.text.steps))
        text = self.text
        self.base = make_recipe(str(data_folder / text.path), "ngram", dict(text.reading))
        self.data = load_data(self.base)
        if text.train is not None:
            self.data = replace(self.data, train=self.data.train.beginning(text.train))
        self.dev = self.data.dev.beginning(DEV_TARGETS[text.kind])
        self.carries = self.base.training.carry_context
        size = len(self.data.tokenizer.vocabulary)
        models = [NGram(NGramOptions(order=order), size) for order in ORDERS[text.kind]]
        fitted = fit_orders(models, self.data.train, self.carries)
        self.counted = [
            self.candidate("ngram", one.options, one, one.score(self.dev, self.carries))
            for one in fitted
        ]

    def candidate(self, family: str, options: Any, model: Any, scores: Any) -> TrainedCandidate:
        """Return a model as the autopilot knows it."""
        nats = -float(scores.mean())
        name = f"{family} {options}"
        return TrainedCandidate(name, family, options, model, scores, nats, None, self.carries)

    def run(self, variation_name: str, seed: int) -> dict[str, Any]:
        """Train once; return the record."""
        variation, data, steps = VARIATIONS[variation_name], self.data, self.text.steps
        over = VARIATIONS[variation.over]
        plain, recipe = (recipe_for(self.base, self.text, one, seed) for one in (over, variation))
        ratio, spent, teachers = 1.0, 0, []
        for number in range(variation.teachers):
            spent += round(TEACHING * steps)
            teacher = replace(plain, training=replace(plain.training, seed=seed + 1000 + number))
            made = Training(teacher, data, over, round(TEACHING * steps))
            made.run(self.dev)
            teachers.append(made.model.eval())
        if variation != over:
            pair = [
                Training(plain, data, over, TIMED_STEPS),
                Training(recipe, data, variation, TIMED_STEPS, teachers),
            ]
            pair[0].step(0), pair[1].step(0)  # Warms up.
            times = [[one.step(step) for one in pair] for step in range(TIMED_STEPS)]
            # What a step takes may change in the course of a training.
            parts = [zip(*times[at : at + 5], strict=True) for at in range(0, TIMED_STEPS, 5)]
            own, others = np.sum([[median(column) for column in part] for part in parts], axis=0)
            ratio = float(others / own)
            steps = round((steps - spent) / ratio)
        training = Training(recipe, data, variation, steps, teachers)
        scores, seconds = training.run(self.dev)
        # Only the scores count; a changed network would not be one of the family.
        unchanged = build_setup(plain, data).network
        network = self.candidate(self.text.family, plain.options, unchanged, scores)
        mixed = _mixed(
            [*self.counted, network], self.dev, len(data.tokenizer.vocabulary), adapts=False
        )
        return {
            "text": self.name, "variation": variation_name, "seed": seed,
            "nats": round(network.nats, 4), "mixed": round(mixed.nats, 4), "steps": steps,
            "step": round(ratio, 3), "seconds": round(seconds, 1),
        }  # fmt: skip


def table(records: list[dict[str, Any]]) -> str:
    """Return the mean gain of each variation on each text over the seeds, with p-values."""
    found = {(one["text"], one["variation"], one["seed"]): one for one in records}
    lines = [
        "| text | variation | seeds | plain | gain | p | gain mixed | p |",
        "|---|---|---:|---:|---:|---:|---:|---:|",
    ]
    for text, variation in dict.fromkeys((one["text"], one["variation"]) for one in records):
        over = VARIATIONS[variation].over
        seeds = [s for t, v, s in found if (t, v) == (text, variation) and (t, over, s) in found]
        if variation == over or not seeds:
            continue
        row: list[Any] = [text, variation, len(seeds)]
        for key in ("nats", "mixed"):
            pairs = [(found[text, over, s], found[text, variation, s]) for s in seeds]
            pairs = [(a[key], b[key]) for a, b in pairs if key in a and key in b]
            if not pairs:
                row += ["", ""]
                continue
            plain, changed = zip(*pairs, strict=True)
            p = f"{ttest_rel(plain, changed).pvalue:.3f}" if len(pairs) > 1 else ""
            row += [f"{mean(plain):.4f}"] * (key == "nats")
            row += [f"{mean(plain) - mean(changed):+.4f}", p]
        lines.append(f"| {' | '.join(map(str, row))} |")
    return "\n".join(lines)


def main() -> None:
    """Train, or compare what was trained."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path, help="folder of the data sets")
    parser.add_argument("what", choices=["run", "table"])
    parser.add_argument("text", nargs="?", choices=TEXTS)
    parser.add_argument("variations", nargs="?", help="names, between semicolons")
    parser.add_argument("seeds", nargs="*", type=int)
    parser.add_argument("--times", type=float, default=1.0, help="multiple of the steps")
    parser.add_argument("--results", type=Path, default=RESULTS)
    given = parser.parse_args()
    if given.what == "table":
        print(table([json.loads(line) for line in given.results.read_text("utf-8").splitlines()]))
        return
    torch.set_num_threads(1)
    bench = Bench(given.data.resolve(), given.text, given.times)
    for seed in given.seeds:
        for variation in given.variations.split(";"):
            line = json.dumps(bench.run(variation.strip(), seed))
            print(line, flush=True)
            with given.results.open("a", encoding="utf-8") as file:
                file.write(line + "\n")


if __name__ == "__main__":
    main()
