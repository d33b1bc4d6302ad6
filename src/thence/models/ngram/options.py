"""The settings of n-gram models."""

from dataclasses import dataclass
from typing import Annotated, Literal

from thence.models.memory_guard import parse_size
from thence.models.ngram.smoothing import Smoothing
from thence.settings import Fraction, NonNegativeFloat, NonNegativeInt, Range, Settings


@dataclass(frozen=True)
class NGramOptions(Settings):
    """Settings of the ``ngram`` model."""

    order: Annotated[int, Range(ge=1, le=100, why="longer n-grams hardly ever recur")] = 5
    """Symbols in the longest n-gram: one less is the context."""
    smoothing: Smoothing | Literal["imported"] = "modified-kneser-ney"
    """How probability is kept for what was never seen; imported: as thence import found it."""
    add_k: NonNegativeFloat = 1.0
    """For add-k smoothing: what is added to every count."""
    prune: tuple[NonNegativeInt, ...] = ()
    """Leave out n-grams seen so often or less: a threshold for order 2, 3, ... and beyond."""
    prune_entropy: Fraction | None = None
    """Leave out n-grams that raise the perplexity by less than this share, such as 1e-8."""
    memory: str | None = None
    """Count within so much memory, such as 1GB, spilling to disk (default: as much as needed)."""

    @property
    def prunes(self) -> bool:
        """Whether n-grams are left out."""
        return bool(self.prune) or self.prune_entropy is not None

    @property
    def memory_bytes(self) -> int | None:
        """The bound on the memory of counting, in bytes."""
        if self.memory is None:
            return None
        return parse_size("memory", self.memory)
