"""What a lens looks at: a text as a language model reads it."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import PurePath

import numpy as np

from thence.array_types import Float, Float64, Int64
from thence.corpus.tables import HUGGING_FACE, TABLES
from thence.inspection.spans import Spans
from thence.models.base import LanguageModel
from thence.models.language.distributions import distributions_of
from thence.models.ngram import NGram
from thence.runs import LanguageRun
from thence.runs.run import Run
from thence.tokens import TokenStore

REPLACEMENT = "\ufffd"
"""Stands in decoded text for bytes that are no character."""
Rows = Iterator[tuple[Int64[np.ndarray, " read"], Float[np.ndarray, "read vocab"]]]


@dataclass(frozen=True)
class Subject:
    """A text as a language model reads it: T tokens, each predicted from what is before it.

    Attributes:
        run: The run.
        model: Its model, or that without what adapts.
        text: The text.
        store: Its tokens and the boundary that would close it: T + 1 targets.
        spans: First character and end of each token in the text, shape (T, 2).
        first: The first of the places that are shown; place t is that of token t, and place T is
            after the text.
        stop: The place after the last of them, at most T.
        top: How many of the likeliest tokens are listed at each place.
    """

    run: LanguageRun
    model: LanguageModel
    text: str
    store: TokenStore
    spans: Spans
    first: int
    stop: int
    top: int

    @property
    def carries(self) -> bool:
        """Whether documents see those before them."""
        return self.run.recipe.training.carry_context

    @property
    def size(self) -> int:
        """How many tokens the text has (T)."""
        return self.store.num_targets - 1

    @property
    def shown(self) -> range:
        """The places that are shown."""
        return range(self.first, self.stop)

    @cached_property
    def ids(self) -> Int64[np.ndarray, " targets"]:
        """The id of each token, and of the boundary that would close the text."""
        return self.store.targets.astype(np.int64)

    @cached_property
    def log_probs(self) -> Float64[np.ndarray, " targets"]:
        """The log-probability of each token, and of the end after them, in nats."""
        return self.model.score(self.store, self.carries).astype(np.float64)

    def text_between(self, first: int, stop: int) -> str:
        """Return the text from the token at one place to before that at another."""
        start, end = int(self.spans[first, 0]), int(self.spans[stop - 1, 1])
        return self.text[start:end]

    def distributions(self, first: int, stop: int) -> Rows:
        """Yield places from first to before stop, in any order, and log-probabilities (V) there.

        They are those of the model as it reads on, but for what learns from each token that it has
        scored: networks under dynamic evaluation and gates are as they were before the text.
        """
        return distributions_at(self.model, self.store, self.carries, first, stop)

    def token_text(self, index: int) -> str:
        """Return the text of a token, or its name if it has no text of its own."""
        return token_text(self.run, index)


def token_text(run: Run, index: int) -> str:
    """Return the text of a token, or its name if it has no text of its own."""
    text = run.tokenizer.decode([index])
    return run.tokenizer.vocabulary.names()[index] if text == "" or REPLACEMENT in text else text


def is_by_lines(run: Run) -> bool:
    """Return whether a line of plain text is a document for a run: a line end is a boundary."""
    table = PurePath(run.recipe.text).suffix in TABLES or run.recipe.text.startswith(HUGGING_FACE)
    return run.recipe.reading.document == "line" and not table


def distributions_at(
    model: LanguageModel, store: TokenStore, carries: bool, first: int, stop: int
) -> Rows:
    """Yield places of targets from first to before stop, in any order, and log-probabilities (V).

    Args:
        model: Any language model.
        store: The text.
        carries: Whether documents see those before them.
        first: The first place.
        stop: The place after the last.
    """
    if isinstance(model, NGram):
        contexts = model.contexts(_until(store, stop), carries)
        at_once = max(1, (1 << 20) // model.vocabulary_size)
        for begin in range(first, stop, at_once):
            places = np.arange(begin, min(begin + at_once, stop))
            yield places, model.queries.distributions(contexts[places])
        return
    shift = 0
    if not carries:  # What is before the document of the first place does not matter.
        document = int(np.searchsorted(store.offsets - 1, first, "right")) - 1
        shift = int(store.offsets[document]) - 1
        store = store.take(np.arange(document, store.num_documents))
    for places, log_probs in distributions_of(model, _until(store, stop - shift), carries):
        asked = places + shift >= first
        if asked.any():
            yield places[asked] + shift, log_probs[asked]


def _until(store: TokenStore, stop: int) -> TokenStore:
    """Return a store that ends with the target before a place."""
    if stop >= store.num_targets:
        return store
    kept = int(np.searchsorted(store.offsets, stop + 1))
    offsets = np.append(store.offsets[:kept], stop + 1)
    return TokenStore(
        store.ids[: stop + 1],
        offsets,
        store.byte_counts[: len(offsets) - 1],
        store.character_counts[: len(offsets) - 1],
        store.boundary_id,
    )
