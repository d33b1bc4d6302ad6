"""Networks that read sequences, measured: quality in a given time, speed, memory.

    python benchmarks/recurrent.py path/to/data [PART ...]

The folder holds ``ptb``, ``wikitext-2``, ``names``, ``tinyshakespeare`` and ``text8``. The parts
are ``throughput``, ``ptb``, ``names``, ``shakespeare``, ``text8`` and ``memory``; all take about an
hour and a half on two cores that do nothing else.
"""

import argparse
import gzip
import json
import math
import sys
import time
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from measuring import Results, command

import thence  # Before torch, which it tells how its threads wait.
from thence.corpus import ReadingOptions, load
from thence.ensembles.recipe import train_mixture
from thence.training.callbacks import SilentProgress, line_progress

import torch  # isort: skip
from plain_training import WordLanguageModel  # isort: skip

ROOT = Path(__file__).parents[1]
WORDS = {"tokens": "words", "word_split": "whitespace"}
CLASSIC = {"hidden_size": 200, "embedding_size": 200, "layers": 2, "dropout": 0.2}
"""The sizes of the script that everyone copies."""

MEMORY_JOB = """
import json, sys
import thence
thence.train(sys.argv[1], "lstm", output=sys.argv[2], **json.loads(sys.argv[3]))
"""
RESULTS = Results("recurrent", "python benchmarks/recurrent.py DATA", ("torch", "numpy"))


def main() -> None:
    """Measure the chosen parts and keep the results."""
    parts: dict[str, Callable[[Path, Path], None]] = {
        "throughput": throughput, "names": names, "shakespeare": shakespeare, "memory": memory,
        "text8": text8, "ptb": ptb,
    }  # fmt: skip
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path, help="folder of the data sets")
    parser.add_argument("parts", nargs="*", choices=[*parts, []], help="which parts (default: all)")
    given = parser.parse_args()
    with TemporaryDirectory() as folder:
        for part in given.parts or parts:
            parts[part](given.data.resolve(), Path(folder))


def keep(key: str, claim: str, value: float, unit: str, **facts: Any) -> None:
    """Keep one number."""
    RESULTS.add(key, claim, {"thence": [value]}, unit, **facts)


def keep_perplexity(key: str, claim: str, run: thence.Run, **facts: Any) -> None:
    """Keep the perplexity of a run on dev and test."""
    for split in ("dev", "test"):
        given = facts if split == "test" else {}
        keep(f"{key}-{split}", f"{claim}: {split}", perplexity(run, split), "perplexity", **given)


def settings_of(name: str, data: Path) -> tuple[Path, dict[str, Any]]:
    """Return the train file of PTB or WikiText-2 and the settings to read it as published."""
    if name == "ptb":
        folder, names = data / "ptb", ("ptb.train.txt.gz", "ptb.valid.txt", "ptb.test.txt")
        reading = {**WORDS, "unknown": "refuse"}
    else:
        folder, names = data / "wikitext-2", ("train.txt.gz", "valid.txt.gz", "test.txt.gz")
        reading = {**WORDS, "unknown": "symbol", "keep_empty": True}
    given = {"dev": str(folder / names[1]), "test": str(folder / names[2])}
    return folder / names[0], {**reading, **given, "carry_context": True}


def perplexity(run: thence.Run, split: Any) -> float:
    """Return the perplexity of a split, in float32."""
    return math.exp(thence.evaluate(run, split).nats_per_token)


def classic_script(
    train: Any, dev: Any, size: int, steps: int | None
) -> tuple[float, float | None]:
    """Train as the classic script does; return microseconds a token and the dev perplexity.

    Args:
        train: Ids of the train text.
        dev: Ids of the dev text.
        size: Of the vocabulary.
        steps: So many steps only, for the speed; None: one epoch, then judge.
    """
    model = WordLanguageModel(size)
    streams = model.streams(train)
    began, tokens = time.process_time(), 0
    for start in range(0, min(len(streams) - 1, 35 * (steps or 10**9)), 35):
        targets = streams[start + 1 : start + 36]
        model.step(streams[start : start + len(targets)], targets)
        tokens += targets.numel()
    each = (time.process_time() - began) / tokens * 1e6
    if steps is not None:
        return each, None
    model.eval()
    with torch.no_grad():
        streams = model.streams(dev)
        zeros = tuple(torch.zeros_like(part) for part in model.state)
        log_probs, _ = model(streams[:-1], zeros)
        loss = torch.nn.functional.nll_loss(log_probs, streams[1:].flatten())
        return each, math.exp(float(loss))


class Clock(SilentProgress):
    """Processor seconds and targets read between the first step and the last."""

    def __init__(self) -> None:
        self.first: tuple[float, float] | None = None
        self.last = (0.0, 0.0)

    def on_step(self, step: int, tokens: float, share: float) -> None:
        """Note a step."""
        self.last = (time.process_time(), tokens)
        self.first = self.first or self.last

    @property
    def each(self) -> float:
        """Microseconds of processor time a target."""
        assert self.first is not None
        return (self.last[0] - self.first[0]) / (self.last[1] - self.first[1]) * 1e6


def throughput(data: Path, folder: Path) -> None:
    """Processor time a token beside the classic script, at the same sizes, in turn."""
    for name, factor, steps in (("ptb", 3, None), ("wikitext-2", 6, 40)):
        text, settings = settings_of(name, data)
        given = {**settings, **CLASSIC, "tied": True, "softmax": "sampled", "batch_size": 32}
        given |= {"epochs": 1, "window": 35, "lr": 0.006, "evaluate_every": 10**6}
        runs: list[thence.Run] = []
        judged: list[float | None] = []

        def ours(text: Path = text, given: Any = given, runs: Any = runs) -> float:
            clock = Clock()
            output = folder / f"speed-{text.parent.name}-{len(runs)}"
            show = lambda _: nullcontext(clock)  # noqa: E731
            runs.append(thence.train(text, "lstm", output=output, progress=show, **given))
            return clock.each

        def theirs(runs: Any = runs, judged: Any = judged, steps: int | None = steps) -> float:
            train, dev = (runs[-1].store(split).ids for split in ("train", "dev"))
            each, found = classic_script(train, dev, len(runs[-1].tokenizer.vocabulary), steps)
            judged.append(found)
            return each

        sides = {"thence": ours, "plain script": theirs}
        claim = f"{name}, LSTM 2 x 200: processor time of a token in training"
        RESULTS.measure(f"step-{name}", claim, sides, "us", goal=f"ratio <= {1 / factor:.3f}")
        dev = {"thence": [perplexity(run, "dev") for run in runs]}
        if None not in judged:
            dev["plain script"] = judged
        claim = f"{name}, LSTM 2 x 200: dev after one epoch"
        RESULTS.add(f"epoch-{name}", claim, dev, "perplexity")


def ptb(data: Path, folder: Path) -> None:
    """Half an hour on PTB: one network, and mixed with counts and caches."""
    text, settings = settings_of("ptb", data)
    places = f'text = "{text}"\n[splitting]\ndev = "{settings["dev"]}"\ntest = "{settings["test"]}"'
    recipe = (ROOT / "recipes" / "mixtures" / "ptb.toml").read_text("utf-8")
    path = folder / "ptb.toml"
    path.write_text(recipe.replace('text = "ptb"', places), "utf-8")
    began = time.monotonic()
    mixed = train_mixture(path, folder / "ptb", line_progress)
    seconds = time.monotonic() - began
    lstm, counts = (thence.Run(part) for part in sorted((folder / "ptb-runs").iterdir()))
    last = lstm.metrics()[-1]
    note = (
        f"after {last['seconds'] / 60:.1f} min, {last['tokens'] / last['seconds']:,.0f} tokens/s, "
        f"{last['epoch']:.1f} epochs"
    )
    keep_perplexity("ptb-lstm", "PTB, LSTM in 30 minutes", lstm, goal="<= 100", note=note)
    keep_perplexity("ptb-counts", "PTB, KN-5", counts)
    note = f"after {seconds / 60:.1f} min in all"
    claim = "PTB, LSTM + KN-5 + caches"
    keep_perplexity("ptb-mixed", claim, mixed, goal="<= 85", note=note)


SEQUENCES: dict[str, dict[str, Any]] = {
    "rnn": {"hidden_size": 384, "embedding_size": 48, "dropout": 0.25, "lr": 0.003},
    "gru": {"hidden_size": 256, "embedding_size": 48, "dropout": 0.25, "lr": 0.006},
    "lstm": {"hidden_size": 384, "embedding_size": 64, "dropout": 0.35, "lr": 0.006},
    "transformer": {"embedding_size": 96, "layers": 4, "heads": 4, "context": 20, "lr": 0.004},
}


def names(data: Path, folder: Path) -> None:
    """The families on names, and an ensemble of them with counts."""
    text, runs, found = data / "names" / "names.txt", [], {}
    for model, settings in SEQUENCES.items():
        given = {"unknown": "refuse", "batch_size": 256, "average": "ema", "ema_decay": 0.998}
        given |= {"time": "180s" if model == "lstm" else "75s", "output": folder / f"names-{model}"}
        run = thence.train(text, model, progress=line_progress, **given, **settings)
        runs.append(run)
        found[model] = thence.evaluate(run, "dev").nats_per_token
        note = f"in {run.metrics()[-1]['seconds']:.0f} s"
        keep(f"names-{model}", f"names, {model}: dev", found[model], "nats", note=note)
    keep("names-best", "names, the best: dev", min(found.values()), "nats", goal="<= 1.955")
    for order in (3, 4, 5, 6, 7):
        output = folder / f"names-{order}"
        runs.append(thence.train(text, "ngram", output=output, order=order, unknown="refuse"))
    test = thence.evaluate(thence.mix(runs, folder / "names-mixed"), "test").nats_per_token
    keep("names-mixed", "names, all four mixed with counts: test", test, "nats", goal="<= 1.93")


def shakespeare(data: Path, folder: Path) -> None:
    """Characters of tiny shakespeare in 110 seconds of training."""
    whole = list(load(data / "tinyshakespeare" / "input.txt.gz", ReadingOptions(keep_empty=True)))
    text = "\n".join(whole)
    cut = int(0.9 * len(text))  # The first nine tenths train, as in nanoGPT.
    for name, part in (("train", text[:cut]), ("dev", text[cut:])):
        (folder / f"{name}.txt").write_text(part, "utf-8")
    run = thence.train(
        folder / "train.txt", "lstm", output=folder / "shakespeare", dev=str(folder / "dev.txt"),
        unknown="refuse", keep_empty=True, carry_context=True, batch_size=32, window=64,
        hidden_size=384, embedding_size=64, layers=2, dropout=0.2, lr=0.006, time="115s",
        progress=line_progress,
    )  # fmt: skip
    last = run.metrics()[-1]
    nats = thence.evaluate(run, "dev").nats_per_token
    note = f"after {last['seconds']:.0f} s, {last['tokens'] / last['seconds']:,.0f} tokens/s"
    claim = "tiny shakespeare, characters: validation"
    keep("shakespeare", claim, nats, "nats", goal="<= 1.75", note=note)


def text8(data: Path, folder: Path) -> None:
    """The prefix of text8 as words: counts, an LSTM and their mixture."""
    words = gzip.decompress((data / "text8" / "text8.prefix.gz").read_bytes()).decode().split()
    cuts = [0, int(0.9 * len(words)), int(0.95 * len(words)), len(words)]
    paths = []
    for name, first, last in zip(("train", "dev", "test"), cuts, cuts[1:], strict=False):
        paths.append(folder / f"text8-{name}.txt")
        lines = [" ".join(words[at : min(at + 1000, last)]) for at in range(first, last, 1000)]
        paths[-1].write_text("\n".join(lines) + "\n", "utf-8")
    settings = {**WORDS, "max_size": 50_000, "dev": str(paths[1]), "test": str(paths[2]),
                "carry_context": True}  # fmt: skip
    began = time.monotonic()
    counts = thence.train(paths[0], "ngram", output=folder / "text8-ngram", **settings)
    lstm = thence.train(
        paths[0], "lstm", output=folder / "text8-lstm", softmax="sampled", tied=True, window=35,
        embedding_size=256, hidden_size=320, dropout=0.4, input_dropout=0.3, batch_size=32,
        lr=0.005, time="4m", progress=line_progress, **settings,
    )  # fmt: skip
    mixed = thence.mix([lstm, counts], folder / "text8-mixed", cache=500)
    minutes = (time.monotonic() - began) / 60
    for key, run in (("KN-5", counts), ("LSTM", lstm), ("LSTM + KN-5 + caches", mixed)):
        keep_perplexity(f"text8-{key}", f"text8 prefix, {key}", run)
    keep("text8-minutes", "text8 prefix: time in all", minutes, "min", goal="<= 20")


def memory(data: Path, folder: Path) -> None:
    """Peak memory of training a large LSTM on WikiText-2, in a process of its own."""
    text, settings = settings_of("wikitext-2", data)
    given = {**settings, "hidden_size": 512, "embedding_size": 512, "tied": True, "steps": 30,
             "batch_size": 32, "window": 70, "evaluate_every": 1000}  # fmt: skip
    words = [sys.executable, "-c", MEMORY_JOB, text, folder / "memory", json.dumps(given)]
    claim = "WikiText-2, LSTM of 512 units, full softmax: peak memory"
    keep("memory", claim, command(words).peak / 1e9, "GB", goal="<= 2")


if __name__ == "__main__":
    main()
