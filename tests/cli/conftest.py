"""The command line run in this process, in an empty folder, on a tiny text and two tiny runs."""

import io
import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any, NoReturn

import pytest
import torch

from thence.cli.main import main
from thence.training import train

LINES = ["".join(letters) for letters in product("abcde", "xyz", "abcdexy")]
SMALL = {"hidden_size": 8, "embedding_size": 3, "context": 2, "batch_size": 16, "steps": 20}


@dataclass(frozen=True)
class Outcome:
    """What a command did."""

    code: int
    out: str
    err: str

    def json(self) -> Any:
        """Read standard output as one line of JSON in the strict sense: no NaN, no Infinity."""
        assert self.out.endswith("\n") and self.out.count("\n") == 1
        return strict_json(self.out)


def strict_json(text: str) -> Any:
    def refuse(name: str) -> NoReturn:
        raise ValueError(f"{name} is not JSON")

    return json.loads(text, parse_constant=refuse)


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder that the test runs in."""
    path = tmp_path / "here"
    path.mkdir()
    monkeypatch.chdir(path)
    return path


@pytest.fixture
def thence(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Outcome]:
    """Run a command in this process."""

    def run(*arguments: object, stdin: str = "") -> Outcome:
        typed = io.TextIOWrapper(io.BytesIO(stdin.encode()), encoding="utf-8")
        monkeypatch.setattr(sys, "stdin", typed)
        capsys.readouterr()
        code: object = 0
        try:
            main([str(argument) for argument in arguments])
        except SystemExit as stop:
            code = stop.code
        captured = capsys.readouterr()
        assert isinstance(code, int)
        return Outcome(code, captured.out, captured.err)

    return run


@dataclass(frozen=True)
class Trained:
    """A text of 105 lines and two runs on it."""

    text: Path
    mlp: Path
    counts: Path


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """Train the two tiny runs; nobody may change them."""
    folder = tmp_path_factory.mktemp("trained")
    text = folder / "text.txt"
    text.write_text("\n".join(LINES) + "\n")
    mlp = train(text, output=folder / "mlp", **SMALL).folder
    counts = train(text, "bigram-counts", output=folder / "counts").folder
    return Trained(text, mlp, counts)


@pytest.fixture
def small() -> list[str]:
    """The flags of a tiny training without a report."""
    flags = [f"--{name.replace('_', '-')}={value}" for name, value in SMALL.items()]
    return [*flags, "--no-report"]
