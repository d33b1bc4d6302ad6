"""Words or characters: the kind of tokens for a text, chosen by n-gram models on dev.

An n-gram model of each kind is counted on the end of the train text, and their bits per byte on dev
are compared. Unknown words are spelled out (``models/spelling.py``), so both predict the same
bytes. Words gain more from more text than characters do. So the counted part is doubled while that
takes little time, and the logarithm of the ratio of bits is extrapolated linearly, per doubling, to
the whole text.

Better models of characters gain more over their n-grams than those of words do, above all context
mixing in running text, if there is time to read all of it. So words are chosen only if they are
ahead by a margin.
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
"""Order of the n-gram model of each kind. Higher orders take longer, and gain at most 1 % for words
and 4 % for characters."""
FIRST_PART, LAST_PART = 1 << 16, 1 << 20
"""Bytes of train text that are counted first, and the most that are counted."""
DEV_PART = 1 << 16
"""Bytes of the dev text that are predicted, from its beginning."""
EPSILON = 1e-6
"""Added to bits per byte against a division by zero for a text that is predicted with certainty."""
TIME_SHARE = 0.04
"""Largest share of the time for the comparison; the first part is always counted."""
USUAL_CHANGE = -0.01
"""Change of the log-ratio of bits (words / characters) per doubling of the text, where only one
part was counted. Measured: 0 for plays to -0.014 for news."""
RUNNING_RATIO, APART_RATIO = 0.93, 1.0
"""Words are chosen if the bits of their n-gram model, divided by those of the n-gram model of
characters, are at most this: the first for running text, the second for separate documents. In
running text (plays, Wikipedia, newspapers) the result of a search of 10 to 60 seconds needs 12 to
18 % fewer bits than the n-gram model for characters, but only 5 to 10 % fewer for words. In
separate documents (reviews, news) the two gains are about equal."""
MIXING_TIME, MIXING_SHARE = 12.0, 0.5
"""Time that context mixing of characters takes, as a multiple of the time of their n-gram model,
and the share of the budget that it gets."""
PER_HALVING, UNMIXED_RATIO = 0.025, 0.98
"""With too little time, context mixing reads only a part of the text. Each halving of that part
adds ``PER_HALVING`` to the logarithm of ``RUNNING_RATIO``, up to the ratio ``UNMIXED_RATIO``, which
holds without context mixing."""


def choose_level(
    options: Mapping[str, TokenOptions], splits: Splits, running: bool, seconds: float
) -> str:
    """Return the better of ``words`` and ``characters`` by bits per byte on dev.

    Args:
        options: Token settings of each kind.
        splits: The text.
        running: Whether the documents are running text.
        seconds: The whole time budget; with infinity the result does not depend on speed.
    """
    dev, train = first_bytes_of(splits.dev, DEV_PART), splits.train
    began, size, log_ratios = time.monotonic(), FIRST_PART, list[float]()
    while True:
        part = last_bytes_of(train, size)
        words = bits_per_byte(options["words"], ORDERS["words"], part, dev)
        counted = time.monotonic()
        characters = bits_per_byte(options["characters"], ORDERS["characters"], part, dev)
        now = time.monotonic()
        log_ratios.append(math.log((words + EPSILON) / (characters + EPSILON)))
        whole = size >= train.num_bytes
        # The next part, twice as large, takes about as long as all parts before together.
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
    return "words" if extrapolate(log_ratios, doublings) <= most else "characters"


def extrapolate(values: Sequence[float], steps: float) -> float:
    """Return the last value plus ``steps`` times the mean change per step so far.

    >>> extrapolate([0.0, -0.25, -0.5], 2)
    -1.0
    """
    change = USUAL_CHANGE
    if len(values) > 1:
        change = (values[-1] - values[0]) / (len(values) - 1)
    return values[-1] + change * steps


def bits_per_byte(options: TokenOptions, order: int, train: Documents, dev: Documents) -> float:
    """Return the bits per byte of dev by an n-gram model of train, unknown words spelled out."""
    tokenizer, store = learn_tokens(train, replace(options, unknown="symbol"))
    model = NGram(NGramOptions(order=order), len(tokenizer.vocabulary))
    model.fit(store)
    dev_store = tokenizer.encode(dev)
    costs = spelling_costs(tokenizer, dev, dev_store) - model.score(dev_store)
    return float(costs.sum()) / math.log(2) / float((dev_store.byte_counts + 1).sum())


def first_bytes_of(documents: Documents, size: int) -> Documents:
    """Return the first documents with ``size`` bytes in total; the last one is truncated."""
    ends = np.cumsum(documents.ends - documents.starts)
    some = documents.take(np.arange(min(int(np.searchsorted(ends, size)) + 1, len(documents))))
    if (more := some.num_bytes - size) <= 0:
        return some
    cut = some.ends.copy()
    cut[-1] = _character_start(some, int(cut[-1]) - more)
    return Documents(some.text, some.starts, cut)


def last_bytes_of(documents: Documents, size: int) -> Documents:
    """Return the last documents with ``size`` bytes in total; the first one is truncated."""
    ends = np.cumsum((documents.ends - documents.starts)[::-1])
    number = min(int(np.searchsorted(ends, size)) + 1, len(documents))
    some = documents.take(np.arange(len(documents) - number, len(documents)))
    if (more := some.num_bytes - size) <= 0:
        return some
    cut = some.starts.copy()
    cut[0] = _character_start(some, int(cut[0]) + more)
    return Documents(some.text, cut, some.ends)


def _character_start(documents: Documents, place: int) -> int:
    """Return the first byte position from ``place`` on that starts a UTF-8 character."""
    while place < len(documents.text) and documents.text[place] & 0xC0 == 0x80:
        place += 1
    return place
