"""Batches: the ways to cut a token store into the steps of a training."""

from thence.batches.batch import Batch, Batches, Step
from thence.batches.sequences import Padded, Streams
from thence.batches.windows import Windows, group_by_context, window_batches, windows

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
