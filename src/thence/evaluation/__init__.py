"""Evaluation: how good a model is, which of several is better, how likely a text is."""

from thence.evaluation.classification import ClassificationReport
from thence.evaluation.compare import Comparison, compare
from thence.evaluation.compare_labels import LabelComparison
from thence.evaluation.evaluate import evaluate
from thence.evaluation.likelihood import LikelihoodReport
from thence.evaluation.scoring import score

__all__ = [
    "ClassificationReport",
    "Comparison",
    "LabelComparison",
    "LikelihoodReport",
    "compare",
    "evaluate",
    "score",
]
