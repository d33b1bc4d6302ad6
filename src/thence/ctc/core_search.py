"""The beam search in the compiled core, for n-gram models or without a language model."""

from typing import Any
from weakref import WeakKeyDictionary

import numpy as np

from thence._core import library
from thence._core.ctc import Answer, BeamSearch, KnownWords
from thence.array_types import Float64
from thence.ctc.alphabet import Alphabet
from thence.ctc.constants import AVG_TOKEN_LEN
from thence.ctc.language_models import AbstractLanguageModel, LanguageModel
from thence.ctc.search import BeamLimits, DecodedText, Hotwords, Search, history_length, label_kind
from thence.ctc.sources import ModelSource, TextState
from thence.models.ngram import NGram

MOST_KEPT = 1 << 15
"""Texts (or unknown words) in memory from which those without a beam are freed: a few megabytes."""
_kept: WeakKeyDictionary[LanguageModel, tuple[Any, KnownWords]] = WeakKeyDictionary()
"""Cache of the known words of each language model for the core, with the list they come from."""


class CoreSearch:
    """A beam search that is fed frames in chunks; the arguments are those of ``Search``."""

    def __init__(
        self,
        alphabet: Alphabet,
        language_model: LanguageModel | None,
        limits: BeamLimits,
        hotwords: Hotwords,
        start_state: TextState | None = None,
    ) -> None:
        self._model = language_model
        self._begins = start_state is None or start_state.begins
        numbers: dict[str, float] = {
            "hot_weight": hotwords.weight,
            "prune": limits.beam_prune_logp,
            "min_log_prob": limits.token_min_logp,
            "width": limits.beam_width,
            "most": MOST_KEPT,
            "history": (history_length(language_model) or 0) if limits.prune_history else 0,
            "average": AVG_TOKEN_LEN,
        }
        tables, state, words, letters = None, (), None, None
        if language_model is not None:
            source = language_model.source
            assert isinstance(source, ModelSource)
            assert isinstance(source.model, NGram)
            unknown = source.other_id if language_model.knows_all else None
            numbers |= {
                "alpha": language_model.alpha,
                "beta": language_model.beta,
                "offset": language_model.unk_score_offset,
                "boundary": language_model.score_boundary,
                "other": -1 if unknown is None else unknown,
            }
            tables, words = source.model.queries.core, _known_words(language_model, source)
            before = start_state or language_model.get_start_state()
            state, numbers["begins"] = before.context, before.begins
            known = source.letters(alphabet.characters)
            if known is not None:
                absent = source.tokenizer.vocabulary.unknown_id
                letters = known, -1 if absent is None else absent
        self._search = BeamSearch(
            [label_kind(label, alphabet.is_bpe) for label in alphabet.labels],
            tables,
            state,
            words,
            self._answer,
            sorted(hotwords.words, key=len),
            letters,
            **numbers,
        )

    def _answer(self, word: str) -> Answer:
        """Return the ids of a word and whether it is unknown, for the core."""
        assert self._model is not None  # Without a model the core never calls this.
        source = self._model.source
        assert isinstance(source, ModelSource)
        return source.ids_of(word, True), self._model.is_unknown(word)

    def read(self, log_probs: Float64[np.ndarray, "frames labels"]) -> None:
        """Read frames: log-probabilities of each label."""
        self._search.read(log_probs)

    def text(self) -> str:
        """Return the likeliest text so far, its last word perhaps unfinished."""
        words = self._search.beam(0, finished=False)[0]
        return " ".join(word for word in words if word)

    def results(self) -> list[DecodedText]:
        """Return the best texts if the frames end here, the best first; more may be read after."""
        return [self._found(number) for number in range(self._search.finish())]

    def _found(self, number: int) -> DecodedText:
        words, frames, logit_score, score, numbers = self._search.beam(number, finished=True)
        state: Any = None
        if self._model is not None:
            state = TextState(tuple(numbers), begins=not words[:-1] and self._begins)
        return DecodedText(tuple(words[:-1]), tuple(frames), logit_score, score, state)


def make_search(
    alphabet: Alphabet,
    language_model: AbstractLanguageModel | None,
    limits: BeamLimits,
    hotwords: Hotwords,
    start_state: Any = None,
) -> CoreSearch | Search:
    """Return a search in the compiled core if it supports the language model, else in Python."""
    if library() is not None:
        if language_model is None:
            return CoreSearch(alphabet, None, limits, hotwords)
        if type(language_model) is LanguageModel and _core_supports(language_model, alphabet):
            return CoreSearch(alphabet, language_model, limits, hotwords, start_state)
    return Search(alphabet, language_model, limits, hotwords, start_state)


def _core_supports(model: LanguageModel, alphabet: Alphabet) -> bool:
    """Return whether the compiled core can search with a language model.

    It must be an n-gram model of words, or of characters or bytes that encode one by one.
    """
    source = model.source
    if not isinstance(source, ModelSource) or not isinstance(source.model, NGram):
        return False
    if source.model.queries.core is None:
        return False
    return source.is_of_words or source.letters(alphabet.characters) is not None


def _known_words(model: LanguageModel, source: ModelSource) -> KnownWords | None:
    """Return the known words with their ids for the core; None without a list of words."""
    words = model.unigrams
    if words is None:
        return None
    kept = _kept.get(model)
    if kept is None or kept[0] is not words:
        # With characters or bytes, the core spells words by the ids of their letters.
        ids = [(source.ids_of(word, True) or ()) if source.is_of_words else () for word in words]
        kept = _kept[model] = words, KnownWords(words, ids, source.model.vocabulary_size)
    return kept[1]
