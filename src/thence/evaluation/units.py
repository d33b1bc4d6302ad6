"""Units: everything inside is in nats; conversion happens here and nowhere else."""

import math


def bits(nats: float) -> float:
    """Return nats in bits.

    >>> bits(math.log(8))
    3.0
    """
    return nats / math.log(2)


def perplexity(nats_per_token: float) -> float:
    """Return e to the mean negative log-likelihood, infinite where that overflows.

    >>> round(perplexity(math.log(27)), 6)
    27.0
    """
    try:
        return math.exp(nats_per_token)
    except OverflowError:
        return math.inf


def finite(value: float) -> float | None:
    """Return the value, or None where JSON has no number for it."""
    return value if math.isfinite(value) else None
