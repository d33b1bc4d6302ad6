"""Processor time of a step of training beside plain PyTorch programs, at equal settings, in turn.

    python benchmarks/training_steps.py DATA [lstm | transformer | carried | rotary ...]

The folder holds ``ptb`` and ``tinyshakespeare``. Both sides compute on one thread in single
precision, in one process: after every ten steps of ours, the plain program makes as many.
"""

import argparse
import gzip
import time
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from measuring import Results

import thence  # Before torch, which it tells how its threads wait.
from thence.training.callbacks import SilentProgress

from plain_training import GPT, WordLanguageModel  # isort: skip

ROUNDS = 9
BLOCK = 10
"""Steps of each side in a row."""
RESULTS = Results("training_steps", "python benchmarks/training_steps.py DATA", ("torch",))
SAME = {
    "threads": 1, "precision": "float32", "schedule": "constant", "evaluate_every": 10**6,
    "checkpoint_seconds": 1e6,
}  # fmt: skip


class InTurn(SilentProgress):
    """Lets a plain program make steps after ``BLOCK`` of ours, and times both.

    Args:
        step: Makes one step of the plain program.
    """

    def __init__(self, step: Callable[[], None]) -> None:
        self._step = step
        self._began = (0.0, 0.0)
        self.processor: dict[str, list[float]] = {"thence": [], "plain PyTorch": []}
        self.clock: dict[str, list[float]] = {"thence": [], "plain PyTorch": []}

    def on_step(self, step: int, tokens: float, share: float) -> None:
        """End a block of ours and let the other follow; the first of each is not counted."""
        if step % BLOCK:
            return
        self._note("thence", step)
        for _ in range(BLOCK):
            self._step()
        self._note("plain PyTorch", step)

    def _note(self, side: str, step: int) -> None:
        now = time.process_time(), time.perf_counter()
        if step > BLOCK:
            times = (self.processor, self.clock)
            for kept, end, began in zip(times, now, self._began, strict=True):
                kept[side].append(1000 * (end - began) / BLOCK)
        self._began = time.process_time(), time.perf_counter()


def compare(
    key: str, claim: str, turns: InTurn, text: Path, model: str, goal: str = "",
    **settings: Any,
) -> None:  # fmt: skip
    """Train for some blocks of steps and keep the times of a step."""
    with TemporaryDirectory() as folder:
        thence.train(
            text, model, output=Path(folder) / "run", progress=lambda _: nullcontext(turns),
            steps=(ROUNDS + 1) * BLOCK, **SAME, **settings,
        )  # fmt: skip
    ours, theirs = (median(times) for times in turns.clock.values())
    note = f"by the clock {ours / theirs:.2f}"
    RESULTS.add(key, claim, turns.processor, "ms", goal=goal, note=note, ratio=True)


def lstm(data: Path, folder: Path) -> None:
    """Two layers of 200 units on Penn Treebank, full softmax, as PyTorch's example has them."""
    text, dev = folder / "ptb.txt", folder / "ptb-dev.txt"
    lines = gzip.decompress((data / "ptb" / "ptb.train.txt.gz").read_bytes()).decode().splitlines()
    text.write_text("\n".join(lines), "utf-8")
    dev.write_text(lines[0], "utf-8")
    words = " </s> ".join(lines).split()
    numbers: dict[str, int] = {}
    ids = np.array([numbers.setdefault(word, len(numbers)) for word in words])
    plain = WordLanguageModel(len(numbers))
    streams = plain.streams(ids)
    windows = iter(range(0, len(streams) - 36, 35))

    def step() -> None:
        start = next(windows)
        plain.step(streams[start : start + 35], streams[start + 1 : start + 36])

    compare(
        "lstm", "PTB, LSTM 2 x 200, 20 x 35 words, full softmax, SGD: a step", InTurn(step),
        text, "lstm", goal="ratio <= 0.9", dev=str(dev), tokens="words", word_split="whitespace",
        unknown="refuse", carry_context=True, hidden_size=200, embedding_size=200, layers=2,
        dropout=0.2, input_dropout=0.2, locked=False, batch_size=20, window=35, optimizer="sgd",
        lr=2.0, clip=0.25,
    )  # fmt: skip


def transformer_steps(
    data: Path, folder: Path, key: str, what: str, carried: bool, goal: str = "", **settings: Any
) -> None:
    """Four layers of 128 numbers on characters of tiny shakespeare, as nanoGPT has them."""
    whole = gzip.decompress((data / "tinyshakespeare" / "input.txt.gz").read_bytes()).decode()
    numbers = {symbol: number for number, symbol in enumerate(sorted(set(whole)))}
    ids = np.array([numbers[symbol] for symbol in whole], np.uint16)
    text, dev = folder / f"{key}.txt", folder / f"{key}-dev.txt"
    if carried:
        text.write_text(whole, "utf-8")
    else:  # With its end, each piece is a window of 64 targets that begins anew.
        joined = whole.replace("\n", " ")
        pieces = [joined[start : start + 63] for start in range(0, len(joined) - 63, 63)]
        text.write_text("\n".join(pieces), "utf-8")
    dev.write_text("First Citizen", "utf-8")
    compare(
        key, f"tiny shakespeare, 4 x 128, 12 x 64 characters, {what}: a step",
        InTurn(GPT(ids, len(numbers)).step), text, "transformer", goal=goal, dev=str(dev),
        keep_empty=True, carry_context=carried, embedding_size=128, layers=4, heads=4, context=64,
        window=64, dropout=0.0, batch_size=12, lr=1e-3, clip=1.0, weight_decay=0.1, **settings,
    )  # fmt: skip


def transformer(data: Path, folder: Path) -> None:
    """Windows that begin anew, and learned positions, as in nanoGPT."""
    what, goal = "windows anew, learned positions", "ratio <= 1.0"
    transformer_steps(data, folder, "transformer", what, False, goal, positions="learned")


def carried(data: Path, folder: Path) -> None:
    """The context goes on from window to window, so that attention needs a mask."""
    what = "carried context, learned positions"
    transformer_steps(data, folder, "carried", what, True, positions="learned")


def rotary(data: Path, folder: Path) -> None:
    """Carried context and rotary positions, the default for running text."""
    transformer_steps(data, folder, "rotary", "carried context, rotary positions", True)


PARTS = {part.__name__: part for part in (lstm, transformer, carried, rotary)}


def main() -> None:
    """Measure the chosen parts and keep the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path, help="folder of the data sets")
    parser.add_argument("parts", nargs="*", choices=[*PARTS, []], help="which (default: all)")
    given = parser.parse_args()
    with TemporaryDirectory() as folder:
        for part in given.parts or PARTS:
            PARTS[part](given.data.resolve(), Path(folder))


if __name__ == "__main__":
    main()
