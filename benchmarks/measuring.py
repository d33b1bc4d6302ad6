"""What all benchmarks share: take turns, measure processor time, and keep the numbers as JSON.

How to use it, from a script ``benchmarks/NAME.py``::

    results = Results("NAME", "python benchmarks/NAME.py DATA", ("numpy", "kenlm"))
    sides = {"thence": cpu(score_ours), "kenlm": cpu(score_theirs)}  # Functions without arguments.
    results.measure("sentence", "score a sentence", sides, "us", scale=1e6, goal="ratio <= 1.5")
    results.add("perplexity", "perplexity on test", {"thence": [141.2]}, goal="<= 142")

``measure`` runs the sides in turn, three times each; ``add`` keeps numbers that were found in
another way. Both write ``benchmarks/results/NAME.json``; ``make benchmarks-page`` makes the tables
of ``docs/benchmarks.md`` from it. ``command`` measures a program of its own: its processor time and
its peak of memory.
"""

import json
import math
import operator
import os
import platform
import re
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from statistics import median
from typing import Any

RESULTS = Path(__file__).parent / "results"
ROUNDS = 3
"""How often each side is measured: the least that has a median and a spread."""
GOAL = re.compile(r"(ratio )?(<=|>=|=) ([\d.]+)")
"""A goal that can be checked: of the first side's median or of the ratio of the first two sides."""
OBSERVER = """
import json, resource, subprocess, sys
done = subprocess.run(sys.argv[2:], stdout=subprocess.PIPE)
used = resource.getrusage(resource.RUSAGE_CHILDREN)
unit = 1 if sys.platform == "darwin" else 1024
seconds, peak = used.ru_utime + used.ru_stime, used.ru_maxrss * unit
open(sys.argv[1], "w").write(json.dumps([done.returncode, seconds, peak]))
sys.stdout.buffer.write(done.stdout)
"""
"""Runs a command and writes what it used. A process of its own, and a small one, since the peak of
a child counts from that of the process that starts it."""


@dataclass(frozen=True)
class Usage:
    """What a program used: processor seconds, peak of memory in bytes; and what it printed."""

    seconds: float
    peak: int
    output: str


def command(words: Sequence[str | Path], folder: Path | None = None, **environment: str) -> Usage:
    """Run a program and its children to the end; raise an error where it fails."""
    read, write = os.pipe()
    observed = [sys.executable, "-c", OBSERVER, f"/dev/fd/{write}", *map(str, words)]
    done = subprocess.run(
        observed,
        cwd=folder,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        pass_fds=[write],
        check=True,
    )
    os.close(write)
    with os.fdopen(read) as file:
        code, seconds, peak = json.load(file)
    if code:
        raise subprocess.CalledProcessError(code, list(map(str, words)), done.stdout, done.stderr)
    return Usage(seconds, peak, done.stdout)


def cpu(work: Callable[[], Any], times: int = 1) -> Callable[[], float]:
    """Return a side that gives the processor seconds, of all threads, of one call of ``work``.

    Args:
        work: What is measured.
        times: Calls in a row whose mean is taken, where one is too short.
    """

    def side() -> float:
        started = time.process_time()
        for _ in range(times):
            work()
        return (time.process_time() - started) / times

    return side


@dataclass(frozen=True)
class Results:
    """The records of one script, in ``benchmarks/results/NAME.json``.

    Attributes:
        name: Name of the file.
        command: How to run the script, without paths of this machine.
        packages: Installed packages whose versions are kept, besides thence and Python.
    """

    name: str
    command: str
    packages: tuple[str, ...] = ()

    def measure(
        self, key: str, claim: str, sides: Mapping[str, Callable[[], float]], unit: str = "s",
        scale: float = 1.0, rounds: int = ROUNDS, **facts: Any,
    ) -> dict[str, Any]:  # fmt: skip
        """Measure the sides in turn, keep what they return times ``scale``, and return the record.

        Args:
            key: Name of the claim in the file; a later record of that name takes its place.
            claim: The claim, as its row says it.
            sides: By name, ours first; each runs once and returns a number, mostly ``cpu(...)``.
            unit: Of the numbers.
            scale: By which they are multiplied, such as 1e6 from seconds to microseconds.
            rounds: How often each side runs.
            facts: ``goal``, ``note`` and ``ratio`` (by default of two sides), as for ``add``.
        """
        runs: dict[str, list[float]] = {name: [] for name in sides}
        for _ in range(rounds):
            for name, side in sides.items():
                runs[name].append(side() * scale)
        return self.add(key, claim, runs, unit, **({"ratio": len(runs) > 1} | facts))

    def add(
        self, key: str, claim: str, runs: Mapping[str, Sequence[float]], unit: str = "",
        goal: str = "", note: str = "", ratio: bool = False,
    ) -> dict[str, Any]:  # fmt: skip
        """Keep and print a record, and return it.

        Args:
            key: Name of the claim in the file; a later record of that name takes its place.
            claim: The claim, as its row says it.
            runs: The numbers of each side, ours first.
            unit: Of the numbers.
            goal: ``<= 15``, ``= 3``, ``ratio <= 0.9`` (the first side by the second), or words.
            note: What else the row should say.
            ratio: Whether the row has the ratio of the first two sides, round by round.
        """
        record: dict[str, Any] = {
            "claim": claim, "command": self.command, "unit": unit,
            "runs": {name: [written(run) for run in some] for name, some in runs.items()},
        }  # fmt: skip
        if ratio:
            ours, theirs = list(runs.values())[:2]
            record["ratio"] = [round(a / b, 4) for a, b in zip(ours, theirs, strict=True)]
        if goal:
            record |= {"goal": goal, "met": is_met(goal, record)}
        record |= {"note": note} if note else {}
        record |= conditions(self.packages)
        path = RESULTS / f"{self.name}.json"
        records = json.loads(path.read_text("utf-8")) if path.exists() else {}
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps({**records, key: record}, indent=1) + "\n", "utf-8")
        shown = {name: float(f"{median(some):.4g}") for name, some in runs.items()}
        met = {True: "ok", False: "MISSED"}.get(record.get("met"), "")
        print(claim, unit, shown, record.get("ratio", ""), goal, met, flush=True)
        return record


def written(number: float) -> float | str:
    """Return a number as records have it: whole, or with six digits that count; ``inf`` as text."""
    if not math.isfinite(number):
        return str(number)
    return int(number) if number == int(number) else float(f"{number:.6g}")


def is_met(goal: str, record: Mapping[str, Any]) -> bool | None:
    """Return whether medians reach a goal; None if it is in words."""
    found = GOAL.fullmatch(goal)
    if found is None:
        return None
    value = median(record["ratio"] if found[1] else next(iter(record["runs"].values())))
    compare = {"<=": operator.le, ">=": operator.ge, "=": operator.eq}[found[2]]
    return bool(compare(value, float(found[3])))


def conditions(packages: Sequence[str] = ()) -> dict[str, Any]:
    """Return where, when and with which versions something is measured; the load is of now."""
    versions = {"Python": platform.python_version()}
    for name in ("thence", *packages):
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            continue
    return {
        "processor": processor(),
        "cores": os.cpu_count(),
        "load": round(os.getloadavg()[0], 1) if hasattr(os, "getloadavg") else None,
        "date": time.strftime("%Y-%m-%d"),
        "versions": versions,
    }


def processor() -> str:
    """Return the name of the processor and its widest vector instructions."""
    path = Path("/proc/cpuinfo")
    text = path.read_text() if path.exists() else ""
    named = re.search(r"^model name\s*: (.*)", text, re.M)
    name = named[1] if named else platform.processor() or platform.machine()
    widest = [say for flag, say in (("avx512f", "AVX-512"), ("avx2", "AVX2")) if flag in text]
    return f"{name} ({widest[0]})" if widest else name
