"""Batches: the ways to cut a token store into what a model reads at once."""

from thence.batches.batch import Batch, Batches, Step
from thence.batches.distinct import group_by_context
from thence.batches.padded import Padded
from thence.batches.shuffled import window_batches
from thence.batches.streams import Streams
from thence.batches.windows import Windows, windows

__all__ = [
    "Batch",
    "Batches",
    "Padded",
    "Step",
    "Streams",
    "Windows",
    "group_by_context",
    "window_batches",
    "windows",
]
