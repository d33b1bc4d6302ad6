"""Evaluation: how good a model is, which of several is better, what it says of a text."""

from thence.evaluation.classification import ClassificationReport
from thence.evaluation.classify import Classification, classify
from thence.evaluation.compare import Comparison, compare
from thence.evaluation.compare_labels import LabelComparison
from thence.evaluation.evaluate import evaluate
from thence.evaluation.likelihood import LikelihoodReport
from thence.evaluation.occlusion import Explanation, explain
from thence.evaluation.ranking import Ranking, rank
from thence.evaluation.scoring import score
from thence.evaluation.similar import SimilarWords, similar

__all__ = [
    "Classification",
    "ClassificationReport",
    "Comparison",
    "Explanation",
    "LabelComparison",
    "LikelihoodReport",
    "Ranking",
    "SimilarWords",
    "classify",
    "compare",
    "evaluate",
    "explain",
    "rank",
    "score",
    "similar",
]
