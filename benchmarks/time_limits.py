"""Whether ``thence best`` keeps its time: texts and limits, half of the runs on a busy machine.

    python benchmarks/time_limits.py path/to/data [--runs 50] [--seed 0] [--longest 120] [--keep]

Every run is a process of its own. Of each it is kept how long it took from start to end, how much
of its limit the search used, whether the run that it left can be asked, and which share of the
processors other programs had meanwhile: a process for each processor is busy beside every other
run, whatever else the machine does.
"""

import argparse
import gzip
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

from measuring import Results

KEPT = Results("time_limits", "python benchmarks/time_limits.py DATA", ("torch", "numpy"))
LIMITS = (3, 3, 5, 5, 8, 10, 10, 15, 20, 30, 45, 60, 90, 120)
"""Seconds."""
GRACE, SHARE = 1.0, 0.05
"""A run is in time if it takes at most this share and so many seconds more than its limit."""
BUSY = "while True: pass"


def texts(data: Path, folder: Path) -> dict[str, list[str]]:
    """Return the arguments of each text."""
    plays = gzip.decompress((data / "tinyshakespeare" / "input.txt.gz").read_bytes())
    (folder / "plays.txt").write_bytes(plays)
    letters = gzip.decompress((data / "text8" / "text8.prefix.gz").read_bytes())
    (folder / "letters.txt").write_bytes(letters.replace(b" the ", b"\nthe "))
    (folder / "one-line.txt").write_bytes(letters)
    ptb, imdb, ag = data / "ptb", data / "imdb", data / "ag_news"
    opinions = gzip.decompress((data / "mr" / "rt-polarity.all.gz").read_bytes())
    lines = opinions.decode("latin-1").strip().split("\n")
    reviews = "\n".join(f"{line[0]}\t{' '.join(line[2:].split())}" for line in lines)
    (folder / "reviews.tsv").write_text("label\ttext\n" + reviews + "\n", "utf-8")
    label = ["--label", "label"]
    return {
        "names": [str(data / "names" / "names.txt")],
        "plays": [str(folder / "plays.txt")],
        "letters": [str(folder / "letters.txt"), "--tokens", "characters"],
        "one line": [str(folder / "one-line.txt")],
        "ptb": [str(ptb / "ptb.train.txt.gz"), "--dev", str(ptb / "ptb.valid.txt")],
        "wikitext": [str(data / "wikitext-2" / "train.txt.gz")],
        "imdb": [str(imdb / "train.csv.gz"), *label, "--test", str(imdb / "test.csv.gz")],
        "news": [str(ag / "train_10k.csv.gz"), *label],
        "reviews": [str(folder / "reviews.tsv"), *label],
    }


@contextmanager
def busy(number: int) -> Iterator[None]:
    """Keep so many processors busy."""
    others = [subprocess.Popen([sys.executable, "-c", BUSY]) for _ in range(number)]
    try:
        yield
    finally:
        for one in others:
            one.kill()
            one.wait()


def ticks() -> tuple[float, float]:
    """Return the seconds that all processors were busy since the start, and those of children."""
    fields = [int(one) for one in Path("/proc/stat").read_text().splitlines()[0].split()[1:]]
    used = sum(fields) - fields[3] - fields[4]
    children = os.times()
    return used / os.sysconf("SC_CLK_TCK"), children.children_user + children.children_system


def run_once(arguments: list[str], limit: int, output: Path) -> dict[str, Any]:
    """Run ``thence best`` once; return what is kept of it."""
    command = [sys.executable, "-m", "thence", "best", *arguments]
    before, own, began = *ticks(), time.monotonic()
    done = subprocess.run(
        [*command, "--time", f"{limit}s", "-o", str(output), "--json"],
        capture_output=True,
        text=True,
    )
    took = time.monotonic() - began
    after, mine = ticks()
    cores = os.cpu_count() or 1
    share = ((after - before) - (mine - own)) / (took * cores)
    kept = {"took": took, "own": (mine - own) / took, "others": share, "code": done.returncode}
    if done.returncode:
        return {**kept, "usable": False, "error": done.stderr.strip().splitlines()[-1:]}
    found = json.loads(done.stdout)
    judged = [sys.executable, "-m", "thence", "evaluate", str(output), "--split", "dev", "--json"]
    usable = subprocess.run(judged, capture_output=True).returncode == 0
    tried = [one["name"] for one in found["tried"] if one["weight"]]
    spent = {work: round(seconds, 1) for work, seconds in found["spent"]}
    return {**kept, "usable": usable, "used": found["seconds"], "kept": tried, "spent": spent}


def main() -> None:
    """Run, print each run, and keep how many were in time."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--runs", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--longest", type=int, default=120)
    parser.add_argument("--texts", nargs="*", help="only these")
    parser.add_argument("--keep", action="store_true", help="keep the results for the page")
    given = parser.parse_args()
    random, late = Random(given.seed), 0
    kept: list[dict[str, Any]] = []
    with TemporaryDirectory() as temporary:
        folder = Path(temporary)
        found = texts(given.data.resolve(), folder)
        for number in range(given.runs):
            name = random.choice(given.texts or list(found))
            limit = random.choice([one for one in LIMITS if one <= given.longest])
            beside = number % 2 * (os.cpu_count() or 1)
            with busy(beside):
                one = run_once(found[name], limit, folder / str(number))
            is_late = one["took"] > limit * (1 + SHARE) + GRACE
            late += is_late
            kept.append({"used": 0.0, **one, "limit": limit})
            kept[-1]["used"] /= limit
            print(
                f"{number:3} {name:9} {limit:4} s {'busy' if beside else '    '} "
                f"took {one['took']:6.1f} {'LATE' if is_late else '    '} "
                f"others {one['others']:.0%} own {one['own']:.2f} {json.dumps(one)}",
                flush=True,
            )
    seconds, shares = [one["took"] for one in kept], [one["used"] for one in kept]
    over = [one["took"] - one["limit"] for one in kept]
    own = [one["own"] for one in kept]
    print(f"late {late}, used {median(shares):.0%}, most over {max(over):.1f} s", flush=True)
    if given.keep:
        of = f"of {len(kept)} runs"
        KEPT.add("late", f"{of}: late", {"thence": [late]}, goal="<= 0")
        unusable = sum(not one["usable"] for one in kept)
        KEPT.add("unusable", f"{of}: that left no usable run", {"thence": [unusable]}, goal="<= 0")
        KEPT.add("over", f"{of}: beyond the limit", {"thence": over}, "s")
        KEPT.add("took", f"{of}: time in all", {"thence": seconds}, "s")
        KEPT.add("used", f"{of}: share of the limit used", {"thence": shares})
        KEPT.add("own", f"{of}: processors that it had", {"thence": own})


if __name__ == "__main__":
    main()
