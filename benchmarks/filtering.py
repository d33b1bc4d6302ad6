"""How fast thence filters beside a plain loop over KenLM's module, and in how much memory.

    python benchmarks/filtering.py DATA [LINES]

DATA holds ``imdb/`` and ``wikitext-2/``. A million sentences of IMDB's reviews, as JSON lines, are
filtered by a 5-gram of WikiText-2's words: those below the perplexity that half of them have are
kept. KenLM's side is what CCNet does: parse each line, score its text, write it if it is kept; the
model is the same, as an ARPA file. Seconds are by the clock, less those of a file of one line,
which are the start, the import and the loading of the model (KenLM parses an ARPA file). Memory is
the largest peak of any process.
"""

import csv
import gzip
import io
import re
import sys
import time
from collections.abc import Iterator
from itertools import cycle, islice
from pathlib import Path
from tempfile import TemporaryDirectory

import orjson
from measuring import Results, Usage, command

import thence

LINES = 1_000_000
BELOW = 400
RESULTS = Results("filtering", "python benchmarks/filtering.py DATA", ("numpy", "kenlm", "orjson"))
LOOP = """
import sys
import kenlm, orjson
model, below = kenlm.Model(sys.argv[1]), float(sys.argv[4])
with open(sys.argv[2], "rb") as lines, open(sys.argv[3], "wb") as kept:
    for line in lines:
        text = orjson.loads(line)["text"]
        if 10.0 ** (-model.score(text) / (len(text.split()) + 1)) < below:
            kept.write(line)
"""
"""The plain loop; orjson is faster than what CCNet takes."""
SENTENCE = re.compile(r"(?<=[.!?])\s+")


def sentences(data: Path) -> Iterator[str]:
    """Yield the sentences of IMDB's reviews."""
    csv.field_size_limit(1 << 30)
    for name in ("train", "test"):
        text = gzip.decompress((data / "imdb" / f"{name}.csv.gz").read_bytes()).decode("utf-8")
        for row in csv.DictReader(io.StringIO(text, newline="")):
            review = " ".join(row["text"].replace("<br />", " ").split())
            yield from SENTENCE.split(review)


def write_lines(data: Path, path: Path, count: int) -> None:
    """Write JSON lines with so many sentences, from the beginning again where there are fewer."""
    with path.open("wb") as file:
        for number, text in enumerate(islice(cycle(sentences(data)), count)):
            file.write(orjson.dumps({"id": number, "text": text, "source": "imdb"}) + b"\n")


def main() -> None:
    """Measure and keep the results."""
    data, count = Path(sys.argv[1]), int(sys.argv[2]) if sys.argv[2:] else LINES
    with TemporaryDirectory() as place:
        folder = Path(place)
        text = gzip.decompress((data / "wikitext-2" / "train.txt.gz").read_bytes())
        (folder / "wiki.txt").write_bytes(text)
        words = {"tokens": "words", "word_split": "whitespace", "split": "100/0/0"}
        run = thence.train(folder / "wiki.txt", "ngram", output=folder / "wiki", order=5, **words)
        thence.export(run, folder / "wiki.arpa")
        sizes = {"one": 1, "tenth": count // 10, "all": count}
        for name, lines in sizes.items():
            write_lines(data, folder / f"{name}.jsonl", lines)
        loop = folder / "loop.py"
        loop.write_text(LOOP)

        def ours(name: str, processes: int) -> tuple[float, Usage]:
            out = folder / "kept.jsonl"
            out.unlink(missing_ok=True)
            words = [sys.executable, "-m", "thence", "filter", folder / "wiki"]
            words += [folder / f"{name}.jsonl", "-o", out, "--below", str(BELOW)]
            return timed([*words, "--processes", str(processes)])

        def theirs(name: str) -> tuple[float, Usage]:
            files = [folder / "wiki.arpa", folder / f"{name}.jsonl", folder / "plain.jsonl"]
            return timed([sys.executable, loop, *files, str(BELOW)])

        def timed(words: list[str | Path]) -> tuple[float, Usage]:
            started = time.perf_counter()
            used = command(words)
            return time.perf_counter() - started, used

        peaks: list[float] = []

        def our_rate(processes: int) -> float:
            start = ours("one", processes)[0]
            seconds, used = ours("all", processes)
            peaks.append(used.peak / 1e6)
            return count / (seconds - start)

        def their_rate() -> float:
            start = theirs("one")[0]
            return count / (theirs("all")[0] - start)

        sides = {
            "thence, 2 processes": lambda: our_rate(2),
            "kenlm, a plain loop": their_rate,
            "thence, 1 process": lambda: our_rate(1),
        }
        claim = f"filter {count:,} JSON lines by a 5-gram"
        RESULTS.measure("speed", claim, sides, "lines/s", goal="ratio >= 1")
        same = (folder / "kept.jsonl").read_bytes() == (folder / "plain.jsonl").read_bytes()
        kept = (folder / "kept.jsonl").read_bytes().count(b"\n")
        note = "thence filter keeps the same lines as the plain loop"
        RESULTS.add("same", f"lines kept of {count:,}: the same bytes (1)", {"thence": [int(same)]},
                    goal="= 1", note=f"{note}: {kept:,}")  # fmt: skip
        tenth = max(ours("tenth", processes)[1].peak for processes in (1, 2)) / 1e6
        runs = {f"{count:,} lines": [max(peaks)], f"{count // 10:,} lines": [tenth]}
        claim = "the largest peak of memory of a process that filters"
        RESULTS.add("memory", claim, runs, "MB", goal="ratio <= 1.1", ratio=True)


if __name__ == "__main__":
    main()
