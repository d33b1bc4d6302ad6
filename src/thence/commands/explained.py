"""An explanation for a person at a terminal: words in colours by how much they weigh."""

from io import StringIO

from rich.color import Color
from rich.console import Console
from rich.style import Style
from rich.text import Text

from thence.evaluation import Explanation

FOR, AGAINST = (0, 158, 115), (213, 94, 0)
"""Bluish green and vermilion, which are told apart with any colour vision (M. Okabe, K. Ito)."""
FAINTEST = 0.1
"""Share of the largest weight below which a word has no colour."""


def explained(explanation: Explanation) -> str:
    """Return a line with the label, and the text: the stronger the colour, the larger the weight.

    What speaks against the label is underlined too, for terminals and eyes without colour.
    """
    text = Text()
    text.append(
        f"{_printable(explanation.label)}  {explanation.probability:.4f}\n", Style(bold=True)
    )
    for piece, weight in explanation.pieces():
        share = weight / explanation.largest if explanation.largest else 0.0
        text.append(_printable(piece), _style(share))
    drawn = StringIO()
    console = Console(file=drawn, force_terminal=True, highlight=False)
    console.print(text, soft_wrap=True, end="")
    return drawn.getvalue()


def _style(share: float) -> Style:
    """Return the style of a word by its share of the largest weight, -1 to 1."""
    if abs(share) < FAINTEST:
        return Style()
    strong, base = abs(share), FOR if share > 0 else AGAINST
    mixed = (255 - strong * (255 - part) for part in base)
    return Style(
        color="black", bgcolor=Color.from_rgb(*mixed), underline=share < 0, bold=strong > 0.5
    )


def _printable(text: str) -> str:
    """Return text that cannot command the terminal."""
    return "".join(char if char.isprintable() or char in "\n\t" else "\ufffd" for char in text)
