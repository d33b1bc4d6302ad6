"""Displays: results as HTML for notebooks.

HTML only, with its styles in the elements: no script, nothing loaded, nothing that another cell can
change. Text has the colour of the notebook and all other colours let the ground shine through, so
that light and dark themes are alike readable. Whatever may come from a text is escaped, and control
characters are made visible.

``pieces`` are what displays are made of; the other files hold one function for each kind of result.
"""

from collections.abc import Callable
from typing import Any

from thence.autopilot import Best
from thence.evaluation import (
    Classification,
    ClassificationReport,
    Comparison,
    Explanation,
    LabelComparison,
    LikelihoodReport,
    SimilarWords,
)
from thence.evaluation.results import Results, Score
from thence.generation import Completions, Fillings, NextTokens, Samples
from thence.reports.displays.generated import (
    completions_html,
    fillings_html,
    next_tokens_html,
    samples_html,
    similar_words_html,
)
from thence.reports.displays.judged import (
    classification_report_html,
    comparison_html,
    likelihood_html,
)
from thence.reports.displays.pieces import frame, note
from thence.reports.displays.runs import best_html, finder_html, picture_html, run_html, sweep_html
from thence.reports.displays.texts import classification_html, explanation_html, score_html
from thence.reports.drawing import Picture
from thence.runs import Run
from thence.sweeps import Sweep
from thence.training.lr_finder import LearningRateCurve

SHOWN = 20
"""Results of a row of them that are shown at most."""


def display(result: Any) -> str:
    """Return a result as HTML.

    Raises:
        TypeError: If it is of a class that no display is for.
    """
    for kind in type(result).__mro__:
        if kind in DISPLAYS:
            return frame(DISPLAYS[kind](result))
    raise TypeError(f"There is no display for {type(result).__name__}.")


def results_html(results: "Results[Any]") -> str:
    """Show the first results of a row."""
    found = results.first(SHOWN + 1)
    parts = [f"<div>{DISPLAYS[type(item)](item)}</div>" for item in found[:SHOWN]]
    if len(found) > SHOWN:
        parts.append(note(f"The first {SHOWN}; there are more."))
    return "".join(parts) or note("There are no results.")


DISPLAYS: dict[type, Callable[[Any], str]] = {
    Best: best_html,
    Classification: classification_html,
    ClassificationReport: classification_report_html,
    Comparison: comparison_html,
    Completions: completions_html,
    Explanation: explanation_html,
    Fillings: fillings_html,
    LabelComparison: comparison_html,
    LearningRateCurve: finder_html,
    LikelihoodReport: likelihood_html,
    NextTokens: next_tokens_html,
    Picture: picture_html,
    Results: results_html,
    Run: run_html,
    Samples: samples_html,
    Score: score_html,
    SimilarWords: similar_words_html,
    Sweep: sweep_html,
}
