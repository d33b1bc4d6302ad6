"""The tables of commands and settings in the reference are those of the code."""

import importlib.util
from pathlib import Path

import pytest

from thence.cli.commands import COMMANDS
from thence.models.registry import families

DOCS = Path(__file__).parents[2] / "docs"
spec = importlib.util.spec_from_file_location("build_reference", DOCS / "build_reference.py")
assert spec is not None and spec.loader is not None
build_reference = importlib.util.module_from_spec(spec)
spec.loader.exec_module(build_reference)


@pytest.mark.slow
@pytest.mark.parametrize("path", build_reference.PAGES, ids=lambda path: path.name)
def test_tables_are_up_to_date(path: Path) -> None:
    page = path.read_text("utf-8")
    assert build_reference.updated(page) == page, "run: make reference"


@pytest.mark.parametrize("host", ["https://github.com", "https://colab.research.google.com/github"])
def test_the_address_of_the_repository_stands_in_one_place(host: str) -> None:
    updated = build_reference.updated(f"[a]({host}/old-owner/old.name/blob/main/a.md)")
    assert updated == f"[a]({host}/thence/thence/blob/main/a.md)"


def test_every_public_function_has_a_row() -> None:
    page = (DOCS / "reference" / "python.md").read_text("utf-8")
    functions = dict(build_reference.public_functions())
    assert len(functions) > 20
    assert [name for name in functions if f"| `thence.{name}` |" not in page] == []


def test_help_speaks_of_files_and_flags_not_of_python() -> None:
    page = (DOCS / "reference" / "commands.md").read_text("utf-8")
    flags = [line for line in page.splitlines() if line.startswith("| `--")]
    assert len(flags) > 150
    python = ("themselves", "in memory", "available has", "LabelledDocuments")
    assert [line for line in flags if any(words in line for words in python)] == []


def test_every_command_and_model_has_its_table() -> None:
    commands = (DOCS / "reference" / "commands.md").read_text("utf-8")
    names = [name for name in COMMANDS if not name.startswith("data ")]
    named = [f"<!-- flags of {name} -->" in commands for name in names]
    assert all(named)
    settings = (DOCS / "reference" / "settings.md").read_text("utf-8")
    made_from_text = [
        one
        for task in ("language", "labels")
        for one in families(task).values()
        if one.method != "combine"
    ]
    assert all(
        f"<!-- settings of {one.name} -->" in settings
        for one in made_from_text
        if one.name not in ("rnn", "gru")
    )
