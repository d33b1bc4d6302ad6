"""How long commands take that do nothing much: ``python benchmarks/start_up.py``.

Prints, for each, the least processor time and the least time of several starts, in seconds.
"""

import resource
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

STARTS = 5
TRAIN = ("train", "given-names", "--model", "ngram", "--no-report", "-o", "run")
COMMANDS = (("--version",), ("--help",), ("train", "--help"), ("next", "run", "Mari"))


def start(folder: str, *words: str) -> tuple[float, float]:
    """Run a command once; return its processor time and its time."""
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    command = [sys.executable, "-m", "thence", *words]
    subprocess.run(command, cwd=folder, stdout=subprocess.DEVNULL, check=True)
    seconds, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return used, seconds


def main() -> None:
    """Measure and print."""
    with TemporaryDirectory() as folder:
        start(str(Path(folder)), *TRAIN)
        for words in COMMANDS:
            times = [start(folder, *words) for _ in range(STARTS)]
            used, seconds = (min(column) for column in zip(*times, strict=True))
            print(f"thence {' '.join(words):20} {used:6.2f} {seconds:6.2f}")


if __name__ == "__main__":
    main()
