"""Writing an n-gram model as an ARPA file."""

import gzip
import re
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np

from thence.atomic import whole_file
from thence.errors import SettingError
from thence.models.ngram.smoothing import OrderTable
from thence.tokens.vocabulary import Vocabulary

START, END = "<s>", "</s>"
NEVER = -99.0
"""The log10 of zero in ARPA files, by convention."""
LN_10 = float(np.log(10))
COMPRESSION = 6
_SPACE = re.compile(r"[ \t\r\n\0]")
"""White space that separates words in ARPA files; KenLM treats all other as part of a word."""


def write_arpa(tables: list[OrderTable], vocabulary: Vocabulary, path: Path) -> None:
    """Write a model as an ARPA file, whole or not at all, compressed if the name ends in ``.gz``.

    Raises:
        SettingError: If the format cannot hold it: n-grams reach across documents, or two symbols
            would have the same name.
        OSError: If the file cannot be written.
    """
    check_no_crossing(tables, vocabulary)
    lines = (f"{line}\n".encode() for line in arpa_lines(tables, vocabulary))
    with whole_file(path, new=True) as file:
        if path.suffix != ".gz":
            file.writelines(lines)
            return
        # No file name and no time in the header, so that equal models give equal files.
        with gzip.GzipFile("", "wb", COMPRESSION, file, mtime=0) as packed:
            packed.writelines(lines)


def arpa_lines(tables: list[OrderTable], vocabulary: Vocabulary) -> Iterator[str]:
    """Yield the lines of an ARPA file.

    Raises:
        SettingError: If two symbols would have the same name.
    """
    size, boundary = len(vocabulary), vocabulary.boundary_id
    words = arpa_names(vocabulary)
    yield "\\data\\"
    for order, table in enumerate(tables, start=1):
        yield f"ngram {order}={len(table.keys) + (order == 1)}"
    opened = [START if index == boundary else word for index, word in enumerate(words)]
    names = opened  # Names of n-grams as contexts, where the boundary is <s>.
    for order, table in enumerate(tables, start=1):
        yield f"\n\\{order}-grams:"
        shown = words
        if order > 1:
            pairs = zip((table.keys // size).tolist(), (table.keys % size).tolist(), strict=True)
            shown = [f"{names[prefix]} {words[word]}" for prefix, word in pairs]
        yield from _order_lines(table, shown, boundary if order == 1 else None)
        names = opened if order == 1 else shown
    yield "\n\\end\\"


def arpa_names(vocabulary: Vocabulary) -> list[str]:
    """Return the word in an ARPA file for every id; that of the boundary is ``</s>``."""
    names = [_SPACE.sub(lambda m: f"<U+{ord(m[0]):04X}>", name) for name in vocabulary.names()]
    names[vocabulary.boundary_id] = END
    seen = {START}
    for name in names:
        if name in seen:
            raise SettingError(
                f"The vocabulary has a symbol {name!r}, a name that an ARPA file needs for another "
                "symbol; take it out of the text and train again to write one."
            )
        seen.add(name)
    return names


def check_no_crossing(tables: list[OrderTable], vocabulary: Vocabulary) -> None:
    """Raise ``SettingError`` if n-grams go on after a boundary, as ``w </s> v``."""
    size = len(vocabulary)
    for shorter, table in pairwise(tables[1:]):
        continued = shorter.keys[table.keys // size] % size
        if np.any(continued == vocabulary.boundary_id):
            raise SettingError(
                "This model's n-grams reach across documents (`carry_context`), which an ARPA file "
                "cannot say; train it without to write one."
            )


def _order_lines(table: OrderTable, names: list[str], boundary: int | None) -> Iterator[str]:
    """Yield the lines of one order: log10 probability, words and log10 back-off weight."""
    # By rounding, a probability may be slightly above one, which other programs refuse to read.
    log_probs = np.clip(table.log_probs.astype(np.float64) / LN_10, NEVER, 0).tolist()
    weights = np.maximum(table.log_backoffs.astype(np.float64) / LN_10, NEVER).tolist()
    endings = [f"\t{weight:.7g}" for weight in weights] or [""] * len(names)
    for index, (p, name, ending) in enumerate(zip(log_probs, names, endings, strict=True)):
        if index == boundary:  # Our boundary is two words: <s> as context, </s> as target.
            yield f"{NEVER:g}\t{START}{ending}"
            yield f"{p:.7g}\t{END}"
        else:
            yield f"{p:.7g}\t{name}{ending}"
