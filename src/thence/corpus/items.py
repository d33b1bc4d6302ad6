"""Items of an experiment: sentences with further columns of a table, such as conditions.

A line of plain text is an item without columns. In a table (``tables.py``) the column of the
sentences is ``text`` or ``sentence``, or the one in the options; all others are kept.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from thence.corpus.loading import load
from thence.corpus.memory import Source
from thence.corpus.reading import ReadingOptions, inner_suffix, read_file, table_rows
from thence.corpus.tables import TABLES, choose_column

SENTENCE = "sentence"


@dataclass(frozen=True)
class Item:
    """A text with further columns.

    Attributes:
        text: The text.
        columns: The other columns of its table by their names.
    """

    text: str
    columns: Mapping[str, object] = field(default_factory=dict)


def read_items(source: Source, options: ReadingOptions = ReadingOptions()) -> Iterator[Item]:
    """Yield the items of a table, of another text, or of texts in memory.

    Raises:
        TextError: There is no such text, or the column of the sentences is ambiguous.
        SettingError: An option does not fit the source.
    """
    if not isinstance(source, str | Path) or inner_suffix(source) not in TABLES:
        yield from map(Item, load(source, options))
        return
    others: list[str] = []

    def choose(columns: Sequence[str], place: str) -> Sequence[str]:
        wanted = options.column
        if wanted is None and "text" not in columns and SENTENCE in columns:
            wanted = SENTENCE
        chosen = choose_column(columns, wanted, place)
        others[:] = [column for column in columns if column != chosen]
        return [chosen, *others]

    rows = table_rows(read_file(Path(source)), str(source), options, choose)
    for _, text, cells in rows:
        yield Item(text, dict(zip(others, cells, strict=True)))
