"""Write the tables of ``docs/benchmarks.md`` from ``benchmarks/results/*.json``.

    python docs/build_benchmarks.py

A table stands between ``<!-- benchmarks of NAME -->``, the name of a file of results, and ``<!--
end -->``; what is around it is written by hand. A file without a place on the page gets a section
at its end. ``benchmarks/measuring.py`` says what a record has. A test fails if the page is out of
date.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

PAGE = Path(__file__).parent / "benchmarks.md"
RESULTS = Path(__file__).parents[1] / "benchmarks" / "results"
TABLE = re.compile(r"(<!-- benchmarks of ([\w-]+) -->\n).*?(<!-- end -->)", re.DOTALL)
FACTS = ("date", "processor", "cores", "versions", "command", "conditions")
"""What is the same for a whole table, besides the names of its columns."""

BAR = r"\|"

Record = Mapping[str, Any]


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
