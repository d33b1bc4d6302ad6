"""What a page shows of a command's output against what comes out, and how to bring it up to date.

The words must be the same, and so must the lines. Numbers may differ by one in the last digit that
is shown, or by 0.02 %, which is what sums in another order come to. Where more is right, since a
network was trained, a comment above the block says how much and why:

    <!-- numbers within 2 %: trained, which differs a little between processors -->
    <!-- only the lines: drawn from a trained network -->

The percentage is of the number or of 1, whatever is larger. With *only the lines*, lines of up to
three words may be others, but not more or fewer. ``...`` stands for any lines, or within a line for
any part of it. Lines of JSON may be broken and indented as suits the page, and their numbers cut
short. How long bars and rules are does not matter.
"""

import difflib
import re
from collections.abc import Iterator
from dataclasses import dataclass

NUMBER = r"(?<![\w.])[-+]?\d+(?:,\d{3})*(?:\.\d+)?(?:e[-+]?\d+)?(?!\w)"
PIECE = re.compile(
    rf"(?P<lines>^\.\.\.\n)|(?P<some>\.\.\.)|(?P<bar> *[█▏▎▍▌▋▊▉]+)|(?P<rule>─+)"
    rf"|(?P<number>{NUMBER})|(?P<blanks> +)|(?P<newline>\n)"
)
CLOSE = 2e-4
"""Share of a number by which it may differ where nothing else is said."""
FEW_WORDS = 3


@dataclass(frozen=True)
class Tolerance:
    """How far an output may be from what is shown.

    Attributes:
        share: By what part of itself, or of 1, a number may differ.
        only_lines: Whether lines of a few words may be others.
    """

    share: float = 0.0
    only_lines: bool = False


def tolerance_of(comment: str) -> Tolerance:
    """Read the comment above a block; an unknown one asks for nothing."""
    percent = re.search(r"numbers within ([\d.]+) %: \S", comment)
    only_lines = re.search(r"only the lines: \S", comment) is not None
    return Tolerance(float(percent[1]) / 100 if percent else 0.0, only_lines)


def problem(
    shown: str, actual: str, allowed: Tolerance = Tolerance(), wraps: bool = False
) -> str | None:
    """Return what is wrong with what a page shows, or None.

    Args:
        shown: The lines of the page.
        actual: What came out.
        allowed: How far they may be apart.
        wraps: Whether lines may be broken elsewhere.
    """
    shown, actual = tidied(shown), tidied(actual)
    found = re.fullmatch(pattern(shown, allowed, wraps or shown.startswith("{")), actual)
    if found is None:
        lines = difflib.ndiff(shown.splitlines(), actual.splitlines())
        return "other lines (- the page, + what comes out):\n" + "\n".join(lines)
    for wanted, came in numbers(shown, found, allowed):
        if not is_near(wanted, came, allowed):
            return f"the page shows {wanted}, but {came} comes out, in:\n{actual}"
    return None


def tidied(text: str) -> str:
    """Return a text without blanks at the ends of lines, each line with its end."""
    lines = [line.rstrip() for line in text.splitlines()]
    while lines and not lines[-1]:
        lines.pop()
    return "".join(f"{line}\n" for line in lines)


def pattern(shown: str, allowed: Tolerance, wraps: bool) -> str:
    """Return the regular expression of all outputs that agree with this but for numbers."""
    parts = []
    for line in shown.splitlines(keepends=True):
        if allowed.only_lines and line.strip() != "..." and len(line.split()) <= FEW_WORDS:
            parts.append(r"[^\n]*\n")
        else:
            parts.append(line_pattern(line, wraps))
    return "".join(parts)


def line_pattern(line: str, wraps: bool) -> str:
    blank = r"\s*" if wraps else " +"
    kinds = {
        "lines": r"(?:[^\n]*\n)*?",
        "some": r"[^\n]*?",
        "bar": r" *[█▏▎▍▌▋▊▉]*",
        "rule": "─+",
        "number": f"({NUMBER})",
        "blanks": blank,
        "newline": r"\s*" if wraps else r" *\n",
    }
    parts, at = [], 0
    for piece in PIECE.finditer(line):
        parts += [re.escape(line[at : piece.start()]), kinds[str(piece.lastgroup)]]
        at = piece.end()
    return "".join([*parts, re.escape(line[at:])])


def numbers(shown: str, found: re.Match[str], allowed: Tolerance) -> Iterator[tuple[str, str]]:
    """Yield each number that is shown with the one that came out."""
    wanted = (
        number[0]
        for line in shown.splitlines()
        if not (allowed.only_lines and len(line.split()) <= FEW_WORDS)
        for number in PIECE.finditer(line)
        if number.lastgroup == "number"
    )
    return zip(wanted, found.groups(), strict=True)


def is_near(shown: str, actual: str, allowed: Tolerance = Tolerance()) -> bool:
    """Whether a number may stand for another."""
    wanted, came = (float(number.replace(",", "")) for number in (shown, actual))
    if "." not in shown and "e" not in shown and not allowed.share:
        return wanted == came
    last_digit = 10.0 ** -len(shown.partition("e")[0].partition(".")[2]) if "e" not in shown else 0
    apart = max(last_digit, CLOSE * abs(wanted), allowed.share * max(1.0, abs(wanted)))
    return abs(wanted - came) <= apart * (1 + 1e-9)


def updated(shown: str, actual: str) -> str | None:
    """Return what the page should show; None if that is for somebody to decide.

    What is shown whole is replaced. Where parts are left out or cut short, numbers alone are, if
    the words are still the same.
    """
    if "..." not in shown and not (
        shown.startswith("{") and shown.count("\n") != actual.count("\n")
    ):
        return tidied(actual)
    shown = tidied(shown)
    exact = Tolerance()
    found = re.fullmatch(pattern(shown, exact, shown.startswith("{")), tidied(actual))
    if found is None:
        return None
    came = iter(found.groups())

    def replaced(piece: re.Match[str]) -> str:
        return cut_short(next(came), piece[0]) if piece.lastgroup == "number" else piece[0]

    return "".join(PIECE.sub(replaced, line) for line in shown.splitlines(keepends=True))


def cut_short(number: str, like: str) -> str:
    """Return a number with as many decimals as another, if it has more."""
    decimals = len(like.partition(".")[2])
    if "e" in number or "e" in like or len(number.partition(".")[2]) <= decimals:
        return number
    return f"{float(number):.{decimals}f}"
