"""Sampling filters: temperature, top-k, top-p, and words that must not appear.

The first three map log-probabilities (B, V) to log-probabilities; removed tokens get minus
infinity. Rows need not be normalised afterwards: ``softmax`` does it before the draw.
``without_bad_words`` filters at the level of the model, as a word may be several tokens.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np

from thence.array_types import Float, Integer
from thence.corpus import Documents
from thence.errors import SettingError, UnknownSymbolError
from thence.models.base import LanguageModel, State, read
from thence.runs.run import Run
from thence.settings import PositiveInt, Range, Settings

Temperature = Annotated[float, Range(gt=0, why="`greedy` takes the most probable token")]
LogProbs = Float[np.ndarray, "batch vocab"]
NO_ID = -1
"""Padding of a row's history before any id was read; no token has this id."""


@dataclass(frozen=True)
class DecodingOptions(Settings):
    """How the next token is chosen from its distribution."""

    temperature: Temperature = 1.0
    """Below 1, probable tokens become more probable; above 1, the distribution becomes flatter."""
    top_k: PositiveInt | None = None
    """Sample from the k most probable tokens only."""
    top_p: Annotated[float, Range(gt=0, le=1)] | None = None
    """Sample from the most probable tokens that together have this probability."""
    greedy: bool = False
    """Always take the most probable token: the same text every time."""


def apply_filters(log_probs: LogProbs, options: DecodingOptions) -> LogProbs:
    """Apply temperature, then top-k, then top-p."""
    if options.temperature != 1:
        log_probs = apply_temperature(log_probs, options.temperature)
    if options.top_k is not None:
        log_probs = keep_top_k(log_probs, options.top_k)
    if options.top_p is not None and options.top_p < 1:
        log_probs = keep_top_p(log_probs, options.top_p)
    return log_probs


def apply_temperature(log_probs: LogProbs, temperature: float) -> LogProbs:
    """Divide by the temperature, after shifting the likeliest token of each row to 0.

    The shift keeps the likeliest from underflowing when the temperature is close to 0.
    """
    shifted = log_probs.astype(np.float64) - log_probs.max(axis=1, keepdims=True)
    with np.errstate(over="ignore"):
        scaled: LogProbs = shifted / temperature
    return scaled


def keep_top_k(log_probs: LogProbs, k: int) -> LogProbs:
    """Keep the k likeliest tokens of each row; of equal ones the lower ids."""
    kept = np.argsort(-log_probs, axis=1, kind="stable")[:, :k]
    filtered = np.full_like(log_probs, -np.inf)
    np.put_along_axis(filtered, kept, np.take_along_axis(log_probs, kept, axis=1), axis=1)
    return filtered


def keep_top_p(log_probs: LogProbs, p: float) -> LogProbs:
    """Keep the fewest likeliest tokens whose probabilities reach p (at least one).

    Source: A. Holtzman et al. 2020, "The curious case of neural text degeneration".
    """
    order = np.argsort(-log_probs, axis=1, kind="stable")
    ranked = np.take_along_axis(softmax(log_probs), order, axis=1)
    mass_before = np.cumsum(ranked, axis=1)[:, :-1]
    dropped = np.zeros(log_probs.shape, bool)
    dropped[:, 1:] = (mass_before >= p) & (p < 1)  # With p = 1 rounding must not drop the rarest.
    filtered = np.take_along_axis(log_probs, order, axis=1)
    filtered[dropped] = -np.inf
    return np.take_along_axis(filtered, np.argsort(order, axis=1), axis=1)


def softmax(log_probs: LogProbs) -> LogProbs:
    """Return probabilities that sum to one in each row, in double precision."""
    weights: LogProbs = np.exp(log_probs.astype(np.float64) - log_probs.max(axis=1, keepdims=True))
    weights /= weights.sum(axis=1, keepdims=True)
    return weights


class ModelWithoutBadWords:
    """A language model that gives probability 0 to the token that would complete a bad word.

    If the last tokens read are all but the last of a word, that last token gets minus infinity, in
    sampling and beam search alike. The other tokens keep their log-probabilities, so that their sum
    over a text is still the log-probability of the unfiltered model.

    The state is the model's state and the last ids of each row.
    """

    def __init__(self, model: LanguageModel, words: Sequence[tuple[int, ...]]) -> None:
        self.model, self.words = model, words
        self.vocabulary_size = model.vocabulary_size
        self._history_size = max(len(word) for word in words) - 1

    def start(self, batch_size: int) -> State:
        """Return the state before any text."""
        history = np.full((batch_size, self._history_size), NO_ID, np.int64)
        return (self.model.start(batch_size), history)

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
        inner, history = state
        log_probs, inner = read(self.model, ids, inner, last)
        history = np.concatenate([history, ids], axis=1)  # (B, history size + T)
        places = range(ids.shape[1])[-1:] if last else range(ids.shape[1])
        rows = [
            self._ban(log_probs[:, index], history[:, : self._history_size + place + 1])
            for index, place in enumerate(places)
        ]
        return np.stack(rows, axis=1), (inner, history[:, history.shape[1] - self._history_size :])

    def _ban(self, log_probs: LogProbs, history: Integer[np.ndarray, "batch read"]) -> LogProbs:
        """Return a copy without the tokens that would complete a word after the history."""
        allowed = log_probs.copy()
        for *before, completing in self.words:
            tail = history[:, history.shape[1] - len(before) :]
            allowed[np.all(tail == before, axis=1), completing] = -np.inf
        # If no token is left, the text ends: the boundary has the last id.
        allowed[np.all(np.isneginf(allowed), axis=1), -1] = 0.0
        return allowed

    def __getattr__(self, name: str) -> Any:
        return getattr(self.model, name)


def without_bad_words(run: Run, words: Sequence[str]) -> LanguageModel:
    """Return a run's model, filtered so that it never completes any of the words.

    Args:
        run: The run.
        words: The words, tokenized by the run's tokenizer; the name of the unknown symbol
            (``<unk>``) is that symbol. Words outside the vocabulary cannot be drawn anyway.

    Raises:
        SettingError: If a word is empty, or words are given as one text.
    """
    if isinstance(words, str):
        raise SettingError(f"`bad_words` is the text {words!r}; give a list of words.")
    found = sorted({ids for word in words for ids in _ids_of_word(run, word)})
    return ModelWithoutBadWords(run.model, found) if found else run.model


def _ids_of_word(run: Run, word: str) -> list[tuple[int, ...]]:
    """Return the token ids of a word in each of its spellings; none if one of them is unknown."""
    vocabulary, options = run.tokenizer.vocabulary, run.tokenizer.options
    if not word.strip():
        raise SettingError("`bad_words` has an empty word; leave it out.")
    unknown = vocabulary.unknown_id
    if unknown is not None and word == vocabulary.names()[unknown]:
        return [(unknown,)]
    # Subwords include the space before them, so a word has other tokens within a text.
    spellings = [word, f" {word}"] if options.tokens == "subwords" else [word]
    found = []
    for spelling in spellings:
        try:
            ids = run.tokenizer.encode(Documents.from_strings([spelling])).document(0).tolist()
        except UnknownSymbolError:  # The vocabulary is closed and lacks it.
            continue
        if ids and unknown not in ids:
            found.append(tuple(ids))
    return found
