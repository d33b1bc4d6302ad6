"""The tables of commands and settings in the reference are those of the code."""

import importlib.util
from pathlib import Path

import pytest

from thence.cli.main import COMMANDS
from thence.models.registry import families

DOCS = Path(__file__).parents[2] / "docs"
spec = importlib.util.spec_from_file_location("build_reference", DOCS / "build_reference.py")
assert spec is not None and spec.loader is not None
build_reference = importlib.util.module_from_spec(spec)
spec.loader.exec_module(build_reference)


@pytest.mark.parametrize("name", ["commands.md", "settings.md"])
def test_tables_are_up_to_date(name: str) -> None:
    page = (DOCS / "reference" / name).read_text("utf-8")
    assert build_reference.updated(page) == page, "run: make reference"


def test_every_command_and_model_has_its_table() -> None:
    commands = (DOCS / "reference" / "commands.md").read_text("utf-8")
    named = [f"<!-- flags of {name} -->" in commands for name in COMMANDS if name != "data"]
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
