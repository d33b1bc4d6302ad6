"""Runs: the folder that a training writes, its files, and the looks at its test split."""

from thence.runs.run import ClassifierRun, LanguageRun, Run, open_run

__all__ = ["ClassifierRun", "LanguageRun", "Run", "open_run"]
