import gzip
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import pytest

from thence.corpus import BUNDLED, CATALOGUE, ReadingOptions, SplitOptions, load, load_splits
from thence.corpus.catalogue import DataFile, Dataset, Remote, Role, copy
from thence.errors import SettingError, TextError


@pytest.fixture
def texts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two bundled texts of our own."""
    (tmp_path / "given-names.txt").write_text("emma\nolivia\n")
    (tmp_path / "cities.csv").write_text("city,country\nOslo,Norway\n")
    for name in ("given-names", "cities"):
        file = tmp_path / str(BUNDLED[name].file)
        monkeypatch.setitem(BUNDLED, name, replace(BUNDLED[name], file=str(file)))
    return tmp_path


def offer(
    monkeypatch: pytest.MonkeyPatch, folder: Path, parts: dict[Role, str], name: str = "toy"
) -> None:
    files = []
    for role, text in parts.items():
        data = text.encode()
        digest = sha256(data).hexdigest()
        remote = Remote("http://127.0.0.1:9/none", len(data), digest)
        files.append(DataFile(f"{role}.txt", role, remote, copy, len(data), digest, f"{role}.txt"))
        (folder / f"{role}.txt.gz").write_bytes(gzip.compress(data))
    monkeypatch.setitem(CATALOGUE, name, Dataset("a toy", "free", "us", tuple(files)))
    monkeypatch.setenv("THENCE_DATA", str(folder))


def strings(source: str, **options: object) -> list[list[str]]:
    splits = load_splits(source, ReadingOptions(), SplitOptions(**options))  # type: ignore[arg-type]
    return [list(splits.train), list(splits.dev), list(splits.test)]


@pytest.mark.usefixtures("texts")
def test_sources_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    offer(monkeypatch, tmp_path, {"all": "from the catalogue"})
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    assert list(load("toy")) == ["from the catalogue"]
    assert list(load("given-names")) == ["emma", "olivia"]
    assert list(load("cities")) == ["Oslo"]
    Path("given-names").write_text("from a file")
    Path("toy").write_text("from a file")
    assert list(load("given-names")) == ["from a file"]
    assert list(load("toy")) == ["from a file"]
    assert strings("toy", split="50/25/25", by="position") == [["from "], ["a f"], ["ile"]]


@pytest.mark.usefixtures("texts")
def test_options_reach_bundled_texts() -> None:
    assert list(load("cities", ReadingOptions(column="country"))) == ["Norway"]
    with pytest.raises(SettingError, match=r"column 'x' does not fit given-names.txt"):
        load("given-names", ReadingOptions(column="x"))


def test_a_set_with_its_own_splits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    offer(monkeypatch, tmp_path, {"train": "a\nb", "dev": "c", "test": "d"})
    assert list(load("toy")) == ["a", "b"]
    assert strings("toy") == [["a", "b"], ["c"], ["d"]]
    (tmp_path / "mine.txt").write_text("e")
    assert strings("toy", dev=str(tmp_path / "mine.txt")) == [["a", "b"], ["e"], ["d"]]


def test_a_set_without_dev_gives_a_share_of_train(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    offer(monkeypatch, tmp_path, {"train": "a\nb\nc\nd", "test": "e"})
    parts = strings("toy", split="60/20/20", by="position")
    assert parts == [["a", "b", "c"], ["d"], ["e"]]


def test_a_set_without_splits_is_cut(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    offer(monkeypatch, tmp_path, {"all": "a\nb\nc\nd"})
    parts = strings("toy", split="50/25/25", by="position")
    assert parts == [["a", "b"], ["c"], ["d"]]


def test_word_vectors_are_not_a_text() -> None:
    with pytest.raises(TextError, match="glove-6b holds word vectors, not text"):
        load("glove-6b")


@pytest.mark.parametrize(
    ("source", "hint"),
    [("given-nmaes", "given-names"), ("wikitext2", "wikitext-2"), ("corpsu.txt", "corpus.txt")],
)
def test_unknown_sources(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str, hint: str
) -> None:
    (tmp_path / "corpus.txt").touch()
    monkeypatch.chdir(tmp_path)
    message = f"'{source}' is neither a file nor a folder nor a known name .*Did you mean '{hint}'"
    with pytest.raises(TextError, match=message):
        load(source)
    with pytest.raises(TextError, match="is neither a file nor a folder"):
        load_splits(tmp_path / "nowhere" / "x")
