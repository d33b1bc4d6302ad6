"""Decoding filters: small functions from log-probabilities to log-probabilities.

Each takes and returns an array (B, V); what a filter removes becomes minus infinity. The rows
need not sum to one afterwards: the draw normalises.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from thence.errors import SettingError

LogProbs = Float[np.ndarray, "batch vocab"]


@dataclass(frozen=True)
class DecodingOptions:
    """How the next token is chosen from its distribution."""

    temperature: float = 1.0
    """Below 1 likelier tokens are preferred, above 1 all become more alike."""
    top_k: int | None = None
    """Draw from the k likeliest tokens only."""
    top_p: float | None = None
    """Draw from the fewest likeliest tokens that together have this probability."""
    greedy: bool = False
    """Always take the likeliest token: the same text every time."""

    def __post_init__(self) -> None:
        if not 0 < self.temperature < float("inf"):
            raise SettingError(
                f"--temperature is {self.temperature}; it must be above 0 (--greedy takes the "
                "likeliest token)."
            )
        if self.top_k is not None and self.top_k < 1:
            raise SettingError(f"--top-k is {self.top_k}; it must be at least 1.")
        if self.top_p is not None and not 0 < self.top_p <= 1:
            raise SettingError(f"--top-p is {self.top_p}; it must be above 0 and at most 1.")


def apply_filters(log_probs: LogProbs, options: DecodingOptions) -> LogProbs:
    """Apply temperature, then top-k, then top-p."""
    if options.temperature != 1:
        log_probs = scale(log_probs, options.temperature)
    if options.top_k is not None:
        log_probs = keep_top_k(log_probs, options.top_k)
    if options.top_p is not None and options.top_p < 1:
        log_probs = keep_top_p(log_probs, options.top_p)
    return log_probs


def scale(log_probs: LogProbs, temperature: float) -> LogProbs:
    """Divide by the temperature, the likeliest token of each row shifted to 0 before.

    The shift keeps the likeliest from underflowing where the temperature is close to 0.
    """
    shifted = log_probs.astype(np.float64) - log_probs.max(axis=1, keepdims=True)
    with np.errstate(over="ignore"):
        scaled: LogProbs = shifted / temperature
    return scaled


def keep_top_k(log_probs: LogProbs, k: int) -> LogProbs:
    """Keep the k likeliest tokens of each row; ties at the edge go to the lower ids."""
    order = np.argsort(-log_probs, axis=1, kind="stable")
    return _keep(log_probs, order[:, :k])


def keep_top_p(log_probs: LogProbs, p: float) -> LogProbs:
    """Keep the fewest likeliest tokens whose probabilities reach p (at least one).

    Source: A. Holtzman et al. 2020, "The curious case of neural text degeneration".
    """
    order = np.argsort(-log_probs, axis=1, kind="stable")
    ranked = np.take_along_axis(probabilities(log_probs), order, axis=1)
    before = np.cumsum(ranked, axis=1)[:, :-1]
    dropped = np.zeros(log_probs.shape, bool)
    dropped[:, 1:] = (before >= p) & (p < 1)  # With p = 1 rounding must not drop the rarest.
    filtered = np.take_along_axis(log_probs, order, axis=1)
    filtered[dropped] = -np.inf
    ranks = np.argsort(order, axis=1)
    return np.take_along_axis(filtered, ranks, axis=1)


def _keep(log_probs: LogProbs, kept: np.ndarray[tuple[int, int], np.dtype[np.int64]]) -> LogProbs:
    filtered = np.full_like(log_probs, -np.inf)
    np.put_along_axis(filtered, kept, np.take_along_axis(log_probs, kept, axis=1), axis=1)
    return filtered


def probabilities(log_probs: LogProbs) -> LogProbs:
    """Return probabilities that sum to one in each row, in double precision."""
    weights: LogProbs = np.exp(log_probs.astype(np.float64) - log_probs.max(axis=1, keepdims=True))
    weights /= weights.sum(axis=1, keepdims=True)
    return weights
