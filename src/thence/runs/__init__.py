"""Runs: the folder that a training leaves, its files, and what has been asked of it."""

from thence.runs.run import ClassifierRun, LanguageRun, Run, open_run

__all__ = ["ClassifierRun", "LanguageRun", "Run", "open_run"]
