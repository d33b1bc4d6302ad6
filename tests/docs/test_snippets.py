"""The documentation is run: its console and Python blocks, file by file, in an empty folder.

A server that a page starts (``thence serve``) runs to the end of the page, on a free port in place
of 8000. A block right below a line ``<!-- not run: why -->`` is left out. So are commands that
install, and blocks whose text would have to be downloaded, unless the data is on this machine
(THENCE_TEST_DATA).
"""

import os
import re
import shlex
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, redirect_stdout
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any

import pytest

from thence.commands.main import main
from thence.corpus import CATALOGUE

ROOT = Path(__file__).parents[2]
PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md"))]
BLOCK = re.compile(
    r"(?P<skip><!-- not run[^>]*-->\s*\n)?^(?P<indent> *)```(?P<kind>console|python)[^\n]*\n"
    r"(?P<body>.*?)^(?P=indent)```",
    re.MULTILINE | re.DOTALL,
)
INSTALLING = ("pip", "python", "python3", "git", "make", "source", "cd", "uv", ".venv/bin/pip")
DEVELOPERS = re.compile(r"/root/|/home/\w|/Users/\w|/tmp/|[A-Z]:\\Users")
LINK = re.compile(r"\]\(\s*<?([^)\s>]+)>?[^)]*\)|(?:src|href)=\"([^\"]+)\"")


@dataclass(frozen=True)
class Block:
    """A fenced block of a page.

    Attributes:
        kind: ``console`` or ``python``.
        body: What is between the fences, without its indentation.
        line: Number of its first line in the page.
        skipped: Whether the page says not to run it.
    """

    kind: str
    body: str
    line: int
    skipped: bool


def name_of(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def blocks_of(text: str) -> list[Block]:
    found = []
    for match in BLOCK.finditer(text):
        indent = match["indent"]
        lines = [line.removeprefix(indent) for line in match["body"].splitlines()]
        line = text.count("\n", 0, match.start("body")) + 1
        found.append(Block(match["kind"], "\n".join(lines), line, match["skip"] is not None))
    return found


def commands_of(body: str) -> list[str]:
    """Return what stands after each ``$``, with the lines that a backslash or ``>`` continues."""
    commands: list[str] = []
    continued = False
    for line in body.splitlines():
        if line.startswith("$ "):
            commands.append(line[2:])
        elif continued or line.startswith("> "):
            commands[-1] += "\n" + line.removeprefix("> ")
        continued = bool(commands) and commands[-1].endswith("\\")
    return commands


def test_blocks_and_commands_are_found():
    text = (
        "Text\n\n```console\n$ thence train a \\\n    --lr 1\nresult\n$ ls\n```\n\n"
        "1. In a list\n\n   ```python\n   print(1)\n   ```\n\n"
        "<!-- not run: takes an hour -->\n```console\n$ thence train b\n```\n```toml\na = 1\n```\n"
    )
    first, second, third = blocks_of(text)
    assert (first.kind, first.line, first.skipped) == ("console", 4, False)
    assert commands_of(first.body) == ["thence train a \\\n    --lr 1", "ls"]
    assert (second.kind, second.body) == ("python", "print(1)")
    assert third.skipped


def is_plain(command: str) -> bool:
    """Whether a command is thence alone, without pipes, redirections or variables."""
    words = shlex.shlex(command.replace("\\\n", " "), posix=True, punctuation_chars=True)
    words.whitespace_split = True
    return command.startswith("thence ") and not any(set(word) <= set("();<>|&") for word in words)


def run_console(command: str) -> None:
    if is_plain(command):
        run_here(shlex.split(command.replace("\\\n", " ")))
        return
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-c", f"set -o pipefail; {command}"],
        capture_output=True,
        text=True,
        env={**os.environ, "PATH": path},
        check=False,
    )
    # 141: the reader of a pipe, such as head, had enough.
    assert done.returncode in (0, 141), f"$ {command}\n{done.stdout}{done.stderr}"


def run_here(words: list[str]) -> None:
    out = StringIO()
    try:
        with redirect_stdout(out):
            main(words[1:])
    except SystemExit as stop:
        assert stop.code in (None, 0), f"$ {shlex.join(words)}\n{out.getvalue()}"


@contextmanager
def server(command: str, port: int) -> Iterator[None]:
    """Start a server; it is there when it has said so, and stopped at the end."""
    words = [sys.executable, "-m", "thence", *shlex.split(command)[1:], "--port", str(port)]
    with subprocess.Popen(words, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stderr is not None
            said = process.stderr.readline()
            assert said.startswith("Serving"), f"$ {command}\n{said}"
            yield
        finally:
            process.terminate()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return int(listening.getsockname()[1])


def needs_a_download(code: str) -> bool:
    names = "|".join(map(re.escape, CATALOGUE))
    found = re.search(rf"(?:train|find-lr|get|evaluate \S+|--text|text =) [\"']?({names})\b", code)
    found = found or re.search(rf"(?:train|text=|load)\(?[\"']({names})[\"']", code)
    return found is not None


@contextmanager
def data_at_hand(monkeypatch: pytest.MonkeyPatch) -> Iterator[bool]:
    folder = os.environ.get("THENCE_TEST_DATA")
    if folder:
        monkeypatch.setenv("THENCE_DATA", folder)
    yield folder is not None


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_what_a_page_shows_runs(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    if (ROOT / "recipes").exists():
        (tmp_path / "recipes").symlink_to(ROOT / "recipes")
    names: dict[str, Any] = {"__name__": "__main__"}
    port = free_port()
    text = page.read_text(encoding="utf-8").replace(":8000", f":{port}")
    with data_at_hand(monkeypatch) as at_hand, ExitStack() as servers:
        for block in blocks_of(text):
            if block.skipped or (needs_a_download(block.body) and not at_hand):
                continue
            if block.kind == "python":
                code = "\n" * (block.line - 1) + block.body  # Line numbers are those of the page.
                exec(compile(code, str(page), "exec"), names)
                continue
            for command in commands_of(block.body):
                if command.startswith("thence serve "):
                    servers.enter_context(server(command, port))
                elif command.split()[0] not in INSTALLING:
                    run_console(command)


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_a_page_names_no_developers_machine(page):
    text = page.read_text(encoding="utf-8")
    assert [line for line in text.splitlines() if DEVELOPERS.search(line)] == []


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_of_a_page_lead_somewhere(page):
    text = re.sub(r"^( *)```.*?^\1```", "", page.read_text("utf-8"), flags=re.M | re.S)
    text = re.sub(r"`[^`\n]*`", "", text)
    links = [first or second for first, second in LINK.findall(text)]
    inside = [link for link in links if not re.match(r"[a-z][a-z0-9+.-]*:|#|//", link)]
    assert [link for link in inside if not (page.parent / link.split("#")[0]).exists()] == []
