"""What models of ten million words know of English grammar, by the minimal pairs of BLiMP.

    python benchmarks/blimp.py DATA [--minutes 30] [--runs FOLDER]

The folder holds ``imdb``, ``wikitext-2`` and ``blimp``. A 5-gram model, an LSTM, a transformer and
the mixture of them are trained on the same sentences (``blimp_text.py``), all within the given
minutes, the making of the text included. Then perplexity on dev and accuracy on all 67,000 pairs
are measured once. Settings were chosen on dev and on the first 100 pairs of each paradigm
(``--pairs 100``), by trainings of 800 steps: words were better than subwords (58.6 to 56.3 %
right). With half an hour an LSTM read the 6.3 million words of sentences of up to 25 words six
times, with dropout 0.1, and overfitted (65.8 % right); so longer sentences are read too. With
dropout 0.2 the LSTM then had a perplexity of 85 on dev; with dropout 0.1 and a weight decay by the
rule of ``thence best`` it has 76. ``--runs`` keeps the runs in that folder, and goes on with those
that are there.
"""

import argparse
import tarfile
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from blimp_text import WORDS, write_text
from measuring import Results

import thence
from thence.corpus import MinimalPair, read_pairs
from thence.evaluation.language import LikelihoodReport
from thence.runs import LanguageRun, Run

RESULTS = Results("blimp", "python benchmarks/blimp.py DATA", ("numpy", "torch"))
TOKENS: Mapping[str, Any] = {
    "tokens": "words",
    "max_size": 50_000,
    "min_count": 2,
    "lowercase": True,
}
NETWORK: Mapping[str, Any] = {
    "softmax": "sampled", "samples": 1024, "tied": True, "dropout": 0.1, "batch_size": 256,
    "epochs": 100, "threads": 2, "checkpoint_seconds": 600.0,
}  # fmt: skip
MODELS: Mapping[str, Mapping[str, Any]] = {
    "ngram": {"order": 5},
    "lstm": {
        **NETWORK,
        "embedding_size": 256,
        "hidden_size": 512,
        "lr": 0.004,
        "weight_decay": 0.1,
    },
    "transformer": {**NETWORK, "embedding_size": 192, "layers": 2, "heads": 4, "lr": 0.002},
}
SHARES: Mapping[str, float] = {"lstm": 0.84, "transformer": 0.13}
"""Of the minutes, for the trainings of networks; the rest is for text, n-grams and mixture."""
BASELINE = 67.3
"""Accuracy of GPT-2 small on ten million words, in per cent: the official baseline of 2025."""


def train_all(data: Path, folder: Path, minutes: float, most_words: int) -> list[Run]:
    """Train all models, and print what each took."""
    began = time.monotonic()
    if not (folder / "train.txt").exists():
        words = write_text(data, folder, most_words)
        print(f"{words[0]:,} words of train, {words[1]:,} of dev", flush=True)
    runs = []
    for model, settings in MODELS.items():
        share = SHARES.get(model)
        limit = {} if share is None else {"time": f"{60 * minutes * share:.0f}s"}
        if not (folder / model).exists():
            started, used = time.monotonic(), time.process_time()
            thence.train(
                folder / "train.txt", model, output=folder / model, dev=folder / "dev.txt",
                **{**TOKENS, **settings, **limit},
            )  # fmt: skip
            used, seconds = time.process_time() - used, time.monotonic() - started
            print(f"{model}: {seconds:.0f} s, {used:.0f} processor seconds", flush=True)
        runs.append(thence.open_run(folder / model))
    if not (folder / "mixture").exists():
        thence.mix(runs, folder / "mixture")
    print(f"all: {(time.monotonic() - began) / 60:.1f} minutes", flush=True)
    return [*runs, thence.open_run(folder / "mixture")]


def judge(run: Run, pairs: list[MinimalPair], keep: bool) -> None:
    """Print and keep the perplexity and the accuracies of a run."""
    began = time.monotonic()
    if isinstance(run, LanguageRun) and run.recipe.model in SHARES:
        vars(run)["model"] = run.network  # PyTorch uses all processors.
    report, likelihood = thence.pairs(run, pairs), thence.evaluate(run)
    assert isinstance(likelihood, LikelihoodReport)
    print(f"{run.name}: {len(pairs):,} pairs in {time.monotonic() - began:.0f} s")
    print("\n".join(f"  {group.name}\t{group.runs[0].cell()}" for group in report.phenomena))
    right, perplexity = report.all.runs[0], likelihood.perplexity
    print(f"  all\t{right.cell()}, perplexity {perplexity:.2f}", flush=True)
    if keep:
        goal = f">= {BASELINE}" if run.name in ("lstm", "mixture") else ""
        shares = {"right": [100 * right.accuracy]}
        note = f"perplexity of a word on dev {perplexity:.2f}"
        RESULTS.add(run.name, f"BLiMP, {run.name}", shares, "%", goal=goal, note=note)


def pairs_of(data: Path, most: int | None = None) -> list[MinimalPair]:
    """Return the pairs of BLiMP: all, or the first of each paradigm."""
    with tempfile.TemporaryDirectory() as folder:
        with tarfile.open(data / "blimp" / "blimp.tar.gz") as archive:
            archive.extractall(folder, filter="data")
        found = read_pairs([folder])
    by_paradigm: dict[str, list[MinimalPair]] = {}
    for pair in found:
        by_paradigm.setdefault(pair.paradigm, []).append(pair)
    return [pair for some in by_paradigm.values() for pair in some[:most]]


def main() -> None:
    """Train and judge."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path, help="folder of the data sets")
    parser.add_argument("--minutes", type=float, default=30, help="for all trainings together")
    parser.add_argument("--runs", type=Path, help="where runs are kept (default: nowhere)")
    parser.add_argument("--pairs", type=int, help="of each paradigm (default: all)")
    parser.add_argument("--words", type=int, default=WORDS, help="of the train text")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = given.runs or Path(temporary)
        folder.mkdir(exist_ok=True)
        runs = train_all(given.data.resolve(), folder, given.minutes, given.words)
        whole = given.pairs is None and given.words == WORDS
        for run in runs:
            judge(run, pairs_of(given.data, given.pairs), keep=whole)


if __name__ == "__main__":
    main()
