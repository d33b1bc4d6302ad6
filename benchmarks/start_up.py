"""Processor seconds of short commands, of this state of the code and of another in turn.

    python benchmarks/start_up.py [--other OTHER_CLONE/src] [--ptb FOLDER]

```--ptb`` also trains 300 steps of an LSTM on the Penn Treebank files of a folder.
"""

import argparse
import itertools
import sys
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from measuring import Results, command

HERE = Path(__file__).parents[1] / "src"
RUNS = {
    "counts": ("train", "given-names", "--model", "ngram"),
    "mlp": ("train", "given-names", "--steps", "50"),
}
COMMANDS = {
    "`thence --version`": ("--version",),
    "`thence --help`": ("--help",),
    "`thence train --help`": ("train", "--help"),
    "`thence next` of a 5-gram": ("next", "counts", "Mari"),
    "`thence next` of an `mlp`": ("next", "mlp", "Mari"),
    "`thence evaluate` of a 5-gram": ("evaluate", "counts"),
    "training an `mlp`, 300 steps": ("train", "given-names", "--steps", "300", "--threads", "1"),
}
PTB = ("--tokens", "words", "--word-split", "whitespace", "--by", "position", "--carry-context",
       "--model", "lstm", "--softmax", "sampled", "--steps", "300", "--threads", "1",
       "--precision", "float32", "--evaluate-every", "300")  # fmt: skip


def thence(source: Path, folder: Path, *words: str) -> float:
    """Return the processor seconds of a command with the library of a source folder."""
    path = {"PYTHONPATH": str(source.resolve()), "PYTHONDONTWRITEBYTECODE": ""}
    return command([sys.executable, "-m", "thence", *words], folder, **path).seconds


def main() -> None:
    """Measure and keep the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--other", type=Path, help="the source folder of another state")
    parser.add_argument("--name", default="before", help="what the other state is called")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--ptb", type=Path, help="a folder with ptb.train.txt and ptb.valid.txt")
    given = parser.parse_args()
    commands = dict(COMMANDS)
    if given.ptb:
        train, dev = (str(given.ptb.resolve() / f"ptb.{part}.txt") for part in ("train", "valid"))
        commands["training an LSTM on PTB, 300 steps"] = ("train", train, "--dev", dev, *PTB)
    results = Results("start_up", "python benchmarks/start_up.py --other SRC", ("torch",))
    sources = {"now": HERE} | ({given.name: given.other} if given.other else {})
    new = map(str, itertools.count())
    with TemporaryDirectory() as name:
        folders = {side: Path(name, side) for side in sources}
        for side, folder in folders.items():
            folder.mkdir()
            for run, words in RUNS.items():
                thence(sources[side], folder, *words, "--no-report", "-o", run)
        for label, words in commands.items():
            trains = words[0] == "train" and "--help" not in words

            def once(side: str, words: tuple[str, ...] = words, trains: bool = trains) -> float:
                output = ("--no-report", "-o", next(new)) if trains else ()
                return thence(sources[side], folders[side], *words, *output)

            sides = {side: partial(once, side) for side in sources}
            results.measure(label, label, sides, rounds=given.rounds)


if __name__ == "__main__":
    main()
