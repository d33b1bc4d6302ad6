"""The language models of a decoder: the scores of words, and of unfinished words.

The score of a text is, in nats,

    alpha * log p(text) + beta * words + alpha * offset * ln 10 for each unknown word

where the offset is in log10, like KenLM's numbers. Sources: pyctcdecode, whose classes these can
replace; Graves and Jaitly 2014 for the combination of acoustic model and language model.
"""

from abc import ABC, abstractmethod
from bisect import bisect_left
from collections.abc import Collection, Sequence
from functools import cached_property
from numbers import Real
from pathlib import Path
from typing import Any

from thence.ctc.alphabet import Alphabet
from thence.ctc.constants import (
    AVG_TOKEN_LEN,
    DEFAULT_ALPHA,
    DEFAULT_BETA,
    DEFAULT_SCORE_LM_BOUNDARY,
    DEFAULT_UNK_LOGP_OFFSET,
)
from thence.ctc.errors import DecodingError
from thence.ctc.saved import SETTINGS, files_of_model, load_model, save_model
from thence.ctc.sources import LN_10, Source, TextState, open_source

_NUMBER = Real, "a number"
KINDS = {
    **dict.fromkeys(("alpha", "beta", "unk_score_offset"), _NUMBER),
    "score_boundary": (bool, "True or False"),
}
"""The type of each setting of a language model, and what it is called."""


class AbstractLanguageModel(ABC):
    """Interface of a decoder's language model; a subclass may be any model of words.

    The decoder calls the batched methods (``score_words`` and so on), once for all beams of a
    frame.
    """

    @property
    @abstractmethod
    def order(self) -> int | None:
        """The order n of an n-gram model; None if all words before matter."""

    @abstractmethod
    def get_start_state(self) -> Any:
        """Return the state before a text."""

    @abstractmethod
    def score_partial_token(self, partial_token: str) -> float:
        """Return the score of an unfinished word."""

    @abstractmethod
    def score(self, prev_state: Any, word: str, is_last_word: bool = False) -> tuple[float, Any]:
        """Return the score of a word after a state, and the state after it."""

    def score_words(self, pairs: Sequence[tuple[Any, str]]) -> list[tuple[float, Any]]:
        """Return the scores of words after states, and the states after them."""
        return [self.score(state, word) for state, word in pairs]

    def score_partials(self, pairs: Sequence[tuple[Any, str]]) -> list[float]:
        """Return the scores of unfinished words after states."""
        return [self.score_partial_token(partial) for _, partial in pairs]

    def score_ends(self, last_words: Sequence[tuple[Any, str, Any]]) -> list[float]:
        """Return the score of the end of each text.

        Args:
            last_words: For each text the state before its last word, that word, and the state after
                it; for a text without words None, "" and its start state.
        """
        scores = []
        for before, word, _ in last_words:
            ended = self.score(before, word, is_last_word=True)[0] if word else 0.0
            scores.append(ended - self.score(before, word)[0] if word else 0.0)
        return scores

    @property
    def partials_depend_on_state(self) -> bool:
        """Whether the score of an unfinished word depends on the words before."""
        return False

    def forget(self, state: Any) -> None:  # noqa: B027  (most keep nothing)
        """Free the memory of a state after which no word will be scored any more."""

    def reset_params(self, **params: Any) -> None:  # noqa: B027  (most have none)
        """Change settings in place."""

    def save_to_dir(self, filepath: str | Path) -> None:
        """Save the model to a folder; DecodingError if the class cannot be saved."""
        raise DecodingError(f"A {type(self).__name__} does not say how it is saved.")


class LanguageModel(AbstractLanguageModel):
    """A run of any family, or a file of n-grams, as the language model of a decoder.

    Args:
        kenlm_model: A run or its folder, an ARPA file, a binary file of KenLM, a ``kenlm.Model``,
            or a tuple of a model and its tokenizer.
        unigrams: The known words; others are penalised, also while they are unfinished. None: those
            of the model, and every unfinished word has the same penalty.
        alpha: Weight of the log-probability.
        beta: Nats added per word.
        unk_score_offset: Added to the log10 probability of an unknown word.
        score_boundary: Whether the beginning and the end of the text are scored.
    """

    def __init__(
        self,
        kenlm_model: Any,
        unigrams: Collection[str] | None = None,
        alpha: float = DEFAULT_ALPHA,
        beta: float = DEFAULT_BETA,
        unk_score_offset: float = DEFAULT_UNK_LOGP_OFFSET,
        score_boundary: bool = DEFAULT_SCORE_LM_BOUNDARY,
    ) -> None:
        self.source: Source = open_source(kenlm_model)
        self.alpha, self.beta = alpha, beta
        self.unk_score_offset, self.score_boundary = unk_score_offset, score_boundary
        self.reset_params(**{name: getattr(self, name) for name in KINDS})
        self.unigrams: tuple[str, ...] | None = None
        if unigrams is not None:
            self.set_unigrams(unigrams)

    @cached_property
    def _unigram_set(self) -> frozenset[str]:
        return frozenset(self.unigrams or ())

    @property
    def order(self) -> int | None:
        """The order n of an n-gram model; None if all words before matter."""
        return self.source.order

    @property
    def partials_depend_on_state(self) -> bool:
        """Whether the score of an unfinished word depends on the words before."""
        return self.source.spells

    @property
    def vocabulary(self) -> Sequence[str] | None:
        """The words of the model's vocabulary; None if its tokens are no words."""
        return self.source.vocabulary

    def reset_params(self, **params: Any) -> None:
        """Change ``alpha``, ``beta``, ``unk_score_offset`` or ``score_boundary``, if not None.

        Raises:
            DecodingError: If one has another type.
        """
        for name, (kind, said) in KINDS.items():
            value = params.get(name)
            if value is None:
                continue
            if not isinstance(value, kind):
                raise DecodingError(f"`{name}` is {value!r}; it must be {said}.")
            setattr(self, name, value)

    def set_unigrams(self, unigrams: Collection[str]) -> None:
        """Set the known words; words that the model lacks are left out."""
        self.unigrams = self.source.known(sorted(set(unigrams)))
        self.__dict__.pop("_unigram_set", None)

    @property
    def knows_all(self) -> bool:
        """Whether the known words are the whole vocabulary of the model."""
        words, vocabulary = self.unigrams, self.vocabulary
        return words is not None and vocabulary is not None and len(words) == len(vocabulary)

    def get_start_state(self) -> TextState:
        """Return the state before a text."""
        return TextState(self.source.start(self.score_boundary), True)

    def score(
        self, prev_state: TextState, word: str, is_last_word: bool = False
    ) -> tuple[float, TextState]:
        """Return the score of a word after a state, and the state after it."""
        ((score, state),) = self.score_words([(prev_state, word)])
        if is_last_word:
            score += self.score_ends([(prev_state, word, state)])[0]
        return score, state

    def score_words(self, pairs: Sequence[tuple[TextState, str]]) -> list[tuple[float, TextState]]:
        """Return the scores of words after states, and the states after them."""
        found = []
        for (log_prob, context), (_, word) in zip(self.source.read(pairs), pairs, strict=True):
            if self.is_unknown(word):
                log_prob += self.unk_score_offset * LN_10
            found.append((self.alpha * log_prob + self.beta, TextState(context, False)))
        return found

    def score_ends(self, last_words: Sequence[tuple[Any, str, TextState]]) -> list[float]:
        """Return the score of the end of a text after each state."""
        if not self.score_boundary:
            return [0.0] * len(last_words)
        ends = self.source.ends([state.context for _, _, state in last_words])
        return [self.alpha * log_prob for log_prob in ends]

    def score_partial_token(self, partial_token: str) -> float:
        """Return the penalty of an unfinished word that is no prefix of a known word, else 0."""
        if self.unigrams is None:
            is_known = not self.source.is_of_words
        else:
            # In the sorted list, words with this prefix are from here on.
            place = bisect_left(self.unigrams, partial_token)
            is_known = self.unigrams[place : place + 1] != () and self.unigrams[place].startswith(
                partial_token
            )
        if is_known:
            return 0.0
        return self.unk_score_offset * max(1.0, len(partial_token) / AVG_TOKEN_LEN)

    def score_partials(self, pairs: Sequence[tuple[TextState, str]]) -> list[float]:
        """Return the scores of unfinished words after states.

        A model of characters or bytes adds the log-probability of their characters so far.
        """
        scores = [self.score_partial_token(partial) for _, partial in pairs]
        if self.partials_depend_on_state:
            read = self.source.read(pairs)
            scores = [
                one + self.alpha * log_prob for one, (log_prob, _) in zip(scores, read, strict=True)
            ]
        return scores

    def forget(self, state: TextState) -> None:
        """Free the memory of a state after which no word will be scored any more."""
        self.source.forget(state.context)

    def is_unknown(self, word: str) -> bool:
        """Return whether a word is penalised: it is not in the list, or unknown to the model."""
        if self._unigram_set:
            return word not in self._unigram_set
        return self.source.lacks(word)

    def save_to_dir(self, filepath: str | Path, unigram_encoding: str | None = None) -> None:
        """Save the model to a folder, its n-grams as an ARPA file.

        Raises:
            DecodingError: If it is no n-gram model of words.
            OSError: If the folder cannot be written.
        """
        settings = {name: getattr(self, name) for name in SETTINGS}
        encoding = unigram_encoding or "utf-8"
        save_model(Path(filepath), self.source, self.unigrams or (), settings, encoding)

    @staticmethod
    def parse_directory_contents(filepath: str | Path) -> dict[str, Path]:
        """Return the files of a saved language model.

        Raises:
            DecodingError: If files are missing, or there are others.
        """
        return files_of_model(Path(filepath))

    @classmethod
    def load_from_dir(
        cls, filepath: str | Path, unigram_encoding: str | None = None
    ) -> "LanguageModel":
        """Load a language model that was saved by this class or by pyctcdecode.

        Raises:
            DecodingError: If the folder has none.
            TextError: If its n-grams cannot be read.
        """
        path, words, settings = load_model(Path(filepath), unigram_encoding or "utf-8")
        return cls(path, words, **settings)


class MultiLanguageModel(AbstractLanguageModel):
    """The mean of the scores of several language models.

    Args:
        language_models: At least two.

    Raises:
        DecodingError: If there are fewer.
    """

    def __init__(self, language_models: Sequence[AbstractLanguageModel]) -> None:
        if len(language_models) < 2:
            raise DecodingError("A mean of language models needs at least two of them.")
        self.language_models = tuple(language_models)

    @property
    def order(self) -> int | None:
        """The highest order; None if one model has none."""
        orders = [model.order for model in self.language_models]
        return None if None in orders else max(order for order in orders if order is not None)

    @property
    def partials_depend_on_state(self) -> bool:
        """Whether one model's score of an unfinished word depends on the words before."""
        return any(model.partials_depend_on_state for model in self.language_models)

    def get_start_state(self) -> tuple[Any, ...]:
        """Return the states before a text."""
        return tuple(model.get_start_state() for model in self.language_models)

    def score_partial_token(self, partial_token: str) -> float:
        """Return the mean score of an unfinished word."""
        return _mean([model.score_partial_token(partial_token) for model in self.language_models])

    def score(
        self, prev_state: tuple[Any, ...], word: str, is_last_word: bool = False
    ) -> tuple[float, tuple[Any, ...]]:
        """Return the mean score of a word after a state, and the states after it."""
        scores, states = zip(
            *(
                model.score(state, word, is_last_word)
                for model, state in zip(self.language_models, prev_state, strict=True)
            ),
            strict=True,
        )
        return _mean(scores), states

    def score_words(
        self, pairs: Sequence[tuple[tuple[Any, ...], str]]
    ) -> list[tuple[float, tuple[Any, ...]]]:
        """Return the mean scores of words after states, and the states after them."""
        found = [
            model.score_words([(states[place], word) for states, word in pairs])
            for place, model in enumerate(self.language_models)
        ]
        rows = zip(*found, strict=True)
        return [(_mean([one for one, _ in row]), tuple(state for _, state in row)) for row in rows]

    def score_partials(self, pairs: Sequence[tuple[tuple[Any, ...], str]]) -> list[float]:
        """Return the mean scores of unfinished words after states."""
        found = [
            model.score_partials([(states[place], partial) for states, partial in pairs])
            for place, model in enumerate(self.language_models)
        ]
        return [_mean(row) for row in zip(*found, strict=True)]

    def score_ends(
        self, last_words: Sequence[tuple[tuple[Any, ...], str, tuple[Any, ...]]]
    ) -> list[float]:
        """Return the mean scores of the end of each text."""
        found = [
            model.score_ends(
                [
                    (before and before[place], word, after[place])
                    for before, word, after in last_words
                ]
            )
            for place, model in enumerate(self.language_models)
        ]
        return [_mean(row) for row in zip(*found, strict=True)]

    def forget(self, state: tuple[Any, ...]) -> None:
        """Free the memory of a state after which no word will be scored any more."""
        for model, one in zip(self.language_models, state, strict=True):
            model.forget(one)


def _mean(scores: Collection[float]) -> float:
    return sum(scores) / len(scores)


def model_with_words(
    alphabet: Alphabet, source: Any, unigrams: Collection[str] | None, *settings: Any
) -> LanguageModel:
    """Return a language model with the given known words; by default its own, if it has words.

    Args:
        alphabet: The labels; there is a warning if they lack many characters of the words.
        source: The first argument of ``LanguageModel``.
        unigrams: The known words; None: the model's.
        *settings: The other arguments of ``LanguageModel``.
    """
    model = LanguageModel(source, unigrams, *settings)
    if unigrams is None and model.vocabulary is not None:
        model.set_unigrams(model.vocabulary)
    if model.unigrams:
        alphabet.check_coverage(model.unigrams)
    return model
