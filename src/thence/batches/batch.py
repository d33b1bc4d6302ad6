"""What one step reads, and what a training set cut into steps provides."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, Protocol, TypeVar, runtime_checkable

import numpy as np

from thence.array_types import Bool, Int64

Array = np.ndarray[Any, np.dtype[Any]]
Value = TypeVar("Value")


@dataclass(frozen=True)
class Batch:
    """What one step reads: rows of ids in a row, and what followed each.

    Attributes:
        ids: Ids that are read, shape (B, T); T is 1 for fixed windows.
        targets: The id that followed each, shape (B, T); or how often each id of the vocabulary
            did, shape (B, 1, V).
        weight: The summed loss divided by this estimates the mean loss per target.
        tokens: Targets of the text that the step stands for.
        before: The ids before a fixed window's last, shape (B, C - 1); none for sequences.
        valid: Which targets count, shape (B, T), where rows differ in length; None: all.
        fresh: Whether the rows begin anew, or go on where the batch before them ended.
    """

    ids: Int64[np.ndarray, "batch time"]
    targets: Array
    weight: float
    tokens: float
    before: Int64[np.ndarray, "batch before"] | None = None
    valid: Bool[np.ndarray, "batch time"] | None = None
    fresh: bool = True

    def __len__(self) -> int:
        return len(self.ids)

    def take(self, chosen: slice) -> "Batch":
        """Return the batch with some of its rows only; weight and tokens stay those of all."""
        return replace(
            self,
            ids=self.ids[chosen],
            targets=self.targets[chosen],
            before=None if self.before is None else self.before[chosen],
            valid=None if self.valid is None else self.valid[chosen],
        )


@runtime_checkable
class Step(Protocol):
    """Interface of a training batch, whatever is in it; its length is the number of rows."""

    @property
    def weight(self) -> float:
        """The summed loss divided by this estimates the mean loss."""

    @property
    def tokens(self) -> float:
        """Tokens that the step stands for."""

    def __len__(self) -> int: ...

    def take(self, chosen: slice) -> "Step":
        """Return the batch with some of its rows only; weight and tokens stay those of all."""


@runtime_checkable
class Batches(Protocol):
    """A training set cut into steps."""

    steps_per_epoch: int

    def at(self, step: int) -> Step:
        """Return the batch of a step, counted from 0 over all epochs."""


def each_epoch(make: Callable[[int], Value]) -> Callable[[int], Value]:
    """Return the same function of the epoch, which keeps its latest value."""
    return lru_cache(maxsize=1)(make)


def epoch_orders(size: int, seed: int) -> Callable[[int], Int64[np.ndarray, " size"]]:
    """Return a function that gives a permutation of so many items for each epoch."""
    return each_epoch(lambda epoch: np.random.default_rng((seed, epoch)).permutation(size))
