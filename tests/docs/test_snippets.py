"""The documentation is run: its console and Python blocks, file by file, in an empty folder.

What a page shows below a command, or in comments below a ``print``, is compared with what comes
out (see ``outputs.py``); a command with nothing below it is only run. What a command remarks on
standard error may be shown below its output, or not. Where a line that begins with ``thence: `` is
shown, the command is to fail with it. ``make outputs`` writes what comes out into the pages where
they show something else.

A server that a page starts (``thence serve``) runs to the end of the page, on a free port in place
of 8000. A block below a line ``<!-- file: NAME -->`` is a file of that name, and ``pip install
./FOLDER`` installs a package that a page has made so, for that page alone. A block right below a
line ``<!-- not run: why -->`` is left out; one below ``<!-- needs NAME -->`` is run where that
library is installed, which other tools are not by default. Left out are also other commands that
install, and blocks whose text would have to be downloaded, unless the data is on this machine
(THENCE_TEST_DATA).
"""

import importlib
import os
import re
import shlex
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from io import StringIO
from pathlib import Path

import pytest

from thence.cli.main import main
from thence.corpus import CATALOGUE
from thence.models.registry import FAMILIES

from ..processes import COMMANDS, Process, fork_server
from .outputs import Tolerance, problem, tidied, tolerance_of, updated
from .pages import PAGES, ROOT, Block, blocks_of, commands_of, name_of, printed_of

INSTALLING = ("pip", "python", "python3", "git", "make", "source", "cd", "uv", ".venv/bin/pip")
DEVELOPERS = re.compile(r"/root/|/home/\w|/Users/\w|/tmp/|[A-Z]:\\Users")
FILE = re.compile(r"^<!-- file: (?P<name>\S+) -->\n```\w+\n(?P<content>.*?)^```", re.M | re.S)
OWN_PACKAGE = re.compile(r"pip install (\./\S+)")
LINK = re.compile(r"\]\(\s*<?([^)\s>]+)>?[^)]*\)|(?:src|href)=\"([^\"]+)\"")
PASSING = re.compile(r"\S+: +\d+%|Next: |Reading ")
"""Lines on standard error that a terminal shows for a while, or that pages leave out."""
UPDATE = "THENCE_UPDATE_DOCS"
"""Set by ``make outputs``: pages are mended instead of complained about."""


@dataclass
class Findings:
    """What a page shows that does not come out.

    Attributes:
        problems: A sentence each, with the line of the page.
        edits: Lines of the page to replace, as (first, behind the last, new lines), from 0.
    """

    problems: list[str] = field(default_factory=list)
    edits: list[tuple[int, int, list[str]]] = field(default_factory=list)

    def compare(self, place: "Place", shown: str, came: "Came", allowed: Tolerance) -> None:
        """Compare what is shown below a command with what came out."""
        wrong = problem(shown, came.out, allowed)
        if wrong is None:
            return
        if came.remarks:
            wrong = problem(shown, came.out + came.remarks, allowed)
            if wrong is None:
                return
        remarked = came.remarks.partition("\n")[0] in shown
        new = updated(shown, came.out + came.remarks if remarked else came.out)
        self.problems.append(f"line {place.first + 1}, $ {place.what}: {wrong}")
        if new is not None:
            lines = [place.indent + line if line else line for line in new.splitlines()]
            self.edits.append((place.first, place.first + shown.count("\n"), lines))

    def compare_printed(self, block: Block, actual: str, allowed: Tolerance) -> None:
        """Compare the comments that say what a Python block prints with what it printed."""
        marks, lines = printed_of(block.body), block.body.splitlines()
        shown = "".join(f"{lines[mark][2:]}\n" for mark in marks)
        wrong = problem(shown, actual, allowed, wraps=True) if marks else None
        if wrong is None:
            return
        self.problems.append(f"line {block.line}, Python: {wrong}")
        came = tidied(actual).splitlines()
        if len(came) == len(marks):
            for mark, line in zip(marks, came, strict=True):
                at = block.line + mark - 1
                self.edits.append((at, at + 1, [f"{block.indent}# {line}"]))

    def write(self, page: Path) -> None:
        """Mend the page."""
        lines = page.read_text(encoding="utf-8").splitlines()
        for first, end, new in sorted(self.edits, reverse=True):
            lines[first:end] = new
        page.write_text("\n".join(lines) + "\n", encoding="utf-8")


@dataclass(frozen=True)
class Place:
    """Where something is shown: the line of the page, from 0, its indentation, and the command."""

    first: int
    indent: str
    what: str


@dataclass(frozen=True)
class Came:
    """What came out of a command, and what it remarked beside that."""

    out: str
    remarks: str = ""


def came_of(out: str, err: str, fails: bool) -> Came:
    if fails:
        return Came(err)
    lines = [line for line in err.splitlines() if not PASSING.match(line)]
    return Came(out, "".join(f"{line}\n" for line in lines))


def is_plain(command: str) -> bool:
    """Whether a command is thence alone, without pipes, redirections or variables."""
    words = shlex.shlex(command.replace("\\\n", " "), posix=True, punctuation_chars=True)
    words.whitespace_split = True
    return command.startswith("thence ") and not any(set(word) <= set("();<>|&") for word in words)


def run_console(command: str, fails: bool) -> Came:
    """Run a command and return its output; of one that is to fail, what it says."""
    if is_plain(command):
        return run_here(shlex.split(command.replace("\\\n", " ")), fails)
    fork_server()
    path = os.pathsep.join([str(COMMANDS), str(Path(sys.executable).parent), os.environ["PATH"]])
    done = subprocess.run(
        ["bash", "-c", f"set -o pipefail; {command}"],
        capture_output=True,
        text=True,
        env={**os.environ, "PATH": path},
        check=False,
    )
    # 141: the reader of a pipe, such as head, had enough.
    accepted = (2,) if fails else (0, 141)
    assert done.returncode in accepted, f"$ {command}\n{done.stdout}{done.stderr}"
    return came_of(done.stdout, done.stderr, fails)


class Terminal(StringIO):
    """Standard output at a terminal."""

    def isatty(self) -> bool:
        return True


def run_here(words: list[str], fails: bool) -> Came:
    # A page shows the bars that a person gets; a program gets JSON.
    out = Terminal() if words[1:2] == ["next"] else StringIO()
    err, code = StringIO(), 0
    try:
        with redirect_stdout(out), redirect_stderr(err), pytest.MonkeyPatch.context() as patch:
            patch.setenv("NO_COLOR", "1")
            main(words[1:])
    except SystemExit as stop:
        code = stop.code or 0
    assert code == (2 if fails else 0), f"$ {shlex.join(words)}\n{out.getvalue()}{err.getvalue()}"
    return came_of(out.getvalue(), err.getvalue(), fails)


@contextmanager
def server(command: str, port: int) -> Iterator[None]:
    """Start a server; it is there when it has said so, and stopped at the end."""
    with Process("-m", *shlex.split(command), "--port", port) as process:
        try:
            said = process.stderr.readline()
            assert said.startswith("Serving"), f"$ {command}\n{said}"
            yield
        finally:
            process.terminate()


def write_files(page: str) -> None:
    """Write the files that a page shows."""
    for found in FILE.finditer(page):
        path = Path(found["name"])
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(found["content"], encoding="utf-8")


def install(folder: str) -> None:
    """Install a package that was made here, without the network, into ``site-packages`` here."""
    words = ["--no-index", "--no-deps", "--no-build-isolation", "--target", "site-packages", folder]
    subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", *words], check=True)
    importlib.invalidate_caches()


@pytest.fixture
def own_packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let packages that a page installs be found, and forgotten afterwards."""
    place, families, modules = str(tmp_path / "site-packages"), dict(FAMILIES), set(sys.modules)
    monkeypatch.syspath_prepend(place)
    monkeypatch.setenv("PYTHONPATH", place, prepend=os.pathsep)
    yield
    for name in FAMILIES.keys() - families.keys():
        del FAMILIES[name]
    for name in set(sys.modules) - modules:
        module = sys.modules[name]
        is_alias = module.__name__.startswith("thence") and module.__name__ != name
        if is_alias or str(getattr(module, "__file__", "")).startswith(place):
            del sys.modules[name]


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


def run_page(page: Path, at_hand: bool) -> Findings:
    """Run all blocks of a page.

    Args:
        page: The file.
        at_hand: Whether texts that are to be downloaded are on this machine.
    """
    found, names, port = Findings(), {"__name__": "__main__"}, free_port()
    text = page.read_text(encoding="utf-8")
    write_files(text)
    with ExitStack() as servers:
        for block in blocks_of(text):
            if block.skipped or (needs_a_download(block.body) and not at_hand):
                continue
            allowed = tolerance_of(block.comment)
            if block.kind == "python":
                # Line numbers are those of the page.
                code = "\n" * (block.line - 1) + block.body.replace(":8000", f":{port}")
                with redirect_stdout(StringIO()) as printed:
                    exec(compile(code, str(page), "exec"), names)
                found.compare_printed(block, printed.getvalue(), allowed)
                continue
            for command in commands_of(block.body):
                typed = command.text.replace(":8000", f":{port}")
                if typed.startswith("thence serve "):
                    servers.enter_context(server(typed, port))
                elif package := OWN_PACKAGE.fullmatch(typed):
                    install(package[1])
                elif typed.split()[0] not in INSTALLING:
                    came = run_console(typed, command.shown.startswith("thence: "))
                    place = Place(block.line - 1 + command.shown_line, block.indent, typed)
                    if command.shown.strip():
                        came = Came(came.out.replace(f":{port}", ":8000"), came.remarks)
                        found.compare(place, command.shown, came, allowed)
    return found


@pytest.mark.slow
@pytest.mark.usefixtures("own_packages")
@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_what_a_page_shows_comes_out(
    page: Path, shared_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("THENCE_HOME", str(shared_home))
    monkeypatch.chdir(tmp_path)
    if (ROOT / "recipes").exists():
        (tmp_path / "recipes").symlink_to(ROOT / "recipes")
    with data_at_hand(monkeypatch) as at_hand:
        found = run_page(page, at_hand)
    if os.environ.get(UPDATE):
        found.write(page)
    message = "\n\n".join(f"{name_of(page)}, {one}" for one in found.problems)
    assert not found.problems, f"{message}\n\n(make outputs writes what comes out into the pages)"


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_a_page_names_no_developers_machine(page):
    text = page.read_text(encoding="utf-8")
    assert [line for line in text.splitlines() if DEVELOPERS.search(line)] == []


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_of_a_page_lead_somewhere(page):
    text = re.sub(r"^( *)```.*?^\1```", "", page.read_text("utf-8"), flags=re.M | re.S)
    text = re.sub(r"`[^`\n]*`", "", text)
    links = [first or second for first, second in LINK.findall(text)]
    # What is below live/ is made when the pages are built.
    inside = [link for link in links if not re.match(r"[a-z][a-z0-9+.-]*:|#|//|live/", link)]
    assert [link for link in inside if not (page.parent / link.split("#")[0]).exists()] == []
