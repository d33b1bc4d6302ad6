"""The module ``thence.fasttext`` beside fastText itself: how right, and in how many seconds.

    python benchmarks/fasttext_peer.py DATA PYTHON [PART ...]

DATA holds ``imdb``, ``ag_news`` and ``text8``; PYTHON is that of an environment with
``fasttext-wheel`` and ``numpy<2``. Both sides run the same program, with one thread; parts are
``labels``, ``losses``, ``words``, ``small`` and ``asking`` (default: all). Seconds are those of the
processor, start and reading of the file included. Words are lower-case, punctuation apart.
"""

import csv
import gzip
import json
import random
import re
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from measuring import Results, command

RESULTS = Results("fasttext_peer", "python benchmarks/fasttext_peer.py DATA PYTHON", ("numpy",))
OURS = "import thence.fasttext as fasttext\n"
THEIRS = "import fasttext\nfasttext.FastText.eprint = lambda *told: None\n"
LABELS = """
import json, sys, time
given = json.loads(sys.argv[3])
model = fasttext.train_supervised(sys.argv[1], thread=1, verbose=0, **given)
print(100 * model.test(sys.argv[2])[1])
"""
WORDS = """
import json, sys
given = json.loads(sys.argv[2])
model = fasttext.train_unsupervised(sys.argv[1], thread=1, verbose=0, **given)
print(len(model.words))
"""
SMALL = """
import os, sys, time
train, test, out = sys.argv[1:]
model = fasttext.train_supervised(train, thread=1, verbose=0, lr=0.5, wordNgrams=2)
model.quantize(input=train, cutoff=50000, retrain=True, qnorm=True, lr=0.1, thread=1, verbose=0)
model.save_model(out)
print(100 * model.test(test)[1], os.path.getsize(out) / 1e6)
"""
ASKING = """
import sys, time
lines = [line.rstrip("\\n") for line in open(sys.argv[1])]
lines = (lines * (50_000 // len(lines) + 1))[:50_000]
if len(sys.argv) > 3:
    fasttext.train_supervised(sys.argv[1], dim=16, minn=2, maxn=4, thread=1, verbose=0,
                              bucket=200_000).save_model(sys.argv[2])
model = fasttext.load_model(sys.argv[2])
model.predict(lines[:100]), model.predict(lines[0])
def seconds(work):
    started = time.process_time()
    work()
    return time.process_time() - started
alone = seconds(lambda: [model.predict(line) for line in lines[:10_000]]) / 10_000
print(seconds(lambda: model.predict(lines)), alone)
"""
TASKS = {
    "AG, words": ("ag", {"lr": 0.1}),
    "AG, pairs of words": ("ag", {"lr": 0.5, "wordNgrams": 2}),
    "AG, parts of words": ("ag", {"lr": 0.5, "minn": 2, "maxn": 4, "dim": 16, "bucket": 200_000}),
    "IMDB, words": ("imdb", {"lr": 0.1}),
    "IMDB, pairs of words": ("imdb", {"lr": 0.5, "wordNgrams": 2}),
}
FILES = {
    ("ag", "train"): "ag_news/train_10k.csv.gz", ("ag", "test"): "ag_news/test.csv.gz",
    ("imdb", "train"): "imdb/train.csv.gz", ("imdb", "test"): "imdb/test.csv.gz",
}  # fmt: skip


def write_labelled(data: Path, folder: Path) -> None:
    """Write the labelled texts as fastText reads them, in random order."""
    csv.field_size_limit(1 << 30)
    for (name, split), file in FILES.items():
        with gzip.open(data / file, "rt", encoding="utf-8") as rows:
            lines = [
                f"__label__{row['label']} {apart(row['text'])}\n" for row in csv.DictReader(rows)
            ]
        random.Random(1).shuffle(lines)
        (folder / f"{name}.{split}").write_text("".join(lines), "utf-8")


def apart(text: str) -> str:
    """Return a text in lower case, with punctuation apart."""
    text = re.sub(r"([.!?,'\"/()])", r" \1 ", text.lower().replace("<br />", " "))
    return " ".join(text.split())


def main() -> None:
    """Measure and keep the results."""
    data, python = Path(sys.argv[1]), sys.argv[2]
    wanted = sys.argv[3:] or ["labels", "losses", "words", "small", "asking"]

    def both(program: str, *arguments: Any) -> dict[str, tuple[list[float], float]]:
        """Return what each side printed, and its processor seconds."""
        found = {}
        for name, start, side in (("thence", sys.executable, OURS), ("fastText", python, THEIRS)):
            used = command([start, "-c", side + program, *map(str, arguments)])
            found[name] = [float(word) for word in used.output.split()], used.seconds
        return found

    def keep(key: str, claim: str, runs: list[dict[str, float]], unit: str, goal: str) -> None:
        sides = {name: [run[name] for run in runs] for name in runs[0]}
        RESULTS.add(key, claim, sides, unit, goal=goal, ratio=True)

    def trainings(tasks: dict[str, tuple[str, dict[str, Any]]], rounds: int) -> None:
        for claim, (name, given) in tasks.items():
            files = folder / f"{name}.train", folder / f"{name}.test", json.dumps(given)
            runs = [both(LABELS, *files) for _ in range(rounds)]
            right = [{side: said[0] for side, (said, _) in run.items()} for run in runs]
            seconds = [{side: used for side, (_, used) in run.items()} for run in runs]
            keep(f"{claim} right", claim, right[:1], "% right", "ratio >= 0.998")
            keep(f"{claim} time", f"{claim}: training and test", seconds, "s", "ratio <= 1")

    with TemporaryDirectory() as place:
        folder = Path(place)
        write_labelled(data, folder)
        if "labels" in wanted:
            trainings(TASKS, 3)
        if "losses" in wanted:
            losses = {
                f"AG, {loss}": ("ag", {"lr": 0.5, "loss": loss}) for loss in ("hs", "ns", "ova")
            }
            trainings(losses, 1)
        if "words" in wanted:
            text = gzip.decompress((data / "text8" / "text8.prefix.gz").read_bytes())
            (folder / "text8").write_bytes(text)
            for kind in ("skipgram", "cbow"):
                given = json.dumps({"model": kind, "epoch": 3, "bucket": 200_000})
                run = both(WORDS, folder / "text8", given)
                seconds = {side: used for side, (_, used) in run.items()}
                claim = f"vectors of words, {kind}, three epochs of 1.2 million words"
                keep(kind, claim, [seconds], "s", "ratio <= 1")
        if "small" in wanted:
            run = both(SMALL, folder / "imdb.train", folder / "imdb.test", folder / "small.ftz")
            claim = "IMDB, pairs of words, 50,000 rows kept and quantised"
            keep("small right", claim, [{s: said[0] for s, (said, _) in run.items()}], "% right",
                 "ratio >= 0.998")  # fmt: skip
            keep("small size", claim, [{s: said[1] for s, (said, _) in run.items()}], "MB", "")
            keep(
                "small time", claim, [{s: used for s, (_, used) in run.items()}], "s", "ratio <= 1"
            )
        if "asking" in wanted:
            model = folder / "asking.bin"
            command([sys.executable, "-c", OURS + ASKING, folder / "ag.test", model, "train"])
            runs = [both(ASKING, folder / "ag.test", model) for _ in range(3)]
            many = [{side: said[0] for side, (said, _) in run.items()} for run in runs]
            alone = [{side: 1e6 * said[1] for side, (said, _) in run.items()} for run in runs]
            keep("many", "predict 50,000 lines in one list", many, "s", "ratio <= 1")
            keep("alone", "predict one line at a time", alone, "us a line", "")


if __name__ == "__main__":
    main()
