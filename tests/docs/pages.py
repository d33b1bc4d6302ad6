"""The pages of the documentation, their blocks, and the commands in them."""

import re
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md"))]
BLOCK = re.compile(
    r"(?P<comment>(?:^ *<!--[^\n]*-->\s*\n)*)^(?P<indent> *)```(?P<kind>console|python)[^\n]*\n"
    r"(?P<body>.*?)^(?P=indent)```",
    re.MULTILINE | re.DOTALL,
)


@dataclass(frozen=True)
class Block:
    """A fenced block of a page.

    Attributes:
        kind: ``console`` or ``python``.
        body: What is between the fences, without its indentation.
        line: Number of its first line in the page.
        comment: The comments right above it.
        indent: What stands before each of its lines.
    """

    kind: str
    body: str
    line: int
    comment: str = ""
    indent: str = ""

    @property
    def skipped(self) -> bool:
        """Whether the page says not to run it, or it needs a library that is missing here."""
        needed = re.search(r"<!-- needs (\w+)", self.comment)
        missing = needed is not None and find_spec(needed[1]) is None
        return missing or "<!-- not run" in self.comment


@dataclass(frozen=True)
class Command:
    """A command of a console block.

    Attributes:
        text: What is typed, without the ``$``.
        shown: The lines below it, as on the page; empty if nothing is shown.
        line: Number of its first line in the block, from 0.
        shown_line: Number of the first line that is shown.
    """

    text: str
    shown: str
    line: int
    shown_line: int


def name_of(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def blocks_of(text: str) -> list[Block]:
    found = []
    for match in BLOCK.finditer(text):
        indent = match["indent"]
        lines = [line.removeprefix(indent) for line in match["body"].splitlines()]
        line = text.count("\n", 0, match.start("body")) + 1
        found.append(Block(match["kind"], "\n".join(lines), line, match["comment"], indent))
    return found


def commands_of(body: str) -> list[Command]:
    """Return what stands after each ``$``, with the lines that a backslash or ``>`` continues."""
    typed: list[list[str]] = []
    shown: list[list[str]] = []
    places: list[tuple[int, int]] = []
    continued = False
    for number, line in enumerate(body.splitlines()):
        if line.startswith("$ "):
            typed.append([line[2:]])
            shown.append([])
            places.append((number, number + 1))
        elif typed and (continued or line.startswith("> ") or line == ">"):
            typed[-1].append(line.removeprefix(">").removeprefix(" ") if not continued else line)
            places[-1] = (places[-1][0], number + 1)
        elif typed:
            shown[-1].append(line)
        continued = line.endswith("\\") and bool(typed) and not shown[-1]
    return [
        Command("\n".join(words), "".join(f"{line}\n" for line in lines), *place)
        for words, lines, place in zip(typed, shown, places, strict=True)
    ]


def printed_of(code: str) -> list[int]:
    """Return the lines of a Python block, from 0, that say in comments what it prints.

    They are comments at the beginning of a line that follow a ``print`` or another of them.
    """
    marks: list[int] = []
    lines = code.splitlines()
    for number, line in enumerate(lines):
        follows = number > 0 and ("print(" in lines[number - 1] or number - 1 in marks)
        if line.startswith("# ") and follows:
            marks.append(number)
    return marks
