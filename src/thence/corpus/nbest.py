"""N-best lists of a speech recogniser or translator, to be rescored.

They are tables (``tables.py``) with one hypothesis per row and the columns ``id`` (or
``utterance``), ``score``, ``text`` and optionally ``reference``. A TSV without a header has them in
this order.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from thence.corpus.opening import open_named
from thence.corpus.reading import ReadingOptions, inner_suffix, read_file, table_rows
from thence.corpus.tables import TABLES, choose_column, usable_text
from thence.errors import TextError

NAMES = (("id", "utterance"), ("score",), ("text",))
REFERENCE = "reference"
FORM = (
    "An n-best list is a table with the columns id, score, text and perhaps reference, a "
    "hypothesis a row: a .tsv (with or without these names as its first row), .csv or .jsonl."
)


@dataclass(frozen=True)
class Hypothesis:
    """A hypothesis of an utterance.

    Attributes:
        utterance: Id of the utterance.
        score: Score of the recogniser: a log-probability in nats, higher is better.
        text: The text.
        reference: The correct text, if known.
    """

    utterance: str
    score: float
    text: str
    reference: str | None = None


def read_nbest(path: str | Path) -> list[Hypothesis]:
    """Read an n-best list.

    Raises:
        TextError: It is missing, no table, or lacks a column, or a score is no number.
    """
    path = Path(path)
    if inner_suffix(path) not in TABLES:
        with open_named(path):  # Raises the better error if the file is missing.
            raise TextError(f"{path} is no table. {FORM}")
    data = bytes(read_file(path))
    first = data.partition(b"\n")[0].split(b"\t")
    names = [some[0] for some in NAMES] + [REFERENCE]
    has_names = not (path.suffix == ".tsv" and len(first) in (3, 4) and _number(first[1]))
    if not has_names:
        data = "\t".join(names[: len(first)]).encode() + b"\n" + data
    chosen: list[str] = []

    def choose(columns: Sequence[str], place: str) -> Sequence[str]:
        wanted = [next((one for one in some if one in columns), some[0]) for some in NAMES]
        wanted = [wanted[2], wanted[0], wanted[1], *([REFERENCE] if REFERENCE in columns else [])]
        try:
            chosen[:] = [choose_column(columns, one, place) for one in wanted]
        except TextError as error:
            raise TextError(f"{error} {FORM}") from None
        return chosen

    found = []
    for row, text, cells in table_rows(data, str(path), ReadingOptions(), choose):
        place = f"{path}, row {row if has_names else row - 1}"
        score = _number(cells[1])
        if score is None:
            raise TextError(f"{place}: the score {str(cells[1])[:40]!r} is not a number. {FORM}")
        reference = None
        if len(cells) > 2 and cells[2] is not None:
            reference = usable_text(cells[2], f"{place}: '{REFERENCE}'", "strict")
        found.append(Hypothesis(str(cells[0]), score[0], text, reference))
    if not found:
        raise TextError(f"{path} holds no hypotheses. {FORM}")
    return found


def _number(cell: object) -> tuple[float] | None:
    """Return the finite number in a cell as a tuple; None if there is none."""
    try:
        number = float(cell)  # type: ignore[arg-type]  # Raises for other types.
    except (TypeError, ValueError):
        return None
    return (number,) if abs(number) < float("inf") else None
