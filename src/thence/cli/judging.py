"""Output of ``thence pairs``, ``thence surprisal`` and ``thence rescore``."""

import csv
from collections.abc import Callable, Iterator, Sequence
from io import StringIO
from itertools import chain, islice
from pathlib import Path
from types import SimpleNamespace
from typing import Annotated, Any, Literal

from cyclopts import Parameter

from thence.cli.output import (
    Json,
    picture_to_write,
    print_json,
    print_table,
    progress_bar,
    write_picture,
)
from thence.cli.streams import print_note, print_text
from thence.errors import SettingError
from thence.evaluation.pairs import PairReport
from thence.evaluation.rescoring import Rescoring
from thence.results import Results, format_pairs, json_value
from thence.runs.files import find_run
from thence.settings import PositiveInt
from thence.terminal import print_prose

ROWS_AT_ONCE = 1000
"""Number of table rows per write."""
DIGITS = 6
"""Significant digits of numbers in tables."""


def print_pair_report(
    call: Callable[..., PairReport],
    given: SimpleNamespace,
    *,
    by: Annotated[
        Literal["phenomenon", "paradigm"],
        Parameter(help="What a row of the table is about: phenomenon or paradigm."),
    ] = "phenomenon",
    each: Annotated[
        bool, Parameter(negative=(), help="Print each pair instead, as a JSON line.")
    ] = False,
    picture: Annotated[
        Path | None, Parameter(help="Draw the accuracies too, as a .png or .svg.")
    ] = None,
    json: Json = False,
) -> None:
    """Print how often each run gives the good sentence of a pair the higher probability."""
    runs, files = runs_and_files(given.runs, "pairs")
    if picture is not None:
        picture_to_write(picture, "--picture")
    name = f"{len(runs)} runs" if len(runs) > 1 else str(runs[0])
    with progress_bar(name, transient=True) as bar:
        report = call(runs=runs, files=files, progress=lambda share: bar(completed=share))
    if picture is not None:
        from thence.reports.plots.pairs import plot_pairs  # Imports matplotlib.

        write_picture(picture, plot_pairs(report, by).figure)
    if each:
        for line in pair_lines(report):
            print_json(line)
        return
    if json:
        print_json(report.to_json())
        return
    print_table(*report.table(by), title=f"{report.all.pairs:,} minimal pairs", narrow=True)
    print_prose(report.remark())
    if report.comparison is not None:
        print_text("")
        print_table(*report.comparison.table(), title="Which is better", narrow=True)
        print_prose(report.comparison.remark)


def runs_and_files(arguments: Sequence[Path], of: str) -> tuple[list[Path], list[Path]]:
    """Split the arguments into the run folders at the beginning and the files after them.

    Args:
        arguments: The user's arguments.
        of: What the files hold, for the error message.

    Raises:
        SettingError: If there are no runs, or no files.
    """
    is_run = [(find_run(path) / "config.toml").exists() for path in arguments]
    count = is_run.index(False) if False in is_run else len(is_run)
    if not count:
        first = arguments[0] if arguments else "nothing"
        raise SettingError(f"{first} is no run folder. Name one run or several, then the files.")
    if count == len(arguments):
        raise SettingError(f"No file of {of} is named. Name one or several after the runs.")
    return list(arguments[:count]), list(arguments[count:])


def pair_lines(report: PairReport) -> Iterator[dict[str, Any]]:
    """Yield each pair with its two log-probabilities by each run; None for impossible ones."""
    for at, pair in enumerate(report.pairs):
        of_runs = json_value(report.log_probabilities[:, at])
        yield {
            **json_value(pair),
            "runs": [
                {"run": name, "good": good, "bad": bad}
                for name, (good, bad) in zip(report.names, of_runs, strict=True)
            ],
        }


def print_surprisals(
    call: Callable[..., Results[dict[str, Any]]],
    given: SimpleNamespace,
    *,
    to: Annotated[
        Literal["csv", "tsv", "jsonl"], Parameter(name="--format", help="How rows are written.")
    ] = "csv",
) -> None:
    """Print the surprisal of each word or region as a row of a table."""
    rows = call().once()
    if to == "jsonl":
        for row in rows:
            print_json({name: json_value(value) for name, value in row.items()})
        return
    first = next(rows, None)
    if first is None:
        return
    file = StringIO()
    writer = csv.DictWriter(
        file, list(first), delimiter="," if to == "csv" else "\t", lineterminator="\n"
    )
    writer.writeheader()
    rows = chain([first], rows)
    while some := list(islice(rows, ROWS_AT_ONCE)):
        writer.writerows({name: cell(value) for name, value in row.items()} for row in some)
        print_text(file.getvalue()[:-1])
        file.seek(0)
        file.truncate()


def cell(value: Any) -> Any:
    """Return the value of a table cell, fractions with ``DIGITS`` significant digits."""
    return f"{value:.{DIGITS}g}" if isinstance(value, float) else value


def print_rescoring(
    call: Callable[..., Rescoring],
    given: SimpleNamespace,
    *,
    top: Annotated[
        PositiveInt | None, Parameter(help="Number of hypotheses of each utterance at most.")
    ] = None,
    json: Json = False,
) -> None:
    """Print the hypotheses of each utterance, the best first, as a table of the same columns."""
    runs, files = runs_and_files(given.runs, "hypotheses")
    if len(files) != 1:
        raise SettingError(f"One table is rescored at a time; {len(files)} are named.")
    with progress_bar(str(runs[0]), transient=True) as bar:
        found = call(runs=runs, nbest=files[0], progress=lambda share: bar(completed=share))
    if json:
        print_json(found.to_json())
        return
    columns = ["id", "score", "text"]
    columns += ["reference"] if found.word_error_rates is not None else []
    lines = ["\t".join(columns)]
    for utterance in found:
        for one in utterance.hypotheses[:top]:
            cells = utterance.id, f"{one.total:.4f}", one.text, utterance.reference or ""
            lines.append("\t".join(" ".join(cell.split()) for cell in cells[: len(columns)]))
    print_text("\n".join(lines))
    for line in format_pairs(found.rows()):
        print_note(line)
