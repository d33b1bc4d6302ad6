"""Texts coloured by the surprisal of their tokens; the most and least surprising documents."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from thence.array_types import Float, Integer
from thence.evaluation.metrics import surprisal_scale_end
from thence.reports.content import (
    SURPRISING,
    Annotated,
    Beside,
    Block,
    Note,
    RunningText,
    Section,
    Subtitle,
    Token,
)
from thence.reports.formatting import symbol_text, visible
from thence.reports.reading import DevReading
from thence.reports.symbols import BOUNDARY_MARK
from thence.tokens import Tokenizer, TokenStore
from thence.tokens.vocabulary import BOUNDARY

EXTREMES = 10
"""Documents of each list: the most and the least surprising."""
MOST_TOKENS = 240
"""Tokens of a document that are shown."""
SHORT = 24
"""Length of the longest document, in characters, up to which documents are shown side by side."""
LEVELS = 8
"""Shades in the legend of surprisal, besides white."""
EXPLAINED = (
    "The stronger the colour of a token, the less the model expected it there. Open a text for the "
    "bits of each token; the last is that of its end (■)."
)


def surprisal_section(reading: DevReading) -> Section:
    """Return the dev documents that surprise the model most and least, token by token."""
    most, least = extreme_documents(reading.store, reading.nats, EXTREMES)
    blocks: list[Block] = [Note(EXPLAINED), surprisal_legend(reading.vocabulary_size)]
    for name, documents in (("Most surprising", most), ("Least surprising", least)):
        if documents:
            texts = scored_texts(reading, documents)
            longest = max(len(reading.tokenizer.decode(one.ids.tolist())) for one in documents)
            blocks += [Subtitle(name), *([Beside(texts)] if longest <= SHORT else texts)]
    return Section("Surprising documents of dev", blocks)


def surprisal_legend(vocabulary_size: int) -> RunningText:
    """Return the legend of the colours of surprisal, in bits."""
    tokens: list[Token | str] = ["from "]
    for level in range(LEVELS + 1):
        bits = f"{level / LEVELS * surprisal_scale_end(vocabulary_size):.1f}"
        bits += " and more bits" if level == LEVELS else ""
        tokens.append(Token(f" {bits} ", bits, SURPRISING, level / LEVELS))
    return RunningText(tokens)


@dataclass(frozen=True)
class ScoredDocument:
    """A document with the surprisal of its targets.

    Attributes:
        ids: Its targets; the last is the boundary.
        nats: Surprisal of each target, in nats.
        times: Number of occurrences of the same document in the split.
    """

    ids: Integer[np.ndarray, " targets"]
    nats: Float[np.ndarray, " targets"]
    times: int

    @property
    def bits_per_target(self) -> float:
        """Mean surprisal of its targets, in bits."""
        return float(np.mean(self.nats, dtype=np.float64)) / math.log(2)


def scored_texts(reading: DevReading, documents: Sequence[ScoredDocument]) -> list[Annotated]:
    """Return documents with tokens coloured by surprisal, which unfold to show the bits of each."""
    found = []
    for document in documents:
        about = f"{document.bits_per_target:.2f} bits per {reading.token}"
        about += f", {document.times} times in dev" if document.times > 1 else ""
        tokens = document_tokens(document, reading.tokenizer)
        notes = [f"{nats / math.log(2):.1f}" for nats in document.nats[:MOST_TOKENS]]
        notes += [""] * (len(tokens) - len(notes))
        found.append(Annotated(RunningText(tokens, reading.separator, about), notes))
    return found


def document_tokens(document: ScoredDocument, tokenizer: Tokenizer) -> list[Token | str]:
    """Return the first tokens of a document, coloured by surprisal."""
    vocabulary = tokenizer.vocabulary
    tokens: list[Token | str] = []
    for index, nats in zip(document.ids[:MOST_TOKENS], document.nats[:MOST_TOKENS], strict=True):
        text = symbol_text(tokenizer, int(index))
        # Special symbols have names of several letters; a single letter is a byte.
        is_name = index >= len(vocabulary.symbols) and len(text) > 1
        bits = float(nats) / math.log(2)
        tokens.append(surprisal_token(text, bits, len(vocabulary), bool(is_name)))
    rest = len(document.ids) - MOST_TOKENS
    return [*tokens, f" … and {rest:,} more tokens"] if rest > 0 else tokens


def surprisal_token(text: str, bits: float, vocabulary_size: int, is_name: bool = False) -> Token:
    """Return a token coloured by its surprisal."""
    amount = f"{bits:.2f} bits" if math.isfinite(bits) else "infinitely many bits"
    about = f"{visible(text)}: {amount}, probability {2.0**-bits:.2g}"
    # Surprisal is NaN if a network's weights overflow.
    share = 1.0 if math.isnan(bits) else min(bits / surprisal_scale_end(vocabulary_size), 1.0)
    return Token(shown_symbol(text), about, SURPRISING, share, is_name=is_name)


def shown_symbol(text: str) -> str:
    """Return a token as written in a text; the boundary is a black square."""
    if text == BOUNDARY:
        return BOUNDARY_MARK
    return visible(text).replace("␣", " ").replace("⏎", "⏎\n")


def extreme_documents(
    store: TokenStore, nats: Float[np.ndarray, " targets"], count: int = EXTREMES
) -> tuple[list[ScoredDocument], list[ScoredDocument]]:
    """Return the documents with the highest and with the lowest nats per target.

    Equal documents are shown once, and in one list only; ties are in the order of the text.
    """
    means = store.sum_by_document(nats) / store.target_counts
    shown: set[bytes] = set()
    most = _distinct(np.argsort(-means, kind="stable"), store, count, shown)
    least = _distinct(np.argsort(means, kind="stable"), store, count, shown)
    return _scored(store, nats, most), _scored(store, nats, least)


def _distinct(order: Iterable[int], store: TokenStore, count: int, shown: set[bytes]) -> list[int]:
    """Return the first ``count`` documents of an order that are not in ``shown``, and add them."""
    chosen: list[int] = []
    for index in order:
        content = store.document(index).tobytes()
        if content not in shown:
            shown.add(content)
            chosen.append(index)
        if len(chosen) == count:
            break
    return chosen


def _scored(
    store: TokenStore, nats: Float[np.ndarray, " targets"], chosen: list[int]
) -> list[ScoredDocument]:
    places = [slice(store.offsets[index] - 1, store.offsets[index + 1] - 1) for index in chosen]
    return [
        ScoredDocument(store.targets[place], nats[place], _times(store, index))
        for index, place in zip(chosen, places, strict=True)
    ]


def _times(store: TokenStore, index: int) -> int:
    """Return the number of occurrences of a document in a store."""
    document = store.document(index)
    same_length = np.flatnonzero(store.target_counts == len(document) + 1)
    others = store.ids[store.offsets[same_length][:, None] + np.arange(len(document))]
    return int(np.sum(np.all(others == document, axis=1)))
