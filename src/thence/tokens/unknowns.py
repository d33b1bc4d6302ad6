"""The declared rule for unknown symbols, applied to a chunk of ids in one place."""

from collections.abc import Callable, Iterable

import numpy as np
from jaxtyping import Int64, Integer

from thence.errors import UnknownSymbolError
from thence.tokens.vocabulary import Vocabulary


class RefusedError(UnknownSymbolError):
    """A refusal within a chunk, which does not know how many documents came before.

    Args:
        symbol: What the vocabulary lacks.
        position: Symbols before it in its document.
        document: Documents before its own.
        vocabulary: The closed vocabulary.
    """

    def __init__(self, symbol: str, position: int, document: int, vocabulary: Vocabulary) -> None:
        super().__init__(
            f"{symbol!r} (symbol {position + 1} of document {document + 1}) is not in the closed "
            f"vocabulary of {len(vocabulary.symbols)} symbols; remove it from the text, or train "
            "with --unknown symbol or --unknown bytes."
        )
        self._place = (symbol, position, document, vocabulary)

    def after(self, documents: int) -> "RefusedError":
        """Return the same refusal where so many documents came before the chunk."""
        symbol, position, document, vocabulary = self._place
        return RefusedError(symbol, position, document + documents, vocabulary)


Encoded = tuple[Integer[np.ndarray, " tokens"], Int64[np.ndarray, " documents"]]


def resolve_unknowns(
    ids: Integer[np.ndarray, " symbols"],
    lengths: Int64[np.ndarray, " documents"],
    vocabulary: Vocabulary,
    symbol_at: Callable[[int], str],
    terminator: bytes = b"",
) -> Encoded:
    """Replace the ids that are -1 by the vocabulary's rule.

    Args:
        ids: One id per symbol, -1 where the vocabulary has none.
        lengths: Symbols of each document.
        vocabulary: Says whether an unknown symbol becomes ``<unk>``, bytes, or an error.
        symbol_at: Gives the symbol at a position.
        terminator: Put after the bytes of a spelled symbol, so that words stay apart.

    Returns:
        The ids without -1, and the tokens of each document (more than symbols where some
        were spelled in bytes).

    Raises:
        UnknownSymbolError: If the vocabulary is closed; names the symbol and its place.
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
    """Join symbols into text, turning byte tokens back into the characters they spell."""
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
