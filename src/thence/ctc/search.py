"""Prefix beam search over the frames of an acoustic model with a language model.

A beam is a text of finished words, an unfinished word after it, and the last label. The
probabilities of all alignments that end in the same beam are summed (Graves et al. 2006; Hannun et
al. 2014, "First-pass large vocabulary continuous speech recognition"). With enough beams, the score
of a text is therefore the logarithm of

    (sum of p(alignment | frames) over its alignments)  x  exp(score of the language model)

This is plain Python, for any language model; ``_core/ctc.c`` is its twin for n-grams.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from thence.array_types import Float64
from thence.ctc.alphabet import BPE_TOKEN, Alphabet
from thence.ctc.constants import DEFAULT_HOTWORD_WEIGHT
from thence.ctc.language_models import AbstractLanguageModel

Frames = tuple[int, int]
"""The first frame of a word, and the frame after its last."""
NO_FRAMES: Frames = (-1, -1)
"""Of a beam that is between words; -1 as in pyctcdecode."""
MOST_PARTIALS = 1 << 16
"""Unfinished words with cached scores; a full cache is emptied."""
BLANK, SPACE, START, CLOSED, INSIDE = range(5)
"""Kinds of labels: blank; space; subword that begins a word; one that is a whole word; other."""


@dataclass(frozen=True)
class BeamLimits:
    """The pruning of a search.

    Attributes:
        beam_width: Beams kept after each frame.
        beam_prune_logp: Beams with a score below the best plus this (negative, nats) are dropped.
        token_min_logp: Labels below this log-probability are skipped, unless a frame's likeliest.
        prune_history: Whether only the best of the beams is kept that end in the same words, as far
            as these matter to the language model.
    """

    beam_width: int
    beam_prune_logp: float
    token_min_logp: float
    prune_history: bool


@dataclass(frozen=True)
class Hotwords:
    """The bonus of hotwords in the score of a text.

    Attributes:
        words: The hotwords; of a phrase each word is one.
        weight: Nats added per hotword.
        shortest: For each prefix of a hotword, the length of the shortest hotword with it.
    """

    words: frozenset[str] = frozenset()
    weight: float = DEFAULT_HOTWORD_WEIGHT
    shortest: dict[str, int] = field(default_factory=dict)

    @classmethod
    def build_scorer(
        cls, hotwords: Iterable[str] | None = None, weight: float = DEFAULT_HOTWORD_WEIGHT
    ) -> "Hotwords":
        """Return the hotwords of a list of words and phrases."""
        words = frozenset(word for phrase in hotwords or () for word in phrase.split())
        shortest: dict[str, int] = {}
        for word in sorted(words, key=len):
            for end in range(1, len(word) + 1):
                shortest.setdefault(word[:end], len(word))
        return cls(words, float(weight), shortest)

    def __contains__(self, partial: str) -> bool:
        return partial in self.shortest

    def score_partial_token(self, partial: str) -> float:
        """Return the bonus of an unfinished word: ``weight`` times the share of the hotword."""
        length = self.shortest.get(partial)
        return 0.0 if length is None else self.weight * len(partial) / length


@dataclass(frozen=True)
class DecodedText:
    """A decoded text.

    Attributes:
        words: Its words.
        frames: The frames of each word.
        logit_score: Log-probability of its alignments within the beam, in nats.
        score: The same plus the scores of the language model and of hotwords.
        state: State of the language model after it; None without one.
    """

    words: tuple[str, ...]
    frames: tuple[Frames, ...]
    logit_score: float
    score: float
    state: Any


class _Text:
    """The finished words of beams, as a node of a tree; shared by all beams with the same words."""

    __slots__ = ("children", "hot", "parent", "partials", "recent", "score", "state", "word")

    def __init__(
        self, parent: "_Text | None", word: str, hot: float, recent: tuple[str, ...], score: float
    ) -> None:
        self.parent, self.word, self.hot, self.recent = parent, word, hot, recent
        self.children: dict[str, _Text] = {}
        self.partials: dict[str, float] = {}
        self.score, self.state = score, None

    def begins_with(self, ids: set[int]) -> bool:
        """Return whether this text or one of its prefixes is in a set of ``id()``s."""
        text: _Text | None = self
        while text is not None and id(text) not in ids:
            text = text.parent
        return text is not None

    def words(self) -> tuple[str, ...]:
        found, text = [], self
        while text.parent is not None:
            found.append(text.word)
            text = text.parent
        return tuple(reversed(found))


@dataclass(slots=True, eq=False)
class _Beam:
    """A beam: finished words, an unfinished word, and their frames and scores.

    Attributes:
        text: The finished words.
        partial: The unfinished word.
        last: Index of the last label; -1 at the start.
        logit: Log-probability of the alignments that end here.
        frames: Frames of the finished words as a linked list, the last word first.
        start: First frame of the unfinished word; -1: none.
        end: The frame after its last.
        score: ``logit`` plus the scores of the language model and of hotwords.
    """

    text: _Text
    partial: str
    last: int
    logit: float
    frames: Any
    start: int
    end: int
    score: float = 0.0


class Search:
    """A beam search that is fed frames in chunks.

    Args:
        alphabet: The labels of the columns of the frames.
        language_model: The language model; None for none.
        limits: The pruning.
        hotwords: Words to favour.
        start_state: State of the language model before the first frame; None: its start state.
    """

    def __init__(
        self,
        alphabet: Alphabet,
        language_model: AbstractLanguageModel | None,
        limits: BeamLimits,
        hotwords: Hotwords,
        start_state: Any = None,
    ) -> None:
        self.model, self.limits, self.hotwords = language_model, limits, hotwords
        self.labels = [label_kind(label, alphabet.is_bpe) for label in alphabet.labels]
        self._history = history_length(language_model)
        self._depends = language_model is not None and language_model.partials_depend_on_state
        self._partials: dict[str, float] = {}
        root = _Text(None, "", 0.0, (), 0.0)
        if language_model is not None:
            root.state = language_model.get_start_state() if start_state is None else start_state
        self.beams = [_Beam(root, "", -1, 0.0, None, *NO_FRAMES)]
        self.frame = 0

    def read(self, log_probs: Float64[np.ndarray, "frames labels"]) -> None:
        """Read frames: log-probabilities of each label."""
        for row in log_probs:
            tried = row >= self.limits.token_min_logp
            tried[row.argmax()] = True
            labels = np.flatnonzero(tried)
            self.beams = self._kept(self._extended(labels.tolist(), row[labels].tolist()))
            self.frame += 1

    def _extended(self, labels: Sequence[int], log_probs: Sequence[float]) -> list[_Beam]:
        """Return all beams extended by one frame; equal ones are merged by ``_merge``."""
        merged: dict[tuple[int, str, int], _Beam] = {}
        frame = self.frame
        for label, log_prob in zip(labels, log_probs, strict=True):
            kind, spelled = self.labels[label]
            for beam in self.beams:
                text, partial, frames = beam.text, beam.partial, beam.frames
                start, end = beam.start, beam.end
                if kind == BLANK:
                    pass
                elif label == beam.last:  # CTC: a repeated label without a blank is the same one.
                    end = frame + 1
                elif kind == INSIDE:
                    partial += spelled
                    start, end = frame if start < 0 else start, frame + 1
                else:
                    if partial:
                        text, frames = self._longer(text, partial), ((start, end), frames)
                    partial, start, end = spelled, frame, frame + 1
                    if kind == CLOSED:
                        text, frames = self._longer(text, partial), ((start, end), frames)
                        partial = ""
                    if kind != START:
                        start, end = NO_FRAMES
                _merge(
                    merged,
                    _Beam(text, partial, label, beam.logit + log_prob, frames, start, end),
                )
        return list(merged.values())

    def _longer(self, text: _Text, word: str) -> _Text:
        """Return a text with one more word."""
        found = text.children.get(word)
        if found is None:
            hot = text.hot + self.hotwords.weight * (word in self.hotwords.words)
            recent = (*text.recent, word)
            recent = recent if self._history is None else recent[-self._history :]
            # NaN marks a new text: the language model scores all new texts as one batch.
            new = math.nan if self.model is not None else 0.0
            found = text.children[word] = _Text(text, word, hot, recent, new)
        return found

    def _score(self, beams: Sequence[_Beam]) -> None:
        """Score the new texts with the language model, and set the scores of all beams."""
        if self.model is not None:
            texts = {id(beam.text): beam.text for beam in beams}
            self._score_texts(self.model, list(texts.values()))
            self._score_partials(self.model, beams)
        for beam in beams:
            text, partial = beam.text, beam.partial
            beam.score = beam.logit + text.score + text.hot
            if partial:
                if partial in self.hotwords:
                    beam.score += self.hotwords.score_partial_token(partial)
                    if not self._depends:
                        continue
                kept = text.partials if self._depends else self._partials
                beam.score += kept.get(partial, 0.0)

    def _score_texts(self, model: AbstractLanguageModel, texts: Sequence[_Text]) -> None:
        """Score new texts by the model as one batch: the parent's score plus that of the word."""
        new = [text for text in texts if math.isnan(text.score)]
        # A label that is a whole word also finishes the word before it: two new words in a frame.
        before = [text.parent for text in new if text.parent and math.isnan(text.parent.score)]
        if before:
            self._score_texts(model, list({id(text): text for text in before}.values()))
        pairs = [(text.parent.state, text.word) for text in new if text.parent is not None]
        if not pairs:
            return
        for text, (score, state) in zip(new, model.score_words(pairs), strict=True):
            assert text.parent is not None
            text.score, text.state = text.parent.score + score, state

    def _score_partials(self, model: AbstractLanguageModel, beams: Sequence[_Beam]) -> None:
        """Cache the model's scores of unfinished words that have none yet, as one batch."""
        if len(self._partials) > MOST_PARTIALS:
            self._partials = {}
        new: dict[tuple[int, str], tuple[dict[str, float], Any, str]] = {}
        for beam in beams:
            kept = beam.text.partials if self._depends else self._partials
            if beam.partial and beam.partial not in kept:
                new[id(kept), beam.partial] = kept, beam.text.state, beam.partial
        if new:
            pairs = [(state, partial) for _, state, partial in new.values()]
            scores = model.score_partials(pairs)
            for (kept, _, partial), score in zip(new.values(), scores, strict=True):
                kept[partial] = score

    def _kept(self, beams: list[_Beam]) -> list[_Beam]:
        """Return the best beams, the best first."""
        self._score(beams)
        beams = self._best(beams)
        if self.limits.prune_history and self._history is not None:
            distinct: dict[Any, _Beam] = {}
            for beam in beams:
                distinct.setdefault((beam.text.recent, beam.partial, beam.last), beam)
            beams = list(distinct.values())
        self._forget(beams)
        return beams

    def _best(self, beams: list[_Beam]) -> list[_Beam]:
        """Return the beams within the pruning threshold and the beam width, the best first."""
        lowest = max(beam.score for beam in beams) + self.limits.beam_prune_logp
        beams = [beam for beam in beams if beam.score >= lowest]
        beams.sort(key=lambda beam: -beam.score)
        return beams[: self.limits.beam_width]

    def _forget(self, kept: Sequence[_Beam]) -> None:
        """Free the texts that no beam has or can reach any more, and their model states."""
        alive = {id(beam.text) for beam in kept}
        for text in {id(beam.text): beam.text for beam in self.beams}.values():
            if not (text.children or text.partials) or text.begins_with(alive):
                continue
            text.children, text.partials = {}, {}
            if self.model is not None:
                self.model.forget(text.state)

    def text(self) -> str:
        """Return the likeliest text so far, whose last word may be unfinished."""
        best = self.beams[0]
        return " ".join([*best.text.words(), *([best.partial] if best.partial else [])])

    def results(self) -> list[DecodedText]:
        """Return the best texts if the frames end here, the best first; more may be read after."""
        merged: dict[tuple[int, str, int], _Beam] = {}
        for beam in self.beams:
            text, frames = beam.text, beam.frames
            if beam.partial:
                text = self._longer(text, beam.partial)
                frames = ((beam.start, beam.end), frames)
            _merge(merged, _Beam(text, "", -1, beam.logit, frames, *NO_FRAMES))
        beams = list(merged.values())
        self._score(beams)
        if self.model is not None:
            last = [
                (text.parent and text.parent.state, text.word, text.state)
                for text in (beam.text for beam in beams)
            ]
            for beam, score in zip(beams, self.model.score_ends(last), strict=True):
                beam.score += score
        return [_found(beam) for beam in self._best(beams)]


def history_length(model: AbstractLanguageModel | None) -> int | None:
    """Return the number of last words that matter to the next one; None: all of them."""
    order = 1 if model is None else model.order
    return None if order is None else max(1, order - 1)


def label_kind(label: str, is_bpe: bool) -> tuple[int, str]:
    """Return the kind of a label, and its characters."""
    if label == "":
        return BLANK, ""
    if is_bpe and label.startswith(BPE_TOKEN):
        is_word = len(label) > 2 and label.endswith(BPE_TOKEN)
        return (CLOSED, label[1:-1]) if is_word else (START, label[1:])
    return (SPACE, "") if label == " " and not is_bpe else (INSIDE, label)


def _merge(merged: dict[tuple[int, str, int], _Beam], beam: _Beam) -> None:
    """Add a beam; one with the same key is summed with it, and the likelier one's frames stay."""
    key = id(beam.text), beam.partial, beam.last
    same = merged.setdefault(key, beam)
    if same is beam:
        return
    low, high = sorted((same.logit, beam.logit))
    if beam.logit > same.logit:
        same.frames, same.start, same.end = beam.frames, beam.start, beam.end
    same.logit = high + math.log1p(math.exp(low - high))  # log(e^low + e^high)


def _found(beam: _Beam) -> DecodedText:
    frames, rest = [], beam.frames
    while rest is not None:
        first, rest = rest
        frames.append(first)
    return DecodedText(
        beam.text.words(), tuple(reversed(frames)), beam.logit, beam.score, beam.text.state
    )
