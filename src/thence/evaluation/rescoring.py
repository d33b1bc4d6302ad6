"""``rescore``: n-best lists of a speech or text recogniser, reranked by language models.

The total score of a hypothesis is, in nats,

    score of the recogniser + sum over runs of alpha * log p(text) + beta * words

where log p includes the end of the text. The weights are those with the fewest word errors.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Annotated, Any

import numpy as np

from thence.array_types import Bool, Float64, Int64
from thence.corpus import Documents
from thence.corpus.nbest import Hypothesis, read_nbest
from thence.errors import RunError, SettingError, TextError
from thence.evaluation.data import EvaluationData
from thence.results import Listing, format_pairs
from thence.runs.description import distinct_names
from thence.runs.run import LanguageRun, Run
from thence.settings import Range, validate


def word_errors(reference: str, hypotheses: Sequence[str]) -> Int64[np.ndarray, " hypotheses"]:
    """Return the word errors (Levenshtein distances) of several hypotheses of one reference.

    The dynamic programme runs over the words of the reference, vectorised over all hypotheses.

    >>> word_errors("the cat sat", ["the cat sat", "a cat sat down", ""]).tolist()
    [0, 2, 3]
    """
    words = [hypothesis.split() for hypothesis in hypotheses]
    numbers: dict[str, int] = {}
    lengths = np.array([len(some) for some in words], np.int64)
    longest = int(lengths.max(initial=0))
    ids = np.full((len(words), longest), -1)
    for row, some in enumerate(words):
        ids[row, : len(some)] = [numbers.setdefault(word, len(numbers)) for word in some]
    places = np.arange(longest + 1)
    # errors[h, j]: edits between the words read of the reference and the first j words of h.
    errors = np.tile(places, (len(words), 1))  # Of an empty reference: j insertions.
    for word in reference.split():
        shorter = errors[:, :-1] + (ids != numbers.get(word, -2))
        errors += 1
        errors[:, 1:] = np.minimum(errors[:, 1:], shorter)
        # Insertions: errors[j] = min over k <= j of errors[k] + j - k, as a running minimum.
        errors = np.minimum.accumulate(errors - places, axis=1) + places
    found: Int64[np.ndarray, " hypotheses"] = errors[np.arange(len(words)), lengths]
    return found


ALPHAS = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.8, 1.0, 1.25, 1.5, 2.0, 3.0)
BETAS = tuple(half / 2 for half in range(-6, 13))
"""Grids of values tried for each weight in turn (coordinate search)."""
START = 0.5
"""Initial ``alpha`` of each run, kept where there are no references to learn it from."""
LOWEST = -1e5
"""Stands for a log-probability of minus infinity, so that a weight of 0 times it is 0."""
AT_ONCE = 4096
"""Hypotheses scored together, which bounds the memory."""


@dataclass(frozen=True)
class Weights:
    """Weights of the parts of a total score.

    Attributes:
        alpha: Weight of the log-probability by each run.
        beta: Nats that each word adds.
    """

    alpha: tuple[float, ...]
    beta: float

    def with_part(self, place: int, value: float) -> "Weights":
        """Return a copy with one weight replaced; the last place is ``beta``."""
        parts = [*self.alpha, self.beta]
        parts[place] = value
        return Weights(tuple(parts[:-1]), parts[-1])


@dataclass(frozen=True)
class Rescored:
    """A hypothesis with its total score.

    Attributes:
        text: The text.
        total: The total score, by which hypotheses are ordered.
        score: The score of the recogniser.
        log_probabilities: Of the text and its end by each run, in nats.
    """

    text: str
    total: float
    score: float
    log_probabilities: tuple[float, ...]


@dataclass(frozen=True)
class Utterance:
    """The hypotheses of an utterance, best first.

    Attributes:
        id: Its name in the table.
        hypotheses: Its hypotheses.
        reference: The correct text; None if unknown.
    """

    id: str
    hypotheses: tuple[Rescored, ...]
    reference: str | None


@dataclass(frozen=True)
class WordErrorRates:
    """Word error rates: errors per word of the references.

    Attributes:
        before: Of the hypotheses with the best score of the recogniser.
        after: Of the hypotheses with the best total score.
        oracle: Of the hypotheses with the fewest errors: a lower bound for any weights.
    """

    before: float
    after: float
    oracle: float


@dataclass(frozen=True)
class Rescoring(Listing[Utterance]):
    """Utterances with their hypotheses reranked.

    Attributes:
        runs: Names of the runs.
        weights: The weights given, or learned.
        chosen_on: What the weights were learned on, in words.
        word_error_rates: None where there are no references.
        utterances: In the order of their first hypotheses in the table.
    """

    _listed = "utterances"

    runs: tuple[str, ...]
    weights: Weights
    chosen_on: str
    word_error_rates: WordErrorRates | None
    utterances: tuple[Utterance, ...]

    def rows(self) -> list[tuple[str, str]]:
        """Return names and values: the weights and the word error rates."""
        named = zip(self.runs, self.weights.alpha, strict=True)
        rows = [
            *((f"alpha of {name}", f"{value:g}") for name, value in named),
            ("beta", f"{self.weights.beta:g}"),
            ("weights", self.chosen_on),
        ]
        if self.word_error_rates is not None:
            for name in ("before", "after", "oracle"):
                rate = getattr(self.word_error_rates, name)
                rows.append((f"word error rate, {name}", f"{100 * rate:.2f} %"))
        return rows

    def table(self) -> tuple[list[str], list[list[str]]]:
        """Return the column names and the rows to show: the best hypothesis of each utterance."""
        best = [(one.id, one.hypotheses[0]) for one in self.utterances]
        rows = [[name, f"{first.total:.4f}", first.text] for name, first in best]
        return ["id", "score", "text"], rows

    def __str__(self) -> str:
        return "\n".join(format_pairs(self.rows()))


@dataclass(frozen=True)
class _Table:
    """Hypotheses as arrays, sorted by utterance.

    Attributes:
        listed: The hypotheses.
        utterance: Index of the utterance of each hypothesis.
        scores: Score of the recogniser.
        log_probs: Log-probability by each run, in nats.
        words: Number of words of each hypothesis.
        errors: Word errors of each hypothesis; None without references.
        reference_words: Number of words of the reference of each utterance.
    """

    listed: Sequence[Hypothesis]
    utterance: Int64[np.ndarray, " hypotheses"]
    scores: Float64[np.ndarray, " hypotheses"]
    log_probs: Float64[np.ndarray, "runs hypotheses"]
    words: Int64[np.ndarray, " hypotheses"]
    errors: Int64[np.ndarray, " hypotheses"] | None
    reference_words: Int64[np.ndarray, " utterances"]

    def totals(self, weights: Weights) -> Float64[np.ndarray, " hypotheses"]:
        """Return the total score of each hypothesis."""
        found: Float64[np.ndarray, " hypotheses"]
        found = self.scores + weights.beta * self.words
        for alpha, log_probs in zip(weights.alpha, self.log_probs, strict=True):
            found = found + alpha * np.maximum(log_probs, LOWEST)
        return found

    def best(self, values: Float64[np.ndarray, " hypotheses"]) -> Int64[np.ndarray, " utterances"]:
        """Return the index of the hypothesis with the highest value for each utterance."""
        order = np.lexsort((-values, self.utterance))
        return order[np.searchsorted(self.utterance, np.arange(len(self.reference_words)))]

    def errors_of(
        self, values: Float64[np.ndarray, " hypotheses"], chosen: Bool[np.ndarray, " utterances"]
    ) -> int:
        """Return the summed word errors of the best hypotheses of the chosen utterances."""
        assert self.errors is not None
        return int(self.errors[self.best(values)][chosen].sum())


def rescore(
    runs: Run | str | Path | Sequence[Run | str | Path],
    nbest: str | Path | Sequence[Hypothesis],
    alpha: float | tuple[float, ...] | None = None,
    beta: float | None = None,
    dev: str | Path | Sequence[Hypothesis] | None = None,
    static: bool = False,
    progress: Callable[[float], None] = lambda share: None,
) -> Rescoring:
    """Rerank the hypotheses of a recogniser by the log-probabilities of language models.

    Args:
        runs: The run of a language model or its folder, or several.
        nbest: A table with the columns id, score, text and perhaps reference, or the hypotheses.
        alpha: Weight of the log-probability by each run (default: learned from references, else
            0.5).
        beta: Nats that each word adds (default: learned from references, else 0).
        dev: Another such table with references, on which the weights are learned. Without it they
            are learned on one half of the utterances and used for the other, both ways.
        static: Keep models from adapting to the texts.
        progress: Called with the share that is done, from 0 to 1.

    Raises:
        TextError: A table is missing, malformed, or lacks the references that are needed.
        SettingError: If there is no weight for each run, a run is a classifier, or ``static``
            leaves nothing of its model.
        UnknownSymbolError: If a vocabulary is closed and a text leaves it.
    """
    several = [runs] if isinstance(runs, Run | str | Path) else list(runs)
    opened = [LanguageRun(run) for run in several]
    if not opened:
        raise RunError("There is no run to rescore with; name one run folder or several.")
    given = (alpha,) if isinstance(alpha, float | int) else alpha
    if given is not None and len(given) != len(opened):
        raise SettingError(
            f"`alpha` has {len(given)} numbers; give one for each run, {len(opened)} in all."
        )
    for name, values in (("alpha", given or ()), ("beta", [] if beta is None else [beta])):
        for value in values:
            validate(name, value, Annotated[float, Range(ge=LOWEST, le=-LOWEST)])
    table = _table(opened, nbest, static, progress)
    start = Weights(given or (START,) * len(opened), beta or 0.0)
    fixed = [given is not None] * len(opened) + [beta is not None]
    everything = np.ones(len(table.reference_words), bool)
    halves = np.arange(len(everything)) % 2 == 0
    weights, chosen_on = start, "given" if all(fixed) else "not learned: there are no references"
    totals = table.totals(weights)
    if not all(fixed) and dev is not None:
        other = _table(opened, dev, static, progress)
        if other.errors is None:
            raise TextError("The hypotheses of dev lack references, so no weights are learned.")
        weights = _fit(other, start, fixed, np.ones(len(other.reference_words), bool))
        totals = table.totals(weights)
        chosen_on = f"{len(other.reference_words):,} utterances of dev"
    elif not all(fixed) and table.errors is not None and len(everything) > 1:
        weights = _fit(table, start, fixed, everything)
        chosen_on = "all utterances; each half is ordered by weights of the other half"
        for half in (halves, ~halves):
            part = half[table.utterance]
            totals[part] = table.totals(_fit(table, start, fixed, ~half))[part]
    progress(1.0)
    rates = _rates(table, totals) if table.errors is not None else None
    names = tuple(distinct_names(opened))
    return Rescoring(names, weights, chosen_on, rates, tuple(_utterances(table, totals)))


def _table(
    runs: Sequence[LanguageRun],
    nbest: str | Path | Sequence[Hypothesis],
    static: bool,
    progress: Callable[[float], None],
) -> _Table:
    """Read hypotheses, score them by each run, and count their word errors."""
    listed = read_nbest(nbest) if isinstance(nbest, str | Path) else list(nbest)
    order = {one: place for place, one in enumerate(dict.fromkeys(h.utterance for h in listed))}
    listed = sorted(listed, key=lambda one: order[one.utterance])
    utterances = [list(some) for _, some in groupby(listed, key=lambda one: one.utterance)]
    references = [_reference(some) for some in utterances]
    errors = None
    if None not in references:
        several = zip(references, utterances, strict=True)
        errors = np.concatenate(
            [word_errors(one or "", [h.text for h in some]) for one, some in several]
        )
    return _Table(
        listed,
        np.array([order[one.utterance] for one in listed]),
        np.array([one.score for one in listed]),
        np.stack([_log_probs(run, listed, static, progress) for run in runs]),
        np.array([len(one.text.split()) for one in listed]),
        errors,
        np.array([len((reference or "").split()) for reference in references]),
    )


def _reference(listed: Sequence[Hypothesis]) -> str | None:
    """Return the reference of an utterance: it may stand beside only some of its hypotheses."""
    return next((one.reference for one in listed if one.reference is not None), None)


def _log_probs(
    run: LanguageRun,
    listed: Sequence[Hypothesis],
    static: bool,
    progress: Callable[[float], None],
) -> Float64[np.ndarray, " hypotheses"]:
    """Return the log-probability of each hypothesis, in nats; equal texts are scored once."""
    texts = list(dict.fromkeys(one.text for one in listed))
    documents = Documents.from_strings(texts)
    run.record_if_test(documents, "rescore")  # Before the loop: one look, not one per batch.
    model, found = EvaluationData(static=static).model(run), []
    for first in range(0, len(texts), AT_ONCE):
        progress(first / len(texts))
        chosen = np.arange(first, min(first + AT_ONCE, len(texts)))
        store = run.tokenizer.encode(documents.take(chosen))
        found += store.sum_by_document(model.score(store).astype(np.float64)).tolist()
    by_text = dict(zip(texts, found, strict=True))
    return np.array([by_text[one.text] for one in listed])


def _fit(
    table: _Table, weights: Weights, fixed: Sequence[bool], chosen: Bool[np.ndarray, " utterances"]
) -> Weights:
    """Return the weights with the fewest word errors on the chosen utterances.

    A coordinate search over the grids, until no single weight improves. Of equally good values the
    middle one is taken.
    """
    fewest = table.errors_of(table.totals(weights), chosen)
    while True:
        before = fewest
        for place, is_fixed in enumerate(fixed):
            if is_fixed:
                continue
            values = BETAS if place == len(fixed) - 1 else ALPHAS
            errors = [
                table.errors_of(table.totals(weights.with_part(place, value)), chosen)
                for value in values
            ]
            if min(errors) < fewest:
                fewest = min(errors)
                equal = [value for value, one in zip(values, errors, strict=True) if one == fewest]
                weights = weights.with_part(place, equal[len(equal) // 2])
        if fewest == before:
            return weights


def _rates(table: _Table, totals: Float64[np.ndarray, " hypotheses"]) -> WordErrorRates:
    everything = np.ones(len(table.reference_words), bool)
    assert table.errors is not None
    words = max(1, int(table.reference_words.sum()))
    values = (table.scores, totals, -table.errors.astype(np.float64))
    return WordErrorRates(*(table.errors_of(one, everything) / words for one in values))


def _utterances(table: _Table, totals: Float64[np.ndarray, " hypotheses"]) -> list[Utterance]:
    order = np.lexsort((-totals, table.utterance)).tolist()
    found: list[Utterance] = []
    for _, group in groupby(order, key=lambda place: int(table.utterance[place])):
        places = list(group)
        listed = [table.listed[place] for place in places]
        rescored = tuple(_rescored(table, totals, place) for place in places)
        found.append(Utterance(listed[0].utterance, rescored, _reference(listed)))
    return found


def _rescored(table: _Table, totals: Float64[np.ndarray, " hypotheses"], place: int) -> Rescored:
    one = table.listed[place]
    log_probs: Any = table.log_probs[:, place].tolist()
    return Rescored(one.text, float(totals[place]), one.score, tuple(log_probs))
