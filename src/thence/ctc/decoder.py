"""The decoder: logits of an acoustic model to text, whole, in batches or streamed."""

import math
from collections.abc import Collection, Iterable, Mapping
from functools import partial
from itertools import count
from typing import Any, ClassVar, NamedTuple
from weakref import WeakValueDictionary

import numpy as np

from thence.array_types import Float, Float64
from thence.ctc.alphabet import Alphabet
from thence.ctc.constants import (
    DEFAULT_ALPHA,
    DEFAULT_BEAM_WIDTH,
    DEFAULT_BETA,
    DEFAULT_HOTWORD_WEIGHT,
    DEFAULT_MIN_TOKEN_LOGP,
    DEFAULT_PRUNE_BEAMS,
    DEFAULT_PRUNE_LOGP,
    DEFAULT_SCORE_LM_BOUNDARY,
    DEFAULT_UNK_LOGP_OFFSET,
    MIN_TOKEN_CLIP_P,
)
from thence.ctc.core_search import CoreSearch, make_search
from thence.ctc.errors import DecodingError
from thence.ctc.language_models import AbstractLanguageModel, model_with_words
from thence.ctc.search import BeamLimits, Frames, Hotwords, Search
from thence.tokens.parallel import in_threads

Logits = Float[np.ndarray, "frames labels"]
MAX_LOGIT = 1e30
"""Logits are clipped to this absolute value, so that differences of infinite ones are no NaN."""


class OutputBeam(NamedTuple):
    """A decoded text.

    Attributes:
        text: Its words, separated by single spaces.
        last_lm_state: State of the language model after it, to continue from; None without one.
        text_frames: Each word with its first frame and the frame after its last.
        logit_score: Log-probability of its alignments, in nats.
        lm_score: The same plus the scores of the language model and of hotwords.
    """

    text: str
    last_lm_state: Any
    text_frames: list[tuple[str, Frames]]
    logit_score: float
    lm_score: float


class BatchBeam(NamedTuple):
    """An ``OutputBeam`` without the state, which belongs to one process."""

    text: str
    text_frames: list[tuple[str, Frames]]
    logit_score: float
    lm_score: float


class Decoder:
    """A beam search from the frames of an acoustic model to text, with a language model.

    Args:
        alphabet: The labels of the acoustic model in its own form, or an ``Alphabet``.
        run: A run of any family or its folder, an ARPA file, or an ``AbstractLanguageModel``; None
            for no language model.
        alpha: Weight of the language model's log-probability.
        beta: Nats added per word.
        unigrams: The known words; others are penalised. None: those of the run, if its tokens are
            words.
        unk_score_offset: Added to the log10 probability of an unknown word.
        lm_score_boundary: Whether the beginning and the end of a text are scored.
        hotwords: Words and phrases to favour, unless a decoding method gets others.
        hotword_weight: Nats added per word of them.

    Raises:
        DecodingError: If the labels are invalid.
    """

    model_container: ClassVar[Any] = WeakValueDictionary()
    """The language model of each decoder by number. A pickled decoder finds its model here in a
    forked process, so the model need not be pickled."""
    _numbers = count()

    def __init__(
        self,
        alphabet: Alphabet | Iterable[str],
        run: Any = None,
        alpha: float = DEFAULT_ALPHA,
        beta: float = DEFAULT_BETA,
        unigrams: Collection[str] | None = None,
        unk_score_offset: float = DEFAULT_UNK_LOGP_OFFSET,
        lm_score_boundary: bool = DEFAULT_SCORE_LM_BOUNDARY,
        hotwords: Iterable[str] | None = None,
        hotword_weight: float = DEFAULT_HOTWORD_WEIGHT,
    ) -> None:
        if not isinstance(alphabet, Alphabet):
            alphabet = Alphabet.build_alphabet(alphabet)
        self._alphabet = alphabet
        if run is not None and not isinstance(run, AbstractLanguageModel):
            settings = alpha, beta, unk_score_offset, lm_score_boundary
            run = model_with_words(alphabet, run, unigrams, *settings)
        self._language_model: AbstractLanguageModel | None = run
        self._hotwords = tuple(hotwords or ()), hotword_weight
        self._model_key = next(self._numbers)
        if run is not None:
            self.model_container[self._model_key] = run

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name != "_language_model"}

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        vars(self).update(state)
        self._language_model = self.model_container.get(self._model_key)

    @property
    def alphabet(self) -> Alphabet:
        """The labels of the columns of the logits."""
        return self._alphabet

    @property
    def language_model(self) -> AbstractLanguageModel | None:
        """The language model; None without one."""
        return self._language_model

    def reset_params(
        self,
        alpha: float | None = None,
        beta: float | None = None,
        unk_score_offset: float | None = None,
        lm_score_boundary: bool | None = None,
    ) -> None:
        """Change settings of the language model; None leaves a setting unchanged."""
        if self._language_model is not None:
            self._language_model.reset_params(
                alpha=alpha,
                beta=beta,
                unk_score_offset=unk_score_offset,
                score_boundary=lm_score_boundary,
            )

    def decode(
        self,
        logits: Logits,
        beam_width: int = DEFAULT_BEAM_WIDTH,
        beam_prune_logp: float = DEFAULT_PRUNE_LOGP,
        token_min_logp: float = DEFAULT_MIN_TOKEN_LOGP,
        hotwords: Iterable[str] | None = None,
        hotword_weight: float = DEFAULT_HOTWORD_WEIGHT,
        lm_start_state: Any = None,
    ) -> str:
        """Return the best text.

        Args:
            logits: Logits, log-probabilities or probabilities of the labels, per frame.
            beam_width: Beams kept after each frame.
            beam_prune_logp: Beams with a score below the best plus this (negative) are dropped.
            token_min_logp: Labels below this log-probability are skipped, unless likeliest.
            hotwords: Words and phrases to favour; None: those of the decoder.
            hotword_weight: Nats added per word of them.
            lm_start_state: ``last_lm_state`` of the text before.

        Raises:
            DecodingError: If the logits have another shape, or are NaN.
        """
        limits = BeamLimits(beam_width, beam_prune_logp, token_min_logp, True)
        return self._found(logits, limits, hotwords, hotword_weight, lm_start_state)[0].text

    def decode_beams(
        self,
        logits: Logits,
        beam_width: int = DEFAULT_BEAM_WIDTH,
        beam_prune_logp: float = DEFAULT_PRUNE_LOGP,
        token_min_logp: float = DEFAULT_MIN_TOKEN_LOGP,
        prune_history: bool = DEFAULT_PRUNE_BEAMS,
        hotwords: Iterable[str] | None = None,
        hotword_weight: float = DEFAULT_HOTWORD_WEIGHT,
        lm_start_state: Any = None,
    ) -> list[OutputBeam]:
        """Return the best texts with their words' frames and their scores, the best first.

        Args:
            logits: As in ``decode``.
            beam_width: As in ``decode``.
            beam_prune_logp: As in ``decode``.
            token_min_logp: As in ``decode``.
            prune_history: Keep only the best of the beams that end in the same words: faster, but
                fewer of the returned texts differ in their first words.
            hotwords: As in ``decode``.
            hotword_weight: As in ``decode``.
            lm_start_state: As in ``decode``.

        Raises:
            DecodingError: If the logits have another shape, or are NaN.
        """
        limits = BeamLimits(beam_width, beam_prune_logp, token_min_logp, prune_history)
        return self._found(logits, limits, hotwords, hotword_weight, lm_start_state)

    def decode_batch(
        self,
        pool: Any,
        logits_list: Iterable[Logits],
        beam_width: int = DEFAULT_BEAM_WIDTH,
        beam_prune_logp: float = DEFAULT_PRUNE_LOGP,
        token_min_logp: float = DEFAULT_MIN_TOKEN_LOGP,
        hotwords: Iterable[str] | None = None,
        hotword_weight: float = DEFAULT_HOTWORD_WEIGHT,
    ) -> list[str]:
        """Return the best text of each of several logits.

        Args:
            pool: A pool of processes forked after this decoder was made; None: threads, which
                decode in parallel if the compiled core does the search.
            logits_list: Logits as in ``decode``.
            beam_width: As in ``decode``.
            beam_prune_logp: As in ``decode``.
            token_min_logp: As in ``decode``.
            hotwords: As in ``decode``.
            hotword_weight: As in ``decode``.
        """
        decode = partial(
            self.decode,
            beam_width=beam_width,
            beam_prune_logp=beam_prune_logp,
            token_min_logp=token_min_logp,
            hotwords=hotwords,
            hotword_weight=hotword_weight,
        )
        return self._map(pool, decode, logits_list)

    def decode_beams_batch(
        self,
        pool: Any,
        logits_list: Iterable[Logits],
        beam_width: int = DEFAULT_BEAM_WIDTH,
        beam_prune_logp: float = DEFAULT_PRUNE_LOGP,
        token_min_logp: float = DEFAULT_MIN_TOKEN_LOGP,
        prune_history: bool = DEFAULT_PRUNE_BEAMS,
        hotwords: Iterable[str] | None = None,
        hotword_weight: float = DEFAULT_HOTWORD_WEIGHT,
    ) -> list[list[BatchBeam]]:
        """Return the best texts of each of several logits, without states.

        Args:
            pool: As in ``decode_batch``.
            logits_list: Logits as in ``decode``.
            beam_width: As in ``decode``.
            beam_prune_logp: As in ``decode``.
            token_min_logp: As in ``decode``.
            prune_history: As in ``decode_beams``.
            hotwords: As in ``decode``.
            hotword_weight: As in ``decode``.
        """
        decode = partial(
            self._without_states,
            beam_width=beam_width,
            beam_prune_logp=beam_prune_logp,
            token_min_logp=token_min_logp,
            prune_history=prune_history,
            hotwords=hotwords,
            hotword_weight=hotword_weight,
        )
        return self._map(pool, decode, logits_list)

    def stream(
        self,
        beam_width: int = DEFAULT_BEAM_WIDTH,
        beam_prune_logp: float = DEFAULT_PRUNE_LOGP,
        token_min_logp: float = DEFAULT_MIN_TOKEN_LOGP,
        prune_history: bool = True,
        hotwords: Iterable[str] | None = None,
        hotword_weight: float = DEFAULT_HOTWORD_WEIGHT,
        lm_start_state: Any = None,
    ) -> "Stream":
        """Return a decoder to which frames are fed in chunks; arguments as in ``decode_beams``.

        However the frames are divided, the result is that of ``decode_beams`` on all of them.
        """
        limits = BeamLimits(beam_width, beam_prune_logp, token_min_logp, prune_history)
        return Stream(self, self._search(limits, hotwords, hotword_weight, lm_start_state))

    def log_probs(self, logits: Logits) -> Float64[np.ndarray, "frames labels"]:
        """Return the log-probabilities of logits, log-probabilities or probabilities.

        Raises:
            DecodingError: If they have another shape, or are NaN.
        """
        found = np.array(logits, np.float64)  # A copy, as it is changed in place below.
        labels = len(self._alphabet.labels)
        if found.ndim != 2 or found.shape[1] != labels:
            raise DecodingError(
                f"The logits have the shape {found.shape}; it must be "
                f"(frames, {labels}), a column for each label, the blank included."
            )
        if np.isnan(found).any():
            raise DecodingError(
                f"The logits of frame {int(np.isnan(found).any(axis=1).argmax())} hold NaN "
                "(not a number)."
            )
        if len(found) and math.isclose(found.sum(axis=1).mean(), 1):  # They are probabilities.
            return np.log(np.clip(found, MIN_TOKEN_CLIP_P, 1))
        np.clip(found, -MAX_LOGIT, MAX_LOGIT, out=found)
        found -= found.max(axis=1, keepdims=True)
        found -= np.log(np.exp(found).sum(axis=1, keepdims=True))
        return np.clip(found, math.log(MIN_TOKEN_CLIP_P), 0)

    def _found(
        self,
        logits: Logits,
        limits: BeamLimits,
        hotwords: Iterable[str] | None,
        hotword_weight: float,
        lm_start_state: Any,
    ) -> list[OutputBeam]:
        """Return the best texts of logits."""
        log_probs = self.log_probs(logits)
        search = self._search(limits, hotwords, hotword_weight, lm_start_state)
        search.read(log_probs)
        return output_beams(search)

    def _search(
        self,
        limits: BeamLimits,
        hotwords: Iterable[str] | None,
        hotword_weight: float,
        lm_start_state: Any,
    ) -> CoreSearch | Search:
        """Return a new search; DecodingError if the beam width is below 1."""
        if limits.beam_width < 1:
            raise DecodingError(f"`beam_width` is {limits.beam_width}; it must be at least 1.")
        words, weight = (hotwords, hotword_weight) if hotwords is not None else self._hotwords
        scorer = Hotwords.build_scorer(words, weight)
        return make_search(self._alphabet, self._language_model, limits, scorer, lm_start_state)

    def _without_states(self, logits: Logits, **settings: Any) -> list[BatchBeam]:
        beams = self.decode_beams(logits, **settings)
        return [BatchBeam(one.text, *one[2:]) for one in beams]

    def _map(self, pool: Any, function: Any, logits_list: Iterable[Logits]) -> list[Any]:
        is_copy = pool is not None and _start_method(pool) not in ("spawn", "forkserver")
        if is_copy:
            return list(pool.map(function, logits_list))
        return list(in_threads(function, logits_list))


class Stream:
    """Decodes frames that are fed in chunks.

    Args:
        decoder: Normalises the logits.
        search: The beam search.
    """

    def __init__(self, decoder: Decoder, search: CoreSearch | Search) -> None:
        self._decoder, self._search = decoder, search

    def feed(self, logits: Logits) -> str:
        """Read frames; return the likeliest text so far, whose last word may be unfinished."""
        self._search.read(self._decoder.log_probs(logits))
        return self.text

    @property
    def text(self) -> str:
        """The likeliest text so far, whose last word may be unfinished."""
        return self._search.text()

    def finish(self) -> list[OutputBeam]:
        """Return the best texts if the frames end here, the best first; more may be fed after."""
        return output_beams(self._search)


def output_beams(search: CoreSearch | Search) -> list[OutputBeam]:
    """Return the texts that a search has found, the best first."""
    return [
        OutputBeam(
            " ".join(" ".join(one.words).split()),
            one.state,
            list(zip(one.words, one.frames, strict=True)),
            one.logit_score,
            one.score,
        )
        for one in search.results()
    ]


def _start_method(pool: Any) -> str | None:
    """Return the start method of a pool's processes (``fork``, ``spawn``); None if not known."""
    name = type(getattr(pool, "_ctx", None)).__name__
    return name.removesuffix("Context").lower() if name.endswith("Context") else None
