"""Batches of language models, and the interface of all batches for the training loop."""

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
    """A batch of a language model: rows of consecutive ids, and the target of each.

    Attributes:
        ids: Input ids, shape (B, T); T is 1 for fixed windows.
        targets: The next id of each, shape (B, T); or the counts of all next ids of a context,
            shape (B, 1, V).
        weight: The summed loss divided by this estimates the mean loss per target.
        tokens: Number of targets of the text that the batch represents.
        before: The ids before the last of a fixed window, shape (B, C - 1); None for sequences.
        valid: Mask of the targets, shape (B, T), if rows are padded; None: all count.
        fresh: Whether rows start from the initial state; else from the state of the last batch.
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
        """Return the batch with a slice of its rows; weight and tokens stay those of all."""
        return replace(
            self,
            ids=self.ids[chosen],
            targets=self.targets[chosen],
            before=None if self.before is None else self.before[chosen],
            valid=None if self.valid is None else self.valid[chosen],
        )


@runtime_checkable
class Step(Protocol):
    """Interface of all batches for the training loop; the length is the number of rows."""

    @property
    def weight(self) -> float:
        """The summed loss divided by this estimates the mean loss."""

    @property
    def tokens(self) -> float:
        """Number of tokens that the batch represents."""

    def __len__(self) -> int: ...

    def take(self, chosen: slice) -> "Step":
        """Return the batch with a slice of its rows; weight and tokens stay those of all."""


@runtime_checkable
class Batches(Protocol):
    """A training set cut into steps."""

    steps_per_epoch: int

    def at(self, step: int) -> Step:
        """Return the batch of a step, counted from 0 over all epochs."""


def cached_by_epoch(make: Callable[[int], Value]) -> Callable[[int], Value]:
    """Return the function of an epoch with a cache of its last value."""
    return lru_cache(maxsize=1)(make)


def epoch_orders(size: int, seed: int) -> Callable[[int], Int64[np.ndarray, " size"]]:
    """Return a function that returns a random permutation of 0 to size - 1 for each epoch."""
    return cached_by_epoch(lambda epoch: np.random.default_rng((seed, epoch)).permutation(size))
