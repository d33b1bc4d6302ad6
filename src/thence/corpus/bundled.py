"""The texts that come with thence, and the one that every Python can build."""

from dataclasses import dataclass, replace
from pathlib import Path

from thence.corpus.decoding import Bytes
from thence.corpus.documents import Documents
from thence.corpus.labelled import parse_labelled
from thence.corpus.labels import LabelledDocuments, LabelOptions
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
        label: The column of a table that is the label.
    """

    description: str
    file: str | None = None
    column: str | None = None
    label: str | None = None


BUNDLED = {
    "given-names": Bundled("given names from many languages, one a line", "given-names.txt"),
    "cities": Bundled("cities of the world with their countries", "cities.csv", "city", "country"),
    "first-sentences": Bundled("eight short sentences for the first steps", "first-sentences.txt"),
    "python-docs": Bundled("paragraphs from the docstrings of Python's standard library"),
}


def read_bundled(name: str, options: ReadingOptions = ReadingOptions()) -> Documents:
    """Return the documents of a bundled text; bundled texts are UTF-8 whatever the options say.

    Raises:
        TextError: No bundled text has that name, or python-docs cannot be built.
    """
    file, data = bundled_file(name)
    return parse(data, file, for_bundled(name, options))


def read_labelled_bundled(
    name: str,
    reading: ReadingOptions = ReadingOptions(),
    labelling: LabelOptions = LabelOptions(),
) -> LabelledDocuments:
    """Return the documents and labels of a bundled table.

    Raises:
        TextError: No bundled text has that name, or it has no labels.
    """
    file, data = bundled_file(name)
    labelling = replace(labelling, label=labelling.label or BUNDLED[name].label)
    return parse_labelled(data, file, for_bundled(name, reading), labelling)


def for_bundled(name: str, options: ReadingOptions) -> ReadingOptions:
    """Return the options with the entry's own column, if none is asked for, and encoding."""
    return replace(options, column=options.column or BUNDLED[name].column, encoding="utf-8")


def bundled_file(name: str) -> tuple[str, Bytes]:
    """Return the file name, for its suffix and for messages, and the bytes of a bundled text.

    Raises:
        TextError: No bundled text has that name, or python-docs cannot be built.
    """
    if name not in BUNDLED:
        raise TextError(
            f"'{name}' is not a bundled text; there are {', '.join(BUNDLED)}."
            f"{nearest(name, BUNDLED)}"
        )
    file = BUNDLED[name].file
    return (name, python_docs()) if file is None else (file, read_file(TEXTS / file))
