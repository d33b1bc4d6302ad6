"""Equations of the documentation become MathML when it is built."""

import re
import sys
from pathlib import Path

import pytest

from .pages import PAGES, ROOT, name_of

pytest.importorskip("latex2mathml")
markdown = pytest.importorskip("markdown")


@pytest.fixture(autouse=True)
def _extension(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [str(ROOT / "docs"), *sys.path])


def built(text: str) -> str:
    return str(markdown.markdown(text, extensions=["equations", "pymdownx.superfences"]))


def test_a_block_of_one_equation_and_one_of_several() -> None:
    made = built("so\n\n```math\nh_t = 1\n```\n\nand\n\n```math\na &= b\nc &= d\n```\n")
    assert made.count('<div class="equation" tabindex="0"><math aria-label="h_t = 1"') == 1
    assert made.count("<mtr>") == 2
    assert "&</mi>" not in made


def test_inline_equations_are_no_code_and_code_is_none() -> None:
    made = built("the state $`h_t < 1`$ of `$x$`")
    assert 'aria-label="h_t &lt; 1"' in made
    assert "<code>$x$</code>" in made


@pytest.mark.parametrize(
    "page", [page for page in PAGES if "math" in page.read_text("utf-8")], ids=name_of
)
def test_every_command_of_an_equation_is_known(page: Path) -> None:
    # What the converter does not know it leaves as it is, with its backslash.
    made = built(page.read_text("utf-8"))
    shown = re.sub(r'aria-label="[^"]*"', "", made)
    for equation in re.findall(r"<math.*?</math>", shown, re.S):
        assert "\\" not in equation
        assert re.search(r"&(?!#?\w+;)", equation) is None
