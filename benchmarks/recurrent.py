"""Networks that read sequences, measured: quality in a given time, speed, memory.

    python benchmarks/recurrent.py path/to/data [PART ...]

The folder holds ``ptb``, ``wikitext-2``, ``names``, ``tinyshakespeare`` and ``text8``. The parts
are ``throughput``, ``ptb``, ``names``, ``shakespeare``, ``text8`` and ``memory``; all take about an
hour and a half on two cores that do nothing else. Prints one table.
"""

import argparse
import json
import math
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

import thence  # Before torch, which it tells how its threads wait.
from thence.corpus import ReadingOptions, load
from thence.ensembles.recipe import train_mixture
from thence.training.progress import SilentProgress, line_progress

import torch  # isort: skip
from torch import nn  # isort: skip

ROOT = Path(__file__).parents[1]
WORDS = {"tokens": "words", "word_split": "whitespace"}
CLASSIC = {"hidden_size": 200, "embedding_size": 200, "layers": 2, "dropout": 0.2}
"""The sizes of the script that everyone copies."""

MEMORY_JOB = """
import json, sys
from pathlib import Path
import thence
text, output, settings = sys.argv[1], sys.argv[2], json.loads(sys.argv[3])
thence.train(text, "lstm", output=output, **settings)
status = Path("/proc/self/status").read_text()
print(int(status.split("VmHWM:")[1].split()[0]) * 1024)
"""

Row = tuple[str, str, str, bool | None]


def main() -> None:
    """Measure the chosen parts and print the table."""
    parts: dict[str, Callable[[Path, Path], list[Row]]] = {
        "throughput": throughput, "names": names, "shakespeare": shakespeare, "memory": memory,
        "text8": text8, "ptb": ptb,
    }  # fmt: skip
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path, help="folder of the data sets")
    parser.add_argument("parts", nargs="*", choices=[*parts, []], help="which parts (default: all)")
    given = parser.parse_args()
    load_now = "/".join(f"{value:.2f}" for value in os.getloadavg())
    print(
        f"{time.strftime('%Y-%m-%d')}, thence {thence.__version__}, torch {torch.__version__}, "
        f"Python {platform.python_version()}, {os.cpu_count()} cores, load at start {load_now}"
    )
    print("\n| what | expected | measured | |\n|---|---|---|---|", flush=True)
    with TemporaryDirectory() as folder:
        for part in given.parts or parts:
            for what, expected, measured, good in parts[part](given.data.resolve(), Path(folder)):
                verdict = {True: "ok", False: "MISSED", None: ""}[good]
                print(f"| {what} | {expected} | {measured} | {verdict} |", flush=True)


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


class Classic(nn.Module):
    """The network of the classic word-language-model script: two LSTM layers, full softmax."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(size, 200)
        self.lstm = nn.LSTM(200, 200, 2, dropout=0.2)
        self.drop = nn.Dropout(0.2)
        self.output = nn.Linear(200, size)
        for weight in (self.embedding.weight, self.output.weight):
            nn.init.uniform_(weight, -0.1, 0.1)
        nn.init.zeros_(self.output.bias)

    def forward(self, ids: Any, state: Any) -> Any:
        """Return the logits of every place, and the new state."""
        values, state = self.lstm(self.drop(self.embedding(ids)), state)
        return self.output(self.drop(values)).flatten(0, 1), state


def classic_script(
    train: Any, dev: Any, size: int, steps: int | None
) -> tuple[float, float | None]:
    """Train as the classic script does; return tokens a second and the dev perplexity.

    Args:
        train: Ids of the train text.
        dev: Ids of the dev text.
        size: Of the vocabulary.
        steps: So many steps only, for the speed; None: one epoch, then judge.
    """
    torch.manual_seed(1)
    model, state, loss_of = Classic(size), None, nn.CrossEntropyLoss()
    streams = torch.from_numpy(train[: len(train) // 20 * 20].astype(np.int64)).view(20, -1).T
    began, tokens = time.perf_counter(), 0
    for start in range(0, min(len(streams) - 1, 35 * (steps or 10**9)), 35):
        ids, targets = streams[start : start + 35], streams[start + 1 : start + 36]
        model.zero_grad()
        logits, state = model(ids[: len(targets)], state)
        state = tuple(part.detach() for part in state)
        loss_of(logits, targets.flatten()).backward()
        nn.utils.clip_grad_norm_(model.parameters(), 0.25)
        with torch.no_grad():
            for parameter in model.parameters():
                parameter -= 20 * parameter.grad
        tokens += targets.numel()
    speed = tokens / (time.perf_counter() - began)
    if steps is not None:
        return speed, None
    model.eval()
    with torch.no_grad():
        ids = torch.from_numpy(dev[: len(dev) // 10 * 10].astype(np.int64)).view(10, -1).T
        logits, _ = model(ids[:-1], None)
        return speed, math.exp(float(loss_of(logits, ids[1:].flatten())))


class Clock(SilentProgress):
    """Hears how many targets were read between the first step and the last, and in what time."""

    def __init__(self) -> None:
        self.first: tuple[float, float] | None = None
        self.last = (0.0, 0.0)

    def on_step(self, step: int, tokens: float, share: float) -> None:
        """Hear of a step."""
        self.last = (time.perf_counter(), tokens)
        self.first = self.first or self.last

    @property
    def speed(self) -> float:
        """Targets a second."""
        assert self.first is not None
        return (self.last[1] - self.first[1]) / (self.last[0] - self.first[0])


def throughput(data: Path, folder: Path) -> list[Row]:
    """Tokens a second beside the classic script, at the same sizes."""
    rows: list[Row] = []
    for name, factor, steps in (("ptb", 3, None), ("wikitext-2", 6, 40)):
        text, settings = settings_of(name, data)
        given = {**settings, **CLASSIC, "tied": True, "softmax": "sampled", "batch_size": 32}
        clock = Clock()
        run = thence.train(
            text, "lstm", output=folder / f"speed-{name}",
            progress=lambda _, clock=clock: nullcontext(clock), epochs=1, window=35,
            lr=0.006, evaluate_every=10**6, **given,
        )  # fmt: skip
        ours = clock.speed
        size = len(run.tokenizer.vocabulary)
        theirs, judged = classic_script(run.store("train").ids, run.store("dev").ids, size, steps)
        what = f"{name}, LSTM 2 x 200"
        shown = f"{ours:,.0f} / {theirs:,.0f} = {ours / theirs:.1f}"
        expected = f"at least {factor} times"
        rows.append((f"{what}: training tokens/s by the plain script's", expected,
                     shown, ours / theirs >= factor))  # fmt: skip
        found = perplexity(run, "dev")
        beside = "" if judged is None else f"; the plain script {judged:.1f}"
        good = None if judged is None else found <= 1.02 * judged
        rows.append((f"{what}: dev perplexity after one epoch", "at most 2 % behind",
                     f"{found:.1f}{beside}", good))  # fmt: skip
    return rows


def ptb(data: Path, folder: Path) -> list[Row]:
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
    alone, together = (perplexity(run, "test") for run in (lstm, mixed))
    about = f"{last['tokens'] / last['seconds']:,.0f} tokens/s, {last['epoch']:.1f} epochs"
    return [
        ("PTB, LSTM in 30 minutes: dev perplexity", "", f"{perplexity(lstm, 'dev'):.1f}", None),
        ("PTB, LSTM in 30 minutes: test perplexity", "at most 100 (aim 90)",
         f"{alone:.1f} after {last['seconds'] / 60:.1f} min, {about}", alone <= 100),
        ("PTB, KN-5: test perplexity", "141.2", f"{perplexity(counts, 'test'):.1f}", None),
        ("PTB, LSTM + KN-5 + caches: dev perplexity", "", f"{perplexity(mixed, 'dev'):.1f}", None),
        ("PTB, LSTM + KN-5 + caches: test perplexity", "at most 85 (aim 80)",
         f"{together:.1f} after {seconds / 60:.1f} min in all", together <= 85),
    ]  # fmt: skip


SEQUENCES: dict[str, dict[str, Any]] = {
    "rnn": {"hidden_size": 384, "embedding_size": 48, "dropout": 0.25, "lr": 0.003},
    "gru": {"hidden_size": 256, "embedding_size": 48, "dropout": 0.25, "lr": 0.006},
    "lstm": {"hidden_size": 384, "embedding_size": 64, "dropout": 0.35, "lr": 0.006},
    "transformer": {"embedding_size": 96, "layers": 4, "heads": 4, "context": 20, "lr": 0.004},
}


def names(data: Path, folder: Path) -> list[Row]:
    """The families on names, and an ensemble of them with counts."""
    rows: list[Row] = []
    runs = []
    found: dict[str, float] = {}
    for model, settings in SEQUENCES.items():
        limit = "180s" if model == "lstm" else "75s"
        began = time.monotonic()
        run = thence.train(
            data / "names" / "names.txt", model, output=folder / f"names-{model}",
            unknown="refuse", batch_size=256, time=limit, average="ema", ema_decay=0.998,
            progress=line_progress, **settings,
        )  # fmt: skip
        seconds = time.monotonic() - began
        runs.append(run)
        found[model] = thence.evaluate(run, "dev").nats_per_token
        shown = f"{found[model]:.4f} in {seconds:.0f} s"
        rows.append((f"names, {model}: dev nats, seconds in all", "", shown, None))
    best = min(found.values())
    rows.append(
        ("names, the best of them: dev nats", "at most 1.955", f"{best:.4f}", best <= 1.955)
    )
    runs += [
        thence.train(
            data / "names" / "names.txt", "ngram", output=folder / f"names-{order}",
            order=order, unknown="refuse",
        )
        for order in (3, 4, 5, 6, 7)
    ]  # fmt: skip
    mixed = thence.mix(runs, folder / "names-mixed")
    test = thence.evaluate(mixed, "test").nats_per_token
    rows.append(
        (
            "names, all four mixed with counts: test nats",
            "at most 1.93",
            f"{test:.4f}",
            test <= 1.93,
        )
    )
    return rows


def shakespeare(data: Path, folder: Path) -> list[Row]:
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
    shown = f"{nats:.4f} after {last['seconds']:.0f} s, {last['tokens'] / last['seconds']:,.0f}/s"
    return [("tiny shakespeare, characters: validation nats", "at most 1.75 (aim 1.65)", shown,
             nats <= 1.75)]  # fmt: skip


def text8(data: Path, folder: Path) -> list[Row]:
    """The prefix of text8 as words: counts, an LSTM and their mixture."""
    import gzip

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
    what = {"KN-5": counts, "LSTM": lstm, "LSTM + KN-5 + caches": mixed}
    rows: list[Row] = []
    for name, run in what.items():
        shown = f"{perplexity(run, 'dev'):.1f} / {perplexity(run, 'test'):.1f}"
        rows.append((f"text8 prefix, {name}: dev / test perplexity", "", shown, None))
    rows.append(("text8 prefix: minutes in all", "within 20", f"{minutes:.1f}", minutes <= 20))
    return rows


def memory(data: Path, folder: Path) -> list[Row]:
    """Peak memory of training a large LSTM on WikiText-2, in a process of its own."""
    text, settings = settings_of("wikitext-2", data)
    given = {**settings, "hidden_size": 512, "embedding_size": 512, "tied": True, "steps": 30,
             "batch_size": 32, "window": 70, "evaluate_every": 1000}  # fmt: skip
    arguments = [str(text), str(folder / "memory"), json.dumps(given)]
    command = [sys.executable, "-c", MEMORY_JOB, *arguments]
    peak = int(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout)
    return [("WikiText-2, LSTM of 512 units, full softmax: peak memory, GB", "under 2",
             f"{peak / 1e9:.2f}", peak < 2e9)]  # fmt: skip


if __name__ == "__main__":
    main()
