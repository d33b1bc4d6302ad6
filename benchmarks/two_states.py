"""Two states of the code in turn: ``python benchmarks/two_states.py OTHER_CLONE/src``.

For each command it prints the median processor time of both, in seconds, their ratio, and the
spread of the ratios. The starts alternate, so that both share whatever else the machine does.
``--ptb FOLDER`` also trains 300 steps of an LSTM on the Penn Treebank files there.
"""

import argparse
import os
import resource
import subprocess
import sys
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

HERE = Path(__file__).parents[1] / "src"
RUNS = {
    "counts": ("train", "given-names", "--model", "ngram"),
    "mlp": ("train", "given-names", "--steps", "50"),
}
COMMANDS = {
    "--version": ("--version",),
    "--help": ("--help",),
    "train --help": ("train", "--help"),
    "next, 5-gram": ("next", "counts", "Mari"),
    "next, mlp": ("next", "mlp", "Mari"),
    "evaluate, 5-gram": ("evaluate", "counts"),
    "train an mlp, 300 steps": ("train", "given-names", "--steps", "300", "--threads", "1"),
}
PTB = ("--tokens", "words", "--word-split", "whitespace", "--by", "position", "--carry-context",
       "--model", "lstm", "--softmax", "sampled", "--steps", "300", "--threads", "1",
       "--precision", "float32", "--evaluate-every", "300")  # fmt: skip


def seconds(source: Path, folder: Path, *words: str) -> float:
    """Return the processor time of a command with the library of a source folder."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(
        [sys.executable, "-m", "thence", *words],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(source), "PYTHONDONTWRITEBYTECODE": ""},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        check=True,
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("other", type=Path, help="the source folder of the state before")
    parser.add_argument("--starts", type=int, default=5)
    parser.add_argument("--ptb", type=Path, help="a folder with ptb.train.txt and ptb.valid.txt")
    given = parser.parse_args()
    commands = dict(COMMANDS)
    if given.ptb:
        train, dev = (str(given.ptb.resolve() / f"ptb.{part}.txt") for part in ("train", "valid"))
        commands["train an LSTM on PTB, 300 steps"] = ("train", train, "--dev", dev, *PTB)
    print(f"{'command':32} {'before':>8} {'now':>8} {'ratio':>7}  spread")
    with TemporaryDirectory() as name:
        folders = {
            source: Path(name, str(place)) for place, source in enumerate((given.other, HERE))
        }
        for source, folder in folders.items():
            folder.mkdir()
            for run, words in RUNS.items():
                seconds(source, folder, *words, "--no-report", "-o", run)
        for label, words in commands.items():
            times: dict[Path, list[float]] = {source: [] for source in folders}
            for start in range(given.starts if "PTB" not in label else min(3, given.starts)):
                for source, folder in folders.items():
                    made = ("--no-report", "-o", f"{start}-{len(label)}")
                    more = made if words[0] == "train" and "--help" not in words else ()
                    times[source].append(seconds(source.resolve(), folder, *words, *more))
            before, now = (times[source] for source in folders)
            ratios = [b / a for a, b in zip(before, now, strict=True)]
            print(
                f"{label:32} {median(before):8.2f} {median(now):8.2f} "
                f"{median(now) / median(before):7.2f}  {min(ratios):.2f} to {max(ratios):.2f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
