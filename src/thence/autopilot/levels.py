"""Whether a text is modelled in words or in characters, chosen by measuring both on dev.

An n-gram model of each is counted on the end of the train text, and their bits per byte on dev are
compared, unknown words spelled out (``models/spelling.py``): so both predict the same bytes. On
twice as much text words gain more than characters do; so the part is doubled, as long as that takes
little time, and the logarithm of their ratio is continued to the whole text in a straight line.

Models of characters gain more over their n-grams than those of words, above all context mixing in
running text, if there is time to read all of it. So words are chosen only where they are ahead by
some margin.
"""

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from thence.corpus import Documents, Splits
from thence.models.ngram import NGram, NGramOptions
from thence.models.spelling import spelling_costs
from thence.tokens import TokenOptions, learn_tokens

ORDERS: Mapping[str, int] = {"words": 3, "characters": 6}
"""Order of the n-gram model of each: longer ones take longer, and gain at most 1 % in words, 4 % in
characters."""
FIRST_PART, LAST_PART = 1 << 16, 1 << 20
"""Bytes of the train text that are counted at first, and at most."""
DEV_PART = 1 << 16
"""Bytes of the dev text that are predicted: its beginning."""
LEAST = 1e-6
"""Added to bits per byte, so that there is no division by zero for a text that is certain."""
TIME_SHARE = 0.04
"""Share of the time that comparing may take, but for the first part."""
USUAL_CHANGE = -0.01
"""What twice as much text adds to the logarithm of the ratio of words to characters where there is
time for one part only: 0 in plays to -0.014 in news."""
RUNNING_RATIO, APART_RATIO = 0.93, 1.0
"""Words are chosen where their n-gram needs at most this share of the bits of that of characters,
in running text and in other documents. In running text the best of 10 to 60 seconds gains 12 to
18 % over the n-gram in characters, 5 to 10 % in words (plays, Wikipedia, newspapers); in reviews
and news apart, about as much in either."""
MIXING_TIME, MIXING_SHARE = 12.0, 0.5
"""Context mixing of characters takes so many times as long as their n-gram, and gets about this
share of the time."""
PER_HALVING, UNMIXED_RATIO = 0.025, 0.98
"""What each halving of the text that context mixing has time to read adds to the logarithm of
``RUNNING_RATIO``, and the ratio without any context mixing."""


def better_level(
    options: Mapping[str, TokenOptions], splits: Splits, running: bool, seconds: float
) -> str:
    """Return the better of ``words`` and ``characters`` by bits per byte on dev.

    Args:
        options: Settings of the tokens of either.
        splits: The text.
        running: Whether its documents follow one another.
        seconds: All the time that there is; the result does not depend on it where it is infinite.
    """
    dev, train = first_bytes_of(splits.dev, DEV_PART), splits.train
    began, size, log_ratios = time.monotonic(), FIRST_PART, list[float]()
    while True:
        part = last_bytes_of(train, size)
        words = bits_per_byte(options["words"], ORDERS["words"], part, dev)
        counted = time.monotonic()
        characters = bits_per_byte(options["characters"], ORDERS["characters"], part, dev)
        now = time.monotonic()
        log_ratios.append(math.log((words + LEAST) / (characters + LEAST)))
        whole = size >= train.num_bytes
        # The next part takes about as long as all before together.
        if whole or size >= LAST_PART or 2 * (now - began) > TIME_SHARE * seconds:
            break
        size *= 2
    doublings = 0.0 if whole else math.log2(train.num_bytes / size)
    most = math.log(RUNNING_RATIO if running else APART_RATIO)
    if running and math.isfinite(seconds):
        per_byte = MIXING_TIME * (now - counted) / (part.num_bytes + dev.num_bytes)
        affordable = MIXING_SHARE * seconds / per_byte - splits.dev.num_bytes
        halvings = math.log2(max(train.num_bytes / max(affordable, 1.0), 1.0))
        most = min(most + PER_HALVING * halvings, math.log(UNMIXED_RATIO))
    return "words" if continued(log_ratios, doublings) <= most else "characters"


def continued(values: Sequence[float], steps: float) -> float:
    """Return the last value, continued by some steps of the mean size so far.

    >>> continued([0.0, -0.25, -0.5], 2)
    -1.0
    """
    change = USUAL_CHANGE
    if len(values) > 1:
        change = (values[-1] - values[0]) / (len(values) - 1)
    return values[-1] + change * steps


def bits_per_byte(options: TokenOptions, order: int, train: Documents, dev: Documents) -> float:
    """Return the bits per byte of an n-gram model on dev, unknown words spelled out."""
    tokenizer, store = learn_tokens(train, replace(options, unknown="symbol"))
    model = NGram(NGramOptions(order=order), len(tokenizer.vocabulary))
    model.fit(store)
    dev_store = tokenizer.encode(dev)
    costs = spelling_costs(tokenizer, dev, dev_store) - model.score(dev_store)
    return float(costs.sum()) / math.log(2) / float((dev_store.byte_counts + 1).sum())


def first_bytes_of(documents: Documents, size: int) -> Documents:
    """Return the first documents, of at least so many bytes together; the last of them is cut."""
    ends = np.cumsum(documents.ends - documents.starts)
    some = documents.take(np.arange(min(int(np.searchsorted(ends, size)) + 1, len(documents))))
    if (more := some.num_bytes - size) <= 0:
        return some
    cut = some.ends.copy()
    cut[-1] = _character_start(some, int(cut[-1]) - more)
    return Documents(some.text, some.starts, cut)


def last_bytes_of(documents: Documents, size: int) -> Documents:
    """Return the last documents, of at least so many bytes together; the first of them is cut."""
    ends = np.cumsum((documents.ends - documents.starts)[::-1])
    number = min(int(np.searchsorted(ends, size)) + 1, len(documents))
    some = documents.take(np.arange(len(documents) - number, len(documents)))
    if (more := some.num_bytes - size) <= 0:
        return some
    cut = some.starts.copy()
    cut[0] = _character_start(some, int(cut[0]) + more)
    return Documents(some.text, cut, some.ends)


def _character_start(documents: Documents, place: int) -> int:
    """Return the first place from there on where a character begins, or the text ends."""
    while place < len(documents.text) and documents.text[place] & 0xC0 == 0x80:
        place += 1
    return place
