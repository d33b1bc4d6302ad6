"""Evaluation: metrics of one run, comparisons of several, and scores and labels of given texts."""

from thence.evaluation.classify import Classification, classify
from thence.evaluation.compare import Comparison, compare
from thence.evaluation.compare_labels import LabelComparison
from thence.evaluation.embeddings import SimilarWords, similar
from thence.evaluation.evaluate import evaluate
from thence.evaluation.explain import Explanation, explain
from thence.evaluation.labels import ClassificationReport
from thence.evaluation.language import LikelihoodReport
from thence.evaluation.pairs import PairReport, pairs
from thence.evaluation.ranking import Ranking, rank
from thence.evaluation.rescoring import Rescoring, rescore
from thence.evaluation.scoring import score
from thence.evaluation.surprisal import surprisal
from thence.evaluation.unusual import Calibration, calibrate
from thence.evaluation.verdict import Verdict, verdict

__all__ = [
    "Calibration",
    "Classification",
    "ClassificationReport",
    "Comparison",
    "Explanation",
    "LabelComparison",
    "LikelihoodReport",
    "PairReport",
    "Ranking",
    "Rescoring",
    "SimilarWords",
    "Verdict",
    "calibrate",
    "classify",
    "compare",
    "evaluate",
    "explain",
    "pairs",
    "rank",
    "rescore",
    "score",
    "similar",
    "surprisal",
    "verdict",
]
