"""Reading labelled text: files, folders, standard input and data sets to labelled documents.

| source                    | text                               | labels                          |
|---------------------------|------------------------------------|---------------------------------|
| `.csv`, `.tsv`, `.jsonl`, | the column asked for, else `text`, | the column asked for, else      |
| `.parquet`, `hf:NAME`     | else the only one without labels   | `label`                         |
| plain text, `-`           | what follows the labels of a line  | `__label__NAME` marks where the |
|                           |                                    | line begins, as for fastText    |
| a folder with text in its | each file whole, one document,     | the name of the subfolder; what |
| subfolders                | whatever `document` says           | lies beside them is not read    |
| any other folder          | its files, each by its own rule    | equal names are one label       |

| label                     | rule                                                                 |
|---------------------------|----------------------------------------------------------------------|
| white space around it     | removed; inside it stays (but fastText's marks end at white space)   |
| empty, or null            | refused with its place                                               |
| a cell with a separator   | is cut there, empty pieces are dropped; none left: no label          |
| a list (JSONL, Parquet)   | each is a label; an empty list: no label                             |
| a number, true, false     | its spelling in JSON: `1`, `true`; a number with a point is refused  |

A document may have several labels if there is a separator, a list, or a fastText line with more
than one mark; otherwise each has one. Documents without text are kept, as they have labels.
"""

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from thence.corpus.decoding import UNUSABLE, Bytes
from thence.corpus.documents import Documents, LabelledDocuments, LabelOptions, Labels
from thence.corpus.opening import odd_shape, refuse_foreign
from thence.corpus.reading import (
    PLAIN_SUFFIXES,
    STANDARD_INPUT,
    ReadingOptions,
    inner_suffix,
    is_folder,
    line_bounds,
    parse,
    plain_text,
    read_file,
    read_standard_input,
    refuse_empty,
    table_rows,
    text_files,
)
from thence.corpus.tables import (
    HUGGING_FACE,
    LINE_TABLES,
    TABLES,
    Choose,
    Row,
    choose_column,
    hugging_face_rows,
)
from thence.errors import SettingError, TextError, nearest

DEFAULT_LABEL = "label"
MARK = b"__label__"
MARKS = re.compile(rb"\s*(?:__label__\S*\s*)+")  # in bytes white space is that of ASCII
FORMS = (
    f"Labelled text is a table ({', '.join(TABLES)}) with a column '{DEFAULT_LABEL}' or one named "
    "with `label`, lines that begin with __label__NAME, or a folder with one subfolder per label."
)


def read_labelled(
    source: str | Path,
    reading: ReadingOptions = ReadingOptions(),
    labelling: LabelOptions = LabelOptions(),
) -> LabelledDocuments:
    """Read documents and their labels; the rules are in the module's docstring.

    Raises:
        TextError: The source is missing, cannot be read, has no text, or lacks labels.
        SettingError: The encoding is unknown, or an option does not fit the kind of source.
        MissingExtraError: The library that reads this kind of source is not installed.
        DownloadError: A data set of Hugging Face could not be fetched.
    """
    if str(source) == "-":
        documents = parse_labelled(read_standard_input(), STANDARD_INPUT, reading, labelling)
    elif str(source).startswith(HUGGING_FACE):
        rows = hugging_face_rows(str(source), text_and_label(reading, labelling), reading.errors)
        documents = from_rows(rows, str(source), labelling)
    elif is_folder(Path(source)):
        documents = read_folder(Path(source), reading, labelling)
    else:
        documents = parse_labelled(read_file(Path(source)), str(source), reading, labelling)
    refuse_empty(documents, source)
    return documents


def parse_labelled(
    data: Bytes, name: str, reading: ReadingOptions, labelling: LabelOptions
) -> LabelledDocuments:
    """Return the labelled documents in a file's bytes, by the rule of its suffix.

    Raises:
        TextError: The bytes are not text, not such a table, or a document lacks its label.
        SettingError: The encoding is unknown, or an option does not fit the kind of file.
    """
    if inner_suffix(name) in TABLES:
        choose = text_and_label(reading, labelling)
        return from_rows(table_rows(data, name, reading, choose), name, labelling)
    if labelling.label is not None:
        refuse_foreign(data, name)
        shape = odd_shape(data)
        kind = "plain text" if shape is None else f"read as plain text, but seems to be {shape}"
        refuse_label_column(name, f"{kind}, whose labels are __label__ marks", labelling)
    if reading.document == "file":
        raise SettingError(
            f"document 'file' does not fit {name}: in labelled plain text a line is a document. "
            "Leave `document` out, or make a folder with one subfolder per label."
        )
    return marked_lines(data, name, reading, labelling)


def read_folder(
    folder: Path, reading: ReadingOptions, labelling: LabelOptions
) -> LabelledDocuments:
    """Read a folder with one subfolder per label, or else with labelled files."""
    files = text_files(folder)
    whole = [
        (path, path.relative_to(folder).parts[0])
        for path in files
        if path.parent != folder and inner_suffix(path) in PLAIN_SUFFIXES
    ]
    if not whole:
        parts = [parse_labelled(read_file(path), str(path), reading, labelling) for path in files]
        labels = Labels.join([part.labels for part in parts])
        return LabelledDocuments.of(Documents.join(parts), labels)
    refuse_label_column(str(folder), "a folder whose subfolders are the labels", labelling)
    as_files = replace(reading, document="file", keep_empty=True)
    texts = Documents.join(parse(read_file(path), str(path), as_files) for path, _ in whole)
    names = [[label_name(label, str(path))] for path, label in whole]
    multilabel = labelling.label_separator is not None
    return LabelledDocuments.of(texts, Labels.from_lists(names, multilabel))


def refuse_label_column(name: str, kind: str, labelling: LabelOptions) -> None:
    """Raise SettingError if the options name a column of labels, which this source cannot have."""
    if labelling.label is not None:
        raise SettingError(
            f"label '{labelling.label}' names a column, but {name} is {kind}. Leave `label` out, "
            f"or give a table ({', '.join(TABLES)})."
        )


def text_and_label(reading: ReadingOptions, labelling: LabelOptions) -> Choose:
    """Return a function that chooses the columns of the text and of the labels.

    That function raises:
        SettingError: One column is named as both.
        TextError: A column is missing, or the column of the text is ambiguous.
    """

    def choose(columns: Sequence[str], place: str) -> list[str]:
        label = choose_label(columns, labelling.label, place)
        if reading.column == label:
            raise SettingError(
                f"column '{label}' cannot be both the text and the labels. Name the text with "
                "`column` and the labels with `label`."
            )
        others = [column for column in columns if column != label]
        if not others:
            raise TextError(f"{place} has only the column '{label}', which is the labels, no text.")
        wanted = reading.column
        return [choose_column(others if wanted is None else columns, wanted, place), label]

    return choose


def choose_label(columns: Sequence[str], wanted: str | None, place: str) -> str:
    """Return the column of the labels: ``wanted``, else the default.

    Raises:
        TextError: The table lacks it.
    """
    label = DEFAULT_LABEL if wanted is None else wanted
    if label in columns:
        return label
    listed = ", ".join(repr(column) for column in columns) or "none"
    way_out = nearest(label, columns) or " Name the one with the labels with `label`."
    raise TextError(f"{place} has no column '{label}' for the labels; it has {listed}.{way_out}")


def from_rows(rows: Iterator[Row], name: str, labelling: LabelOptions) -> LabelledDocuments:
    """Return the labelled documents of a table's rows, which are read once."""
    cells: list[tuple[int, object]] = []

    def texts() -> Iterator[str]:
        for number, text, (label,) in rows:
            cells.append((number, label))
            yield text

    documents = Documents.from_strings(texts())
    units = {".json": "item", **dict.fromkeys(LINE_TABLES, "line")}
    unit = units.get(inner_suffix(name), "row")
    separator = labelling.label_separator
    lists = [label_names(cell, separator, f"{name}, {unit} {number}") for number, cell in cells]
    multilabel = separator is not None or any(isinstance(cell, list) for _, cell in cells)
    return LabelledDocuments.of(documents, Labels.from_lists(lists, multilabel))


def label_names(cell: object, separator: str | None, place: str) -> list[str]:
    """Return the names of the labels in a cell: one, those of a list, or separated ones.

    >>> label_names("war; peace ;", ";", "a.csv, line 2")
    ['war', 'peace']
    """
    if isinstance(cell, list):
        return [label_name(piece, place) for piece in cell]
    if separator is not None and isinstance(cell, str):
        return [label_name(piece, place) for piece in cell.split(separator) if piece.strip()]
    return [label_name(cell, place)]


def label_name(value: object, place: str) -> str:
    """Return the name of a label: without white space around it; numbers and booleans as JSON.

    Raises:
        TextError: It is empty, not text, or neither a string nor a whole number nor a boolean.
    """
    if isinstance(value, int):  # booleans too
        return json.dumps(value)
    if not isinstance(value, str):
        raise TextError(
            f"{place}: the label is {json.dumps(value, default=str)[:40]}, not a string, a whole "
            "number, true or false. Write it as a string."
        )
    name = value.strip()
    if not name:
        raise TextError(
            f"{place}: the label is empty. Write its name, or leave the document out; only a cell "
            "that is cut by `label_separator` may hold no label."
        )
    if refused := UNUSABLE.search(name):
        raise TextError(f"{place}: the label holds U+{ord(refused[0]):04X}, which is not text.")
    return name


def without_marks(documents: Documents) -> Documents:
    """Return documents without the ``__label__`` marks at the beginning of some."""
    starts = documents.starts.copy()
    for index, (start, end) in enumerate(
        zip(starts.tolist(), documents.ends.tolist(), strict=True)
    ):
        marks = MARKS.match(documents.text.data, start, end)
        if marks is not None:
            starts[index] = marks.end()
    return Documents(documents.text, starts, documents.ends)


def marked_lines(
    data: Bytes, name: str, reading: ReadingOptions, labelling: LabelOptions
) -> LabelledDocuments:
    """Return the labelled documents of lines that begin with ``__label__`` marks (fastText).

    Raises:
        TextError: A line has no mark, or one without a name.
        SettingError: The encoding is unknown, or a column is named.
    """
    text = plain_text(data, name, reading)
    starts, ends = line_bounds(text)
    full = np.flatnonzero(ends > starts)
    lists: list[list[str]] = []
    unmarked: list[int] = []
    for line in full.tolist():
        marks = MARKS.match(text.data, starts[line], ends[line])
        if marks is None:
            unmarked.append(line + 1)
            continue
        starts[line] = marks.end()
        names = (mark.removeprefix(MARK).decode() for mark in bytes(marks[0]).split())
        lists.append([label_name(label, f"{name}, line {line + 1}") for label in names])
    if unmarked and not lists:
        raise TextError(f"{name} has no labels. {FORMS}")
    if unmarked:
        raise TextError(
            f"{name}, line {unmarked[0]} has no label. Begin the line with __label__NAME and a "
            "space, as the others do."
        )
    multilabel = labelling.label_separator is not None or any(len(labels) > 1 for labels in lists)
    documents = Documents(text, starts[full], ends[full])
    return LabelledDocuments.of(documents, Labels.from_lists(lists, multilabel))
