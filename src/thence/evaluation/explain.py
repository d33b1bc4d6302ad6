r"""``explain``: the weight of each word for a label, by leaving the words out one by one.

With c a label, d a document and d \ w the same without the word w,

    weight(w) = log-odds(c | d) - log-odds(c | d \ w),     log-odds = log P(c) / (1 - P(c))

in nats: positive weights are evidence for the label. Log-odds do not saturate where the classifier
is certain, as probabilities do. A weight is conditional on the other words of the document: where
two words are redundant, each alone may have little weight.

Sources: M. Zeiler and R. Fergus 2014, "Visualizing and understanding convolutional networks"
(occlusion); J. Li, W. Monroe and D. Jurafsky 2016, "Understanding neural networks through
representation erasure"; M. Robnik-Šikonja and I. Kononenko 2008, "Explaining classifications for
individual instances" (the difference of log-odds).

| tokens of the run      | what is left out                                                       |
|------------------------|------------------------------------------------------------------------|
| words, subwords        | a word, or a mark, with the white space after it                       |
| characters, bytes      | a character                                                            |
| more than 400 of them  | runs of equally many, at most 400 runs                                 |
| very long documents    | fewer runs, so that 16 million characters are read in all, but 20 runs |
"""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from thence.array_types import Float, Int64
from thence.corpus import Documents
from thence.errors import SettingError, TextError, nearest
from thence.evaluation.classify import DIGITS
from thence.results import Result
from thence.runs import ClassifierRun
from thence.runs.run import Run
from thence.tokens import Tokenizer, encode_texts

MOST_PARTS, FEWEST_PARTS = 400, 20
"""Bounds of the number of parts of a long document: each costs one classification."""
MOST_CHARACTERS = 1 << 24
"""Characters of all variants of a document together, as long as ``FEWEST_PARTS`` remain."""
LARGEST_ODDS = 100.0
"""Log-odds are clipped to plus and minus this, since a probability may round to 0 or 1."""
CHARACTERS_AT_ONCE = 1 << 22
"""Characters of the variants that are in memory at a time."""


@dataclass(frozen=True)
class Contribution:
    """The weight of a word, a punctuation mark or a character, or of a run of them, for a label.

    Attributes:
        text: As written in the document.
        start: Index of its first character in the document.
        end: Index after its last character.
        weight: Evidence for the label, in nats of its log-odds; negative: against it.
    """

    text: str
    start: int
    end: int
    weight: float


@dataclass(frozen=True)
class Explanation(Result):
    """The weights of the words of a document for a label.

    Attributes:
        text: The document.
        label: The label that is explained.
        probability: Its probability, from 0 to 1.
        tokens: The parts of the document in order; only white space is between them.
    """

    text: str
    label: str
    probability: float
    tokens: tuple[Contribution, ...]

    @property
    def largest(self) -> float:
        """The largest absolute weight, in nats; 0 without parts."""
        return max((abs(part.weight) for part in self.tokens), default=0.0)

    def pieces(self) -> list[tuple[str, float]]:
        """Return the text as a list of pieces with their weights; that of white space is 0."""
        found, end = [], 0
        for part in self.tokens:
            found += [(self.text[end : part.start], 0.0), (part.text, part.weight)]
            end = part.end
        found.append((self.text[end:], 0.0))
        return [(text, weight) for text, weight in found if text]

    def to_json(self) -> dict[str, Any]:
        """Return the label that is explained, and each part with its weight."""
        # -0.0 + 0.0 is 0.0.
        weights = [[part.text, round(part.weight, DIGITS) + 0.0] for part in self.tokens]
        return {"explained": self.label, "explanation": weights}


def explain(run: Run | str | Path, text: str, label: str | None = None) -> Explanation:
    """Return the weight of each word of a text for a label, by leaving out one word at a time.

    Args:
        run: The run of a classifier, or its folder.
        text: The document.
        label: The label; by default the most probable one.

    Raises:
        SettingError: If the run is a language model, or has no such label.
        UnknownSymbolError: If the vocabulary is closed and the text leaves it.
    """
    run = ClassifierRun(run)
    classifier, names = run.classifier, run.label_names
    if not isinstance(text, str):
        kind = type(text).__name__
        raise TextError(f"`text` is of the type {kind}; it must be one text (str).")
    if label is not None and label not in names:
        some = ", ".join(map(repr, names[:10])) + (" and others" if len(names) > 10 else "")
        raise SettingError(
            f"There is no label {label!r} in {run.name}, which has {some}." + nearest(label, names)
        )
    whole = classifier.classify(encode_texts(run.tokenizer, Documents.from_strings([text])))[0]
    index = int(np.argmax(whole)) if label is None else names.index(label)
    bounds = parts_of(text, run.tokenizer)
    odds = _log_odds(whole[None], index, run.classes.multilabel)[0]
    weights = odds - log_odds_without(run, text, bounds, index)
    tokens = tuple(
        Contribution(text[start:end], start, end, weight)
        for (start, end), weight in zip(bounds.tolist(), weights.tolist(), strict=True)
    )
    return Explanation(text, names[index], math.exp(whole[index]), tokens)


def parts_of(
    text: str, tokenizer: Tokenizer, most_characters: int = MOST_CHARACTERS
) -> Int64[np.ndarray, "parts 2"]:
    """Return the start and end of each part in characters; a part is a run of tokens if many."""
    if tokenizer.options.tokens in ("characters", "bytes"):
        places = np.arange(len(text))
        bounds = np.stack([places, places + 1], axis=1)
    else:
        found = tokenizer.find_words(Documents.from_strings([text]))
        bounds = np.stack([found.starts, found.ends], axis=1)
    most = max(FEWEST_PARTS, min(MOST_PARTS, most_characters // max(len(text), 1)))
    size = -(-len(bounds) // most)  # Tokens in a part, rounded up.
    if size <= 1:
        return bounds
    firsts = np.arange(0, len(bounds), size)
    lasts = np.minimum(firsts + size, len(bounds)) - 1
    return np.stack([bounds[firsts, 0], bounds[lasts, 1]], axis=1)


def log_odds_without(
    run: ClassifierRun,
    text: str,
    bounds: Int64[np.ndarray, "parts 2"],
    index: int,
    characters_at_once: int = CHARACTERS_AT_ONCE,
) -> Float[np.ndarray, " parts"]:
    """Return the log-odds of a label for the text without each of its parts.

    Variants are made and classified in batches of about ``characters_at_once`` characters.
    """
    keeps_space = run.tokenizer.options.tokens in ("characters", "bytes")
    at_once = max(1, characters_at_once // max(len(text), 1))
    odds = [np.zeros(0)]
    for first in range(0, len(bounds), at_once):
        some = bounds[first : first + at_once].tolist()
        variants = Documents.from_strings(
            _without(text, start, end, keeps_space) for start, end in some
        )
        log_probs = run.classifier.classify(encode_texts(run.tokenizer, variants))
        odds.append(_log_odds(log_probs, index, run.classes.multilabel))
    return np.concatenate(odds)


def _without(text: str, start: int, end: int, keeps_space: bool) -> str:
    """Return a text without the characters from ``start`` to ``end``.

    Unless ``keeps_space`` is set, the white space after a word goes with it, and the words around
    it stay apart.

    >>> _without("not (too) bad", 0, 3, False), _without("so-so", 2, 3, False)
    ('(too) bad', 'so so')
    """
    before, after = text[:start], text[end:]
    if keeps_space:
        return before + after
    after = after.lstrip()
    touches = before and after and not before[-1].isspace()
    return f"{before} {after}" if touches else before + after


def _log_odds(
    log_probs: Float[np.ndarray, "documents classes"], index: int, multilabel: bool
) -> Float[np.ndarray, " documents"]:
    """Return the log-odds of a label, in nats.

    log(1 - p) is computed from the other labels' log-probabilities, so that it stays exact where p
    rounds to 1.
    """
    log_probs = log_probs.astype(np.float64)
    yes = log_probs[:, index]
    with np.errstate(divide="ignore"):
        if multilabel:
            no = np.log(-np.expm1(yes))
        else:
            no = np.logaddexp.reduce(np.delete(log_probs, index, axis=1), axis=1)
        return np.asarray(np.clip(yes - no, -LARGEST_ODDS, LARGEST_ODDS))
