"""Training n-grams in bounded memory, and models in a few bits.

    python benchmarks/memory.py --data DATA --lmplz LMPLZ TEXT ...

Every TEXT is a plain text, one document a line, its words apart by spaces. Each is trained without
a bound and with ``--memory 512MB`` in turn, 5-grams with modified Kneser-Ney smoothing, from the
text to the saved run; and by KenLM's ``lmplz`` with the same bound, if its path is given. Processor
seconds and the peak of memory are those of whole programs, start-up and all. With ``--data``, the
folder of ``ptb`` and ``wikitext-2``, models of few bits are measured too.
"""

import argparse
import math
import sys
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from measuring import ROUNDS, Results, Usage, command

import thence

RESULTS = Results("memory", "python benchmarks/memory.py --data DATA TEXT ...", ("numpy",))
FLAGS = (
    "--model", "ngram", "--order", "5", "--tokens", "words", "--word-split", "whitespace",
    "--unknown", "refuse", "--split", "100/0/0",
)  # fmt: skip
BOUND = "512MB"


def main() -> None:
    """Measure everything."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("texts", type=Path, nargs="*", help="plain texts, smallest first")
    parser.add_argument("--data", type=Path, help="folder of ptb and wikitext-2")
    parser.add_argument("--lmplz", type=Path, help="KenLM's program")
    parser.add_argument("--bounded", action="store_true", help="leave out training without a bound")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="how often each is run")
    given = parser.parse_args()
    with TemporaryDirectory() as folder:
        for text in given.texts:
            growth(text.resolve(), given.lmplz, given.rounds, Path(folder), given.bounded)
        if given.data is not None:
            few_bits(given.data, Path(folder))


def growth(text: Path, lmplz: Path | None, rounds: int, folder: Path, bounded: bool) -> None:
    """Train on a text with and without a bound, or with a bound alone."""
    with text.open("rb") as lines:
        tokens = sum(len(line.split()) + 1 for line in lines) / 1e6
    programs: dict[str, list[str | Path]] = {
        BOUND: train(text, folder / "bounded", "--memory", BOUND),
    }
    if not bounded:
        programs["no bound"] = train(text, folder / "unbounded")
    if lmplz is not None:
        arpa = folder / "model.arpa"
        programs[f"lmplz -S {BOUND[:-1]}"] = [
            lmplz, "-o", "5", "-S", BOUND[:-1], "-T", folder, "--text", text, "--arpa", arpa,
        ]  # fmt: skip
    used: dict[str, list[Usage]] = {name: [] for name in programs}
    for _ in range(rounds):
        for name, words in programs.items():
            used[name].append(command(words, THENCE_HOME=f"{folder}/home", OMP_NUM_THREADS="1"))
            command(["rm", "-rf", folder / "bounded", folder / "unbounded", folder / "home"])
    seconds = {name: [one.seconds / tokens for one in some] for name, some in used.items()}
    peaks = {name: [one.peak / 1e6 for one in some] for name, some in used.items()}
    about, size = f"{tokens:.0f} M tokens, order 5", f"{tokens:.0f}"
    compared = len(programs) > 1
    RESULTS.add(
        f"seconds-{size}", f"{about}: processor seconds for a million tokens", seconds, "s",
        goal="" if bounded else "ratio <= 1.3", ratio=compared,
    )  # fmt: skip
    about = f"{about}: peak of memory"
    RESULTS.add(f"peak-{size}", about, peaks, "MB", goal="<= 700", ratio=compared)


def train(text: Path, output: Path, *more: str) -> list[str | Path]:
    """Return the command that trains on a text."""
    return [sys.executable, "-m", "thence", "train", text, *FLAGS, "-o", output, *more]


def few_bits(data: Path, folder: Path) -> None:
    """Size and perplexity of models in 8 and 4 bits beside those of whole ones."""
    words = {"tokens": "words", "word_split": "whitespace"}
    ptb, wikitext = data / "ptb", data / "wikitext-2"
    texts: dict[str, tuple[Path, dict[str, Any]]] = {
        "PTB": (ptb / "ptb.train.txt.gz", {"unknown": "refuse", "dev": ptb / "ptb.valid.txt"}),
        "WikiText-2": (
            wikitext / "train.txt.gz", {"keep_empty": True, "dev": wikitext / "valid.txt.gz"},
        ),
    }  # fmt: skip
    for name, (text, settings) in texts.items():
        sizes, perplexities = {}, {}
        for label, bits in {"8 bits": 8, "4 bits": 4, "32 bits": None}.items():
            given = words | settings | {"dev": str(settings["dev"]), "bits": bits}
            run = thence.train(text, "ngram", output=folder / f"{name}-{bits}", **given)
            size = (run.folder / "model.safetensors").stat().st_size
            sizes[label] = [size / run.num_parameters]
            perplexities[label] = [math.exp(dev_nats(run.metrics()))]
        RESULTS.add(f"bytes-{name}", f"{name}, order 5: bytes an n-gram", sizes, goal="<= 7")
        RESULTS.add(f"bits-{name}", f"{name}, order 5: perplexity on dev", perplexities)


def dev_nats(metrics: Sequence[dict[str, Any]]) -> float:
    """Return the loss on dev."""
    return float(metrics[-1]["dev_nats_per_token"])


if __name__ == "__main__":
    main()
