"""Errors of this package: they are those of thence and, as programs expect, built-in ones."""

from thence.errors import TextError, TrainingError


class FastTextError(TextError, ValueError):
    """What fastText raises a ``ValueError`` for."""


class FastTextTrainingError(TrainingError, RuntimeError):
    """What fastText raises a ``RuntimeError`` for."""


ONE_LINE = "predict processes one line at a time (remove '\\n')"
"""FastText's own words, for which programs may look."""
