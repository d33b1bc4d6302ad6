"""The bounds of perplexity between which documents are kept, for each model."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, TypeVar

import numpy as np

from thence.array_types import Bool, Float64
from thence.errors import SettingError, nearest
from thence.filtering.journal import Journal, at_ranks
from thence.settings import Range, validate

Value = TypeVar("Value", float, tuple[float, float])
Limits = float | Mapping[str, float] | None
"""One limit for all models, one for each label, or none."""
Shares = tuple[float, float]
"""Two quantiles."""


@dataclass(frozen=True)
class Bounds:
    """The bounds of perplexity between which documents are kept, for each model.

    Attributes:
        below, above: Exclusive limits of perplexity; NaN for none.
        quantile: Quantiles from 0 to 1, shape (models, 2); NaN for none.
        highest, lowest: The perplexities at the quantiles, inclusive limits.
    """

    below: Float64[np.ndarray, " models"]
    above: Float64[np.ndarray, " models"]
    quantile: Float64[np.ndarray, "models 2"]
    lowest: Float64[np.ndarray, " models"] = field(default_factory=lambda: np.zeros(0))
    highest: Float64[np.ndarray, " models"] = field(default_factory=lambda: np.zeros(0))

    @classmethod
    def of(
        cls,
        labels: Sequence[str],
        below: Limits,
        above: Limits,
        quantile: Shares | Mapping[str, Shares] | None,
    ) -> "Bounds":
        """Return the bounds of each model.

        Raises:
            SettingError: If one is out of range, or given for a label without a model.
        """
        limit, share = Annotated[float, Range(gt=0)], Annotated[float, Range(ge=0, le=1)]
        limits = []
        for name, given in (("below", below), ("above", above)):
            values = _per_model(name, given, labels)
            limits.append([np.nan if one is None else validate(name, one, limit) for one in values])
        for most, least in zip(*limits, strict=True):
            if least >= most:
                raise SettingError(
                    f"`above` is {least:g} and `below` is {most:g}: nothing lies between them."
                )
        shares = []
        for pair in _per_model("quantile", quantile, labels):
            low, high = (np.nan, np.nan) if pair is None else pair
            if pair is not None:
                low, high = (validate("quantile", one, share) for one in pair)
            if low >= high:
                raise SettingError(f"`quantile` is {low:g}..{high:g}; the first must be smaller.")
            shares.append((low, high))
        return cls(np.array(limits[0]), np.array(limits[1]), np.array(shares))

    @property
    def keep_all(self) -> bool:
        """Whether there are no bounds."""
        return bool(np.isnan([*self.below, *self.above, *self.quantile.flat]).all())

    def at_quantiles(self, journal: Journal) -> "Bounds":
        """Return these bounds with the perplexities at their quantiles."""
        found = np.full(self.quantile.shape, np.nan)
        for model, shares in enumerate(self.quantile):
            if not np.isnan(shares).any():
                found[model] = quantiles(journal, model, shares) or np.nan
        return Bounds(self.below, self.above, self.quantile, found[:, 0], found[:, 1])

    def kept(self, scores: np.ndarray[Any, np.dtype[Any]]) -> Bool[np.ndarray, " documents"]:
        """Return a mask of the documents to keep; those without a model are not kept."""
        model, value = scores["model"], scores["perplexity"]
        # Comparisons with NaN are False, so a missing bound excludes nothing.
        outside = (value >= self.below[model]) | (value <= self.above[model])
        outside |= (value > self.highest[model]) | (value < self.lowest[model])
        kept: Bool[np.ndarray, " documents"] = ~outside & (model >= 0)
        return kept


def _per_model(
    name: str, given: Value | Mapping[str, Value] | None, labels: Sequence[str]
) -> Sequence[Value | None]:
    """Return the value of each label, None if it has none; SettingError for unknown labels."""
    if not isinstance(given, Mapping):
        return [given] * len(labels)
    for label in given:
        if label not in labels:
            raise SettingError(
                f"`{name}` is given for '{label}', and no model is for that label."
                + nearest(label, labels)
            )
    return [given.get(label) for label in labels]


def quantiles(
    journal: Journal, model: int, shares: Sequence[float] | Float64[np.ndarray, " shares"]
) -> list[float]:
    """Return the perplexities at some quantiles of one model's documents; empty without any.

    The quantile q is the smallest perplexity that at least the share q of the documents does not
    exceed (NumPy's ``inverted_cdf``).
    """
    number = sum(map(len, journal.perplexities(model)))
    if not number:
        return []
    ranks = np.maximum(np.ceil(np.asarray(shares) * number - 1e-9).astype(np.int64) - 1, 0)
    return at_ranks(lambda: journal.perplexities(model), ranks)
