"""Write the tables of ``docs/benchmarks.md`` and others from ``benchmarks/results/*.json``.

    python docs/build_benchmarks.py

A table stands between ``<!-- benchmarks of NAME -->``, the name of a file of results, and ``<!--
end -->``; what is around it is written by hand. A file without a place on the page gets a section
at its end. The rows of ``BESIDE`` stand in ``docs/instead.md`` behind ``<!-- beside other tools
-->``, some of them in the README behind ``<!-- beside other tools, in short -->``.
``benchmarks/measuring.py`` says what a record has. A test fails if a page is out of date.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

PAGE = Path(__file__).parent / "benchmarks.md"
INSTEAD, README = PAGE.with_name("instead.md"), PAGE.parents[1] / "README.md"
RESULTS = Path(__file__).parents[1] / "benchmarks" / "results"
BESIDE_TABLE = re.compile(
    r"(<!-- beside other tools(, in short)? -->\n).*?(<!-- end -->)", re.DOTALL
)
TABLE = re.compile(r"(<!-- benchmarks of ([\w-]+) -->\n).*?(<!-- end -->)", re.DOTALL)
FACTS = ("date", "processor", "cores", "versions", "command", "conditions")
"""What is the same for a whole table, besides the names of its columns."""

BAR = r"\|"

Record = Mapping[str, Any]


@dataclass(frozen=True)
class Beside:
    """A row of the table beside other tools.

    Attributes:
        what: What was measured, in words.
        file: Name of the file of results.
        key: The record in it.
        others: The other sides of the record, by what they are called in the table.
        short: Whether the README has it too.
        ours: Our side of the record.
    """

    what: str
    file: str
    key: str
    others: Mapping[str, str]
    short: bool = False
    ours: str = "thence"


PLAIN, FASTTEXT = {"plain PyTorch": "plain PyTorch"}, {"fastText": "fastText"}
PTB = "Penn Treebank, order 5"
BESIDE = (
    Beside(f"{PTB}: perplexity on test", "counting", "ptb-5-test", {"KenLM": "KenLM"}, True),
    Beside(f"{PTB}: scoring a token", "counting", "score", {"KenLM": "KenLM, line by line"}, True),
    Beside(f"{PTB}: a sentence, from Python", "queries", "sentence", {"kenlm": "kenlm"}),
    Beside("IMDB, words: right", "fasttext_peer", "IMDB, words right", FASTTEXT, True),
    Beside("IMDB, words: training and test", "fasttext_peer", "IMDB, words time", FASTTEXT, True),
    Beside("AG News, pairs of words: right", "fasttext_peer", "AG, pairs of words right", FASTTEXT),
    Beside(
        "AG News, pairs of words: training and test",
        "fasttext_peer",
        "AG, pairs of words time",
        FASTTEXT,
    ),
    Beside("a fastText model: one line at a time", "fasttext_peer", "alone", FASTTEXT),
    Beside(
        "names of the lectures, an `mlp`: text to loss on dev",
        "names",
        "speed-clock",
        {"the notebook's loop": "notebook loop"},
    ),
    Beside(
        "a beam search for speech",
        "ctc",
        "seconds",
        {"pyctcdecode": "pyctcdecode"},
        True,
    ),
    Beside(
        "a filter by perplexity, 2 processes",
        "filtering",
        "speed",
        {"kenlm in a loop": "kenlm, a plain loop"},
        True,
        "thence, 2 processes",
    ),
    Beside("an LSTM of Penn Treebank: a training step", "training_steps", "lstm", PLAIN, True),
    Beside("a transformer of characters: a training step", "training_steps", "transformer", PLAIN),
)


def updated(page: str, results: Path = RESULTS) -> str:
    """Return the page with its tables as the records have them now."""
    known = {found[1] for found in TABLE.findall(page)}
    for path in sorted(results.glob("*.json")):
        if path.stem not in known:
            title = path.stem.replace("_", " ").capitalize()
            page += f"\n## {title}\n\n<!-- benchmarks of {path.stem} -->\n<!-- end -->\n"

    def tables(found: re.Match[str]) -> str:
        records = json.loads((results / f"{found[2]}.json").read_text("utf-8"))
        return f"{found[1]}\n{''.join(lines_of(list(records.values())))}\n{found[3]}"

    return TABLE.sub(tables, page)


def beside(page: str, results: Path = RESULTS) -> str:
    """Return a page with its rows beside other tools, as far as they were measured."""

    def rows(short: bool) -> Iterator[str]:
        yield row_of(("what", "thence", "another tool"))
        yield "|---|---:|---:|\n"
        for row in BESIDE:
            path = results / f"{row.file}.json"
            records = json.loads(path.read_text("utf-8")) if path.exists() else {}
            measured = records.get(row.key, {"runs": {}})["runs"].keys() >= {*row.others.values()}
            if measured and (row.short or not short):
                record = records[row.key]
                others = [f"{middle(record, side)} ({name})" for name, side in row.others.items()]
                yield row_of((row.what, middle(record, row.ours), ", ".join(others)))

    def table(found: re.Match[str]) -> str:
        return f"{found[1]}\n{''.join(rows(bool(found[2])))}\n{found[3]}"

    return BESIDE_TABLE.sub(table, page)


def middle(record: Record, side: str) -> str:
    """Return the median of a side with its unit."""
    value, unit = median(record["runs"][side]), record["unit"].partition(" ")[0]
    if unit == "perplexity":
        return f"{value:.2f}"
    return f"{value:.1f} %" if unit == "%" else f"{rounded(value)} {unit.replace('us', 'µs')}"


def lines_of(records: Sequence[Record]) -> Iterator[str]:
    """Yield the lines of the tables: one for each command, day, machine and set of columns."""
    groups: dict[str, dict[str, list[Record]]] = {}
    for record in records:
        shared = json.dumps([record.get(name) for name in FACTS])
        columns = json.dumps([list(record["runs"]), "ratio" in record])
        groups.setdefault(shared, {}).setdefault(columns, []).append(record)
    lines = []
    for tables in groups.values():
        lines.append(condition_line(next(iter(tables.values()))[0]) + "\n")
        lines += ["".join(table(rows)) for rows in tables.values()]
    yield "\n".join(lines)


def condition_line(record: Record) -> str:
    """Return how, when, where and with what records were measured."""
    parts = [record["date"]]
    if record.get("processor"):
        parts.append(record["processor"])
    parts.append(f"{record['cores']} cores")
    parts += [f"{name} {version}" for name, version in record["versions"].items()]
    conditions = f" {record['conditions']}" if record.get("conditions") else ""
    return f"`{record['command']}`: {', '.join(parts)}.{conditions}"


def table(records: Sequence[Record]) -> Iterator[str]:
    """Yield the lines of a table; columns that no row fills are left out."""
    sides = list(records[0]["runs"])
    rows = [
        {
            "claim": name_of(record),
            **{side: with_spread(runs) for side, runs in record["runs"].items()},
            "ratio": with_spread(record.get("ratio", [])),
            "goal": goal_of(record),
            "runs": number_of_runs(record),
            "note": record.get("note", ""),
        }
        for record in records
    ]
    columns = [name for name in rows[0] if any(row[name] for row in rows)]
    yield row_of(columns)
    yield "|" + "".join(
        "---:|" if name in (*sides, "ratio", "runs") else "---|" for name in columns
    )
    yield "\n"
    for row in rows:
        yield row_of([row[name] for name in columns])


def name_of(record: Record) -> str:
    """Return the claim with the unit of its numbers."""
    return f"{record['claim']} ({record['unit']})" if record["unit"] else record["claim"]


def with_spread(runs: Sequence[float | str]) -> str:
    """Return a number as it is, or the median of several with the least and the greatest."""
    if not runs:
        return ""
    if len(set(runs)) == 1:
        return runs[0] if isinstance(runs[0], str) else f"{runs[0]:,.10g}"
    middle, least, most = (rounded(value) for value in (median(runs), min(runs), max(runs)))
    return f"{middle} ({least} to {most})"


def rounded(value: float) -> str:
    """Return a measured number with three digits that count, or as a whole number."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def number_of_runs(record: Record) -> str:
    """Return how often each side ran; of old records only the median may be known."""
    if "median_of" in record:
        return f"median of {record['median_of']}"
    return str(max(map(len, record["runs"].values())))


def goal_of(record: Record) -> str:
    """Return a goal and whether it was reached."""
    goal = record.get("goal", "").replace("<=", "at most").replace(">=", "at least")
    verdict = {True: ": ok", False: ": **missed**", None: ""}[record.get("met")]
    return goal + verdict


def row_of(cells: Sequence[str]) -> str:
    """Return a line of a table."""
    return f"| {' | '.join(cell.replace('|', BAR) for cell in cells)} |\n"


if __name__ == "__main__":
    PAGE.write_text(updated(PAGE.read_text("utf-8")), "utf-8")
    for path in (INSTEAD, README):
        path.write_text(beside(path.read_text("utf-8")), "utf-8")
