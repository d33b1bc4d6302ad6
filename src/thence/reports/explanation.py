"""The page of ``thence classify --explain``: documents with words coloured by their weights."""

from collections.abc import Iterable
from itertools import islice
from pathlib import Path

from thence.atomic import write_atomically
from thence.evaluation.explain import Explanation
from thence.reports.content import (
    SPEAKS_AGAINST,
    SPEAKS_FOR,
    Note,
    RunningText,
    Texts,
    Title,
    Token,
)
from thence.reports.markup import page
from thence.runs import Run

MOST_DOCUMENTS = 1000
"""Documents on a page at most."""
LEVELS = 4
"""Shades of each colour in the legend."""
MARKED = 1 / 16
"""Share of the largest weight above which a word against the label is underlined, for readers who
cannot tell the two colours apart."""
EXPLAINED = (
    "Each word was left out in turn; its weight is how much the log-odds of the label (in nats) "
    "fall without it. Green speaks for the label, orange and underlined against it, and the "
    "stronger the colour, the larger the weight, relative to the largest of the document. Hold the "
    "pointer over a word for its weight."
)


def write_explanations(run: Run, explanations: Iterable[Explanation], path: Path) -> Path:
    """Write a page of explained documents, the first thousand; return its path.

    Raises:
        RunError: If the file cannot be written.
    """
    write_atomically(path, explanations_html(run.name, explanations).encode("utf-8"))
    return path


def explanations_html(name: str, explanations: Iterable[Explanation]) -> str:
    """Return the page as HTML.

    Args:
        name: Name of the run.
        explanations: The explanations; an iterator is read only as far as documents are shown.
    """
    remaining = iter(explanations)
    items = [_text(explanation) for explanation in islice(remaining, MOST_DOCUMENTS)]
    more = next(remaining, None) is not None
    count = f"the first {MOST_DOCUMENTS:,} documents" if more else f"{len(items):,} documents"
    title = Title(name, f"Why these labels ({count} explained)")
    return page(f"{name}: explanations", [title, Note(EXPLAINED), weight_legend(), Texts(items)])


def _text(explanation: Explanation) -> RunningText:
    about = (
        f"{explanation.label}, probability {explanation.probability:.4f}; largest weight "
        f"{explanation.largest:.2f} nats"
    )
    return RunningText(explanation_tokens(explanation), about=about)


def explanation_tokens(explanation: Explanation) -> list[Token | str]:
    """Return the text of an explanation as tokens, coloured by weight."""
    largest = explanation.largest
    return [
        weight_token(text, weight, abs(weight) / largest) if weight else text
        for text, weight in explanation.pieces()
    ]


def weight_token(text: str, weight: float, share: float) -> Token:
    """Return a token coloured by its weight: green for the label, orange against it.

    ``share`` is the strength of the colour, from 0 to 1.
    """
    colour = SPEAKS_FOR if weight > 0 else SPEAKS_AGAINST
    is_underlined = weight < 0 and share > MARKED
    return Token(text, f"{weight:+.2f} nats", colour, share, is_underlined)


def weight_legend() -> RunningText:
    """Return the legend of the colours of weights."""
    shares = [level / LEVELS for level in range(1, LEVELS + 1)]
    against = [Token("    ", "", SPEAKS_AGAINST, share, True) for share in reversed(shares)]
    speaks_for = [Token("    ", "", SPEAKS_FOR, share) for share in shares]
    return RunningText(["against the label ", *against, *speaks_for, " for the label"])
