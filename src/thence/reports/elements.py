"""Escaping and elements: the one place where text becomes HTML."""

import html
import unicodedata

from thence.reports.formatting import visible

KEPT = "\n\u200c\u200d"
"""Line ends, and the joiners that Persian, Indic scripts and emoji need."""


def escaped(text: str) -> str:
    r"""Return text escaped for HTML, control characters other than line ends made visible.

    >>> escaped("a <b>\n\x07")
    'a &lt;b&gt;\nU+0007'
    """
    if not text.isprintable():
        text = "".join(char if _is_shown(char) else visible(char) for char in text)
    return html.escape(text)


def _is_shown(char: str) -> bool:
    return char.isprintable() or char in KEPT or unicodedata.category(char) == "Zs"


def element(name: str, attributes: str, inner: str) -> str:
    """Return an HTML element; ``attributes`` and ``inner`` are HTML already."""
    opening = f"{name} {attributes}" if attributes else name
    return f"<{opening}>{inner}</{name}>"
