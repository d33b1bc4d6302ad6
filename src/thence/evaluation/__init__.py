"""Evaluation: how good a model is, which of several is better, how likely a text is."""

from thence.evaluation.compare import Comparison, compare
from thence.evaluation.likelihood import LikelihoodReport, evaluate
from thence.evaluation.scoring import score

__all__ = ["Comparison", "LikelihoodReport", "compare", "evaluate", "score"]
