"""Word errors: how many words a text must be given, rid of or changed to become the reference."""

from collections.abc import Sequence

import numpy as np

from thence.array_types import Int64


def word_errors(reference: str, hypotheses: Sequence[str]) -> Int64[np.ndarray, " hypotheses"]:
    """Return the word errors of several hypotheses of one reference (Levenshtein distances).

    All hypotheses go through the reference together, a word at a time.

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
    errors = np.tile(places, (len(words), 1))  # Of the first words of both: all are inserted.
    for word in reference.split():
        shorter = errors[:, :-1] + (ids != numbers.get(word, -2))
        errors += 1
        errors[:, 1:] = np.minimum(errors[:, 1:], shorter)
        # Inserted words: the least of errors[k] + j - k over all k up to j.
        errors = np.minimum.accumulate(errors - places, axis=1) + places
    found: Int64[np.ndarray, " hypotheses"] = errors[np.arange(len(words)), lengths]
    return found
