"""Shares of documents: how sure one is, and whether two on the same documents differ."""

import math
from collections.abc import Sequence
from statistics import NormalDist

import numpy as np

from thence.evaluation.intervals import LEVEL


def wilson_interval(hits: int, number: int) -> tuple[float, float]:
    """Return the 95 % interval of a share of independent documents.

    Unlike the bootstrap it says something of few documents, and of documents that are all right.

    Source: E. B. Wilson 1927, "Probable inference, the law of succession, and statistical
    inference".

    Args:
        hits: Documents that count.
        number: Documents in all, at least one.
    """
    z = NormalDist().inv_cdf((1 + LEVEL) / 2)
    share, spread = hits / number, z * z / number
    middle = share + spread / 2
    half = z * math.sqrt(share * (1 - share) / number + spread / (4 * number))
    return max(0.0, (middle - half) / (1 + spread)), min(1.0, (middle + half) / (1 + spread))


def mcnemar_p(first_alone: int, second_alone: int) -> float:
    """Return how probable so uneven a count of documents is if two classifiers are equally good.

    Documents that both or neither get right say nothing. Of the others, as many should be right
    under the one as under the other: the number is binomial with probability 1/2, and the p-value
    is two-sided and exact. It is summed in logarithms, so that no count is too large.

    Source: Q. McNemar 1947, "Note on the sampling error of the difference between correlated
    proportions or percentages".

    Args:
        first_alone: Documents that only the first classifier gets right.
        second_alone: Documents that only the second gets right.

    >>> mcnemar_p(0, 5)  # 2 * (1 / 2) ** 5
    0.0625
    """
    fewer, number = min(first_alone, second_alone), first_alone + second_alone
    if 2 * fewer >= number - 1:  # The two tails meet.
        return 1.0
    place = np.arange(fewer)
    # C(n, k + 1) = C(n, k) (n - k) / (k + 1), beginning at C(n, 0) = 1.
    log_ways = np.concatenate([[0.0], np.cumsum(np.log((number - place) / (place + 1)))])
    largest = float(log_ways.max())
    log_sum = largest + math.log(float(np.exp(log_ways - largest).sum()))
    return min(1.0, math.exp(log_sum - (number - 1) * math.log(2)))


def holm(p_values: Sequence[float]) -> list[float]:
    """Return p-values corrected so that any below 0.05 is found by chance in 5 % of texts at most.

    The smallest is multiplied by their number, the next by one less, and so on; none falls below
    one before it.

    Source: S. Holm 1979, "A simple sequentially rejective multiple test procedure".

    >>> [round(p, 6) for p in holm([0.04, 0.01, 0.03])]
    [0.06, 0.03, 0.06]
    """
    p = np.asarray(p_values, np.float64)
    order = np.argsort(p, kind="stable")
    steps = np.minimum(1, p[order] * np.arange(len(p), 0, -1))
    corrected = np.empty(len(p))
    corrected[order] = np.maximum.accumulate(steps)
    return [float(value) for value in corrected]
