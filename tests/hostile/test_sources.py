"""Texts, recipes and other files that never end, are no files, or are made to keep us busy."""

import gzip
import os
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from thence.corpus import opening, read_documents
from thence.errors import TextError

pytestmark = pytest.mark.slow

Refused = Callable[..., str]


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder to work in with a text, a folder that holds a pipe, and a socket."""
    monkeypatch.chdir(tmp_path)
    Path("text.txt").write_text("emma\nolivia\n" * 50)
    Path("words.csv").write_text("text,label\n" + "emma,a\nolivia,b\n" * 20)
    Path("with-pipe", "below").mkdir(parents=True)
    Path("with-pipe", "a.txt").write_text("emma\n")
    os.mkfifo("with-pipe/below/b.txt")
    Path("with-device").mkdir()
    Path("with-device", "a.txt").symlink_to("/dev/zero")
    os.mkfifo("pipe.txt")
    heard = socket.socket(socket.AF_UNIX)
    heard.bind("socket.txt")  # Relative, since such a name may have a hundred characters only.
    yield tmp_path
    heard.close()


AVERAGING = ("--model", "averaging", "--label", "label")
TEXTS = ("/dev/zero", "/dev/random", "/dev/full", "socket.txt", "with-pipe", "with-device")


@pytest.mark.parametrize("text", TEXTS)
def test_texts_without_end_are_refused_by_every_command(
    sound: Path, place: Path, refused: Refused, text: str
) -> None:
    mlp, labels = sound / "mlp", sound / "linear"
    for command in (
        ("train", text, "-o", "new"),
        ("train", text, "--label", "label", "-o", "new"),
        ("train", "text.txt", "--dev", text, "-o", "new"),
        ("train", "text.txt", "--test", text, "-o", "new"),
        ("best", text, "--time", "10s", "-o", "new"),
        ("find-lr", text),
        ("evaluate", mlp, text),
        ("evaluate", labels, text),
        ("compare", mlp, mlp, "--text", text),
        ("score", mlp, text),
        ("classify", labels, text),
    ):
        said = refused(*command)
        assert any(kind in said for kind in ("a device", "a pipe", "a socket")), said
    assert not Path("new").exists()


@pytest.mark.parametrize("file", ["/dev/zero", "/dev/full", "socket.txt", "with-pipe"])
def test_other_files_without_end_are_refused(place: Path, refused: Refused, file: str) -> None:
    kind = {"socket.txt": "a socket", "with-pipe": "a folder"}.get(file, "a device")
    for command in (
        ("train", "text.txt", "--config", file, "-o", "new"),
        ("sweep", file, "--output", "new"),
        ("import", file, "-o", "new"),
        ("train", "words.csv", *AVERAGING, "--vectors", file, "-o", "new"),
    ):
        assert kind in refused(*command)
    assert not Path("new").exists()


def test_vectors_and_arpa_from_a_pipe_are_refused_before_they_hang(
    place: Path, refused: Refused
) -> None:
    assert "a pipe" in refused("import", "pipe.txt", "-o", "new")
    command = ("train", "words.csv", *AVERAGING, "--vectors", "pipe.txt", "-o", "new")
    assert "a pipe" in refused(*command)


def test_what_never_ends_stops_where_memory_does(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(opening, "free_memory", lambda: 3 << 20)
    Path("large.txt").write_bytes(b"x" * (3 << 20) + b"y")
    Path("bomb.txt.gz").write_bytes(gzip.compress(bytes(8 << 20)))
    for name in ("large.txt", "bomb.txt.gz"):
        with pytest.raises(TextError, match=f"{name} has more than 0.0 GB, which is more than"):
            read_documents(name)

    class Endless:
        def read(self, size: int) -> bytes:
            return b"y\n" * (size // 2)

    with pytest.raises(TextError, match="standard input has more than"):
        opening.read_to_end(Endless(), "standard input")
    assert len(read_documents("text.txt")) == 100


def test_a_pipe_that_is_named_itself_is_read(place: Path) -> None:
    child = os.fork()
    if child == 0:
        Path("pipe.txt").write_text("emma\nolivia\n")
        os._exit(0)
    assert list(read_documents("pipe.txt")) == ["emma", "olivia"]
    os.waitpid(child, 0)


RECIPES = {
    "deep key": ".".join(["a"] * 50_000) + " = 1\n",
    "deep keys": ("a." * 100 + "b = 1\n") * 500,
    "quoted deep key": ".".join(["'a/b'"] * 20_000) + " = 1\n",
    "deep table": "[" + " . ".join(["a"] * 50_000) + "]\n",
    "many keys": "".join(f"options.a{n} = 1\n" for n in range(50_000)),
    "large": "# comment\n" * 2_000_000,
}


@pytest.mark.parametrize("content", RECIPES.values(), ids=RECIPES)
def test_recipes_that_would_keep_us_busy_are_refused(
    place: Path, sound: Path, refused: Refused, content: str
) -> None:
    Path("recipe.toml").write_text(content)
    said = refused("train", "text.txt", "--config", "recipe.toml", "-o", "new")
    assert "recipe.toml" in said
    run = Path("run")
    run.mkdir()
    (run / "config.toml").write_text(content)
    refused("evaluate", run)
    refused("sweep", "recipe.toml", "--output", "new")


def test_vectors_of_absurd_size_are_refused(place: Path, refused: Refused) -> None:
    Path("vectors.txt").write_text("emma 1e27 1e27\nolivia -1e27 1e27\n")
    command = ("train", "words.csv", *AVERAGING, "--vectors", "vectors.txt", "-o", "new")
    said = refused(*command)
    assert "the vector of 'emma' has a value of 1e+27" in said and "beyond 1e+10" in said


def test_an_arpa_file_of_one_endless_line_is_refused(place: Path, refused: Refused) -> None:
    Path("bomb.arpa.gz").write_bytes(gzip.compress(b"a" * (64 << 20)))
    assert "has a line of more than 1 MiB" in refused("import", "bomb.arpa.gz", "-o", "new")
