"""Word classes from bigram counts, by the exchange algorithm.

Words are moved between C classes, one after another, each to the class with which the text has the
highest likelihood by the class bigram model p(w | v) = p(c(w) | c(v)) p(w | c(w)). The
log-likelihood is, up to a constant,

    F = sum_{a,b} L(N(a, b)) - sum_a L(N(a, .)) - sum_b L(N(., b))        L(n) = n log n

with N(a, b) how often a word of class b followed one of class a. A move changes two rows and two
columns of N. The gain in F from adding a word w to class b is a sum over the classes that follow
and precede w, which are the same for all b, so that it is computed for all classes at once.

Source: S. Martin, J. Liermann and H. Ney 1998, "Algorithms for bigram and trigram word clustering".
The objective is that of P. Brown et al. 1992, "Class-based n-gram models of natural language".
"""

from dataclasses import dataclass

import numpy as np

from thence._core import classes as core
from thence._core import library
from thence.array_types import Float64, Int32, Int64
from thence.deadline import past_deadline

SWEEPS = 20
"""Largest number of passes over all words; later ones hardly gain."""
LEAST_MOVED = 0.005
"""The algorithm ends when a smaller share of the words than this moves in a sweep."""
TABLE = 1 << 20
"""n log n of counts below this is looked up in a table (8 MB)."""


@dataclass(frozen=True)
class Pairs:
    """The neighbours of each word on one side: a sparse matrix of bigram counts, by rows.

    Attributes:
        starts: Offsets of each word's neighbours.
        words: The neighbours.
        counts: The bigram count of each neighbour.
    """

    starts: Int64[np.ndarray, " words+1"]
    words: Int32[np.ndarray, " pairs"]
    counts: Int64[np.ndarray, " pairs"]

    @classmethod
    def of(
        cls,
        first: Int64[np.ndarray, " pairs"],
        second: Int64[np.ndarray, " pairs"],
        counts: Int64[np.ndarray, " pairs"],
        size: int,
    ) -> "Pairs":
        """Return the second words of pairs, grouped by the first."""
        order = np.argsort(first, kind="stable")
        starts = np.searchsorted(first[order], np.arange(size + 1))
        return cls(starts, second[order].astype(np.int32), counts[order])

    def by_class(
        self, word: int, class_of: Int32[np.ndarray, " words"], size: int
    ) -> tuple[Int64[np.ndarray, " classes"], int]:
        """Return the counts of a word's neighbours by class, and apart the word's own count."""
        some = slice(int(self.starts[word]), int(self.starts[word + 1]))
        words, counts = self.words[some], self.counts[some]
        itself = words == word
        found = np.bincount(class_of[words], np.where(itself, 0, counts), size)
        return found.astype(np.int64), int(counts[itself].sum())


@dataclass(frozen=True)
class ClassCounts:
    """Class bigram counts of a classification; the last three arrays are changed in place.

    Attributes:
        after: The words that followed each word.
        before: The words that preceded each word.
        table: n log n for small n.
        class_of: The class of each word.
        rows: N(a, b), one row per first class.
        columns: The transpose of ``rows``, kept so that both are read along memory.
    """

    after: Pairs
    before: Pairs
    table: Float64[np.ndarray, " counts"]
    class_of: Int32[np.ndarray, " words"]
    rows: Int64[np.ndarray, "classes classes"]
    columns: Int64[np.ndarray, "classes classes"]

    @classmethod
    def of(
        cls, after: Pairs, before: Pairs, class_of: Int32[np.ndarray, " words"], size: int
    ) -> "ClassCounts":
        """Return the counts of a classification into ``size`` classes."""
        first = class_of[np.repeat(np.arange(len(class_of)), np.diff(after.starts))]
        pairs = first.astype(np.int64) * size + class_of[after.words]
        rows = np.bincount(pairs, after.counts, size * size).astype(np.int64).reshape(size, size)
        table = xlogx(np.arange(min(int(rows.sum()) + 1, TABLE)))
        return cls(after, before, table, class_of, rows, rows.T.copy())

    def log(self, counts: Int64[np.ndarray, " counts"]) -> Float64[np.ndarray, " counts"]:
        """Return n log n."""
        small: Float64[np.ndarray, " counts"] = self.table[np.minimum(counts, len(self.table) - 1)]
        return small if counts.max(initial=0) < len(self.table) else xlogx(counts)

    def likelihood(self) -> float:
        """Return the objective F (see the module)."""
        totals = [xlogx(self.rows.sum(axis=axis)).sum() for axis in (0, 1)]
        return float(xlogx(self.rows).sum() - sum(totals))

    def add_word(
        self,
        index: int,
        sign: int,
        followed: Int64[np.ndarray, " classes"],
        preceded: Int64[np.ndarray, " classes"],
        itself: int,
    ) -> None:
        """Add a word's neighbours to the counts of a class, or subtract them (sign -1)."""
        for grid, across, down in (
            (self.rows, followed, preceded),
            (self.columns, preceded, followed),
        ):
            grid[index] += sign * across
            grid[:, index] += sign * down
            grid[index, index] += sign * itself


def xlogx(counts: Int64[np.ndarray, " counts"]) -> Float64[np.ndarray, " counts"]:
    """Return n log n, with 0 log 0 = 0."""
    found: Float64[np.ndarray, " counts"] = counts * np.log(np.maximum(counts, 1))
    return found


def exchange(
    keys: Int64[np.ndarray, " pairs"],
    counts: Int64[np.ndarray, " pairs"],
    size: int,
    classes: int,
    fixed: Int64[np.ndarray, " fixed"],
) -> Int32[np.ndarray, " words"]:
    """Return the class of each word, from 0 on, by the exchange algorithm.

    At a deadline it stops early.

    Args:
        keys: ``first * size + second`` of each pair of neighbours.
        counts: The count of each pair.
        size: Number of words.
        classes: Number of classes.
        fixed: Words that are not moved; each has a class of its own, after the others.
    """
    first, second = np.divmod(keys, size)
    after, before = Pairs.of(first, second, counts, size), Pairs.of(second, first, counts, size)
    seen = np.bincount(second, counts, size)
    order = np.argsort(-seen, kind="stable")
    order = order[~np.isin(order, fixed)]
    class_of = np.zeros(size, np.int32)
    class_of[order] = np.arange(len(order)) % classes
    order = order[seen[order] > 0]  # The likelihood does not depend on the class of unseen words.
    class_of[fixed] = np.arange(classes, classes + len(fixed))
    grid = ClassCounts.of(after, before, class_of, classes + len(fixed))
    for _ in range(SWEEPS):
        if sweep(grid, order, classes) < LEAST_MOVED * len(order) or past_deadline():
            break
    return grid.class_of


def sweep(grid: ClassCounts, order: Int64[np.ndarray, " words"], classes: int) -> int:
    """Move each word, in order, to the best of the first ``classes``; return how many moved."""
    if library() is None:
        return sweep_in_numpy(grid, order, classes)
    after, before = ((side.starts, side.words, side.counts) for side in (grid.after, grid.before))
    return core.exchange_sweep(
        after, before, order, grid.class_of, grid.rows, grid.columns, classes, grid.table
    )


def sweep_in_numpy(grid: ClassCounts, order: Int64[np.ndarray, " words"], classes: int) -> int:
    """Return the same as ``sweep``: the NumPy twin of the kernel in ``_core/classes.c``."""
    rows, class_of, log, size = grid.rows, grid.class_of, grid.log, len(grid.rows)
    first, second, moved = rows.sum(axis=1), rows.sum(axis=0), 0
    for word in order.tolist():
        own = int(class_of[word])
        followed, itself = grid.after.by_class(word, class_of, size)
        preceded, _ = grid.before.by_class(word, class_of, size)
        total, seen = followed.sum() + itself, preceded.sum() + itself
        grid.add_word(own, -1, followed, preceded, itself)
        first[own] -= total
        second[own] -= seen
        # The gain in F from adding the word to each class: first the terms L(N(a, b)) ...
        gain = np.zeros(size)
        for counts, table in ((followed, grid.columns), (preceded, rows)):
            for other in np.flatnonzero(counts):
                terms = log(table[other] + counts[other]) - log(table[other])
                terms[other] = 0  # N(b, b) changes by all counts at once, below.
                gain += terms
        inside = np.diagonal(rows)
        gain += log(inside + followed + preceded + itself) - log(inside)
        # ... then the marginals L(N(a, .)) and L(N(., b)).
        gain -= log(first + total) - log(first)
        gain -= log(second + seen) - log(second)
        best = int(gain[:classes].argmax())
        if gain[own] >= gain[best]:  # A tie does not move the word.
            best = own
        moved += best != own
        class_of[word] = best
        grid.add_word(best, 1, followed, preceded, itself)
        first[best] += total
        second[best] += seen
    return moved
