"""Texts in memory: a list, a generator or a column of a table to documents.

| texts                                       | documents                                         |
|---------------------------------------------|---------------------------------------------------|
| `Documents`                                 | those                                             |
| any iterable of strings: a list, a tuple, a | one for each string, which may hold line ends     |
| generator, a pandas Series, a NumPy array,  |                                                   |
| a column of a Hugging Face data set         |                                                   |
| a dictionary, a set, bytes, an open file, a | refused: its items are probably not the texts     |
| table with several columns                  | that were meant, or they have no order            |
| an item that is no string: None, NaN, a     | refused with its place                            |
| number, bytes, a list                       |                                                   |

No library of tables is imported. As in files, NUL is refused unless ``errors`` says otherwise, and
empty texts are skipped unless ``keep_empty`` is set; so a copy in a run folder is read as the same
documents.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from io import BufferedIOBase, IOBase, TextIOWrapper
from pathlib import Path, PurePath
from typing import IO, Any, TypeAlias, cast

from thence.corpus.decoding import UNUSABLE, Errors, mend
from thence.corpus.documents import Documents
from thence.corpus.reading import ReadingOptions, refuse_empty, without_empty
from thence.errors import TextError

Texts: TypeAlias = Documents | Iterable[str]
"""Texts in memory, each one document."""
Source: TypeAlias = str | Path | Texts
"""A text: its path or name, ``-`` for standard input, or the texts themselves."""
COLUMN = "text"
"""The field of a text in a written JSONL file, unless the reading options name one."""


def is_path_or_name(source: Source) -> bool:
    """Return whether a source is a path or a name, not texts in memory."""
    return isinstance(source, str | PurePath)


def read_memory(
    texts: Texts, options: ReadingOptions = ReadingOptions(), name: str = "The text in memory"
) -> Documents:
    """Return texts in memory as documents; the rules are in the module's docstring.

    Args:
        texts: The texts, read once.
        options: Only ``keep_empty`` and ``errors`` are used; the others are for files.
        name: Their name in messages.

    Raises:
        TextError: They are no iterable of strings, one of them has NUL or a lone surrogate, or all
            are empty.
    """
    if isinstance(texts, Documents):
        documents = texts
    else:
        check_iterable(texts, name)
        documents = Documents.from_strings(_usable(texts, name, options.errors))
    documents = documents if options.keep_empty else without_empty(documents)
    refuse_empty(documents, name)
    return documents


def documents_of(texts: Texts | str) -> Documents:
    """Return texts to score or classify as documents, empty ones too; a single string is one.

    Raises:
        TextError: They are no iterable of strings, or one has a lone surrogate.
    """
    if isinstance(texts, Documents):
        return texts
    if not isinstance(texts, str):
        check_iterable(texts, "The texts to read")
    return Documents.from_strings(texts)


def _usable(texts: Iterable[str], name: str, errors: Errors) -> Iterator[str]:
    """Yield texts; NUL and lone surrogates are an error, replaced or dropped by ``errors``."""
    for place, text in enumerate(texts):
        if isinstance(text, str) and (found := UNUSABLE.search(text)):
            if errors == "strict":
                raise TextError(
                    f"{name}, item {place}, holds U+{ord(found[0]):04X}, which is not text. "
                    "Correct it, or set errors to 'replace' or 'ignore'."
                )
            text = mend(text, errors)
        yield text


def check_iterable(texts: Any, name: str) -> None:
    """Raise TextError for an object whose items are not texts, such as a dictionary or a file.

    The message says what to give instead.
    """
    way_out = "give a list, a tuple, a generator or one column of strings"
    kind = type(texts).__name__
    if isinstance(texts, Mapping):
        way_out = "give one of its values" + (
            f", such as texts[{next(iter(texts))!r}]" if texts else ""
        )
    elif isinstance(texts, set | frozenset):
        way_out = "its order changes from run to run: give sorted(texts)"
    elif isinstance(texts, bytes | bytearray | memoryview):
        way_out = "decode it to strings, and give a list of them"
    elif isinstance(texts, IOBase):
        way_out = "give its path, or a list of its lines without their ends"
    elif hasattr(texts, "column_names") or getattr(texts, "ndim", 1) > 1:
        way_out = "name one column, such as table['text']"
    elif isinstance(texts, Iterable) and getattr(texts, "ndim", 1) == 1:
        return
    raise TextError(f"{name} is of the type {kind}; {way_out}.")


def write_texts(documents: Documents, file: BufferedIOBase, options: ReadingOptions) -> None:
    """Write documents as JSONL, which the same options read as the same documents."""
    column = json.dumps(options.column or COLUMN)
    # JSON in ASCII can be encoded in every text encoding.
    encode = json.encoder.encode_basestring_ascii
    text = TextIOWrapper(cast(IO[bytes], file), encoding=options.encoding, newline="\n")
    text.writelines(f"{{{column}: {encode(document)}}}\n" for document in documents)
    text.detach()  # Else the wrapper would close the file.
