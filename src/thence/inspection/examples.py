"""The lens of the train text: where it has the same words before a token, and the token itself."""

from dataclasses import dataclass

import numpy as np

from thence.errors import TextError
from thence.inspection.subject import Subject
from thence.inspection.train_counts import Context, TrainCounts, train_counts
from thence.runs.run import Run

LINES = 3
"""Examples of each n-gram."""
LONGEST = 32
"""Tokens of an n-gram that is looked for, at most."""
AROUND = 12
"""Tokens that are shown before and after one."""


@dataclass(frozen=True)
class Line:
    """A place of the train text.

    Attributes:
        text: As the model reads it: the document, or what is near the place.
        start: Characters of it before the n-gram.
        end: The same with the n-gram.
    """

    text: str
    start: int
    end: int


@dataclass(frozen=True)
class Examples:
    """Where the train text has the end of a text.

    Attributes:
        order: Tokens of the longest n-gram that ends with the token and that occurs in the train
            text; 0 if not even the token does.
        first: Place of its first token; -1 is the boundary before the text.
        count: How often it occurs there.
        lines: Some of the places, evenly spaced.
    """

    order: int
    first: int
    count: int
    lines: tuple[Line, ...]


def examples(subject: Subject) -> list[Examples]:
    """Return for each token that is shown where the train text has it after the same tokens.

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
    """Return the examples of the target at a place, after up to so many tokens."""
    stop = place + 2  # Target t is the id at t + 1.
    order, found = 0, np.zeros(0, np.int64)
    for size in range(1, longest + 2):
        ngram: Context = tuple(ids[stop - size : stop])
        places = counts.ends(ngram)
        places = places[places > 0]  # The boundary before all text is the end of nothing.
        if not len(places):
            break
        order, found = size, places
    chosen = found[np.linspace(0, len(found) - 1, min(LINES, len(found))).astype(np.int64)]
    lines = tuple(_line(run, counts, int(end), order) for end in chosen)
    return Examples(order, place - order + 1, len(found), lines)


def _line(run: Run, counts: TrainCounts, end: int, order: int) -> Line:
    """Return what is around an n-gram that ends with the id at a place of the store."""
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
