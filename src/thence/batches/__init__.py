"""Batches: the ways to cut a token store into what a model reads at once."""

from thence.batches.distinct import group_by_context
from thence.batches.shuffled import Batch, Batches, training_batches
from thence.batches.windows import Windows, windows

__all__ = ["Batch", "Batches", "Windows", "group_by_context", "training_batches", "windows"]
