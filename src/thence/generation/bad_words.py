"""Words that are not to be written: a model in which no text can go on to complete one.

A word is one token or several: its last token gets the probability 0 wherever the tokens before it
are the word's others, and so drawing and searching need not know of it. The other tokens keep their
log-probabilities, so that a sum of them is still what the model says of a text.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float, Integer

from thence.corpus import Documents
from thence.errors import SettingError, UnknownSymbolError
from thence.models.base import LanguageModel, State
from thence.models.batched_forward import read
from thence.runs.run import Run

Ids = tuple[int, ...]
NO_ID = -1
"""Stands for what was before the text among the ids that were read last."""


class WithoutWords:
    """A language model to draw from and to search with, which never completes certain words.

    Its state is that of the model, and the last ids of each row.

    Args:
        model: The model.
        words: The ids of each word; none of them holds the boundary.
    """

    def __init__(self, model: LanguageModel, words: Sequence[Ids]) -> None:
        self.model, self.words = model, words
        self.vocabulary_size = model.vocabulary_size
        self._kept = max(len(word) for word in words) - 1

    def start(self, batch_size: int) -> State:
        """Return the state before any text."""
        recent = np.full((batch_size, self._kept), NO_ID, np.int64)
        return (self.model.start(batch_size), recent)

    def step(
        self, ids: Integer[np.ndarray, " batch"], state: State
    ) -> tuple[Float[np.ndarray, "batch vocab"], State]:
        """Read one id per row; return log-probabilities of the next and the new state."""
        log_probs, state = self.read(ids[:, None], state, last=True)
        return log_probs[:, 0], state

    def read(
        self, ids: Integer[np.ndarray, "batch time"], state: State, last: bool = False
    ) -> tuple[Float[np.ndarray, "batch places vocab"], State]:
        """Return log-probabilities after each id, or after the last only, and the state."""
        inner, recent = state
        log_probs, inner = read(self.model, ids, inner, last)
        history = np.concatenate([recent, ids], axis=1)  # (B, kept + T)
        places = range(ids.shape[1])[-1:] if last else range(ids.shape[1])
        rows = [
            self._without(log_probs[:, index], history[:, : self._kept + place + 1])
            for index, place in enumerate(places)
        ]
        return np.stack(rows, axis=1), (inner, history[:, history.shape[1] - self._kept :])

    def _without(
        self,
        log_probs: Float[np.ndarray, "batch vocab"],
        history: Integer[np.ndarray, "batch read"],
    ) -> Float[np.ndarray, "batch vocab"]:
        """Return the log-probabilities without what would complete a word."""
        left = log_probs.copy()
        for *before, completing in self.words:
            tail = history[:, history.shape[1] - len(before) :]
            left[np.all(tail == before, axis=1), completing] = -np.inf
        # Where nothing else may follow, the text ends.
        left[np.all(np.isneginf(left), axis=1), -1] = 0.0
        return left

    def __getattr__(self, name: str) -> Any:
        return getattr(self.model, name)


def without_words(run: Run, words: Sequence[str]) -> LanguageModel:
    """Return a run's model, or one that never completes any of the words.

    Args:
        run: The run.
        words: Each is read as the run's tokenizer reads it; the name of the unknown symbol
            (``<unk>``) stands for that symbol. What the vocabulary lacks cannot be drawn anyway.

    Raises:
        SettingError: If a word is empty, or words are given as one text.
    """
    if isinstance(words, str):
        raise SettingError(f"--bad-words is the text {words!r}; give a list of words.")
    found = sorted({ids for word in words for ids in _ids_of(run, word)})
    return WithoutWords(run.model, found) if found else run.model


def _ids_of(run: Run, word: str) -> list[Ids]:
    vocabulary, options = run.tokenizer.vocabulary, run.tokenizer.options
    if not word.strip():
        raise SettingError("--bad-words has an empty word; leave it out.")
    unknown = vocabulary.unknown_id
    if unknown is not None and word == vocabulary.names()[unknown]:
        return [(unknown,)]
    # The pieces of a word differ within a text, where white space comes before it.
    spellings = [word, f" {word}"] if options.tokens == "subwords" else [word]
    found = []
    for spelling in spellings:
        try:
            ids = run.tokenizer.encode(Documents.from_strings([spelling])).document(0).tolist()
        except UnknownSymbolError:  # A closed vocabulary lacks it.
            continue
        if ids and unknown not in ids:
            found.append(tuple(ids))
    return found
