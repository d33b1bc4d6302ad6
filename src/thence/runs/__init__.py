"""Runs: the folder that a training leaves, its files, and what has been asked of it."""

from thence.runs.run import Run

__all__ = ["Run"]
