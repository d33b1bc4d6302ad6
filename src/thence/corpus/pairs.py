"""Minimal pairs: two sentences that differ in one thing, of which only the first is acceptable.

They are tables (``tables.py``) with one pair per row and these columns:

| column                                           | content                                    |
|--------------------------------------------------|--------------------------------------------|
| ``sentence_good``, ``good``                      | the sentence that should be likelier       |
| ``sentence_bad``, ``bad``                        | the other one                              |
| ``UID``, ``paradigm``                            | what the pair tests (default: the file's   |
|                                                  | name)                                      |
| ``linguistics_term``, ``phenomenon``             | what several paradigms have in common      |

So BLiMP is read as it is distributed: a folder of JSONL files (A. Warstadt et al. 2020, "BLiMP: the
benchmark of linguistic minimal pairs for English").
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from thence.corpus.opening import open_named
from thence.corpus.reading import (
    ReadingOptions,
    inner_suffix,
    is_folder,
    read_file,
    table_rows,
    text_files,
)
from thence.corpus.tables import TABLES, choose_column, usable_text
from thence.errors import TextError

GOOD, BAD = ("sentence_good", "good"), ("sentence_bad", "bad")
PARADIGM, PHENOMENON = ("UID", "paradigm"), ("linguistics_term", "phenomenon")
FORM = (
    'Pairs are rows of a table, such as {"sentence_good": "...", "sentence_bad": "..."} in a '
    ".jsonl, or a .tsv or .csv whose first row has these names."
)


@dataclass(frozen=True)
class MinimalPair:
    """Two sentences of which only the first is acceptable.

    Attributes:
        good: The sentence that should be likelier.
        bad: The other one.
        paradigm: The name of what the pair tests.
        phenomenon: The group of paradigms that it belongs to; empty if unknown.
    """

    good: str
    bad: str
    paradigm: str
    phenomenon: str = ""


def read_pairs(files: Iterable[str | Path]) -> list[MinimalPair]:
    """Read the pairs of tables, and of all tables in folders.

    Raises:
        TextError: A file is missing, no table, or lacks a sentence; or there is no pair at all.
    """
    paths = [path for file in files for path in _tables(Path(file))]
    found = [pair for path in paths for pair in _pairs_in(path)]
    if not found:
        names = ", ".join(map(str, paths)) or "No file"
        raise TextError(f"{names} holds no pairs. {FORM}")
    return found


def _tables(path: Path) -> list[Path]:
    if is_folder(path):
        return [file for file in text_files(path) if inner_suffix(file) in TABLES]
    if inner_suffix(path) not in TABLES:
        with open_named(path):  # Raises the better error if the file is missing.
            raise TextError(f"{path} is no table. {FORM}")
    return [path]


def _pairs_in(path: Path) -> Iterator[MinimalPair]:
    """Yield the pairs of a table; by default their paradigm is the name of the file."""
    name = path.name.partition(".")[0]
    chosen: list[str] = []
    optional: list[bool] = []

    def choose(columns: Sequence[str], place: str) -> Sequence[str]:
        sentences = [_sentence(columns, names, place) for names in (GOOD, BAD)]
        about = [_first(columns, names) for names in (PARADIGM, PHENOMENON)]
        optional[:] = [column is not None for column in about]
        chosen[:] = [*sentences, *(column for column in about if column is not None)]
        return chosen

    options = ReadingOptions()
    for number, good, others in table_rows(read_file(path), str(path), options, choose):
        bad = usable_text(others[0], f"{path}, row {number}: '{chosen[1]}'", "strict")
        if not (good and bad):
            missing = chosen[1 if good else 0]
            raise TextError(f"{path}, row {number}: '{missing}' is empty. {FORM}")
        about = iter(map(str, others[1:]))
        paradigm, phenomenon = (next(about) if there else "" for there in optional)
        yield MinimalPair(good, bad, paradigm or name, phenomenon)


def _first(columns: Sequence[str], names: Sequence[str]) -> str | None:
    return next((name for name in names if name in columns), None)


def _sentence(columns: Sequence[str], names: Sequence[str], place: str) -> str:
    column = _first(columns, names)
    try:
        return choose_column(columns, column or names[0], place)
    except TextError as error:
        raise TextError(f"{error} {FORM}") from None
