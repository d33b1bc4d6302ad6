"""The vocabulary: the symbols with their ids, and the rule for unknown symbols.

Ids are in this order, so the id of a word is its rank by frequency, and special symbols, which no
text contains, come last::

    0 .. n-1     the ordinary symbols, from the train split only
    n .. n+255   the 256 bytes           (only with unknown = "bytes")
    next         <unk>                   (only with unknown = "symbol")
    last         <boundary>, which both begins and ends a document
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np

from thence.array_types import Bool, Int64, Integer
from thence.corpus.opening import refuse_odd
from thence.errors import TextError, UnknownSymbolError
from thence.tokens.symbols import Symbols

BOUNDARY = "<boundary>"
UNKNOWN = "<unk>"
BESIDE = "<special {}"
"""Form of a special symbol's name if the text has a word with that name."""
_FIRST_COLUMN = re.compile(r"[ \t]+")
NO_WORDS = frozenset({UNKNOWN, BOUNDARY, "<s>", "</s>"})
"""Special symbols in lists of SRILM and Kaldi, which are skipped."""

Unknown = Literal["symbol", "bytes", "refuse"]


@dataclass(frozen=True)
class Vocabulary:
    """A frozen table of symbols with the rule for unknown ones.

    Attributes:
        symbols: The ordinary symbols by id, made by ``symbols_of``.
        unknown: The rule for other symbols: ``symbol`` gives them the id of ``<unk>``, ``bytes``
            spells them in UTF-8 bytes, ``refuse`` (a closed vocabulary) raises an error.
    """

    symbols: Sequence[str]
    unknown: Unknown = "symbol"

    def __len__(self) -> int:
        """Number of ids, including special symbols (V)."""
        return self.boundary_id + 1

    @property
    def boundary_id(self) -> int:
        """Id of the symbol that begins and ends a document: always the last."""
        return len(self.symbols) + {"symbol": 1, "bytes": 256, "refuse": 0}[self.unknown]

    @property
    def unknown_id(self) -> int | None:
        """Id of ``<unk>``; None if unknown symbols are spelled in bytes or refused."""
        return len(self.symbols) if self.unknown == "symbol" else None

    @property
    def first_byte_id(self) -> int | None:
        """Id of byte 0 if unknown symbols are spelled in bytes, else None."""
        return len(self.symbols) if self.unknown == "bytes" else None

    @property
    def dtype(self) -> np.dtype[np.unsignedinteger]:
        """The smallest unsigned integer type that holds every id."""
        return np.dtype(np.min_scalar_type(self.boundary_id))

    @property
    def spelled(self) -> Sequence[str]:
        """The symbols that a text can contain, by id; a literal ``<unk>`` is the unknown symbol."""
        return self.symbols if self.unknown_id is None else self._followed_by([UNKNOWN])

    def _followed_by(self, more: Iterable[str]) -> Sequence[str]:
        if isinstance(self.symbols, Symbols):
            return self.symbols.followed_by(more)
        return (*self.symbols, *more)

    def names(self) -> Sequence[str]:
        """Return a unique name to show for every id, in order of id.

        If the text has a special symbol's name as a word, the special symbol gets a name with a
        space in it, which no word has.
        """
        return self._names

    @cached_property
    def _names(self) -> Sequence[str]:
        spelled = {
            "symbol": [UNKNOWN],
            "bytes": [f"<0x{byte:02X}>" for byte in range(256)],
            "refuse": [],
        }
        special = [*spelled[self.unknown], BOUNDARY]
        taken = set(special).intersection(self.symbols)
        return self._followed_by(BESIDE.format(n[1:]) if n in taken else n for n in special)

    def are_unknown(self, ids: Integer[np.ndarray, " ids"]) -> Bool[np.ndarray, " ids"]:
        """Return a mask of the ids that are the unknown symbol; all False without one."""
        unknown_id = -1 if self.unknown_id is None else self.unknown_id
        are_unknown: Bool[np.ndarray, " ids"] = ids == unknown_id
        return are_unknown

    def is_special(self, index: int) -> bool:
        """Return whether an id is no ordinary symbol: the boundary, ``<unk>``, a byte of a word.

        If tokens are bytes, the bytes are the ordinary symbols.
        """
        return index >= self.first_special_id

    @property
    def first_special_id(self) -> int:
        """The first special id; all ids from it on are special."""
        are_bytes = self.unknown == "bytes" and not self.symbols
        return self.boundary_id if are_bytes else len(self.symbols)


def choose_symbols(
    counts: Mapping[str, int], max_size: int | None, min_count: int, unknown: Unknown
) -> list[str]:
    """Return the symbols that get an id, most frequent first.

    Args:
        counts: How often each symbol occurs in the train split.
        max_size: Largest number of symbols (of equal counts, the one that sorts first); None: all.
        min_count: Rarer symbols are left out.
        unknown: With ``symbol``, a literal ``<unk>`` in the text is the unknown symbol itself
            (as in the Penn Treebank files), not one more word.

    >>> choose_symbols({"a": 2, "b": 1, "c": 2}, 2, 1, "symbol")
    ['a', 'c']
    """
    kept = [symbol for symbol, count in counts.items() if count >= min_count]
    if unknown == "symbol":
        kept = [symbol for symbol in kept if symbol != UNKNOWN]
    # Two stable sorts take half the memory of one sort by (count, symbol).
    kept.sort()
    kept.sort(key=lambda symbol: counts[symbol], reverse=True)
    return kept[:max_size]


def read_word_list(path: str | Path) -> list[str]:
    """Return the distinct symbols of a file in its order; of a table the first column.

    Raises:
        TextError: If it cannot be read, is not UTF-8, or has no symbols.
    """
    refuse_odd(Path(path))
    try:
        text = Path(path).read_text(encoding="utf-8-sig")
    except OSError as error:
        raise TextError(f"The list {path} cannot be read: {error.strerror or error}.") from error
    except UnicodeDecodeError as error:
        raise TextError(f"The list {path} is not UTF-8: {error}.") from error
    lines = (line.rstrip("\r") for line in text.split("\n"))
    words = dict.fromkeys(
        _FIRST_COLUMN.split(line.strip(" \t"))[0] or line[:1] for line in lines if line
    )
    found = [word for word in words if word not in NO_WORDS]
    if not found:
        raise TextError(f"The list {path} holds no word; it should have one on each line.")
    return found


class RefusedError(UnknownSymbolError):
    """A closed vocabulary lacks a symbol; raised within a chunk of documents.

    Args:
        symbol: The missing symbol.
        position: Number of symbols before it in its document.
        document: Number of documents before its document, in the chunk.
        vocabulary: The closed vocabulary.
    """

    def __init__(self, symbol: str, position: int, document: int, vocabulary: Vocabulary) -> None:
        super().__init__(
            f"{symbol!r} (symbol {position + 1} of document {document + 1}) is not in the closed "
            f"vocabulary of {len(vocabulary.symbols)} symbols; remove it from the text, or train "
            "with `unknown='symbol'` or `unknown='bytes'`."
        )
        self._place = (symbol, position, document, vocabulary)

    def after(self, documents: int) -> "RefusedError":
        """Return the error with a document number that counts ``documents`` before the chunk."""
        symbol, position, document, vocabulary = self._place
        return RefusedError(symbol, position, document + documents, vocabulary)


Encoded = tuple[Integer[np.ndarray, " tokens"], Int64[np.ndarray, " documents"]]
"""The ids of all tokens of a chunk, and the number of tokens of each document."""


def resolve_unknowns(
    ids: Integer[np.ndarray, " symbols"],
    lengths: Int64[np.ndarray, " documents"],
    vocabulary: Vocabulary,
    symbol_at: Callable[[int], str],
    terminator: bytes = b"",
) -> Encoded:
    """Replace the ids that are -1 by the vocabulary's rule for unknown symbols.

    Args:
        ids: One id per symbol; -1 for unknown symbols.
        lengths: Number of symbols of each document.
        vocabulary: Its rule makes an unknown symbol ``<unk>``, bytes, or an error.
        symbol_at: Returns the symbol at a position.
        terminator: Appended to the bytes of a spelled symbol, to mark the end of a word.

    Returns:
        The ids without -1, and the number of tokens of each document (more than symbols if some
        were spelled in bytes).

    Raises:
        UnknownSymbolError: If the vocabulary is closed; the message has the symbol and its place.
    """
    unknown = np.flatnonzero(ids == -1)
    if len(unknown) == 0:
        return ids, lengths
    if vocabulary.unknown == "symbol":
        ids[unknown] = vocabulary.unknown_id
        return ids, lengths
    document_of = np.searchsorted(np.cumsum(lengths), unknown, "right")
    if vocabulary.unknown == "refuse":
        first, document = int(unknown[0]), int(document_of[0])
        place = first - int(lengths[:document].sum())
        raise RefusedError(symbol_at(first), place, document, vocabulary)
    spellings = [symbol_at(int(at)).encode("utf-8") + terminator for at in unknown]
    extra = np.array([len(spelling) - 1 for spelling in spellings])
    repeats = np.ones(len(ids), np.int64)
    repeats[unknown] += extra
    spelled = np.repeat(ids, repeats)
    spelled[spelled == -1] = np.frombuffer(b"".join(spellings), np.uint8) + np.int32(
        vocabulary.first_byte_id or 0
    )
    return spelled, lengths + np.bincount(document_of, extra, len(lengths)).astype(np.int64)


def spell_bytes(ids: Iterable[int], vocabulary: Vocabulary, unknown: str) -> str:
    """Return the text of ids; byte tokens become the characters that they spell."""
    first_byte = vocabulary.first_byte_id
    num_symbols = len(vocabulary.symbols)
    pieces = []
    for index in ids:
        if index < num_symbols:
            pieces.append(vocabulary.symbols[index].encode("utf-8"))
        elif index == vocabulary.unknown_id:
            pieces.append(unknown.encode("utf-8"))
        elif first_byte is not None and index != vocabulary.boundary_id:
            pieces.append(bytes([index - first_byte]))
    return b"".join(pieces).decode("utf-8", errors="replace")
