"""Coloured texts at a terminal: the weight of each word for a label, and surprisal.

With ``NO_COLOR`` set, rich leaves the colours out; the strongest words are also underlined.
"""

import math
from collections.abc import Mapping
from io import StringIO
from typing import TYPE_CHECKING, Any

from rich.color import Color
from rich.style import Style
from rich.text import Text

from thence.evaluation.explain import Explanation
from thence.evaluation.metrics import surprisal_scale_end
from thence.printable import printable, printable_line
from thence.results import Score, bar, format_table
from thence.terminal import SafeConsole

if TYPE_CHECKING:
    from thence.inspection import Look

FOR_COLOUR, AGAINST_COLOUR = (0, 158, 115), (213, 94, 0)
"""Bluish green and vermilion, distinguishable with any colour vision (M. Okabe, K. Ito)."""
FAINTEST = 0.1
"""A word gets no colour if its weight is below this fraction of the largest weight."""
STRONG = 0.5
"""A word is bold if its weight is above this fraction of the largest weight."""
MANY_COLOURS = ("256", "truecolor")
END = "■"
"""The symbol that is shown for the end of a text."""


def coloured(explanation: Explanation) -> str:
    """Return the label and the text, each word coloured by its weight for the label.

    Words with a negative weight are also underlined, for terminals and eyes without colour.
    """
    text = Text(f"{printable_line(explanation.label)}  {explanation.probability:.4f}\n", "bold")
    for piece, weight in explanation.pieces():
        share = weight / explanation.largest if explanation.largest else 0.0
        text.append(printable(piece), _style(share, underline=share < 0))
    return _drawn(text)


def coloured_score(score: Score) -> str:
    """Return nats per token and the text, each token coloured by its surprisal."""
    text = Text(f"{_number(score['nats_per_token']):>8}  ", "bold")
    size, separator, _ = score.display
    for place, token in enumerate(score["tokens"]):
        bits, name = token["surprisal_bits"], printable_line(token["token"])
        share = 1.0 if bits is None else min(bits / surprisal_scale_end(size), 1.0)
        is_end = token["special"] and place == len(score["tokens"]) - 1
        text.append(separator if place and not is_end else "")
        style = _style(-share, underline=share > STRONG)
        text.append(f" {END}" if is_end else name, style)
    return _drawn(text)


def coloured_look(found: "Look") -> str:
    """Return the shown part of a text, each token coloured by its surprisal."""
    text, end = Text(), found.shown[0].start if found.shown else 0
    for token in found.shown:
        text.append(printable(found.text[end : token.start]))
        share = min(token.bits / surprisal_scale_end(found.vocabulary_size), 1.0)
        piece = found.text[token.start : token.end]
        text.append(printable(piece), _style(-share, underline=share > STRONG))
        end = token.end
    return _drawn(text)


def described_score(score: Score, tokens: bool = False) -> str:
    """Return a coloured text with its score in numbers, and optionally a table of its tokens.

    Args:
        score: The score, with its tokens.
        tokens: Whether to append the table of tokens.
    """
    chance = score["log_probability"]
    about = "impossible" if chance is None else f"log-probability {chance:.4g}"
    about += f", {score['targets']:,} targets with its end ({END})"
    if score["bits_per_byte"] is not None:
        about += f", {score['bits_per_byte']:.4f} bits per byte"
    lines = [coloured_score(score), _drawn(Text(f"nats per token; {about}", "dim"))]
    if tokens:
        rows = [_token_row(token, score.display[0]) for token in score["tokens"]]
        lines += ["", *map(printable, format_table(["token", "bits", "probability"], rows))]
    return "\n".join(lines)


def _token_row(token: Mapping[str, Any], vocabulary_size: int) -> list[str]:
    bits = math.inf if token["surprisal_bits"] is None else token["surprisal_bits"]
    length = bar(bits / surprisal_scale_end(vocabulary_size))
    return [token["token"], f"{_number(bits)}  {length}".rstrip(), f"{2.0**-bits:.4f}"]


def _number(value: float | None) -> str:
    return "∞" if value is None or math.isinf(value) else f"{value:.4f}"


def _console() -> tuple[SafeConsole, StringIO]:
    """Return a console that draws in colours into a buffer, and the buffer."""
    drawn = StringIO()
    return SafeConsole(file=drawn, force_terminal=True, highlight=False), drawn


def _drawn(text: Text) -> str:
    """Return a text with the ANSI codes of its colours."""
    console, drawn = _console()
    console.print(text, soft_wrap=True, end="")
    return drawn.getvalue()


def _style(share: float, underline: bool) -> Style:
    """Return the style of a word by its share of the largest weight, -1 to 1."""
    strength, against = abs(share), share < 0
    if strength < FAINTEST:
        return Style(bold=False)
    bold = strength > STRONG
    if _console()[0].color_system not in MANY_COLOURS:
        return Style(color="red" if against else "green", underline=underline, bold=bold)
    red, green, blue = (
        255 - strength * (255 - part) for part in (AGAINST_COLOUR if against else FOR_COLOUR)
    )
    background = Color.from_rgb(red, green, blue)
    return Style(color="black", bgcolor=background, underline=underline, bold=bold)
