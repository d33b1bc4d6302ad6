"""The settings of n-gram models."""

from dataclasses import dataclass
from typing import Literal

from thence.errors import SettingError
from thence.models.memory_guard import parse_size
from thence.models.ngram.smoothing import Smoothing

LONGEST = 100


@dataclass(frozen=True)
class NGramOptions:
    """Settings of the ``ngram`` model."""

    order: int = 5
    """Symbols in the longest n-gram: one less is the context."""
    smoothing: Smoothing | Literal["imported"] = "modified-kneser-ney"
    """How probability is kept for what was never seen; imported: as thence import found it."""
    add_k: float = 1.0
    """For add-k smoothing: what is added to every count."""
    prune: tuple[int, ...] = ()
    """Leave out n-grams seen so often or less: a threshold for order 2, 3, ... and beyond."""
    prune_entropy: float | None = None
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
        return parse_size("--memory", self.memory)

    def __post_init__(self) -> None:
        if self.order < 1:
            raise SettingError(f"--order is {self.order}; it must be at least 1.")
        if self.order > LONGEST:
            raise SettingError(
                f"--order is {self.order}; it must be at most {LONGEST}: longer n-grams hardly "
                "ever recur."
            )
        if not 0 <= self.add_k < float("inf"):
            raise SettingError(f"--add-k is {self.add_k}; it must be a number from 0 up.")
        if any(threshold < 0 for threshold in self.prune):
            raise SettingError(f"--prune is {self.prune}; thresholds must be 0 or above.")
        if self.prune_entropy is not None and not 0 <= self.prune_entropy < 1:
            raise SettingError(f"--prune-entropy is {self.prune_entropy}; it must be from 0 to 1.")
