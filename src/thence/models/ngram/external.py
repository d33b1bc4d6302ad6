"""Counting in bounded memory: what does not fit is sorted in runs that are merged from disk.

For every order the positions are worked on in blocks. The n-grams of a block are numbered and
counted among themselves and go to disk in order, a run. Then the runs are merged in pieces, ranges
of keys so narrow that a piece fits; what was the number within the run becomes the number among
all. With it, the numbers of the n-grams at each position are known, and the next order can begin.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np

from thence.array_types import Float, Int64, Integer
from thence.mapped import Spool, release, room_on_disk
from thence.models.ngram.counting import OrderCounts, distinct, opening_targets, sort_with_places
from thence.models.ngram.gathering import BLOCK, pieces
from thence.models.ngram.smoothing import OrderTable
from thence.tokens import TokenStore

BYTES_PER_NGRAM = 96
"""What it takes at most to sort, number and count one n-gram of a block or of a piece."""
BYTES_PER_TARGET = 128
"""What it takes at most to score a target."""

Bounds = list[tuple[int, int]]


def count_within(
    store: TokenStore, order: int, vocabulary_size: int, carry_context: bool, memory: int
) -> list[OrderCounts]:
    """Count as ``count_ngrams`` does, in about so many bytes; the counts are memory-mapped.

    Raises:
        RunError: If the temporary files cannot be written.
    """
    block = max(memory // BYTES_PER_NGRAM, 1)
    with room_on_disk(memory):
        return _count_orders(store, order, vocabulary_size, carry_context, block)


def _count_orders(
    store: TokenStore, order: int, vocabulary_size: int, carry_context: bool, block: int
) -> list[OrderCounts]:
    numbers = Spool(np.int32)
    unigrams = store.id_counts(vocabulary_size)
    for start, stop in pieces(0, len(store.ids), block):
        numbers.append(store.ids[start:stop])
        release(store.ids)
    nothing = np.zeros(vocabulary_size, np.int32)
    counts = [OrderCounts(np.arange(vocabulary_size), unigrams, nothing)]
    for length in range(2, order + 1):
        runs = _Runs()
        for start, stop in pieces(1, numbers.size, block):
            opening = opening_targets(store, length, carry_context, start, stop)
            window = numbers.read(start - 1, stop)
            _add_run(runs, window, store.ids[start:stop], opening, vocabulary_size)
            release(store.ids)
        counts.append(_merge(runs, block))
        numbers = _renumber(runs, block) if length < order else numbers
    return counts


@dataclass(frozen=True)
class _Runs:
    """The sorted runs of one order, one after the other, and what each block is made of.

    Attributes:
        keys: Of the n-grams of each run; in the end their numbers.
        counts: How often each occurs in the block.
        suffixes: Of each.
        places: Which n-gram of its run ends at each position, or -1.
        bounds: Where each run begins and ends.
    """

    keys: Spool = field(default_factory=lambda: Spool(np.int64))
    counts: Spool = field(default_factory=lambda: Spool(np.int64))
    suffixes: Spool = field(default_factory=lambda: Spool(np.int32))
    places: Spool = field(default_factory=lambda: Spool(np.int32))
    bounds: Bounds = field(default_factory=list)


def _add_run(
    runs: _Runs,
    window: Integer[np.ndarray, " window"],
    words: Integer[np.ndarray, " positions"],
    opening: Int64[np.ndarray, " openings"],
    vocabulary_size: int,
) -> None:
    """Count the n-grams of a block among themselves."""
    keys, places = _extend(window, words, opening, vocabulary_size)
    found, times, which, first = distinct(keys)
    runs.bounds.append((runs.keys.size, runs.keys.size + len(found)))
    runs.keys.append(found)
    runs.counts.append(times)
    runs.suffixes.append(window[1:][places[first]])
    local = np.full(len(words), -1, np.int32)
    local[places] = which
    runs.places.append(local)


def _extend(
    numbers: Integer[np.ndarray, " window"],
    words: Integer[np.ndarray, " positions"],
    opening: Int64[np.ndarray, " openings"],
    vocabulary_size: int,
) -> tuple[Int64[np.ndarray, " ngrams"], Int64[np.ndarray, " ngrams"]]:
    """Make longer n-grams of those that end at each position and the words after them.

    Args:
        numbers: Of the n-grams that end before each word, and at the last one; -1 for none.
        words: What follows.
        opening: Places of words that must not follow anything.
        vocabulary_size: Number of ids (V).

    Returns:
        The keys of the longer n-grams, and the places of their last words.
    """
    follows = numbers[:-1] >= 0
    follows[opening] = False
    places = np.flatnonzero(follows)
    keys = numbers[:-1][places].astype(np.int64)
    keys *= vocabulary_size
    keys += words[places]
    return keys, places


def _merge(runs: _Runs, block: int) -> OrderCounts:
    """Count the n-grams of all runs together, and put their numbers in place of the runs' keys."""
    keys, counts, suffixes = Spool(np.int64), Spool(np.int64), Spool(np.int32)
    for parts in _narrow_ranges(runs, block):
        run_keys, run_counts, run_suffixes = (
            np.concatenate([spool.read(*part) for part in parts])
            for spool in (runs.keys, runs.counts, runs.suffixes)
        )
        found, _, which, first = distinct(run_keys)
        which += np.int32(keys.size)
        for part, numbers in zip(parts, _split(which, parts), strict=True):
            runs.keys.overwrite(part[0], numbers)
        times = np.zeros(len(found), np.int64)
        np.add.at(times, which - keys.size, run_counts)
        keys.append(found)
        counts.append(times)
        suffixes.append(run_suffixes[first])
    return OrderCounts(keys.array(), counts.array(), suffixes.array())


def _split(
    values: Integer[np.ndarray, " values"], parts: Bounds
) -> list[Integer[np.ndarray, " part"]]:
    return np.split(values, np.cumsum([stop - start for start, stop in parts])[:-1])


def _narrow_ranges(runs: _Runs, block: int) -> Iterator[Bounds]:
    """Yield, range of keys by range of keys, where they are in each run.

    Between two sampled keys a run has no more than ``step`` n-grams, so a range that holds as many
    samples as there are runs has at most twice as many steps as there are runs.
    """
    if not runs.keys.size:
        return
    step = max(block // (2 * len(runs.bounds)), 1)
    samples = [runs.keys.read(*bound)[step - 1 :: step].copy() for bound in runs.bounds]
    cuts = np.sort(np.concatenate(samples))[len(runs.bounds) - 1 :: len(runs.bounds)]
    places = [
        [start, *(start + np.searchsorted(runs.keys.read(start, stop), cuts, "right")), stop]
        for start, stop in runs.bounds
    ]
    for first, last in pairwise(np.array(places).T.tolist()):
        parts = [(start, stop) for start, stop in zip(first, last, strict=True) if start < stop]
        if parts:
            yield parts


def _renumber(runs: _Runs, block: int) -> Spool:
    """Return the number among all of the n-gram that ends at each position."""
    numbers = Spool(np.int32)
    numbers.append(np.array([-1]))
    blocks = pieces(0, runs.places.size, block)
    for (start, stop), bound in zip(blocks, runs.bounds, strict=True):
        global_numbers = np.append(runs.keys.read(*bound), -1)
        numbers.append(global_numbers[runs.places.read(start, stop)])
    return numbers


def log_prob_within(
    tables: Sequence[OrderTable],
    vocabulary_size: int,
    store: TokenStore,
    carry_context: bool,
    memory: int,
) -> float:
    """Return the log-probability of a store by a model, in nats, in about so many bytes.

    The text is scored in pieces, each order by order: its n-grams are looked up sorted, so that
    the tables, which may be larger than the memory, are read from beginning to end.
    """
    room = max(memory // BYTES_PER_TARGET, 1)
    nats, before = 0.0, len(tables) - 1
    for start, stop in pieces(0, store.num_targets, room):
        # Contexts reach back over so many ids, whose own scores are those of the piece before.
        first = max(start - before, 0)
        ids = store.ids[first : stop + 1].astype(np.int64)
        # The places of first targets of documents, counted from the first of these ids.
        opening = opening_targets(store, 3, carry_context, first, stop + 1)
        nats += float(_scores(tables, vocabulary_size, ids, opening)[start - first :].sum())
        release(store.ids)
    return nats


def _scores(
    tables: Sequence[OrderTable],
    vocabulary_size: int,
    ids: Int64[np.ndarray, " positions"],
    opening: Int64[np.ndarray, " openings"],
) -> Float[np.ndarray, " targets"]:
    """Return the log-probability of all ids but the first; see ``models/ngram/queries.py``."""
    words = ids[1:]
    log_probs: Float[np.ndarray, " targets"] = tables[0].log_probs[words].astype(np.float64)
    opening = opening[opening > 0] - 1  # Among the targets.
    contexts = ids[:-1]  # the number of the context before each target, -1 where not seen
    for shorter, table in pairwise(tables):
        known = np.flatnonzero(contexts >= 0)
        wanted, order = sort_with_places(contexts[known] * vocabulary_size + words[known])
        found = np.full(len(words), -1)
        for start, stop in pieces(0, len(wanted), BLOCK):
            some, targets = wanted[start:stop], known[order[start:stop]]
            log_probs[targets] += shorter.log_backoffs[some // vocabulary_size]
            places = np.searchsorted(table.keys, some)
            is_seen = places < len(table.keys)
            is_seen[is_seen] = table.keys[places[is_seen]] == some[is_seen]
            seen, numbers = targets[is_seen], places[is_seen]
            found[seen], log_probs[seen] = numbers, table.log_probs[numbers]
            release(table.keys, table.log_probs, shorter.log_backoffs)
        contexts = np.append(-1, found[:-1])
        contexts[opening] = -1
    return log_probs
