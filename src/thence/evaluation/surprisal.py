"""``surprisal``: the surprisal of words for any tokeniser, as psycholinguistic studies need it.

A word is what stands between white space. Where tokens may begin with the space before a word
(subwords, characters), the tokens of a word do not say that the word has ended, so summing their
surprisals is biased. Let B be the probability that the next token begins a word or ends the text.
Then

    P(word | before) = P(its tokens | before) B(after it) / B(before it)

So *in* and *inside* compete, a word's surprisal does not contain that of the space before it, and
the surprisals of all words and of the end add up to that of the text. At the beginning of a text,
B is 1. Where tokens are words there are no spaces in tokens, and nothing is corrected.

Source: T. Pimentel and C. Meister 2024, "How to compute the probability of a word"; B. Oh and
W. Schuler 2024, "Leading whitespaces of language models' subword vocabulary pose a confound for
calculating word probabilities".
"""

import re
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Literal

import numpy as np

from thence.array_types import Bool, Float64, Int64
from thence.corpus import Documents, ReadingOptions, Source
from thence.corpus.items import Item, read_items
from thence.errors import SettingError, TextError
from thence.evaluation.data import EvaluationData
from thence.evaluation.metrics import bits
from thence.models.base import LanguageModel
from thence.models.language.distributions import distributions_of
from thence.results import Results
from thence.runs.run import LanguageRun, Run
from thence.tokens import Tokenizer, TokenOptions, TokenStore, count_symbols

AT_ONCE = 256
"""Items that are scored together, which bounds the memory."""
SEGMENT = re.compile(r"\s*\S+(?:\s+\Z)?")
"""A word with the white space before it; the last one also with the white space after it."""
MARKS = re.compile(r"^\W+|\W+$")
"""Punctuation that is stripped before a word's frequency is looked up: ``barn.`` counts as
``barn``."""
OWN = ("number", "region", "word", "text", "surprisal", "length", "frequency", "unknown")
"""Columns of a result; a column of the table with the same name gets an underscore."""
By = Literal["word", "region"]
TAB = "tab"
"""Name of the tab character as a value of ``mark``."""


def surprisal(
    run: Run | str | Path,
    text: Source,
    by: By = "word",
    mark: str | None = None,
    spillover: int = 2,
    carry_context: bool | None = None,
    reading: ReadingOptions | None = None,
) -> Results[dict[str, Any]]:
    """Return the surprisal of each word or region of a text, in bits, one by one.

    Args:
        run: The run or its folder.
        text: A file (of a table all other columns are kept), a named text, or the texts themselves.
        by: What a row is about: a word, or a region, which is the sum of its words.
        mark: What stands between regions and is no part of the text, such as ``|``; ``tab`` for a
            tab. By default ``|`` for regions, else none.
        spillover: How many words or regions before each have columns beside it.
        carry_context: Whether a text is read after those before it (default: as the run was
            trained).
        reading: How the text is read.

    Returns:
        Dictionaries with the other columns of the table (``word_`` for one that is called
        ``word``), ``number`` (of the text, from 1), ``region`` where there are any, ``word`` (its
        place in the text, from 1), ``text``, ``surprisal`` (bits), ``length`` (characters),
        ``frequency`` (of words: in a million words of the train text, without capitals and marks;
        None if the run has no text any more), ``unknown`` (tokens that are unknown symbols), and
        for each ``N`` up to ``spillover`` ``surprisal_N``, ``length_N`` and ``frequency_N``: of
        the N-th before it.

    Raises:
        SettingError: If the run is a classifier, or a setting cannot be.
        TextError: If there is no text, or it is not clear which column it is.
        UnknownSymbolError: If the vocabulary is closed and the text leaves it.
    """
    run = LanguageRun(run)
    if spillover < 0:
        raise SettingError(f"`spillover` is {spillover}; it must be 0 or more.")
    mark = "|" if mark is None and by == "region" else mark
    mark = "\t" if mark == TAB else mark
    if mark == "":
        raise SettingError("`mark` is empty; it must be what stands between regions, such as |.")
    carries = run.recipe.training.carry_context if carry_context is None else carry_context
    items = read_items(text, reading or ReadingOptions())
    frequency = _frequencies(run) if by == "word" else None
    rows = _rows(_Scorer(run, carries), items, by, mark, frequency)
    return Results(_with_spillover(rows, spillover))


@dataclass(frozen=True)
class Words:
    """The surprisals of the words of texts.

    Attributes:
        nats: Surprisal of each word, in nats.
        unknown: Number of unknown symbols in each word.
        ends: Surprisal of each text's end, in nats.
    """

    nats: Float64[np.ndarray, " words"]
    unknown: Int64[np.ndarray, " words"]
    ends: Float64[np.ndarray, " texts"]


@dataclass(frozen=True)
class _Scorer:
    """Scores the words of texts.

    Attributes:
        run: The run.
        carries: Whether a text is read after those before it.
    """

    run: LanguageRun
    carries: bool

    @property
    def model(self) -> LanguageModel:
        """The model of the run."""
        return EvaluationData().model(self.run)

    def words(self, texts: Sequence[str]) -> Words:
        """Return the surprisals of all words of texts, text by text.

        Raises:
            SettingError: If a token reaches over the beginning of a word.
        """
        tokenizer = self.run.tokenizer
        store = tokenizer.encode(texts)
        counts = self._tokens_of_words(texts, store)
        costs, before = self._costs(store, _begins_words(tokenizer))
        words_of = np.array([len(SEGMENT.findall(text)) for text in texts], np.int64)
        # Groups of targets: the words of each text, then its end, which is a single target.
        at_end = np.cumsum(words_of) + np.arange(len(texts))
        sizes = np.ones(words_of.sum() + len(texts), np.int64)
        is_word = np.ones(len(sizes), bool)
        is_word[at_end] = False
        sizes[is_word] = counts
        firsts = np.cumsum(sizes) - sizes
        nats = np.bincount(np.repeat(np.arange(len(sizes)), sizes), costs, len(sizes))
        # B is 1 (its logarithm 0) at the beginning of a text, and after its end.
        starts = np.concatenate([np.zeros(1, np.int64), at_end[:-1] + 1])
        log_b = before[np.minimum(firsts, len(before) - 1)]
        log_b[starts] = 0.0
        after = np.append(log_b[1:], 0.0)
        after[at_end] = 0.0
        with np.errstate(invalid="ignore"):
            nats += log_b - after
        nats[np.isnan(nats)] = np.inf  # What follows an impossible context is impossible too.
        is_unknown = tokenizer.vocabulary.are_unknown(store.targets)
        seen = np.concatenate([np.zeros(1, np.int64), np.cumsum(is_unknown)])
        unknown = seen[firsts + sizes] - seen[firsts]
        return Words(nats[is_word], unknown[is_word], nats[at_end])

    def _tokens_of_words(
        self, texts: Sequence[str], store: TokenStore
    ) -> Int64[np.ndarray, " words"]:
        """Return the number of tokens of each word, by tokenising each one with its space alone.

        Raises:
            SettingError: If the text as a whole has other tokens than its words one by one.
        """
        segments = [segment for text in texts for segment in SEGMENT.findall(text)]
        alone = self.run.tokenizer.encode(segments)
        ids, together = (one.targets[one.targets != one.boundary_id] for one in (alone, store))
        if not np.array_equal(ids, together):
            raise SettingError(
                f"The tokens of {self.run.name} reach over the beginnings of words, so words have "
                "no surprisal of their own. `thence score --tokens` gives that of each token."
            )
        return alone.target_counts - 1

    def _costs(
        self, store: TokenStore, begins: Bool[np.ndarray, " vocab"] | None
    ) -> tuple[Float64[np.ndarray, " targets"], Float64[np.ndarray, " targets"]]:
        """Return the nats of each target, and log B before it, both in nats.

        ``begins`` are the tokens that begin a word; None where B is always 1.
        """
        if begins is None:
            return -self.model.score(store, self.carries).astype(np.float64), np.zeros(
                store.num_targets
            )
        costs, before = np.zeros(store.num_targets), np.zeros(store.num_targets)
        for places, log_probs in distributions_of(self.model, store, self.carries):
            values = log_probs.astype(np.float64)
            costs[places] = -values[np.arange(len(places)), store.targets[places].astype(np.int64)]
            before[places] = np.logaddexp.reduce(values[:, begins], axis=1)
        return costs, before


def _begins_words(tokenizer: Tokenizer) -> Bool[np.ndarray, " vocab"] | None:
    """Return which tokens begin a word: with white space, or the end. None if no token does."""
    if tokenizer.options.tokens == "words":
        return None
    size, boundary = len(tokenizer.vocabulary), tokenizer.vocabulary.boundary_id
    begins = np.array([tokenizer.decode([index])[:1].isspace() for index in range(size)])
    if not begins.any():
        return None
    begins[boundary] = True
    return begins


def _frequencies(run: LanguageRun) -> Callable[[str], float | None]:
    """Return a function from a word to its frequency in a million words of the train text.

    It returns None if the text is missing. A word with punctuation inside is as frequent as the
    rarest of its parts.
    """
    try:
        train = run.documents("train") if run.has_text and run.has_train_text else None
    except TextError:  # The text is gone or has changed; surprisals do not need it.
        train = None
    if train is None:
        return lambda word: None
    counts = count_symbols(train, TokenOptions(tokens="words", lowercase=True))
    words = sum(count for word, count in counts.items() if any(map(str.isalnum, word)))
    million = max(words, 1) / 1e6

    def frequency(word: str) -> float:
        whole = MARKS.sub("", word.lower()) or word.lower()
        parts = [whole] if whole in counts else re.findall(r"\w+", whole) or [whole]
        return min(counts.get(part, 0) for part in parts) / million

    return frequency


def _rows(
    scorer: _Scorer,
    items: Iterator[Item],
    by: By,
    mark: str | None,
    frequency: Callable[[str], float | None] | None,
) -> Iterator[dict[str, Any]]:
    """Yield a row for each word or region, without the spillover columns."""
    number, listed = 0, list(items)
    texts = [_without_marks(item.text, mark) for item in listed]
    scorer.run.record_if_test(Documents.from_strings(texts), "surprisal")
    # With carried context all items are one sequence, so they are scored in one call.
    at_once = max(len(listed), 1) if scorer.carries else AT_ONCE
    for first in range(0, len(listed), at_once):
        some = listed[first : first + at_once]
        regions = [item.text.split(mark) if mark else [item.text] for item in some]
        split = [[region.split() for region in of_item] for of_item in regions]
        found = scorer.words(texts[first : first + at_once])
        values = zip((found.nats * bits(1.0)).tolist(), found.unknown.tolist(), strict=True)
        for item, of_item in zip(some, split, strict=True):
            number += 1
            others = {f"{name}_" if name in OWN else name: v for name, v in item.columns.items()}
            head = {**others, "number": number}
            place = 0
            for region, words in enumerate(of_item, 1):
                scored = list(islice(values, len(words)))
                about = head | ({"region": region} if mark else {})
                if by == "region":
                    costs, unknown = zip(*scored, strict=True) if scored else ((0.0,), (0,))
                    text = " ".join(words)
                    measured = {"surprisal": sum(costs), "length": len(text)}
                    yield about | {"text": text} | measured | {"unknown": sum(unknown)}
                    continue
                for word, (cost, unknown) in zip(words, scored, strict=True):
                    place += 1
                    row = about | {"word": place, "text": word, "surprisal": cost}
                    row |= {"length": len(word), "frequency": frequency and frequency(word)}
                    yield row | {"unknown": unknown}


def _without_marks(text: str, mark: str | None) -> str:
    """Return the text that the model reads: marks removed, and empty if it has no words."""
    if not mark:
        return text if text.strip() else ""
    return " ".join(word for region in text.split(mark) for word in region.split())


def _with_spillover(rows: Iterator[dict[str, Any]], spillover: int) -> Iterator[dict[str, Any]]:
    """Yield rows with the columns of the preceding rows of the same item added, nearest first."""
    last: deque[dict[str, Any]] = deque(maxlen=spillover or None)
    for row in rows:
        if last and last[0]["number"] != row["number"]:
            last.clear()
        before = {
            f"{name}_{back}": last[back - 1][name] if back <= len(last) else None
            for back in range(1, spillover + 1)
            for name in ("surprisal", "length", "frequency")
            if name in row
        }
        if spillover:
            last.appendleft(row)
        yield row | before
