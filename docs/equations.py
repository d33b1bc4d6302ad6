r"""Equations typeset when the documentation is built: TeX becomes MathML, which browsers draw.

An extension of Python-Markdown. Block equations stand in a fence of ``math``, as GitHub shows them
too, with one equation or a list of lines; inline ones between ``$`` and backticks::

    ```math
    h_t = \tanh(W x_t + U h_{t-1} + b)
    ```
    where $`h_t`$ is the state

Nothing is loaded when a page is read: no script, no font.
"""

import re
from typing import Any
from xml.etree.ElementTree import Element

from latex2mathml.converter import convert
from markdown import Extension, Markdown
from markdown.inlinepatterns import InlineProcessor
from markdown.preprocessors import Preprocessor

FENCE = re.compile(r"^```math\n(.*?)^```$", re.M | re.S)
INLINE = r"\$`(.+?)`\$"


def typeset(tex: str, block: bool) -> str:
    """Return TeX as MathML; a reader who copies it, or hears it read, gets the TeX as well."""
    made = convert(tex, display="block" if block else "inline")
    return made.replace("<math ", f'<math aria-label="{_escaped(tex)}" ', 1)


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace('"', "&quot;").replace("<", "&lt;")


class _Blocks(Preprocessor):
    """Replaces fences of ``math`` before other fences are looked for."""

    def run(self, lines: list[str]) -> list[str]:
        def block(found: re.Match[str]) -> str:
            rows = [row.strip() for row in found[1].strip().split("\n")]
            shown = rows[0] if len(rows) == 1 else r"\begin{align*}" + r"\\".join(rows)
            shown += r"\end{align*}" if len(rows) > 1 else ""
            html = f'<div class="equation" tabindex="0">{typeset(shown, True)}</div>'
            return f"\n{self.md.htmlStash.store(html)}\n"

        return FENCE.sub(block, "\n".join(lines)).split("\n")


class _Inline(InlineProcessor):
    """Replaces what stands between ``$`` and backticks."""

    def handleMatch(  # noqa: N802 (the name that Python-Markdown asks for)
        self, found: re.Match[str], data: str
    ) -> tuple[Element | str, int, int]:
        return self.md.htmlStash.store(typeset(found[1], False)), found.start(0), found.end(0)


class Equations(Extension):
    """Registers both."""

    def extendMarkdown(self, md: Markdown) -> None:  # noqa: N802
        """Put them before what would take the backticks for code."""
        md.preprocessors.register(_Blocks(md), "equation-blocks", 28)
        md.inlinePatterns.register(_Inline(INLINE, md), "equations", 200)


def makeExtension(**settings: Any) -> Equations:  # noqa: N802
    """Return the extension, by the name that Python-Markdown asks for."""
    return Equations(**settings)
