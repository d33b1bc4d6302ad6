"""Export of n-gram models as weighted finite-state acceptors, in the text format of OpenFst.

A state is a context of the model; the start state is that of ``<s>``. An arc is a word with the
cost -ln p(w | h); it leads to the longest context that is a suffix of the words so far. The final
cost of a state is that of ``</s>``. From every context but the empty one, a *back-off arc* ``#0``
with the cost of its back-off weight leads to the longest shorter context.

The cost of a text is -ln p if back-off arcs are failure transitions (OpenFst's phi matcher), taken
only if the state has no arc for the next word, or is not final at the end. If they are epsilon
arcs, the best path is as cheap or cheaper.

Source: C. Allauzen, M. Mohri and B. Roark 2003, "Generalized algorithms for constructing
statistical language models".
"""

from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import cast

import numpy as np

from thence.array_types import Bool, Float64, Int64
from thence.atomic import new_folder
from thence.exchange.arpa import check_model
from thence.exchange.arpa_writer import END, START, arpa_names, check_no_crossing
from thence.models.ngram import NGram
from thence.models.ngram.smoothing import OrderTable
from thence.models.ngram.sorting import find
from thence.runs.run import Run
from thence.tokens.vocabulary import Vocabulary

EPSILON, BACKOFF = "<eps>", "#0"
"""The epsilon label, with the number 0, and the label of back-off arcs."""
ARCS, SYMBOLS = "fst.txt", "words.txt"
"""The files in the folder: arcs and symbol table."""
AT_ONCE = 1 << 16
"""Arcs that are converted to lines in one step, which bounds the memory."""
Numbers = Int64[np.ndarray, " ngrams"]


def export_fst(run: Run, path: Path) -> None:
    """Write an n-gram model as a folder with a transducer and its symbols.

    Raises:
        RunError: If the run has none, or the folder cannot be written.
        SettingError: If the format cannot hold the model.
    """
    check_model(run)
    tables, vocabulary = cast(NGram, run.model).tables, run.tokenizer.vocabulary
    check_no_crossing(tables, vocabulary)
    names = arpa_names(vocabulary)[:-1]  # Without the boundary, which labels no arc.

    def write(folder: Path) -> None:
        labels = [EPSILON, *names, BACKOFF, START, END]
        with (folder / SYMBOLS).open("w", encoding="utf-8", newline="\n") as file:
            file.writelines(f"{name} {label}\n" for label, name in enumerate(labels))
        with (folder / ARCS).open("w", encoding="utf-8", newline="\n") as file:
            file.writelines(fst_lines(tables, vocabulary))

    with new_folder(path) as new:
        new.fill(write)


def fst_lines(tables: Sequence[OrderTable], vocabulary: Vocabulary) -> Iterator[str]:
    """Yield the lines of an acceptor, the arcs of the start state first; labels are ids plus 1."""
    size, boundary = len(vocabulary), vocabulary.boundary_id
    contexts = _Contexts(tables, size, boundary)
    sources, targets, labels, costs = [], [], [], []
    for level, table in enumerate(tables):
        prefixes, words = np.divmod(table.keys, size)
        source = contexts.state_of(level - 1, prefixes)
        target = contexts.state_of(level, np.arange(len(words)))
        sources.append(source)
        targets.append(np.where(words == boundary, -1, target))
        labels.append(words + 1)
        costs.append(-table.log_probs.astype(np.float64))
    for level, table in enumerate(tables[:-1]):
        known = np.flatnonzero(contexts.are_states[level])
        sources.append(contexts.state_of(level, known))
        targets.append(contexts.shorter(level, known))
        labels.append(np.full(len(known), size))  # #0, the number after all words.
        costs.append(-table.log_backoffs[known].astype(np.float64))
    arcs = [np.concatenate(parts) for parts in (sources, targets, labels)]
    yield from _lines(arcs[0], arcs[1], arcs[2], np.concatenate(costs), size)


def _lines(
    sources: Numbers,
    targets: Numbers,
    labels: Numbers,
    costs: Float64[np.ndarray, " arcs"],
    backoff: int,
) -> Iterator[str]:
    """Yield a line for each arc, sorted by source and label; target -1 is a final cost."""
    order = np.lexsort((labels, targets < 0, sources))
    for start in range(0, len(order), AT_ONCE):
        some = order[start : start + AT_ONCE]
        rows = (array[some].tolist() for array in (sources, targets, labels, costs))
        for source, target, label, cost in zip(*rows, strict=True):
            shown = "Infinity" if cost == np.inf else f"{cost + 0.0:.7g}"
            if target < 0:
                yield f"{source}\t{shown}\n"
            else:
                yield f"{source}\t{target}\t{label}\t{0 if label == backoff else label}\t{shown}\n"


class _Contexts:
    """The states of the acceptor, and their back-off states.

    N-grams of all orders are numbered consecutively, order by order; the empty one is -1.

    Args:
        tables: The model.
        size: Number of ids (V).
        boundary: The id of the boundary, whose state is the start.
    """

    def __init__(self, tables: Sequence[OrderTable], size: int, boundary: int) -> None:
        self._tables, self._size = tables, size
        self._firsts = np.cumsum([0, *(len(table.keys) for table in tables)])
        self.are_states = [
            _are_contexts(table, longer, size) for table, longer in pairwise(tables)
        ] + [np.zeros(len(tables[-1].keys), bool)]
        if len(tables) > 1:
            self.are_states[0][boundary] = True
        self._suffixes = self._longest_suffixes()
        self._states = self._numbered(boundary if len(tables) > 1 else -1)

    def _longest_suffixes(self) -> Numbers:
        """Return for each n-gram its longest proper suffix that is in the model."""
        suffixes = np.full(int(self._firsts[-1]) + 1, -1)  # The last is of the empty n-gram.
        for level, table in enumerate(self._tables[1:], start=1):
            prefixes, words = np.divmod(table.keys, self._size)
            found, left = np.full(len(words), -1), np.arange(len(words))
            # As in Aho-Corasick: that of hw is sw, for the longest suffix s of h with sw known.
            ends = suffixes[self._firsts[level - 1] + prefixes]
            while len(left):
                matches = self._followed(ends, words[left])
                found[left[matches >= 0]] = matches[matches >= 0]
                missing = matches < 0
                left, ends = left[missing], suffixes[ends[missing]]
            suffixes[self._firsts[level] : self._firsts[level + 1]] = found
        return suffixes

    def _followed(self, contexts: Numbers, words: Numbers) -> Numbers:
        """Return the number of each context extended by a word; -1 if that is not in the model."""
        found = np.where(contexts < 0, words, -1)
        for level, first in enumerate(self._firsts[:-2]):
            here = (contexts >= first) & (contexts < self._firsts[level + 1])
            keys, prefixes = self._tables[level + 1].keys, contexts[here] - first
            numbers = find(keys, prefixes, words[here], self._size)
            found[here] = np.where(numbers < 0, -1, numbers + self._firsts[level + 1])
        return found

    def _numbered(self, start: int) -> Numbers:
        """Return the state of each n-gram: its own, or that of its longest suffix with a state."""
        are_states = np.concatenate([*self.are_states, [True]])  # The last is the empty n-gram.
        states = np.full(len(are_states), -1)
        known = np.flatnonzero(are_states)
        known = known[np.argsort(known != start % len(states), kind="stable")]  # The start is 0.
        states[known] = np.arange(len(known))
        for level in range(len(self._tables)):
            part = slice(self._firsts[level], self._firsts[level + 1])
            longest = states[self._suffixes[part]]
            states[part] = np.where(are_states[part], states[part], longest)
        return states

    def state_of(self, level: int, numbers: Numbers) -> Numbers:
        """Return the states of n-grams of order ``level`` + 1, by their indices there."""
        if level < 0:
            return np.full(len(numbers), self._states[-1])
        found: Numbers = self._states[self._firsts[level] + numbers]
        return found

    def shorter(self, level: int, numbers: Numbers) -> Numbers:
        """Return the back-off states of contexts."""
        found: Numbers = self._states[self._suffixes[self._firsts[level] + numbers]]
        return found


def _are_contexts(table: OrderTable, longer: OrderTable, size: int) -> Bool[np.ndarray, " ngrams"]:
    """Return which n-grams are contexts: they are extended, or have a back-off weight."""
    found: Bool[np.ndarray, " ngrams"] = table.log_backoffs != 0
    found[longer.keys // size] = True
    return found
