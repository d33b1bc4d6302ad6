"""``pairs``: accuracy on minimal pairs, a grammatical and an ungrammatical sentence each.

The model is right if the good sentence has the higher probability. The probabilities of whole
sentences are compared, their ends included, each sentence alone. A tie counts as half right, so a
model that cannot tell the two apart gets 50 %.

Source: A. Warstadt et al. 2020, "BLiMP: the benchmark of linguistic minimal pairs for English",
where accuracy is the mean over paradigms.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np

from thence.array_types import Bool, Float64, Int64
from thence.corpus import Documents, MinimalPair, read_pairs
from thence.errors import RunError
from thence.evaluation.compare_labels import LabelComparison, compare_classifiers
from thence.evaluation.data import EvaluationData
from thence.evaluation.intervals import wilson_interval
from thence.results import Result
from thence.runs.description import distinct_names
from thence.runs.run import LanguageRun, Run

TIE = 1e-9
"""Difference of log-probabilities, in nats, up to which a pair is a tie: larger than the rounding
error of summing the same numbers in another order."""
PAIRS_AT_ONCE = 4096
"""Pairs that are scored together, few enough that progress is shown every few seconds."""
INTERVALS = (
    "The 95 % intervals are for new pairs of the same paradigms; means are over paradigms. Ties "
    "count half."
)

Scores = Float64[np.ndarray, "pairs sentences"]


@dataclass(frozen=True)
class PairAccuracy:
    """The accuracy of one model on a group of pairs.

    Attributes:
        accuracy: Share of pairs whose good sentence is likelier, ties counted half, from 0 to 1;
            the mean over paradigms if there are several.
        interval: Its 95 % interval.
        ties: Share of pairs whose sentences are equally likely.
        unknown: Share of pairs with an unknown symbol in either sentence.
    """

    accuracy: float
    interval: tuple[float, float]
    ties: float
    unknown: float

    def cell(self) -> str:
        """Return the accuracy in per cent with its interval, for a table."""
        low, high = self.interval
        return f"{100 * self.accuracy:.1f} ({100 * low:.1f} to {100 * high:.1f})"


@dataclass(frozen=True)
class PairGroup:
    """The pairs of a paradigm or a phenomenon, and the accuracy of each model on them.

    Attributes:
        name: Of the paradigm or phenomenon.
        phenomenon: That the paradigm belongs to; empty if none is named.
        pairs: Number of pairs.
        runs: The accuracy of each run, in the order of the runs.
    """

    name: str
    phenomenon: str
    pairs: int
    runs: tuple[PairAccuracy, ...]


@dataclass(frozen=True)
class PairReport(Result):
    """The accuracies of models on minimal pairs.

    Attributes:
        names: Names of the runs.
        all: The accuracies on all pairs.
        phenomena: By phenomenon, in order of their first pair; empty if no file names any.
        paradigms: By paradigm.
        comparison: Differences between the runs; None for a single run.
        pairs: The pairs themselves.
        log_probabilities: Of the good and of the bad sentence of each pair, by run, in nats.
    """

    _in_json = ("runs=names", "all", "phenomena", "paradigms", "comparison")

    names: tuple[str, ...]
    all: PairGroup
    phenomena: tuple[PairGroup, ...]
    paradigms: tuple[PairGroup, ...]
    comparison: LabelComparison | None
    pairs: Sequence[MinimalPair] = field(repr=False)
    log_probabilities: Float64[np.ndarray, "runs pairs sentences"] = field(repr=False)

    def groups(self, by: str = "phenomenon") -> tuple[PairGroup, ...]:
        """Return the groups of a table: by ``phenomenon`` if there are any, else by paradigm."""
        return self.phenomena if by == "phenomenon" and self.phenomena else self.paradigms

    def table(self, by: str = "phenomenon") -> tuple[list[str], list[list[str]]]:
        """Return the column names and the rows to show; the last row is about all pairs.

        Shares of ties and unknown symbols are the largest over the runs.
        """
        groups = self.groups(by)
        kind = "phenomenon" if groups is self.phenomena else "paradigm"
        columns = [
            kind,
            "pairs",
            *(f"{name}, % right" for name in self.names),
            "ties",
            "with <unk>",
        ]
        return columns, [_row(group) for group in (*groups, self.all)]

    def remark(self) -> str:
        """Return what to know when reading the table."""
        return INTERVALS


def _row(group: PairGroup) -> list[str]:
    ties, unknown = (max(getattr(one, name) for one in group.runs) for name in ("ties", "unknown"))
    shares = [f"{100 * share:.1f} %" if share else "-" for share in (ties, unknown)]
    return [group.name, f"{group.pairs:,}", *(one.cell() for one in group.runs), *shares]


def pairs(
    runs: Run | str | Path | Sequence[Run | str | Path],
    files: str | Path | Iterable[str | Path] | Iterable[MinimalPair],
    static: bool = False,
    progress: Callable[[float], None] = lambda share: None,
) -> PairReport:
    """Evaluate language models on minimal pairs: is the good sentence the likelier one?

    Args:
        runs: The run or its folder, or several.
        files: Tables of pairs (.jsonl, .tsv, .csv), folders of them, or the pairs themselves.
        static: Keep models from adapting to a sentence while they read it: caches are left out.
        progress: Called with the share that is done, from 0 to 1.

    Raises:
        TextError: A file is missing, is no table of pairs, or lacks a sentence.
        SettingError: If a run is a classifier, or ``static`` leaves nothing of its model.
        UnknownSymbolError: If a vocabulary is closed and a sentence leaves it.
    """
    several = [runs] if isinstance(runs, Run | str | Path) else list(runs)
    opened = [LanguageRun(run) for run in several]
    if not opened:
        raise RunError("There is no run to judge; name one run folder or several.")
    listed = [files] if isinstance(files, str | Path) else list(files)
    found = [one for one in listed if isinstance(one, MinimalPair)]
    found = found or read_pairs(one for one in listed if not isinstance(one, MinimalPair))
    scored = []
    sentences = Documents.from_strings(text for pair in found for text in (pair.good, pair.bad))
    for number, run in enumerate(opened):
        run.record_if_test(sentences, "pairs")  # Before the loop: one look, not one per batch.
        parts = []
        for first in range(0, len(found), PAIRS_AT_ONCE):
            progress((number + first / len(found)) / len(opened))
            places = np.arange(2 * first, 2 * min(first + PAIRS_AT_ONCE, len(found)))
            parts.append(_score_pairs(run, sentences.take(places), static))
        scored.append(PairScores(*map(np.concatenate, zip(*parts, strict=True))))
    progress(1.0)
    return pair_report(distinct_names(opened), found, scored)


class PairScores(NamedTuple):
    """The scores of pairs by one model.

    Attributes:
        log_probs: Of the good and the bad sentence, in nats.
        same: Whether both sentences of a pair are the same token ids, as if words that differ are
            unknown.
        unknown: Whether a pair has unknown symbols.
    """

    log_probs: Scores
    same: Bool[np.ndarray, " pairs"]
    unknown: Bool[np.ndarray, " pairs"]

    def right(self) -> Float64[np.ndarray, " pairs"]:
        """Return 1 where the good sentence is likelier, 1/2 for a tie, else 0."""
        good, bad = self.log_probs.T
        with np.errstate(invalid="ignore"):
            tie = self.same | (good == bad) | (np.abs(good - bad) <= TIE)
        return np.where(tie, 0.5, (good > bad).astype(np.float64))


def _score_pairs(run: LanguageRun, sentences: Documents, static: bool) -> PairScores:
    """Score pairs, given as documents: good sentence, bad sentence, good, bad, and so on."""
    store = run.tokenizer.encode(sentences)
    scores = EvaluationData(static=static).model(run).score(store)
    log_probs = store.sum_by_document(scores).reshape(-1, 2)
    is_unknown = run.tokenizer.vocabulary.are_unknown(store.targets).astype(np.float64)
    unknown: Bool[np.ndarray, " pairs"]
    unknown = np.any(store.sum_by_document(is_unknown).reshape(-1, 2), axis=1)
    lengths = store.target_counts.reshape(-1, 2)
    same: Bool[np.ndarray, " pairs"] = lengths[:, 0] == lengths[:, 1]
    for at in np.flatnonzero(same).tolist():
        same[at] = np.array_equal(store.document(2 * at), store.document(2 * at + 1))
    return PairScores(log_probs, same, unknown)


def pair_report(
    names: Sequence[str], found: Sequence[MinimalPair], scored: Sequence[PairScores]
) -> PairReport:
    """Return the accuracies by paradigm and phenomenon, given the scores by each model."""
    paradigm, of_paradigm = _factorize([pair.paradigm for pair in found])
    right = np.stack([one.right() for one in scored])
    weights = len(found) / len(paradigm) / np.bincount(of_paradigm)[of_paradigm]

    def group(name: str, chosen: Bool[np.ndarray, " pairs"], phenomenon: str = "") -> PairGroup:
        one_by_one = [
            PairAccuracy(
                *_accuracy(values[chosen], of_paradigm[chosen]),
                ties=float((values[chosen] == 0.5).mean()),
                unknown=float(one.unknown[chosen].mean()),
            )
            for values, one in zip(right, scored, strict=True)
        ]
        return PairGroup(name, phenomenon, int(chosen.sum()), tuple(one_by_one))

    phenomenon, of_phenomenon = _factorize([pair.phenomenon for pair in found])
    first = [int(np.argmax(of_paradigm == at)) for at in range(len(paradigm))]
    comparison = None
    if len(scored) > 1:
        comparison = compare_classifiers(names, right, "minimal pairs", weights)
    return PairReport(
        names=tuple(names),
        all=group("all", np.ones(len(found), bool)),
        phenomena=tuple(
            group(name or "(none)", of_phenomenon == at) for at, name in enumerate(phenomenon)
        )
        if any(phenomenon)
        else (),
        paradigms=tuple(
            group(name, of_paradigm == at, found[first[at]].phenomenon)
            for at, name in enumerate(paradigm)
        ),
        comparison=comparison,
        pairs=found,
        log_probabilities=np.stack([one.log_probs for one in scored]),
    )


def _factorize(names: Sequence[str]) -> tuple[list[str], Int64[np.ndarray, " pairs"]]:
    """Return the distinct names in order of first occurrence, and the index of each name."""
    different = {name: place for place, name in enumerate(dict.fromkeys(names))}
    return list(different), np.array([different[name] for name in names], np.int64)


def _accuracy(
    right: Float64[np.ndarray, " pairs"], paradigm: Int64[np.ndarray, " pairs"]
) -> tuple[float, tuple[float, float]]:
    """Return the mean accuracy over paradigms and its 95 % interval.

    The paradigms are fixed and not a sample, so only the uncertainty within each counts: the
    distances from the means to the bounds of Wilson's intervals are combined like standard errors.

    Source: G. Zou and A. Donner 2008, "Construction of confidence limits about effect measures: a
    general approach".
    """
    _, at, counts = np.unique(paradigm, return_inverse=True, return_counts=True)
    hits = np.bincount(at, right)
    means, number = hits / counts, len(counts)
    pairs_of_bounds = zip(hits.tolist(), counts.tolist(), strict=True)
    bounds = np.array([wilson_interval(some, of) for some, of in pairs_of_bounds])
    below, above = np.sqrt(((bounds - means[:, None]) ** 2).sum(axis=0)) / number
    mean = float(means.mean())
    return mean, (mean - float(below), mean + float(above))
