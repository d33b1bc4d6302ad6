"""The texts bundled with thence, and one that is built from Python's standard library.

``python-docs`` is English text that is on every machine with Python: the docstrings of the standard
library, and the manual of ``help("assignment")`` in ``pydoc_data.topics``. One paragraph is one
document. The sources are parsed, never imported, so no code in them runs.
"""

import ast
import os
import re
import sys
import sysconfig
import warnings
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from thence.atomic import whole_file
from thence.corpus.decoding import Bytes
from thence.corpus.documents import Documents, LabelOptions
from thence.corpus.labelled import parse_labelled
from thence.corpus.opening import cache_folder
from thence.corpus.reading import ReadingOptions, parse, read_file
from thence.errors import TextError, nearest
from thence.locks import BusyError

TEXTS = Path(__file__).parent / "texts"
# Folders outside the library, tests, and (encodings) the same sentence in a hundred files.
SKIPPED = {"site-packages", "dist-packages", "test", "tests", "idle_test", "encodings"}
MANUAL = "topics.py"
SHORTEST = 5  # words per paragraph; shorter ones are mostly headings and signatures
PROSE = 0.7  # minimal share of letters and spaces, and of plain words; code has fewer
STATEMENTS = ("body", "orelse", "finalbody", "handlers", "cases")
"""Fields of the nodes of Python's syntax tree that hold statements, such as definitions."""
BLANK_LINES = re.compile(r"\n\s*\n")
WORD = re.compile(r"[A-Za-z][a-z'-]*[.,;:!?)]*")


@dataclass(frozen=True)
class Bundled:
    """One bundled text.

    Attributes:
        description: One line about the text.
        file: File in ``texts``, or an absolute path; None if it is built from this Python's
            standard library.
        column: The column of the text, if it is a table.
        label: The column of the labels, if it is a table.
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


def read_bundled(
    name: str,
    reading: ReadingOptions = ReadingOptions(),
    labelling: LabelOptions | None = None,
) -> Documents:
    """Return the documents of a bundled text, with their labels if ``labelling`` is given.

    By default the text and its labels are in the columns of its ``Bundled`` entry. Bundled texts
    are UTF-8, whatever the options say.

    Raises:
        TextError: No bundled text has that name, it has no labels, or python-docs cannot be built.
    """
    file, data = bundled_file(name)
    entry = BUNDLED[name]
    reading = replace(reading, column=reading.column or entry.column, encoding="utf-8")
    if labelling is None:
        return parse(data, file, reading)
    return parse_labelled(
        data, file, reading, replace(labelling, label=labelling.label or entry.label)
    )


def bundled_file(name: str) -> tuple[str, Bytes]:
    """Return the file name (for its suffix and for messages) and the bytes of a bundled text.

    Raises:
        TextError: No bundled text has that name, or python-docs cannot be built.
    """
    if name not in BUNDLED:
        raise TextError(
            f"'{name}' is not a bundled text; there are {', '.join(BUNDLED)}."
            f"{nearest(name, BUNDLED)}"
        )
    file = BUNDLED[name].file
    return (name, python_docs()) if file is None else (Path(file).name, read_file(TEXTS / file))


def python_docs() -> bytes:
    """Return the paragraphs of ``python-docs`` as UTF-8 lines; they are kept in the cache folder.

    Raises:
        TextError: This Python has no sources of its standard library.
    """
    version = sys.version.split()[0]
    cached = cache_folder() / f"python-docs-{version}-2.txt"
    with suppress(OSError):
        return cached.read_bytes()
    library = Path(sysconfig.get_path("stdlib"))
    text = "".join(f"{line}\n" for line in paragraphs(library)).encode("utf-8")
    if not text:
        raise TextError(
            f"python-docs cannot be built: {library} holds no Python sources. "
            "Use an ordinary installation of Python, or another text."
        )
    # If the cache cannot be written, the text is built again next time, in a few seconds.
    with suppress(OSError, BusyError), whole_file(cached) as file:
        file.write(text)
    return text


def paragraphs(library: Path) -> list[str]:
    """Return the distinct prose paragraphs of the Python files below a folder, in a fixed order."""
    found = (
        " ".join(paragraph.split())
        for path in source_files(library)
        for text in (manual(path) if path.name == MANUAL else docstrings(path))
        for paragraph in BLANK_LINES.split(text)
    )
    return list(dict.fromkeys(paragraph for paragraph in found if is_prose(paragraph)))


def source_files(library: Path) -> list[Path]:
    """Return the Python files below a folder, sorted, without tests and installed packages."""
    files = []
    for parent, subfolders, names in os.walk(library):
        subfolders[:] = [name for name in subfolders if name not in SKIPPED]
        files += [Path(parent, name) for name in names if name.endswith(".py")]
    return sorted(files)


def docstrings(path: Path) -> Iterator[str]:
    """Yield the docstrings of a module, its classes and functions, in the order of the source."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # old sources hold invalid escapes
            tree = ast.parse(path.read_bytes())
    except (OSError, SyntaxError, ValueError):
        return
    kinds = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    # Definitions are statements, so expressions are skipped: a tenth of the time of ast.walk.
    nodes: list[ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef] = []
    waiting: list[ast.AST] = [tree]
    while waiting:
        node = waiting.pop()
        if isinstance(node, kinds):
            nodes.append(node)
        for part in STATEMENTS:
            waiting += getattr(node, part, ())
    for node in sorted(nodes, key=lambda node: getattr(node, "lineno", 0)):
        if docstring := ast.get_docstring(node):
            yield docstring


def manual(path: Path) -> Iterator[str]:
    """Yield the texts of the manual: the strings of the dictionary in ``topics.py``."""
    with suppress(OSError, SyntaxError, ValueError):
        for node in ast.walk(ast.parse(path.read_bytes())):
            if isinstance(node, ast.Dict):
                texts = [value for value in node.values if isinstance(value, ast.Constant)]
                yield from (text.value for text in texts if isinstance(text.value, str))


def is_prose(paragraph: str) -> bool:
    """Return whether a paragraph reads like English rather than code, a table or a signature.

    >>> is_prose("Return the next item of the iterator, or raise StopIteration.")
    True
    >>> is_prose("x = f(1, 2); print(x[0] + x[1], file=sys.stderr)")
    False
    """
    words = paragraph.split()
    if len(words) < SHORTEST or ">>>" in paragraph:
        return False
    letters = sum(character.isalpha() or character == " " for character in paragraph)
    plain = sum(WORD.fullmatch(word) is not None for word in words)
    return letters >= PROSE * len(paragraph) and plain >= PROSE * len(words)
