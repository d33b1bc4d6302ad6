"""A page of explained documents: every word in a colour for how much it speaks for the label.

The page is one file that needs no network and runs no script; it looks like a run's report.
"""

import html
from collections.abc import Iterable
from itertools import islice
from pathlib import Path

from thence.atomic import write_atomically
from thence.evaluation import Explanation
from thence.reports.drawing import visible
from thence.reports.page import note, page
from thence.runs import Run

LEVELS = 8
STRONGEST = 64
"""How opaque, in percent, the colour of the largest weight is: the text on it stays readable."""
SHOWN = 1000
"""Documents of a page at most."""

EXPLAINED = (
    "Each word was left out in turn; its weight is how much the log-odds of the label (in nats) "
    "fall without it. Green speaks for the label, orange and underlined against it, and the "
    "stronger the colour, the larger the weight beside the largest of the document. Hold the "
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
    """Return the page.

    Args:
        name: Of the run.
        explanations: What to show; no more than ``SHOWN`` of them are asked for.
    """
    remaining = iter(explanations)
    items = [_item(explanation) for explanation in islice(remaining, SHOWN)]
    more = next(remaining, None) is not None
    count = f"the first {SHOWN:,} documents" if more else f"{len(items):,} documents"
    body = (
        f"<h1>{html.escape(name)}</h1>\n"
        f'<p class="lead">Why these labels ({count} explained)</p>\n'
        f"{note(EXPLAINED)}\n{_legend()}\n"
        f'<ul class="texts">{"".join(items)}</ul>'
    )
    return page(f"{name}: explanations", body)


def _item(explanation: Explanation) -> str:
    largest = explanation.largest
    words = "".join(_span(text, weight, largest) for text, weight in explanation.pieces())
    label = html.escape(_plain(explanation.label))
    about = f"{label}, probability {explanation.probability:.4f}; largest weight {largest:.2f} nats"
    return f"<li>{words or '&nbsp;'}<small>{about}</small></li>\n"


def _span(text: str, weight: float, largest: float) -> str:
    """Return a word with its colour and weight; what weighs next to nothing stays plain."""
    shown = html.escape("\n".join(map(_plain, text.split("\n"))))
    level = round(LEVELS * abs(weight) / largest) if largest else 0
    if level == 0:
        return shown
    return f'<span {_colour(level, weight > 0)} title="{weight:+.2f} nats">{shown}</span>'


def _colour(level: int, speaks_for: bool) -> str:
    kind = "for" if speaks_for else "against"
    return f'class="{kind}" style="--w:{STRONGEST * level // LEVELS}"'


def _plain(line: str) -> str:
    """Return a line with its spaces as they are and control characters made visible."""
    return " ".join(map(visible, line.replace("\t", " ").split(" ")))


def _legend() -> str:
    levels = [(level, False) for level in range(LEVELS, 0, -2)]
    levels += [(level, True) for level in range(2, LEVELS + 1, 2)]
    cells = "".join(f"<span {_colour(*level)}>&nbsp;&nbsp;</span>" for level in levels)
    return f'<p class="scale">against the label {cells} for the label</p>'
