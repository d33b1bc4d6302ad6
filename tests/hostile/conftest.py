"""Tiny runs of each kind, commands that must refuse what was done to them, and limits on both."""

import json
import re
import shutil
import signal
import struct
import tomllib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from hashlib import sha256
from itertools import product
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import pytest
import tomli_w
import torch

from thence.cli.main import main
from thence.ensembles.mix import mix
from thence.runs import ClassifierRun, Run
from thence.runs.files import load_tensors, save_tensors
from thence.runs.provenance import config_checksum
from thence.training import train

SECONDS = 30
MORE_MEMORY = 2_000_000_000
"""What a command may reserve beyond what this process has; nothing here needs a hundredth."""

LINES = ["".join(letters) for letters in product("abcde", "xyz", "abcdexy")]
SEQUENCES = {"embedding_size": 4, "batch_size": 4, "steps": 4, "carry_context": True}
QUICK: Mapping[str, Mapping[str, Any]] = {
    "ngram": {"order": 3, "carry_context": True},
    "mlp": {"hidden_size": 8, "embedding_size": 3, "context": 2, "batch_size": 16, "steps": 4},
    "lstm": {**SEQUENCES, "hidden_size": 5},
    "transformer": {**SEQUENCES, "heads": 2, "layers": 1, "context": 4},
    "linear": {"buckets": 64},
    "convolution": {"embedding_size": 4, "filters": 3, "batch_size": 8, "steps": 4},
    "averaging": {"embedding_size": 4, "buckets": 64, "batch_size": 8, "steps": 4},
    "fasttext": {"embedding_size": 4, "ngrams": 2, "buckets": 64, "head": "hs"},
}
CLASSIFIERS = ("linear", "convolution", "averaging", "fasttext", "finetuned")
KINDS = (*QUICK, "finetuned", "mixture", "ensemble")
TRAINED = ("mlp", "lstm", "transformer", "convolution", "averaging")


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of runs of every kind, named after their models; nobody may change them."""
    folder = tmp_path_factory.mktemp("sound")
    text, table = folder / "text.txt", folder / "table.csv"
    text.write_text("\n".join(LINES) + "\n")
    rows = [f"{line[0]} {line[1]} {line[2]},{line[1]}" for line in LINES]
    table.write_text("\n".join(["text,label", *rows]) + "\n")
    for model, settings in QUICK.items():
        source, given = (table, {"label": "label"}) if model in CLASSIFIERS else (text, {})
        train(source, model, output=folder / model, threads=1, **given, **settings)
    given = {"label": "label", "start_from": str(folder / "lstm"), "steps": 4, "batch_size": 8}
    train(table, "finetuned", output=folder / "finetuned", threads=1, **given)
    parts = [folder / "ngram", folder / "lstm"]
    mix(parts, folder / "mixture", cache=5, neural_cache=5, dynamic=True)
    mix([folder / name for name in CLASSIFIERS[:3]], folder / "ensemble")
    return folder


@pytest.fixture
def copy_of(sound: Path, tmp_path: Path) -> Callable[..., Path]:
    """Copy a run, to be damaged."""

    def copy(kind: str, name: str | None = None) -> Path:
        return Path(shutil.copytree(sound / kind, tmp_path / (name or kind)))

    return copy


@contextmanager
def limited() -> Iterator[None]:
    """Let what runs take neither long nor much more memory than there is now."""
    resource = pytest.importorskip("resource")

    def late(*arguments: object) -> NoReturn:
        raise AssertionError(f"not done after {SECONDS} seconds")

    status = Path("/proc/self/statm")
    used = int(status.read_text().split()[0]) * resource.getpagesize() if status.exists() else 0
    before = resource.getrlimit(resource.RLIMIT_AS)
    old = signal.signal(signal.SIGALRM, late)
    signal.alarm(SECONDS)
    if used:
        resource.setrlimit(resource.RLIMIT_AS, (used + MORE_MEMORY, before[1]))
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, old)
        resource.setrlimit(resource.RLIMIT_AS, before)


@pytest.fixture
def refused(capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Run a command that must end in one sentence and code 2; return the sentence."""

    def run(*arguments: object) -> str:
        capsys.readouterr()
        with limited(), pytest.raises(SystemExit) as stop:
            main([str(argument) for argument in arguments])
        said = capsys.readouterr().err
        assert stop.value.code == 2, said
        assert said.startswith("thence: ") and said.count("\n") == 1, said
        assert "Traceback" not in said and "enforce fail" not in said, said
        assert len(said) < 2000, said[:3000]
        return said

    return run


@pytest.fixture
def harmless(capsys: pytest.CaptureFixture[str]) -> Callable[..., None]:
    """Run a command that must end well, or in one sentence and code 2."""

    def run(*arguments: object) -> None:
        capsys.readouterr()
        with limited():
            try:
                main([str(argument) for argument in arguments])
            except SystemExit as stop:
                said = capsys.readouterr().err
                assert stop.code == 2, said
                # Evaluations of a training that began are reported before.
                said = "".join(re.findall(r"^(?!new: +\d+%, step ).*\n", said, re.MULTILINE))
                assert said.startswith("thence: ") and said.count("\n") == 1, said

    return run


def texts_for(run: Path) -> Path:
    """Write a few texts beside a run."""
    texts = run.parent / "texts.txt"
    texts.write_text("a x b\nc y d\n")
    return texts


def uses(run: Path) -> list[tuple[object, ...]]:
    """Return the commands that a run of its kind can be used with."""
    common = [("evaluate", run), ("report", run), ("plot", run, "--output", run / "pictures")]
    if isinstance(Run(run), ClassifierRun):
        return [*common, ("classify", run, texts_for(run))]
    texts = texts_for(run)
    return [
        *common,
        ("next", run, "ax"),
        ("sample", run, "-n", "2", "--max-length", "5"),
        ("score", run, texts),
        ("compare", run, run),
        ("mix", run, "--cache", "5", "--output", run.parent / "mixed"),
        ("export", run, run.parent / "exported.arpa"),
    ]


def change_config(run: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """Change a run's config and its checksum, as anyone could; its weights stay the run's."""
    path = run / "config.toml"
    content = tomllib.loads(path.read_text())
    change(content)
    path.write_text(tomli_w.dumps(content))
    seal(run)


def seal(run: Path) -> None:
    """Put the checksum of a config right, and the run's identity into its weights."""
    path = run / "config.toml"
    content = tomllib.loads(path.read_text())
    if isinstance(content.get("provenance"), dict):
        content["provenance"]["checksum"] = config_checksum(content)
        path.write_text(tomli_w.dumps(content))


def claim(run: Path) -> None:
    """Write the identity that a run's config has now into its weights and checkpoint."""
    identity = Run(run).identity
    for name in ("model.safetensors", "last/checkpoint.safetensors"):
        if (run / name).exists():
            tensors, about = load_tensors(run / name)
            save_tensors(run / name, tensors, {**about, "run": identity})


def change_tensors(path: Path, change: Callable[[dict[str, Any], dict[str, Any]], None]) -> None:
    """Change a file of tensors and its checksum, as anyone could."""
    tensors, about = load_tensors(path)
    change(tensors, about)
    save_tensors(path, tensors, about)


def write_raw(path: Path, header: Mapping[str, Any] | bytes, data: bytes = b"") -> None:
    """Write a file in the form of safetensors, whatever its header says."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)


def change_tokenizer(run: Path, content: str) -> None:
    """Put a tokenizer into a run whose config knows its hash."""
    (run / "tokenizer.json").write_text(content)
    digest = sha256(content.encode()).hexdigest()
    change_config(run, lambda config: config["provenance"].update(tokenizer=digest))


def numbers(tensors: Mapping[str, np.ndarray]) -> list[str]:
    """Return the names of the tensors that hold floating-point numbers."""
    return [name for name, value in tensors.items() if value.dtype.kind == "f" and value.size]
