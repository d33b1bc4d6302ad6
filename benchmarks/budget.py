"""What each second buys: ``thence best`` at several time limits, beside 0.1 and others.

    python benchmarks/budget.py path/to/data [PART ...] [--limits 10s 1m] [--runs 3]
        [--before FOLDER] [--lpaq PROGRAM] [--lmplz PROGRAM] [--no-bfloat16] [--picture FILE]

The folder holds the sets in their usual distributions. The parts are ``names``, ``ptb``,
``wikitext``, ``shakespeare`` and ``text8``; ``imdb``, ``ag``, ``sst`` and ``mr``; and these with
few labels: ``imdb/100``, ``ag/1000`` (default: those with all). Every limit is a new process; its
time is that of the whole command. The test split is looked at once for each run, after all choices
were made on dev. ``--before`` names a working copy of an earlier version, which is measured in
turn with this one. Parts may be measured one by one, since each record keeps its place in the
file; with ``--more`` runs are added to those that are kept already.
"""

import argparse
import gzip
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import budget_labels
from budget_peers import compressors, kenlm
from budget_running import BEFORE, NARROW, THENCE, Given, best, keep, say, seconds_of
from measuring import RESULTS, ROUNDS

CHARACTERS = ("--tokens", "characters")
FIELDS = {
    "nats": "nats_per_token",
    "perplexity": "perplexity",
    "bits per character": "bits_per_character",
}
"""Where an evaluation says a result, by its unit."""


@dataclass(frozen=True)
class Text:
    """A text and how it is judged.

    Attributes:
        title: Its name.
        unit: Of the result on test.
        goals: The limits that are tried, and the goal at each.
        train: The text that ``thence best`` is given.
        test: The text that it is judged on, if that is a file of its own.
        flags: More flags of ``thence best``.
        running: Whether models may adapt to it; they are judged without that, too.
    """

    title: str
    unit: str
    goals: Mapping[str, str]
    train: Path
    test: Path | None = None
    flags: tuple[str, ...] = ()
    running: bool = True


def texts(data: Path, folder: Path) -> dict[str, Text]:
    """Return every text, by part."""
    trees, wiki = data / "ptb", data / "wikitext-2"
    plays = _cut(data / "tinyshakespeare" / "input.txt.gz", folder / "shakespeare", 0.9)
    pages = _cut(data / "text8" / "text8.prefix.gz", folder / "text8", 0.855, 0.9)
    return {
        "names": Text(
            "names (tutorial split)", "nats",
            {"1s": "", "10s": "<= 1.92", "1m": "<= 1.89", "5m": "<= 1.88"},
            data / "names" / "names.txt", running=False,
        ),
        "ptb": Text(
            "Penn Treebank", "perplexity",
            {"3s": "<= 115", "1m": "<= 88", "5m": "<= 76", "30m": "<= 70"},
            trees / "ptb.train.txt.gz", trees / "ptb.test.txt",
            ("--dev", str(trees / "ptb.valid.txt")),
        ),
        "wikitext": Text(
            "WikiText-2", "perplexity", {"10s": "", "1m": "", "5m": "", "30m": "<= 105"},
            wiki / "train.txt.gz", wiki / "test.txt.gz",
            ("--dev", str(wiki / "valid.txt.gz"), "--keep-empty"),
        ),
        "shakespeare": Text(
            "tiny shakespeare", "bits per character",
            {"10s": "<= 1.95", "2m": "<= 1.86", "10m": "<= 1.80"},
            plays[0], plays[1], ("--split", "95/5/0", "--keep-empty", *CHARACTERS),
        ),
        "text8": Text(
            "text8 (prefix)", "bits per character", {"10s": "", "1m": "", "5m": ""},
            pages[0], pages[2], ("--dev", str(pages[1]), *CHARACTERS),
        ),
    }  # fmt: skip


def _cut(path: Path, target: Path, *shares: float) -> list[Path]:
    """Write the parts of a text, each up to a share of it, and return where they are."""
    text = _read(path)
    bounds = [0, *(int(share * len(text)) for share in shares), len(text)]
    paths = [target.with_name(f"{target.name}-{part}.txt") for part in range(len(bounds) - 1)]
    for part, first, last in zip(paths, bounds[:-1], bounds[1:], strict=True):
        part.write_text(text[first:last], "utf-8")
    return paths


def _read(path: Path) -> str:
    """Return a text that may be compressed."""
    content = path.read_bytes()
    return (gzip.decompress(content) if path.suffix == ".gz" else content).decode("utf-8")


def main() -> None:
    """Measure the chosen parts, and draw the picture."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path, help="folder of the data sets")
    parser.add_argument("parts", nargs="*", help="which parts")
    parser.add_argument("--limits", nargs="*", help="these limits instead")
    parser.add_argument("--runs", type=int, default=ROUNDS, help="how often each is measured")
    parser.add_argument("--before", type=Path, help="working copy of an earlier version")
    parser.add_argument("--lpaq", type=Path, help="the program lpaq1")
    parser.add_argument("--lmplz", type=Path, help="KenLM's program")
    parser.add_argument("--more", action="store_true", help="add to the runs that are kept")
    parser.add_argument("--no-peers", action="store_true", help="leave others out")
    parser.add_argument("--no-bfloat16", action="store_true", help="do as an older processor")
    parser.add_argument("--picture", type=Path, help="draw what was measured so far to this file")
    said = parser.parse_args()
    with TemporaryDirectory() as temporary:
        given = Given(
            said.data.resolve(), Path(temporary), said.runs, said.before, said.lpaq, said.lmplz,
            said.more, not said.no_peers, NARROW if said.no_bfloat16 else {},
        )  # fmt: skip
        found = texts(given.data, given.folder)
        for part in said.parts or [*found, *budget_labels.TITLES]:
            if part not in found:
                budget_labels.measure(part, said.limits, given)
                continue
            measure(part, found[part], said.limits, given)
            if given.peers:
                measure_peers(part, found[part], given)
        if said.picture:
            draw(found, said.picture)


def measure(part: str, text: Text, limits: Sequence[str] | None, given: Given) -> None:
    """Keep the results of ``thence best``, in turn with an earlier version's."""
    for limit in limits or text.goals:
        results: dict[str, list[float]] = {version: [] for version in given.versions}
        took: dict[str, list[float]] = {}
        for run in range(given.runs):
            for version in given.versions:
                output = given.folder / f"{part}-{limit}-{version}-{run}"
                test = [] if text.test is None else ["--test", str(text.test)]
                arguments = [str(text.train), *test, *text.flags]
                seconds = best(arguments, limit, output, version, given)
                if seconds is None:
                    continue
                took.setdefault(seconds_of(version), []).append(seconds)
                results[version].append(on_test(output, text.unit, version, given))
                if text.running and version == THENCE:
                    static = on_test(output, text.unit, version, given, "--static")
                    results.setdefault("static", []).append(static)
        claim, goal = f"{text.title}, {limit}", text.goals.get(limit, "")
        keep(f"{part}, {limit}", claim, text.unit, results | took, given, goal)


def on_test(run: Path, unit: str, version: str, given: Given, *flags: str) -> float:
    """Return how good a run is on test."""
    words = ["evaluate", str(run), "--split", "test", "--json", *flags]
    return float(json.loads(say(words, version, given))[FIELDS[unit]])


def measure_peers(part: str, text: Text, given: Given) -> None:
    """Keep what others make of a text, each in its own time."""
    if text.test is None:
        return
    found = {}
    if text.unit == "bits per character":
        dev = [Path(flag) for flag in text.flags if Path(flag).is_file()]
        before = b"".join(path.read_bytes() for path in (text.train, *dev))
        found = compressors(before, text.test.read_bytes(), given.lpaq, given.folder)
    elif text.unit == "perplexity":
        lines = [_read(path).splitlines() for path in (text.train, text.test)]
        found = kenlm(*lines, given.lmplz, given.folder)
    for name, (result, seconds) in found.items():
        runs = {"test": [result], seconds_of(THENCE): [seconds]}
        keep(f"{part}, {name}", f"{text.title}: {name}", text.unit, runs, given)


def draw(found: Mapping[str, Text], picture: Path) -> None:
    """Draw every text's results against the time, with those of others."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.ticker import LogLocator, NullFormatter

    records = json.loads((RESULTS / "budget.json").read_text("utf-8"))
    known = {key.split(", ")[0] for key in records}
    shown = {part: text for part, text in found.items() if part in known}
    rows = -(-len(shown) // 2)
    figure = Figure(figsize=(11, 4 * rows), layout="constrained")
    FigureCanvasAgg(figure)
    every = list(figure.subplots(rows, 2, squeeze=False).flat)
    for axes in every[len(shown) :]:
        axes.remove()
    for axes, (part, text) in zip(every, shown.items(), strict=False):
        own = {
            key: one
            for key, one in records.items()
            if key.split(", ")[0] == part and not key.endswith("no bfloat16")
        }
        limits = [one for key, one in own.items() if key.split(", ")[1][:1].isdigit()]
        for side, label in ((THENCE, "thence best"), ("static", "static"), (BEFORE, "0.1")):
            seconds = seconds_of(side if side == BEFORE else THENCE)
            points = sorted(_point(one, seconds, side) for one in limits if side in one["runs"])
            if points:
                axes.plot(*zip(*points, strict=True), "o-", label=label)
        others = [key for key, one in own.items() if one not in limits]
        points = [_point(own[key], seconds_of(THENCE), "test") for key in others]
        for point in points:
            axes.plot(*point, "x", color="#8a939c")
        axes.set(xscale="log", xlabel="seconds, all in", ylabel=f"{text.unit} on test")
        axes.margins(0.1)
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 3)))
        axes.xaxis.set_major_formatter("{x:g}")
        axes.xaxis.set_minor_formatter(NullFormatter())
        for number, (key, point) in enumerate(zip(others, points, strict=True)):
            across = axes.transLimits.transform(axes.transScale.transform(point))[0]
            to = "right" if across > 0.5 else "left"  # Away from the nearer end.
            off = (-5 if across > 0.5 else 5, -7 if number % 2 else 3)
            name = key.partition(", ")[2]
            axes.annotate(name, point, off, textcoords="offset points", size=8, ha=to)
        axes.set_title(text.title, loc="left")
        axes.grid(alpha=0.3)
        axes.legend(frameon=False)
    figure.savefig(picture, dpi=120)


def _point(record: Mapping[str, Any], seconds: str, side: str) -> tuple[float, float]:
    return median(record["runs"][seconds]), median(record["runs"][side])


if __name__ == "__main__":
    main()
