"""How fast text becomes tokens, and what it takes in memory.

    python benchmarks/tokenising.py [MEGABYTES] [LEVEL ...]

Writes an English-like text (the same for the same size) to a temporary folder and, for each
level, reads it, makes the vocabulary and encodes it in a fresh process that may use one core.
Speeds are per second of processor time, so that a busy machine disturbs them less.
Subwords are left out unless named: learning the merges takes minutes.

Required: encode at >= 20 MB/s (characters, bytes) and >= 10 MB/s (words), peak memory < 3 x text.
"""

import json
import os
import resource
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory

LEVELS = ("characters", "bytes", "words-whitespace", "words-punctuation")
REQUIRED = {"characters": 20, "bytes": 20, "words-whitespace": 10, "words-punctuation": 10}
MEMORY = 3.0
SEED = 1


def write_text(path: Path, megabytes: int) -> None:
    """Write lines of words whose frequencies and lengths are like those of English."""
    import numpy as np

    random = np.random.default_rng(SEED)
    letters = np.frombuffer(b"etaoinshrdlucmfwypvbgk", np.uint8)
    weights = 1 / np.arange(1, len(letters) + 1) ** 0.7
    lengths = np.minimum(1 + random.geometric(0.17, 300_000), 16)
    lengths[:200] = 1 + random.integers(0, 4, 200)  # Frequent words are short.
    drawn = random.choice(letters, lengths.sum(), p=weights / weights.sum()).tobytes().decode()
    ends = lengths.cumsum()
    words = [drawn[end - size : end] for end, size in zip(ends, lengths, strict=True)]
    words[10:40:10] = ["café", "naïve", "don’t"]  # A little of what is not ASCII.
    zipf = 1 / (np.arange(len(words)) + 5) ** 1.2  # 45,000 words are 10,000 distinct ones.
    zipf /= zipf.sum()
    with path.open("w", encoding="utf-8", newline="\n") as file:
        written = 0
        while written < megabytes * 1_000_000:
            chosen = iter(random.choice(len(words), 200_000, p=zipf).tolist())
            lines = []
            for size in random.integers(5, 35, 9_000).tolist():
                line = " ".join(words[next(chosen, 0)] for _ in range(size)).capitalize()
                comma = line.find(" ", len(line) // 2)
                lines.append(f"{line[:comma]},{line[comma:]}.\n")
            text = "".join(lines)
            file.write(text)
            written += len(text.encode())


def measure(path: Path, level: str) -> dict[str, float]:
    """Read, make the vocabulary and encode in this process; return seconds and peak bytes."""
    from thence.corpus import read_documents
    from thence.tokens import TokenOptions, make_tokenizer

    clock = [time.process_time()]
    documents = read_documents(path)
    clock.append(time.process_time())
    tokens, _, split = level.partition("-")
    options = {"tokens": tokens} | ({"word_split": split} if split else {})
    tokenizer = make_tokenizer(documents, TokenOptions(**options))
    clock.append(time.process_time())
    store = tokenizer.encode(documents)
    clock.append(time.process_time())
    read, learn, encode = (after - before for before, after in pairwise(clock))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    peak *= 1 if sys.platform == "darwin" else 1024
    tokens_made = store.num_targets
    return {"read": read, "learn": learn, "encode": encode, "peak": peak, "tokens": tokens_made}


def main() -> int:
    """Print the table; return 1 if a requirement is not met."""
    if sys.argv[1:2] == ["--measure"]:
        if hasattr(os, "sched_setaffinity"):
            os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
        print(json.dumps(measure(Path(sys.argv[2]), sys.argv[3])))
        return 0
    megabytes = int(sys.argv[1]) if sys.argv[1:] else 100
    failed = []
    with TemporaryDirectory() as folder:
        path = Path(folder) / "text.txt"
        write_text(path, megabytes)
        size = path.stat().st_size
        if hasattr(os, "getloadavg"):
            print(f"{size / 1e6:.0f} MB, load {os.getloadavg()[0]:.2f}")
        print(f"{'MB/s':20}{'read':>8}{'learn':>8}{'encode':>8}{'peak/text':>11}{'tokens':>12}")
        for level in sys.argv[2:] or LEVELS:
            cache = Path(folder) / level
            command = [sys.executable, __file__, "--measure", str(path), level]
            environment = {**os.environ, "THENCE_HOME": str(cache), "OMP_NUM_THREADS": "1"}
            done = subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE)
            found = json.loads(done.stdout)
            speed = {step: size / found[step] / 1e6 for step in ("read", "learn", "encode")}
            peak = found["peak"] / size
            rates = "".join(f"{speed[step]:8.1f}" for step in speed)
            print(f"{level:20}{rates}{peak:11.2f}{found['tokens']:12,}", flush=True)
            if speed["encode"] < REQUIRED.get(level, 0) or peak >= MEMORY:
                failed.append(level)
    if failed:
        print(f"Requirements not met: {', '.join(failed)}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
