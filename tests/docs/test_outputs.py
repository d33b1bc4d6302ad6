"""How an output is compared with what a page shows of it, and written anew."""

import pytest

from .outputs import Tolerance, problem, tolerance_of, updated
from .pages import blocks_of, commands_of, printed_of

LOOSE = Tolerance(share=0.02)


@pytest.mark.parametrize(
    ("shown", "actual"),
    [
        ("nats  2.5079 (2.48 to 2.53)", "nats  2.5080 (2.48 to 2.53)"),
        ("  a  0.1054 ████\n ─────", "  a  0.1055 █████\n ───"),
        ("a    1\nb", "a 1  \nb\n\n"),
        ("...\nnats 2.1\n...\nend 3", "x 4\nnats 2.1\ny\nz\nend 3"),
        ("...\nnats 2.1\n...", "nats 2.1"),
        ('{"a": -17.698, ...}', '{"a": -17.69812, "b": [1, 2]}'),
        ('{"a": 1, "b": [\n  {"c": 2.50}]}', '{"a": 1, "b": [{"c": 2.5012}]}'),
        ("order 5 of order5: 68,619", "order 5 of order5: 68,619"),
    ],
)
def test_what_agrees(shown: str, actual: str) -> None:
    assert problem(shown, actual) is None


@pytest.mark.parametrize(
    ("shown", "actual", "said"),
    [
        ("nats 2.5079", "nats 2.5089", "the page shows 2.5079, but 2.5089 comes out"),
        ("documents 1,351", "documents 1,352", "1,351"),
        ("+0.0283", "-0.0283", "+0.0283"),
        ("a 1\nb 2", "a 1", "- b 2"),
        ("a 1", "a 1\nb 2", "+ b 2"),
        ("a 1", "c 1", "other lines"),
        ("order5 1", "order4 1", "other lines"),
        ('{"a": 1}', '{"a": 1, "b": 2}', "other lines"),
        ("...\nnats 2.1\nend 3", "nats 2.1\ny\nend 3", "other lines"),
    ],
)
def test_what_does_not_agree(shown: str, actual: str, said: str) -> None:
    assert said in str(problem(shown, actual))


def test_trained_networks_may_differ_more() -> None:
    assert tolerance_of("<!-- numbers within 2 %: trained -->") == LOOSE
    assert problem("nats 2.50, of 237: 0.001", "nats 2.54, of 240: 0.015", LOOSE) is None
    assert problem("nats 2.50", "nats 2.56", LOOSE) is not None
    assert tolerance_of("<!-- numbers within 2 % -->") == Tolerance()  # It does not say why.


def test_drawn_texts_may_be_others() -> None:
    lines = tolerance_of("<!-- only the lines: drawn -->")
    shown = "Nite\nFobini\n0 of 2 are copies of train documents."
    assert problem(shown, shown.replace("Nite", "Anob"), lines) is None
    assert problem(shown, shown.replace("Nite\n", ""), lines) is not None
    assert problem(shown, shown.replace("copies", "parts"), lines) is not None


def test_what_pages_show_is_brought_up_to_date() -> None:
    assert updated("a 1\n", "b 2\nc\n") == "b 2\nc\n"
    assert updated("...\nnats 2.1\n...\n", "x 4\nnats 3.5\ny\n") == "...\nnats 3.5\n...\n"
    assert updated("...\nnats 2.1\n", "loss 3.5\n") is None
    assert updated('{"a": -17.698, ...}\n', '{"a": -16.12345, "b": 1}\n') == '{"a": -16.123, ...}\n'


def test_blocks_and_commands_are_found() -> None:
    text = (
        "Text\n\n```console\n$ thence train a \\\n    --lr 1\nresult\n$ ls\n"
        "$ cat <<END\n> a\n>\n> END\n```\n"
        "\n1. In a list\n\n   ```python\n   print(1)\n   ```\n\n"
        "<!-- not run: takes an hour -->\n```console\n$ thence train b\n```\n```toml\na = 1\n```\n"
    )
    first, second, third = blocks_of(text)
    assert (first.kind, first.line, first.skipped) == ("console", 4, False)
    one, two, three = commands_of(first.body)
    assert (one.text, one.shown, one.shown_line) == ("thence train a \\\n    --lr 1", "result\n", 2)
    assert (two.text, two.shown) == ("ls", "")
    assert three.text == "cat <<END\na\n\nEND"
    assert (second.kind, second.body, second.indent) == ("python", "print(1)", "   ")
    assert third.skipped
    needs, has = (
        blocks_of("<!-- needs nothing_of_that_name -->\n```python\na\n```\n"),
        blocks_of("<!-- needs json -->\n```python\na\n```\n"),
    )
    assert needs[0].skipped and not has[0].skipped


def test_what_python_prints_is_found() -> None:
    code = "# Prose.\nprint(a)\n# 1\n# 2\nb = 3\n# More prose.\nprint(b)\n# 3"
    assert printed_of(code) == [2, 3, 7]
