"""How fast text becomes tokens, and what it takes in memory.

    python benchmarks/tokenising.py [MEGABYTES] [LEVEL ...]

Writes an English-like text (the same for the same size) to a temporary folder and, for each
level, reads it, makes the vocabulary and encodes it in a fresh process that may use one core, three
times. Subwords are left out unless named: learning the merges takes minutes.
"""

import json
import os
import sys
import time
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory

from measuring import ROUNDS, Results, command

LEVELS = ("characters", "bytes", "words-whitespace", "words-punctuation")
REQUIRED = {"characters": 20, "bytes": 20, "words-whitespace": 10, "words-punctuation": 10}
"""Megabytes a second that encoding must reach."""
MEMORY = 3.0
"""Peak of memory that is allowed, as a multiple of the text."""
SEED = 1
RESULTS = Results("tokenising", "python benchmarks/tokenising.py", ("numpy",))


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
    """Read, make the vocabulary and encode in this process; return seconds and tokens."""
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
    return {"read": read, "learn": learn, "encode": encode, "tokens": store.num_targets}


def main() -> None:
    """Measure each level and keep the results."""
    if sys.argv[1:2] == ["--measure"]:
        if hasattr(os, "sched_setaffinity"):
            os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
        print(json.dumps(measure(Path(sys.argv[2]), sys.argv[3])))
        return
    megabytes = int(sys.argv[1]) if sys.argv[1:] else 100
    with TemporaryDirectory() as folder:
        path = Path(folder) / "text.txt"
        write_text(path, megabytes)
        size = path.stat().st_size
        for level in sys.argv[2:] or LEVELS:
            words = [sys.executable, __file__, "--measure", path, level]
            runs = []
            for number in range(ROUNDS):
                home = f"{folder}/{level}-{number}"
                runs.append(command(words, THENCE_HOME=home, OMP_NUM_THREADS="1"))
            found = [json.loads(run.output) for run in runs]
            note = f"{found[0]['tokens']:,} tokens of {size / 1e6:.0f} MB"
            for step in ("read", "learn", "encode"):
                speeds = {"thence": [size / 1e6 / one[step] for one in found]}
                goal = f">= {REQUIRED[level]}" if step == "encode" and level in REQUIRED else ""
                if level != "bytes" or step != "learn":  # Their vocabulary is known.
                    RESULTS.add(f"{level}-{step}", f"{level}: {step}", speeds, "MB/s", goal, note)
            peaks = {"thence": [run.peak / size for run in runs]}
            claim = f"{level}: peak memory by the size of the text"
            RESULTS.add(f"{level}-memory", claim, peaks, goal=f"<= {MEMORY:g}")


if __name__ == "__main__":
    main()
