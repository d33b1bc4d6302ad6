"""The texts that come with thence, and the one that every Python can build."""

from dataclasses import dataclass, replace
from pathlib import Path

from thence.corpus.documents import Documents
from thence.corpus.python_docs import python_docs
from thence.corpus.reading import ReadingOptions, parse, read_file
from thence.errors import TextError, nearest

TEXTS = Path(__file__).parent / "texts"


@dataclass(frozen=True)
class Bundled:
    """One bundled text.

    Attributes:
        description: What it is, in one line.
        file: File name in ``texts``; None if it is built from this Python's standard library.
        column: The column of a table that is the text.
    """

    description: str
    file: str | None = None
    column: str | None = None


BUNDLED = {
    "given-names": Bundled("given names from many languages, one a line", "given-names.txt"),
    "cities": Bundled("cities of the world with their countries", "cities.csv", "city"),
    "first-sentences": Bundled("eight short sentences for the first steps", "first-sentences.txt"),
    "python-docs": Bundled("paragraphs from the docstrings of Python's standard library"),
}


def read_bundled(name: str, options: ReadingOptions = ReadingOptions()) -> Documents:
    """Return the documents of a bundled text; bundled texts are UTF-8 whatever the options say.

    Raises:
        TextError: No bundled text has that name, or python-docs cannot be built.
    """
    if name not in BUNDLED:
        raise TextError(
            f"'{name}' is not a bundled text; there are {', '.join(BUNDLED)}."
            f"{nearest(name, BUNDLED)}"
        )
    entry = BUNDLED[name]
    options = replace(options, column=options.column or entry.column, encoding="utf-8")
    if entry.file is None:
        return parse(python_docs(), name, options)
    return parse(read_file(TEXTS / entry.file), entry.file, options)
