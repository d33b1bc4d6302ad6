"""A file of fastText asked by thence and by fastText: seconds, and how far their answers differ.

    python benchmarks/fasttext_predict.py MODEL LINES --python PYTHON [--lines 50000] [--rounds 5]

MODEL is a ``.bin`` or ``.ftz`` file, LINES a text file, PYTHON that of an environment with
``fasttext-wheel`` and NumPy 1. Both run in turn, each in a process of its own that loads the file
and predicts the likeliest label of all lines; the median round counts. Prints a table in Markdown.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

THEIRS = """
import json, sys, time
lines = open(sys.argv[2], encoding="utf-8").read().split("\\n")[:-1]
started, used = time.perf_counter(), time.process_time()
import fasttext
fasttext.FastText.eprint = lambda *told: None
model = fasttext.load_model(sys.argv[1])
loaded = time.perf_counter()
labels, chances = model.predict(lines, k=1)
done, all_used = time.perf_counter(), time.process_time()
labels, chances = [list(names) for names in labels], [[float(p) for p in row] for row in chances]
json.dump({"load": loaded - started, "predict": done - loaded, "processor": all_used - used,
           "labels": labels, "chances": chances}, sys.stdout)
"""
"""What both do: ``thence.fasttext`` has the same functions."""
OURS = THEIRS.replace("import fasttext\n", "import thence.fasttext as fasttext\n").replace(
    "fasttext.FastText.eprint = lambda *told: None\n", ""
)


def asked(python: str, program: str, model: Path, lines: Path) -> dict[str, Any]:
    """Return seconds and answers of one process."""
    done = subprocess.run(
        [python, "-c", program, model, lines], stdout=subprocess.PIPE, text=True, check=True
    )
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="a file of fastText, asked by both")
    parser.add_argument("model", type=Path)
    parser.add_argument("text", type=Path)
    parser.add_argument("--python", required=True, help="of an environment with fastText")
    parser.add_argument("--lines", type=int, default=50_000)
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    lines = [line for line in given.text.read_text("utf-8").split("\n") if "\r" not in line]
    lines = (lines * (given.lines // len(lines) + 1))[: given.lines]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "lines.txt"
        path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
        rounds = [
            (
                asked(sys.executable, OURS, given.model, path),
                asked(given.python, THEIRS, given.model, path),
            )
            for _ in range(given.rounds)
        ]
    ours, theirs = rounds[0]
    other = sum(a != b for a, b in zip(ours["labels"], theirs["labels"], strict=True))
    pairs = zip(ours["chances"], theirs["chances"], strict=True)
    apart = max((abs(a[0] - b[0]) for a, b in pairs if a and b), default=0.0)
    print(f"{len(lines):,} lines of {given.text.name}, {given.model.name}, {given.rounds} rounds:")
    print(f"labels differ in {other}, probabilities by at most {apart:.1e}\n")
    print("| seconds | thence | fastText |\n|---|---|---|")
    names = {"load": "import and load", "predict": "predict", "processor": "of processors in all"}
    for key, name in names.items():
        medians = [statistics.median(pair[place][key] for pair in rounds) for place in (0, 1)]
        print(f"| {name} | {medians[0]:.2f} | {medians[1]:.2f} |")


if __name__ == "__main__":
    main()
