"""Surprisal: which documents a model finds most and least surprising, and where in them."""

import html
import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Integer

from thence.reports.drawing import symbol_text, visible
from thence.runs import Run
from thence.runs.run import Split
from thence.tokens import Tokenizer, TokenStore

LEVELS = 8
SHOWN_TOKENS = 300


@dataclass(frozen=True)
class JudgedDocument:
    """A document and how surprising each of its targets was.

    Attributes:
        ids: Its targets; the last is the boundary.
        nats: Surprisal of each target, in nats.
        times: How often the same document occurs in the split.
    """

    ids: Integer[np.ndarray, " targets"]
    nats: Float[np.ndarray, " targets"]
    times: int

    @property
    def nats_per_target(self) -> float:
        """Mean surprisal."""
        return float(np.mean(self.nats, dtype=np.float64))


def extreme_documents(
    run: Run, split: Split = "dev", count: int = 10
) -> tuple[list[JudgedDocument], list[JudgedDocument]]:
    """Return the most and the least surprising documents by nats per target.

    Each different document is shown once and in one list only; of equally surprising ones the
    earlier comes first.
    """
    store = run.store(split)
    nats = -run.model.score(store, run.recipe.training.carry_context)
    means = store.sum_by_document(nats) / store.target_counts
    shown: set[bytes] = set()
    most = _distinct(np.argsort(-means, kind="stable"), store, count, shown)
    least = _distinct(np.argsort(means, kind="stable"), store, count, shown)
    return _judged(store, nats, most), _judged(store, nats, least)


def _distinct(order: Iterable[int], store: TokenStore, count: int, shown: set[bytes]) -> list[int]:
    """Return the first documents in an order that were not shown, and note them as shown."""
    chosen: list[int] = []
    for index in order:
        content = store.document(index).tobytes()
        if content not in shown:
            shown.add(content)
            chosen.append(index)
        if len(chosen) == count:
            break
    return chosen


def _judged(
    store: TokenStore, nats: Float[np.ndarray, " targets"], chosen: list[int]
) -> list[JudgedDocument]:
    places = [slice(store.offsets[index] - 1, store.offsets[index + 1] - 1) for index in chosen]
    return [
        JudgedDocument(store.targets[place], nats[place], _times(store, index))
        for index, place in zip(chosen, places, strict=True)
    ]


def _times(store: TokenStore, index: int) -> int:
    document = store.document(index)
    same_length = np.flatnonzero(store.target_counts == len(document) + 1)
    others = store.ids[store.offsets[same_length][:, None] + np.arange(len(document))]
    return int(np.sum(np.all(others == document, axis=1)))


def surprisal_html(document: JudgedDocument, tokenizer: Tokenizer) -> str:
    """Return HTML in which every token has a colour for its surprisal, and says it on hovering.

    The colours are the classes ``s0`` to ``s8`` of the report's style; nothing of the text is
    left unescaped.
    """
    size = len(tokenizer.vocabulary)
    between = " " if tokenizer.options.tokens == "words" else ""
    shown = zip(document.ids[:SHOWN_TOKENS], document.nats[:SHOWN_TOKENS], strict=True)
    spans = between.join(_span(int(index), float(nats), tokenizer, size) for index, nats in shown)
    rest = len(document.ids) - SHOWN_TOKENS
    return spans + (f" <i>… and {rest:,} more tokens</i>" if rest > 0 else "")


def _span(index: int, nats: float, tokenizer: Tokenizer, vocabulary_size: int) -> str:
    text = symbol_text(tokenizer, index)
    bits = nats / math.log(2)
    amount = f"{bits:.2f} bits" if math.isfinite(bits) else "infinitely many bits"
    about = f"{visible(text)}: {amount}, probability {math.exp(-nats):.2g}"
    kind = f"s{surprisal_level(bits, vocabulary_size)}"
    if index >= len(tokenizer.vocabulary.symbols) and len(text) > 1:  # A name, not a byte.
        kind += " special"
    shown = visible(text).replace("␣", " ").replace("⏎", "⏎\n")
    return f'<span class="{kind}" title="{html.escape(about)}">{html.escape(shown)}</span>'


def surprisal_level(bits: float, vocabulary_size: int) -> int:
    """Return the colour of a surprisal, 0 to ``LEVELS``.

    The last is reached at one and a half times what a blind guess among all symbols costs.
    """
    if math.isnan(bits):  # Of weights so large that the network cannot compute with them.
        return LEVELS
    return int(min(LEVELS * bits / highest_bits(vocabulary_size), LEVELS))


def highest_bits(vocabulary_size: int) -> float:
    """Return the surprisal in bits from which on all have the strongest colour."""
    return 1.5 * math.log2(max(vocabulary_size, 2))
