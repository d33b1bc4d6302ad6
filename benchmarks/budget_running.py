"""What the files of ``budget.py`` share: runs of ``thence best``, and where results are kept."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from measuring import RESULTS, Results

PACKAGES = ("torch", "numpy", "scikit-learn", "kenlm")
KEPT = Results("budget", "python benchmarks/budget.py DATA", PACKAGES)
NARROW = {"ATEN_CPU_CAPABILITY": "avx2", "ONEDNN_MAX_CPU_ISA": "AVX2"}
"""Environment in which a processor does as if it had neither bfloat16 nor AVX-512."""
THENCE, BEFORE = "thence", "before"
"""Versions that are measured: this one, and an earlier one."""


@dataclass(frozen=True)
class Given:
    """What was asked for.

    Attributes:
        data: Folder of the data sets.
        folder: For files.
        runs: How often each is measured.
        before: Working copy of an earlier version.
        lpaq: The program lpaq1.
        lmplz: KenLM's program.
        more: Whether to add to the runs that are kept.
        peers: Whether others are measured.
        environment: That of what is measured: nothing, or ``NARROW``.
    """

    data: Path
    folder: Path
    runs: int
    before: Path | None = None
    lpaq: Path | None = None
    lmplz: Path | None = None
    more: bool = False
    peers: bool = True
    environment: Mapping[str, str] = field(default_factory=dict)

    @property
    def versions(self) -> dict[str, Path]:
        """The sources of what is measured in turn."""
        own = {THENCE: Path(__file__).resolve().parent.parent / "src"}
        return own if self.before is None else {**own, BEFORE: self.before.resolve() / "src"}


class FailedError(Exception):
    """A command of thence has failed."""


def say(words: Sequence[str], version: str, given: Given) -> str:
    """Run a command of a version of thence; return what it prints."""
    source = {"PYTHONPATH": str(given.versions[version])}
    done = subprocess.run(
        [sys.executable, "-m", "thence", *words],
        env={**os.environ, **given.environment, **source},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise FailedError(f"{version}: thence {' '.join(words)}\n{done.stderr}")
    return done.stdout


def best(
    arguments: Sequence[str], limit: str, output: Path, version: str, given: Given
) -> float | None:
    """Let ``thence best`` make a run; return the seconds that the whole command took.

    None if an earlier version ended without one, as it may in very little time.
    """
    words = ["best", *arguments, "--time", limit, "--output", str(output), "--json"]
    began = time.perf_counter()
    try:
        say(words, version, given)
    except FailedError as error:
        if version == THENCE:
            raise
        print(error, file=sys.stderr)
        return None
    return time.perf_counter() - began


def seconds_of(version: str) -> str:
    """Return the name for the seconds that a version took."""
    return "took, s" if version == THENCE else f"{version} took, s"


def keep(
    key: str, claim: str, unit: str, runs: Mapping[str, Sequence[float]], given: Given,
    goal: str = "", note: str = "",
) -> None:  # fmt: skip
    """Keep runs by what was measured, ours first; added to those kept before, if so asked."""
    if given.environment:
        key, claim = f"{key}, no bfloat16", f"{claim}, no bfloat16"
        goal = ""
    path = RESULTS / f"{KEPT.name}.json"
    kept = json.loads(path.read_text("utf-8")) if given.more and path.exists() else {}
    old: Mapping[str, Sequence[float]] = kept.get(key, {}).get("runs", {})
    joined = {name: [*old.get(name, ()), *some] for name, some in runs.items()}
    compared = len(joined.get(BEFORE, ())) == len(joined.get(THENCE, ()))
    KEPT.add(key, claim, joined, unit, goal=goal, note=note, ratio=compared and BEFORE in runs)
