"""``Subject``: the argument of every lens, a text together with a language model that reads it."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import PurePath

import numpy as np

from thence.array_types import Float64, Int64
from thence.corpus import Documents
from thence.corpus.tables import HUGGING_FACE, TABLES
from thence.errors import SettingError
from thence.inspection.distributions import Rows, distributions_at
from thence.inspection.spans import Spans
from thence.models.base import LanguageModel
from thence.runs import LanguageRun
from thence.runs.run import Run
from thence.tokens import TokenStore
from thence.tokens.vocabulary import UNKNOWN

REPLACEMENT = "\ufffd"
"""Stands in decoded text for invalid UTF-8 bytes."""


@dataclass(frozen=True)
class Subject:
    """A text as a language model reads it: T tokens, each predicted from what is before it.

    Attributes:
        run: The run.
        model: Its model; with ``static``, without its adaptive parts.
        text: The text.
        store: Its tokens and the boundary that would close it: T + 1 targets.
        spans: First character and end of each token in the text, shape (T, 2).
        first: The first place that is shown; place t is that of token t, and place T is after the
            text.
        stop: The place after the last one shown, at most T.
        top: Number of the likeliest tokens listed at each place.
        against: Id of the token that each token is contrasted with by ``why``; None for none.
    """

    run: LanguageRun
    model: LanguageModel
    text: str
    store: TokenStore
    spans: Spans
    first: int
    stop: int
    top: int
    against: int | None = None

    @property
    def carries(self) -> bool:
        """Whether context is carried across documents."""
        return self.run.recipe.training.carry_context

    @property
    def size(self) -> int:
        """Number of tokens in the text (T)."""
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
        """Return the text of the tokens from place ``first`` to before place ``stop``."""
        start, end = int(self.spans[first, 0]), int(self.spans[stop - 1, 1])
        return self.text[start:end]

    def distributions(self, first: int, stop: int) -> Rows:
        """Yield places from first to before stop, in any order, and log-probabilities (V) there.

        The tokens' probabilities come from these distributions, with one exception: context mixing
        with online learning updates its weights after each binary decision within a token. Its
        distributions here are those before the token, without such updates.
        """
        return distributions_at(self.model, self.store, self.carries, first, stop)

    def token_text(self, index: int) -> str:
        """Return the text of a token, or its name if it has no text of its own."""
        return token_text(self.run, index)


def token_text(run: Run, index: int) -> str:
    """Return the text of a token, or its name if it has no text of its own."""
    text = run.tokenizer.decode([index])
    return run.tokenizer.vocabulary.names()[index] if text == "" or REPLACEMENT in text else text


def find_token(run: Run, text: str) -> int:
    """Return the id of a token by its text, or by its name if it has none.

    Raises:
        SettingError: If the text is not one token.
    """
    vocabulary = run.tokenizer.vocabulary
    names = vocabulary.names()
    ids = run.tokenizer.encode(Documents.from_strings([text])).targets[:-1].tolist()
    if len(ids) == 1 and (ids[0] != vocabulary.unknown_id or text == UNKNOWN):
        return int(ids[0])
    if text in names[len(vocabulary.symbols) :]:
        return names.index(text)
    what = f"{len(ids)} tokens" if len(ids) != 1 else "no token that the model knows"
    raise SettingError(f"{text!r} is {what} of {run.name}; choose a single one.")


def is_by_lines(run: Run) -> bool:
    """Return whether the run reads each line of a plain text as a document."""
    table = PurePath(run.recipe.text).suffix in TABLES or run.recipe.text.startswith(HUGGING_FACE)
    return run.recipe.reading.document == "line" and not table
