"""Errors of this package: subclasses of thence's errors and of the built-in ones of fastText."""

from thence.errors import TextError, TrainingError


class FastTextError(TextError, ValueError):
    """An error for which fastText raises ``ValueError``."""


class FastTextTrainingError(TrainingError, RuntimeError):
    """An error for which fastText raises ``RuntimeError``."""


ONE_LINE = "predict processes one line at a time (remove '\\n')"
"""FastText's own message, which programs may compare."""
