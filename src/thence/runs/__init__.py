"""Runs: the folder that a training writes, its files, and the record of evaluations on test."""

from thence.runs.run import ClassifierRun, LanguageRun, Run, open_run

__all__ = ["ClassifierRun", "LanguageRun", "Run", "open_run"]
