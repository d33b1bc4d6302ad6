"""Links in a run from someone else lead nowhere: nothing is written, cleared or read through."""

import os
import shutil
from collections.abc import Callable
from itertools import product
from pathlib import Path

import pytest

from thence.cli.main import main
from thence.errors import RunError
from thence.reports import report
from thence.runs import Run
from thence.sweeps import read_sweep
from thence.sweeps.folder import open_folder
from thence.sweeps.recipe import read_sweep_recipe
from thence.training import resume, train

SMALL = {"hidden_size": 4, "embedding_size": 2, "context": 2, "batch_size": 16, "steps": 4}
FILES = (
    "config.toml",
    "tokenizer.json",
    "model.safetensors",
    "metrics.jsonl",
    "test-looks.jsonl",
    "report.html",
    "best.json",
    "text",
    "last/checkpoint.safetensors",
    ".model.safetensors.new",
)
FOLDERS = ("last", "pictures", "tensorboard", "tensorboard/deep")
COMMANDS = ("evaluate RUN --split test", "resume RUN", "report RUN", "plot RUN", "next RUN ab")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("links")
    text = folder / "text.txt"
    text.write_text("".join(f"{a}{b}{c}\n" for a, b, c in product("abcde", "xyz", "abcdexy")))
    return train(text, output=folder / "run", threads=1, lr=0.05, **SMALL).folder


@pytest.fixture
def run(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "run"))


@pytest.fixture
def outside(tmp_path: Path) -> Callable[[], dict[str, bytes]]:
    """A folder of somebody else, and what is in it."""
    folder = tmp_path / "outside"
    (folder / "folder").mkdir(parents=True)
    (folder / "file").write_bytes(b'{"time": "t", "command": "c"}\nmine, without an end')
    (folder / "folder" / "events.out.tfevents.1").write_bytes(b"mine")
    (folder / "folder" / ".a.tmp").write_bytes(b"mine")
    return lambda: {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def put(run: Path, name: str, target: Path) -> None:
    """Put a link into a run, in the place of what is there."""
    place = run / name
    if place.is_dir():
        shutil.rmtree(place)
    place.unlink(missing_ok=True)
    place.parent.mkdir(exist_ok=True)
    place.symlink_to(target)


@pytest.mark.parametrize("name", [*FILES, *FOLDERS])
def test_a_run_with_a_link_is_refused_by_all_and_nothing_happens(
    run: Path,
    outside: Callable[[], dict[str, bytes]],
    tmp_path: Path,
    name: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    put(run, name, tmp_path / "outside" / ("folder" if name in FOLDERS else "file"))
    before = outside(), sorted(run.rglob("*"))
    for command in COMMANDS:
        with pytest.raises(SystemExit) as end:
            main(command.replace("RUN", str(run)).split())
        assert end.value.code == 2
        assert f"{run / name} is a link" in capsys.readouterr().err, command
    assert (outside(), sorted(run.rglob("*"))) == before


@pytest.mark.parametrize("target", ["/dev/zero", "/etc/passwd", "/nowhere"])
def test_links_to_devices_and_secrets_are_not_read(run: Path, target: str) -> None:
    put(run, "metrics.jsonl", Path(target))
    with pytest.raises(RunError, match="is a link"):
        Run(run)


def test_a_link_that_comes_later_is_not_written_through(
    run: Path, outside: Callable[[], dict[str, bytes]], tmp_path: Path
) -> None:
    opened, before = Run(run), outside()
    for name in ("test-looks.jsonl", "metrics.jsonl", "report.html"):
        put(run, name, tmp_path / "outside" / "file")
    put(run, "pictures", tmp_path / "outside" / "folder")
    for use in (lambda: opened.record_test_look("evaluate"), lambda: opened.test_looks()):
        with pytest.raises(RunError):
            use()
    assert outside() == before


@pytest.mark.slow
@pytest.mark.parametrize("name", ["test-looks.jsonl", "metrics.jsonl", "model.safetensors"])
def test_a_file_with_a_second_name_is_changed_in_a_copy(
    run: Path, tmp_path: Path, name: str
) -> None:
    record = Run(run).record_test_look
    record("evaluate")
    other = tmp_path / "backup"
    other.hardlink_to(run / name)
    before = other.read_bytes()
    assert record("compare") == 2
    shutil.rmtree(run / "last")
    resume(run)
    report(run)
    assert other.read_bytes() == before
    assert len(Run(run).test_looks()) == 2
    assert not list(run.rglob(".*"))


def test_a_pipe_in_the_place_of_a_file_does_not_hang(run: Path) -> None:
    opened = Run(run)
    os.mkfifo(run / "test-looks.jsonl")
    with pytest.raises(RunError, match="is a pipe or a device"):
        opened.record_test_look("evaluate")


def test_the_users_own_link_to_a_run_or_a_text_is_followed(run: Path, tmp_path: Path) -> None:
    (tmp_path / "chosen").symlink_to(run)
    assert Run(tmp_path / "chosen").record_test_look("evaluate") == 1
    assert report(tmp_path / "chosen").read_bytes()
    (tmp_path / "words").symlink_to(run / "config.toml")
    assert train(tmp_path / "words", "ngram", output=tmp_path / "new").finished


@pytest.mark.parametrize("name", ["study.log", "sweep.json", "locks/study", "trial-0000/text"])
def test_a_sweep_with_a_link_is_refused(
    tmp_path: Path, outside: Callable[[], dict[str, bytes]], name: str
) -> None:
    recipe = tmp_path / "sweep.toml"
    recipe.write_text('text = "a"\n[sweep]\ntrials = 1\n[sweep.space]\nhidden_size = [2]\n')
    folder = tmp_path / "sweep"
    for part in ("locks", "trial-0000"):
        (folder / part).mkdir(parents=True)
    put(folder, name, tmp_path / "outside" / "file")
    before = outside()
    with pytest.raises(RunError, match="is a link"):
        read_sweep(folder)
    with pytest.raises(RunError, match="is a link"):
        open_folder(folder, read_sweep_recipe(recipe), False)
    assert outside() == before
