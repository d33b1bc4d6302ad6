"""Formatting of texts, numbers and times for reports, plots and notebooks."""

import math
import re

from thence.tokens import Tokenizer

LINE_BREAK = re.compile(r"<br */?>", re.IGNORECASE)
VISIBLE = str.maketrans({" ": "␣", "\n": "⏎", "\r": "␍", "\t": "⇥"})


def visible(text: str) -> str:
    r"""Return text with spaces and control characters made visible.

    >>> visible("a b\n\x07")
    'a␣b⏎U+0007'
    """
    text = text.translate(VISIBLE)
    return "".join(char if char.isprintable() else code_point(char) for char in text)


def code_point(char: str) -> str:
    """Return the name of a character's code point.

    >>> code_point("é")
    'U+00E9'
    """
    return f"U+{ord(char):04X}"


def short(text: str, length: int = 60) -> str:
    """Return text truncated in the middle to ``length``, so that its end stays readable.

    >>> short("a long name", 7)
    'a l…ame'
    """
    if len(text) <= length:
        return text
    return f"{text[: length // 2]}…{text[len(text) - (length - 1) // 2 :]}"


def without_breaks(text: str, instead: str = " ") -> str:
    """Return text with ``<br>`` tags, as texts from the web have them, replaced.

    >>> without_breaks("One.<br /><br>Two.")
    'One.  Two.'
    """
    return LINE_BREAK.sub(instead, text)


def symbol_text(tokenizer: Tokenizer, index: int) -> str:
    """Return the text of one token, or its name if it is special or not valid UTF-8."""
    vocabulary = tokenizer.vocabulary
    name = vocabulary.names()[index] if index >= len(vocabulary.symbols) else ""
    text = "" if index == vocabulary.unknown_id else tokenizer.decode([index])
    return text if text and "\ufffd" not in text else name or vocabulary.symbols[index]


def number(value: float | None) -> str:
    """Return a number for a table, with about four significant digits; a dash for None.

    >>> number(2.456789), number(1234567), number(None), number(float("inf"))
    ('2.4568', '1,234,567', '–', '∞')
    """
    if value is None:
        return "–"
    if math.isinf(value):
        return "∞"
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:.4f}" if 0.01 <= abs(value) < 1e4 or value == 0 else f"{value:.3g}"


def date_and_time(time: str) -> str:
    """Return an ISO 8601 time in UTC in a readable form.

    >>> date_and_time("2026-11-25T18:30:28+00:00")
    '2026-11-25 18:30:28 UTC'
    """
    return time.replace("T", " ").replace("+00:00", " UTC")


def duration(seconds: float) -> str:
    """Return a duration in seconds, minutes or hours, whichever is readable.

    >>> duration(0.25), duration(72), duration(5400)
    ('0.2 s', '72 s', '1 h 30 min')
    """
    if seconds < 10:
        return f"{seconds:.1f} s"
    if seconds < 120:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"
