"""``thence.kenlm`` beside KenLM's module: seconds to load, microseconds to ask.

    python benchmarks/kenlm_module.py MODEL TEXT [--words 25] [--rounds 7]

MODEL is an ARPA file or a binary file of KenLM, TEXT has a sentence per line. Both modules are
asked in turn, in processor time, and the best round counts, so that other work on the machine
matters less. Prints a table in Markdown.
"""

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from types import ModuleType
from typing import Any

import kenlm as theirs

from thence import kenlm as ours

MODULES = (theirs, ours)
SENTENCES = 4000


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="thence.kenlm beside KenLM's module")
    parser.add_argument("model")
    parser.add_argument("text", type=Path)
    parser.add_argument("--words", type=int, default=25, help="of each sentence")
    parser.add_argument("--rounds", type=int, default=7)
    given = parser.parse_args()
    lines = [line.split() for line in given.text.read_text("utf-8").splitlines()]
    sentences = [line[: given.words] for line in lines if len(line) >= given.words][:SENTENCES]
    texts = [" ".join(sentence) for sentence in sentences]
    words = sum(map(len, sentences))
    started = [time.process_time()]
    models = []
    for module in MODULES:
        models.append(module.Model(given.model))
        started.append(time.process_time())
    loading = [after - before for before, after in pairwise(started)]
    print("| | KenLM's module | thence.kenlm |\n|---|---|---|")
    _row("load", loading, "s")
    jobs: list[tuple[str, Callable[[ModuleType, Any], Any], int]] = [
        (f"score, {given.words} words", lambda _, model: list(map(model.score, texts)), len(texts)),
        (
            f"full_scores, {given.words} words",
            lambda _, model: [list(model.full_scores(text)) for text in texts],
            len(texts),
        ),
        ("BaseScore, a word", lambda module, model: _follow(module, model, sentences), words),
    ]
    for name, job, count in jobs:
        rounds = [[_seconds(job, pair) for pair in zip(MODULES, models, strict=True)]
                  for _ in range(given.rounds)]  # fmt: skip
        best = [1e6 * min(column) / count for column in zip(*rounds, strict=True)]
        _row(name, best, "µs")


def _follow(module: ModuleType, model: Any, sentences: Sequence[Sequence[str]]) -> None:
    state, after = module.State(), module.State()
    for words in sentences:
        model.BeginSentenceWrite(state)
        for word in words:
            model.BaseScore(state, word, after)
            state, after = after, state


def _seconds(job: Callable[[ModuleType, Any], Any], pair: tuple[ModuleType, Any]) -> float:
    started = time.process_time()
    job(*pair)
    return time.process_time() - started


def _row(name: str, values: Sequence[float], unit: str) -> None:
    print(f"| {name} | {' | '.join(f'{value:.2f} {unit}' for value in values)} |")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
