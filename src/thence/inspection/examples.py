"""The lens ``examples``: where the train text has the same tokens, up to and with each token."""

from dataclasses import dataclass

import numpy as np

from thence.errors import TextError
from thence.inspection.subject import Subject
from thence.inspection.train_counts import Context, TrainCounts, train_counts
from thence.runs.run import Run

LINES = 3
"""Examples that are shown of each n-gram."""
LONGEST = 32
"""Longest n-gram that is searched for, in tokens."""
AROUND = 12
"""Tokens of context that are shown before and after an n-gram."""


@dataclass(frozen=True)
class Line:
    """An occurrence of an n-gram in the train text.

    Attributes:
        text: The surrounding text, as the model reads it, at most a document.
        start: Index in it of the first character of the n-gram.
        end: Index after its last character.
    """

    text: str
    start: int
    end: int


@dataclass(frozen=True)
class Examples:
    """Occurrences in the train text of the longest known n-gram that ends with a token.

    Attributes:
        order: Its length in tokens; 0 if not even the token occurs in the train text.
        first: Place of its first token; -1 is the boundary before the text.
        count: Number of occurrences.
        lines: Some of the occurrences, evenly spaced over the train text.
    """

    order: int
    first: int
    count: int
    lines: tuple[Line, ...]


def examples(subject: Subject) -> list[Examples]:
    """Return for each shown token where the train text has it after the same tokens.

    Raises:
        TextError: If the train text is gone, or too large to look into.
    """
    counts = train_counts(subject.run)
    if counts is None:
        raise TextError(
            f"The train text of {subject.run.name} is not at hand: {subject.run.text_name} is "
            "gone, is not the same any more, or is too large to look into."
        )
    ids = subject.store.ids.astype(np.int64).tolist()
    reach = subject.store.places + 1
    if subject.carries:
        reach = np.arange(len(ids) - 1) + 1
    return [
        _examples(subject.run, counts, ids, place, min(int(reach[place]), LONGEST - 1))
        for place in subject.shown
    ]


def _examples(run: Run, counts: TrainCounts, ids: list[int], place: int, longest: int) -> Examples:
    """Return the examples of the target at a place, with at most ``longest`` tokens before it."""
    stop = place + 2  # Target t is the id at t + 1.
    order, found = 0, np.zeros(0, np.int64)
    for size in range(1, longest + 2):
        ngram: Context = tuple(ids[stop - size : stop])
        places = counts.ends(ngram)
        places = places[places > 0]  # The boundary at 0 opens the text and ends no document.
        if not len(places):
            break
        order, found = size, places
    chosen = found[np.linspace(0, len(found) - 1, min(LINES, len(found))).astype(np.int64)]
    lines = tuple(_line(run, counts, int(end), order) for end in chosen)
    return Examples(order, place - order + 1, len(found), lines)


def _line(run: Run, counts: TrainCounts, end: int, order: int) -> Line:
    """Return the text around the n-gram of ``order`` ids that ends at position ``end``."""
    store, decode = counts.store, run.tokenizer.decode
    document = int(np.searchsorted(store.offsets, end, "right")) - 1
    begin, stop = store.offsets[document : document + 2].tolist()
    first = max(end - order + 1, begin)
    begin, stop = max(begin, first - AROUND), min(stop, end + 1 + AROUND)
    whole = decode(store.ids[begin:stop].tolist())
    before, through = decode(store.ids[begin:first].tolist()), decode(store.ids[begin : end + 1])
    start = min(len(before), len(whole))
    start += len(whole[start:]) - len(whole[start:].lstrip()) if start else 0
    return Line(whole, start, max(start, min(len(through), len(whole))))
