"""What each second buys: ``thence best`` at several time limits, beside single models and peers.

    python benchmarks/budget.py path/to/data [PART ...] [--limits 10s 1m] [--picture FILE]

The folder holds ``names``, ``ptb``, ``imdb`` and ``tinyshakespeare``. The parts are ``names``,
``ptb``, ``imdb`` and ``shakespeare``; all take about two hours on two cores that do nothing else.
Every limit is a new process; its time is that of the whole command. The test split is looked at
once for each row, after all choices were made on dev. With ``--alone`` one network also has all of
each time for itself. ``--picture`` draws what was measured so far.
"""

import argparse
import gzip
import json
import math
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from measuring import RESULTS, Results

KEPT = Results("budget", "python benchmarks/budget.py DATA", ("torch", "numpy"))
NANOGPT = 0.9
"""The share of tiny shakespeare that nanoGPT trains on; it is judged on the rest."""


@dataclass(frozen=True)
class Text:
    """A text and how it is judged.

    Attributes:
        title: Its name.
        unit: Of the result on test.
        limits: Times that are tried.
        arguments: Of ``thence best``; the first is the text.
        network: The family that is trained alone, for comparison.
        peers: Name, seconds and result of others.
    """

    title: str
    unit: str
    limits: tuple[str, ...]
    arguments: tuple[str, ...]
    network: str
    peers: tuple[tuple[str, float, float], ...]


def texts(data: Path, folder: Path) -> dict[str, Text]:
    """Return every text, by part."""
    ptb, imdb = data / "ptb", data / "imdb"
    shakespeare = gzip.decompress((data / "tinyshakespeare" / "input.txt.gz").read_bytes()).decode()
    cut = int(NANOGPT * len(shakespeare))
    for name, part in (("train", shakespeare[:cut]), ("test", shakespeare[cut:])):
        (folder / f"{name}.txt").write_text(part, "utf-8")
    return {
        "names": Text(
            "names (tutorial split)", "nats", ("1s", "10s", "1m", "5m"),
            (str(data / "names" / "names.txt"),), "lstm",
            (("KenLM, order 6", 0.2, 1.978), ("tutorial's network", 77, 2.17),
             ("makemore's transformer", 600, 1.97)),
        ),
        "ptb": Text(
            "Penn Treebank", "perplexity", ("3s", "1m", "5m", "30m"),
            (str(ptb / "ptb.train.txt.gz"), "--dev", str(ptb / "ptb.valid.txt"),
             "--test", str(ptb / "ptb.test.txt")), "lstm",
            (("KenLM, order 5", 3, 141.2), ("counts and LSTM, 4 cores", 1620, 87.4)),
        ),
        "imdb": Text(
            "IMDB", "accuracy", ("10s", "1m", "10m"),
            (str(imdb / "train.csv.gz"), "--label", "label", "--test", str(imdb / "test.csv.gz"),
             "--split", "90/10/0"), "averaging",
            (("fastText, dim 16", 3.8, 0.8958), ("TF-IDF, scikit-learn", 19, 0.8870)),
        ),
        "shakespeare": Text(
            "tiny shakespeare", "bits per character", ("10s", "2m", "10m"),
            (str(folder / "train.txt"), "--test", str(folder / "test.txt"), "--split", "95/5/0",
             "--keep-empty", "--tokens", "characters"), "lstm",
            (("nanoGPT on a processor", 180, 1.88 / math.log(2)),
             ("nanoGPT on a large GPU", 180, 1.4697 / math.log(2))),
        ),
    }  # fmt: skip


def main() -> None:
    """Measure the chosen parts, and draw the picture."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path, help="folder of the data sets")
    parser.add_argument("parts", nargs="*", help="which parts (default: all)")
    parser.add_argument("--limits", nargs="*", help="only these limits")
    parser.add_argument("--alone", action="store_true", help="also one network for the whole time")
    parser.add_argument("--picture", type=Path, help="draw the results to this file")
    given = parser.parse_args()
    with TemporaryDirectory() as temporary:
        folder = Path(temporary)
        found = texts(given.data.resolve(), folder)
        for name in given.parts or found:
            for limit in found[name].limits:
                if not given.limits or limit in given.limits:
                    measure(name, found[name], limit, folder, given.alone)
        if given.picture:
            draw(found, given.picture)


def measure(part: str, text: Text, limit: str, folder: Path, alone: bool) -> None:
    """Run the autopilot in a process of its own, evaluate on test, and keep the result."""
    output = folder / f"{part}-{limit}"
    command = ["best", *text.arguments, "--time", limit, "--output", str(output), "--json"]
    began = time.perf_counter()
    found = json.loads(thence_says(command))
    took = time.perf_counter() - began
    single = min(found["tried"], key=lambda one: math.inf if one["nats"] is None else one["nats"])
    note = f"dev {on_dev(found, text)}; best single {on_dev(single, text)} ({single['name']})"
    keep(f"{part}, {limit}", f"{text.title}, {limit}", text, on_test(output, text.unit), took, note)
    if alone:
        key, claim = f"{part}, {limit}, alone", f"{text.title}, {limit}, {text.network} alone"
        keep(key, claim, text, *one_alone(part, text, limit, folder))


def keep(key: str, claim: str, text: Text, result: float, took: float, note: str = "") -> None:
    """Keep a result on test, in the unit of the text, and the seconds it took."""
    KEPT.add(key, claim, {"test": [result], "took, s": [took]}, text.unit, note=note)


def thence_says(arguments: list[str]) -> str:
    """Run a command of thence; return what it prints."""
    command = [sys.executable, "-m", "thence", *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def on_test(run: Path, unit: str) -> float:
    """Return how good a run is on test."""
    judged = json.loads(thence_says(["evaluate", str(run), "--split", "test", "--json"]))
    fields = {
        "nats": "nats_per_token", "perplexity": "perplexity", "accuracy": "accuracy",
        "bits per character": "bits_per_character",
    }  # fmt: skip
    return float(judged[fields[unit]])


def on_dev(found: dict[str, Any], text: Text) -> str:
    """Return how good a model, or the result, is on dev."""
    nats = found["nats"]
    results = {
        "nats": nats, "perplexity": math.exp(nats), "accuracy": found["accuracy"],
        "bits per character": nats / math.log(2),
    }  # fmt: skip
    return shown(results[text.unit], text)


def shown(result: float, text: Text) -> str:
    """Return a result in its unit."""
    if text.unit == "accuracy":
        return f"{result:.2%}"
    return f"{result:.1f}" if text.unit == "perplexity" else f"{result:.4f}"


ALONE = """
import sys
from thence.autopilot import language
from thence.autopilot.candidates import Candidate
from thence.cli.main import main
only = (Candidate(sys.argv[1], 1.0),)
language.LanguageStrategy.first = lambda self: None
language.LanguageStrategy.count = lambda self: iter(())
language.schedule = lambda *about: only
main(sys.argv[2:])
"""
"""``thence best`` with one network and nothing else."""


def one_alone(part: str, text: Text, limit: str, folder: Path) -> tuple[float, float]:
    """Let one network have all the time; return its result on test and the seconds it took."""
    output = folder / f"{part}-{limit}-alone"
    arguments = ["best", *text.arguments, "--time", limit, "--output", str(output)]
    began = time.perf_counter()
    command = [sys.executable, "-c", ALONE, text.network, *arguments, "--json"]
    subprocess.run(command, check=True, capture_output=True)
    took = time.perf_counter() - began
    return on_test(output, text.unit), took


def draw(found: dict[str, Text], picture: Path) -> None:
    """Draw every text's results against the time, the peers' among them."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    records = json.loads((RESULTS / "budget.json").read_text("utf-8"))
    figure = Figure(figsize=(11, 8), layout="constrained")
    FigureCanvasAgg(figure)
    for axes, (part, text) in zip(figure.subplots(2, 2).flat, found.items(), strict=True):
        for what, mark in (("thence best", "o-"), (f"{text.network} alone", "s")):
            own = [
                [runs[0] for runs in record["runs"].values()]
                for key, record in records.items()
                if key.split(", ")[0] == part and key.endswith("alone") == what.endswith("alone")
            ]
            if own:
                results, seconds = zip(*sorted(own, key=lambda one: one[1]), strict=True)
                axes.plot(seconds, results, mark, label=what)
        for name, seconds, result in text.peers:
            axes.plot([seconds], [result], "x", color="#8a939c")
            late = seconds > 60
            place: dict[str, Any] = {"xytext": (-6, -2) if late else (5, 4), "size": 8}
            place |= {"ha": "right" if late else "left", "textcoords": "offset points"}
            axes.annotate(name, (seconds, result), **place)
        axes.set_xscale("log")
        axes.set_xlabel("seconds, all in")
        axes.set_ylabel(f"{text.unit} on test")
        axes.set_title(text.title, loc="left")
        axes.grid(alpha=0.3)
        axes.legend(frameon=False, loc="center right")
    figure.savefig(picture, dpi=120)


if __name__ == "__main__":
    main()
