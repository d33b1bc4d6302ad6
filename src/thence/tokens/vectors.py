"""Word vectors: reading those of wanted words from files of GloVe, word2vec and fastText; writing.

The file is streamed, so that memory grows with the wanted words and not with the file. Its format
is recognised by its content (`vector_files.py`), never by its name.

| found in the file             | rule                                                          |
|-------------------------------|---------------------------------------------------------------|
| space in a word               | belongs to it: a row ends in D values, the word is the rest   |
| other white space in a word   | belongs to it; only line ends and trailing spaces are dropped |
| two rows of one word          | the first usable one wins                                     |
| lower-case form of a wanted   | used only where no usable row has the word as it is           |
| word                          |                                                               |
| blank line                    | skipped, not counted                                          |
| broken row                    | skipped, counted, the first is named: too few or too many     |
|                               | values (the word ends in a space and a fraction like 0.1), no |
|                               | word, a word that is not UTF-8; in rows of wanted words also  |
|                               | what is no number, NaN, or too large for float32              |
| broken rows over 10 %         | refused, from 10 rows on: of all rows, and of those whose     |
|                               | values were read, which are the rows of wanted words          |
| no usable row                 | refused                                                       |
| other count than the header's | reported; a binary file with fewer rows is refused            |
| cut short                     | gzip, xz, binary: refused; text: its last row may be broken   |
| byte order mark               | dropped at the start of text                                  |

The values of other rows are not parsed, which makes reading fast.
"""

import gzip
from collections.abc import Iterable, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from io import BufferedIOBase
from itertools import chain
from pathlib import Path

import numpy as np

from thence.array_types import Bool, Float, Float32, Integer
from thence.atomic import whole_file
from thence.corpus.decoding import CHUNK
from thence.errors import RunError, SettingError, TextError
from thence.tokens.vector_files import BinaryRows, BrokenRowError, TextRows, find_layout, pieces_of

ENOUGH_ROWS = 10
"""Rows from which on the share of broken ones says something about the file."""
BROKEN_SHARE = 0.1
"""A file of at least ``ENOUGH_ROWS`` rows is refused if more than this share is broken."""


@dataclass(frozen=True)
class WordVectors:
    """The vectors of wanted words, and facts about their file.

    Attributes:
        matrix: One vector per word, zeros if the file has none.
        found: Whether the file has the word, or else its lower-case form.
        rows: Number of rows in the file.
        stated_rows: Number of rows by its header; None without a header.
        skipped: Number of broken rows.
        first_skipped: The error in the first of them, as a sentence; None if there is none.
    """

    matrix: Float32[np.ndarray, "words dimension"]
    found: Bool[np.ndarray, " words"]
    rows: int
    stated_rows: int | None
    skipped: int
    first_skipped: str | None

    @property
    def dimension(self) -> int:
        """Values of a vector (D)."""
        return int(self.matrix.shape[1])

    @property
    def coverage(self) -> float:
        """Share of the wanted words that have a vector, 0 to 1; 0 if there are no words."""
        return float(self.found.mean()) if len(self.found) else 0.0

    def token_coverage(self, counts: Integer[np.ndarray, " words"]) -> float:
        """Return the share of tokens whose word has a vector, 0 to 1; 0 if there are none.

        Args:
            counts: How often each word occurs.
        """
        total = int(counts.sum())
        return int(counts[self.found].sum()) / total if total else 0.0

    def remarks(self) -> list[str]:
        """Return a sentence for each irregularity of the file."""
        result = []
        if self.first_skipped is not None:
            result.append(
                f"{self.skipped:,} of {self.rows:,} rows were skipped; the first: "
                f"{self.first_skipped}"
            )
        if self.stated_rows not in (None, self.rows):
            result.append(
                f"Rows: the header promises {self.stated_rows:,}, the file has {self.rows:,}."
            )
        return result


@dataclass
class Tally:
    """Counts of rows while a file is read.

    Attributes:
        rows: Rows that are not blank.
        broken: Invalid rows.
        valued: Rows whose values were parsed.
        broken_values: Rows with invalid values.
        first: The error in the first broken row.
    """

    rows: int = 0
    broken: int = 0
    valued: int = 0
    broken_values: int = 0
    first: str | None = None


def read_vectors(path: str | Path, words: Sequence[str], piece_size: int = CHUNK) -> WordVectors:
    """Read the vectors of some words; the rules are in the module's docstring.

    Args:
        path: A file of GloVe, word2vec (text or binary) or fastText (``.vec``), plain or
            compressed by gzip, bzip2, xz or zstd.
        words: The wanted words.
        piece_size: Bytes of the file that are read at a time.

    Raises:
        TextError: The file is missing, truncated, damaged, or has no word vectors.
    """
    path = Path(path)
    lowered = [word.lower() for word in words]
    places = {word: place for place, word in enumerate(dict.fromkeys([*words, *lowered]))}
    with closing(pieces_of(path, piece_size)) as pieces:
        sample = next(pieces, b"")
        if not sample:
            raise TextError(f"{path} holds no word vectors: it is empty.")
        layout, start = find_layout(sample, path)
        table = np.zeros((len(places), layout.dimension), np.float32)
        known = np.zeros(len(places), np.bool_)
        rows = layout.rows(chain([sample[start:]], pieces))
        tally = fill_table(table, known, places, layout, rows)
    refuse_broken(tally, path)
    exact = np.array([places[word] for word in words], np.int64)
    lower = np.array([places[word] for word in lowered], np.int64)
    chosen = np.where(known[exact], exact, lower)
    return WordVectors(
        table[chosen], known[chosen], tally.rows, layout.stated, tally.broken, tally.first
    )


def fill_table(
    table: Float32[np.ndarray, "places dimension"],
    known: Bool[np.ndarray, " places"],
    places: dict[str, int],
    layout: TextRows | BinaryRows,
    rows: Iterable[bytes],
) -> Tally:
    """Copy the vectors of wanted words into the table, and mark them as known.

    Args:
        table: Gets the vectors.
        known: Is set to True for each word found.
        places: Index of each wanted word in the table.
        layout: The format of the rows.
        rows: The rows of the file.
    """
    tally = Tally()
    for number, row in enumerate(rows, layout.first):
        if not row:
            continue
        tally.rows += 1
        try:
            place = places.get(layout.word(row).decode())
            if place is None or known[place]:
                continue
            tally.valued += 1
            tally.broken_values += 1  # ... until they have been read.
            table[place] = layout.values(row)
            tally.broken_values -= 1
            known[place] = True
        except (BrokenRowError, UnicodeDecodeError) as error:
            tally.broken += 1
            reason = error if isinstance(error, BrokenRowError) else "has a word that is not UTF-8"
            tally.first = tally.first or f"{layout.unit} {number:,} {reason}."
    return tally


def refuse_broken(tally: Tally, path: Path) -> None:
    """Raise TextError if a file has no valid row, or too many broken ones."""
    if tally.rows == 0:
        raise TextError(f"{path} holds no word vectors, only a header. Was it downloaded whole?")
    for broken, rows, kind in (
        (tally.broken, tally.rows, "rows"),
        (tally.broken_values, tally.valued, "rows of wanted words"),
    ):
        too_many = rows >= ENOUGH_ROWS and broken > BROKEN_SHARE * rows
        if too_many or broken == tally.rows:
            raise TextError(
                f"{path} cannot be used: {broken:,} of {rows:,} {kind} are broken; the first: "
                f"{tally.first} Is it a file of word vectors, and was it downloaded whole?"
            )


def write_vectors(
    path: str | Path, words: Sequence[str], matrix: Float32[np.ndarray, "words dimension"]
) -> None:
    """Write vectors as word2vec text: a header ``N D``, then a word and its values per line.

    The file is compressed if its name ends in ``.gz``. White space in a word is written as ``_``,
    since most readers would end the word there. The values are the shortest decimals that are read
    as the same float32. The file appears whole or not at all.

    Raises:
        SettingError: A word is empty, two words would be written alike, a value is not finite,
            or there is nothing to write.
        RunError: The file cannot be written.
    """
    path = Path(path)
    refuse_unwritable(path, words, matrix)
    try:
        with whole_file(path) as whole, ExitStack() as stack:
            packs = path.suffix.lower() == ".gz"
            file: BufferedIOBase = whole
            if packs:  # Without name and time, so that the same vectors give the same file.
                file = stack.enter_context(gzip.GzipFile("", "wb", 6, whole, mtime=0))
            file.write(f"{len(words)} {matrix.shape[1]}\n".encode())
            for word, vector in zip(words, matrix, strict=True):
                file.write(f"{written(word)} {' '.join(map(str, vector))}\n".encode())
    except OSError as error:
        raise RunError(
            f"Cannot write {path}: {error.strerror or error}. Choose another place; what was "
            "there before is unchanged."
        ) from error


def written(word: str) -> str:
    r"""Return a word in its form for a file: white space becomes ``_``.

    >>> written("New\u00a0York")
    'New_York'
    """
    return "".join("_" if character.isspace() else character for character in word)


def refuse_unwritable(
    path: Path, words: Sequence[str], matrix: Float32[np.ndarray, "words dimension"]
) -> None:
    """Raise SettingError if words and vectors could not be read back; see ``write_vectors``."""
    if matrix.size == 0 or len(matrix) != len(words):
        raise SettingError(
            f"{path} was not written: there are {len(words)} words and vectors of shape "
            f"{matrix.shape}; each word needs one."
        )
    owners: dict[str, str] = {}
    for word, usable in zip(words, np.isfinite(matrix).all(axis=1), strict=True):
        if not word:
            raise SettingError(f"{path} was not written: one of the words is empty.")
        if not usable:
            raise SettingError(
                f"{path} was not written: the vector of {word!r} holds NaN or an infinite value. "
                "Did the training diverge?"
            )
        form = written(word)
        if form in owners:
            raise SettingError(
                f"{path} was not written: {owners[form]!r} and {word!r} would both be written as "
                f"{form!r}. Leave one of them out."
            )
        owners[form] = word


def nearest_words(
    matrix: Float[np.ndarray, "words dimension"],
    words: Sequence[str],
    query: int | Float[np.ndarray, " dimension"],
    count: int,
) -> list[tuple[str, float]]:
    """Return the words of the most similar vectors, with their cosine similarity (-1 to 1).

    Words without a vector (all zeros) are never returned; for a query without one nothing is
    returned. Of equal cosines the earlier word comes first.

    Args:
        matrix: One vector per word.
        words: The words.
        query: Index of a word, which is left out of the result, or any vector.
        count: Largest number of words.

    >>> vectors = np.array([[1.0, 0.0], [2.0, 0.0], [0.0, 3.0]])
    >>> nearest_words(vectors, ["a", "b", "c"], 0, 2)
    [('b', 1.0), ('c', 0.0)]
    """
    vector = query if isinstance(query, np.ndarray) else matrix[query]
    # In float64 no square of a float32 overflows or underflows.
    dots = np.einsum("ij,j->i", matrix, vector, dtype=np.float64)
    squares = np.einsum("ij,ij->i", matrix, matrix, dtype=np.float64)
    lengths = np.sqrt(squares) * np.sqrt(np.einsum("j,j->", vector, vector, dtype=np.float64))
    candidates = np.flatnonzero(lengths > 0)
    if not isinstance(query, np.ndarray):
        candidates = candidates[candidates != range(len(words))[query]]
    cosines = np.clip(dots[candidates] / lengths[candidates], -1, 1)
    order = np.argsort(-cosines, kind="stable")[: max(count, 0)]
    return [(words[candidates[place]], float(cosines[place])) for place in order]
