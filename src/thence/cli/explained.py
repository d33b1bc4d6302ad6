"""An explanation for a person at a terminal: words in colours by how much they weigh."""

from io import StringIO

from rich.color import Color
from rich.style import Style
from rich.text import Text

from thence.evaluation import Explanation
from thence.printable import printable, printable_line
from thence.terminal import SafeConsole

FOR, AGAINST = (0, 158, 115), (213, 94, 0)
"""Bluish green and vermilion, which are told apart with any colour vision (M. Okabe, K. Ito)."""
FAINTEST = 0.1
"""Share of the largest weight below which a word has no colour."""
STRONG = 0.5
"""Share of the largest weight above which a word is bold."""
MANY_COLOURS = ("256", "truecolor")


def explained(explanation: Explanation) -> str:
    """Return a line with the label, and the text: the stronger the colour, the larger the weight.

    What speaks against the label is underlined too, for terminals and eyes without colour.
    """
    drawn = StringIO()
    console = SafeConsole(file=drawn, force_terminal=True, highlight=False)
    label = printable_line(explanation.label)
    text = Text(f"{label}  {explanation.probability:.4f}\n", Style(bold=True))
    for piece, weight in explanation.pieces():
        share = weight / explanation.largest if explanation.largest else 0.0
        text.append(printable(piece), _style(share, console.color_system in MANY_COLOURS))
    console.print(text, soft_wrap=True, end="")
    return drawn.getvalue()


def _style(share: float, many_colours: bool) -> Style:
    """Return the style of a word by its share of the largest weight, -1 to 1."""
    strength, against = abs(share), share < 0
    if strength < FAINTEST:
        return Style(bold=False)
    if not many_colours:
        named = "red" if against else "green"
        return Style(color=named, underline=against, bold=strength > STRONG)
    red, green, blue = (255 - strength * (255 - part) for part in (AGAINST if against else FOR))
    background = Color.from_rgb(red, green, blue)
    return Style(color="black", bgcolor=background, underline=against, bold=strength > STRONG)
