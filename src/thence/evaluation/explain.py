r"""Why a label: how much each word speaks for it, found by leaving the words out one by one.

With c a label, d a document and d \ w the same without the word w,

    weight(w) = log-odds(c | d) - log-odds(c | d \ w),     log-odds = log P(c) / (1 - P(c))

in nats: what speaks for the label is above 0. Log-odds do not flatten out where the classifier is
sure, as probabilities do. A weight says what a word does in this document, beside its other words:
where two words say the same, each alone may weigh little.

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
MOST_CHARACTERS = 1 << 24
"""Characters of all variants of a document together, unless it would have too few parts."""
LARGEST_ODDS = 100.0
"""Log-odds that stand for what is beyond them, where a probability rounds to 0 or 1."""
CHARACTERS_AT_ONCE = 1 << 22


@dataclass(frozen=True)
class Part:
    """A word, a mark or a character of a document, or a run of them.

    Attributes:
        text: As it was written.
        weight: How much it speaks for the label, in nats of its log-odds; below 0: against it.
        start: Characters of the document before it.
    """

    text: str
    weight: float
    start: int


@dataclass(frozen=True)
class Explanation(Result):
    """What in a document speaks for a label.

    Attributes:
        text: The document.
        label: What is explained.
        probability: Of the label.
        tokens: The parts of the document in order; between them is white space only.
    """

    text: str
    label: str
    probability: float
    tokens: tuple[Part, ...]

    @property
    def largest(self) -> float:
        """The largest absolute weight; 0 without any parts."""
        return max((abs(part.weight) for part in self.tokens), default=0.0)

    def pieces(self) -> list[tuple[str, float]]:
        """Return the whole text in pieces with their weights; white space weighs nothing."""
        found, end = [], 0
        for part in self.tokens:
            found += [(self.text[end : part.start], 0.0), (part.text, part.weight)]
            end = part.start + len(part.text)
        found.append((self.text[end:], 0.0))
        return [(text, weight) for text, weight in found if text]

    def to_json(self) -> dict[str, Any]:
        """Return the label that is explained, and each part with its weight."""
        # Adding 0 turns a minus 0 into 0.
        weights = [[part.text, round(part.weight, DIGITS) + 0.0] for part in self.tokens]
        return {"explained": self.label, "explanation": weights}


def explain(run: Run | str | Path, text: str, label: str | None = None) -> Explanation:
    """Return the weight of each word of a text for a label; see the top of this module.

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
        some = ", ".join(names[:10]) + (" and others" if len(names) > 10 else "")
        raise SettingError(
            f"There is no label {label!r} in {run.name}, which has {some}." + nearest(label, names)
        )
    whole = classifier.classify(encode_texts(run.tokenizer, Documents.from_strings([text])))[0]
    index = int(np.argmax(whole)) if label is None else names.index(label)
    bounds = parts_of(text, run.tokenizer)
    odds = _log_odds(whole[None], index, run.classes.multilabel)[0]
    weights = odds - odds_without(run, text, bounds, index)
    tokens = tuple(
        Part(text[start:end], weight, start)
        for (start, end), weight in zip(bounds.tolist(), weights.tolist(), strict=True)
    )
    return Explanation(text, names[index], math.exp(whole[index]), tokens)


def parts_of(
    text: str, tokenizer: Tokenizer, most_characters: int = MOST_CHARACTERS
) -> Int64[np.ndarray, "parts 2"]:
    """Return where each part begins and ends, runs of tokens where there are very many."""
    if tokenizer.options.tokens in ("characters", "bytes"):
        places = np.arange(len(text))
        bounds = np.stack([places, places + 1], axis=1)
    else:
        found = tokenizer.find_words(Documents.from_strings([text]))
        bounds = np.stack([found.starts, found.ends], axis=1)
    most = max(FEWEST_PARTS, min(MOST_PARTS, most_characters // max(len(text), 1)))
    size = -(-len(bounds) // most)
    if size <= 1:
        return bounds
    firsts = np.arange(0, len(bounds), size)
    lasts = np.minimum(firsts + size, len(bounds)) - 1
    return np.stack([bounds[firsts, 0], bounds[lasts, 1]], axis=1)


def odds_without(
    run: ClassifierRun,
    text: str,
    bounds: Int64[np.ndarray, "parts 2"],
    index: int,
    characters_at_once: int = CHARACTERS_AT_ONCE,
) -> Float[np.ndarray, " parts"]:
    """Return the log-odds of a label without each part; some variants are in memory at a time."""
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
    """Return a text without a part.

    The white space after a word goes with it, and words never grow together.

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
    """Return the log-odds of a label, exact also where its probability rounds to 1."""
    log_probs = log_probs.astype(np.float64)
    yes = log_probs[:, index]
    with np.errstate(divide="ignore"):
        if multilabel:
            no = np.log(-np.expm1(yes))
        else:
            no = np.logaddexp.reduce(np.delete(log_probs, index, axis=1), axis=1)
        return np.asarray(np.clip(yes - no, -LARGEST_ODDS, LARGEST_ODDS))
