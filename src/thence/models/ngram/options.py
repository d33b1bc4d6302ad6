"""The settings of n-gram models."""

from dataclasses import dataclass

from thence.errors import SettingError
from thence.models.ngram.smoothing import Smoothing


@dataclass(frozen=True)
class NGramOptions:
    """Settings of the ``ngram`` model."""

    order: int = 5
    """Symbols in the longest n-gram: one less is the context."""
    smoothing: Smoothing = "modified-kneser-ney"
    """How probability is kept for what was never seen."""
    add_k: float = 1.0
    """For add-k smoothing: what is added to every count."""

    def __post_init__(self) -> None:
        if self.order < 1:
            raise SettingError(f"--order is {self.order}; it must be at least 1.")
        if not 0 <= self.add_k < float("inf"):
            raise SettingError(f"--add-k is {self.add_k}; it must be a number from 0 up.")
