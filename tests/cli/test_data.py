import shutil
from hashlib import sha256
from pathlib import Path

import pytest

from thence.corpus import BUNDLED, CATALOGUE
from thence.corpus.catalogue import DataFile, Dataset, Remote, copy

CONTENT = b"anna\nbert\n" * 20
URL = "https://example.invalid/tiny.txt"


@pytest.fixture(autouse=True)
def tiny(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    """A set of the catalogue that no network serves."""
    checksum = sha256(CONTENT).hexdigest()
    file = DataFile(
        "tiny.txt",
        "all",
        Remote(URL, len(CONTENT), checksum),
        copy,
        len(CONTENT),
        checksum,
        "tiny/tiny.txt",
    )
    monkeypatch.setitem(CATALOGUE, "tiny", Dataset("two names", "public domain", "us", (file,)))
    monkeypatch.delenv("THENCE_DATA", raising=False)


def test_list_names_every_text(thence):
    outcome = thence("data", "list")
    assert (outcome.code, outcome.err) == (0, "")
    lines = outcome.out.splitlines()
    for name in (*BUNDLED, *CATALOGUE):
        assert any(line.split()[:1] == [name] for line in lines)
    assert lines == [line.rstrip() for line in lines]


def test_list_as_json(thence):
    entries = {entry["name"]: entry for entry in thence("data", "list", "--json").json()}
    assert list(entries) == [*BUNDLED, *CATALOGUE]
    assert entries["given-names"]["where"] == "bundled"
    assert entries["tiny"] == {
        "name": "tiny",
        "where": "thence data get",
        "description": "two names",
        "licence": "public domain",
        "origin": "us",
        "files": [
            {
                "name": "tiny.txt",
                "role": "all",
                "url": URL,
                "size": len(CONTENT),
                "sha256": sha256(CONTENT).hexdigest(),
            }
        ],
    }


@pytest.mark.parametrize("source", ["copy", "copy/tiny.txt"])
def test_get_from_a_good_copy(thence, folder, home, source):
    (folder / "copy").mkdir()
    (folder / "copy" / "tiny.txt").write_bytes(CONTENT)
    outcome = thence("data", "get", "tiny", "--from", source)
    assert (outcome.code, outcome.err) == (0, "")
    assert outcome.out == f"{home / 'data' / 'tiny'}\n"
    assert (home / "data" / "tiny" / "tiny.txt").read_bytes() == CONTENT

    shutil.rmtree(folder / "copy")
    assert thence("data", "get", "tiny").out == outcome.out
    flags = ["--model", "bigram-counts", "--no-report", "--json"]
    assert thence("train", "tiny", *flags).json()["run"] == "runs/tiny-bigram-counts"


def test_get_from_a_wrong_copy_keeps_nothing(thence, folder, home):
    (folder / "tiny.txt").write_bytes(CONTENT.replace(b"a", b"e"))
    outcome = thence("data", "get", "tiny", "--from", folder)
    assert (outcome.code, outcome.out) == (2, "")
    assert outcome.err == (
        f"thence: {folder} holds none of the files of tiny with the right content; "
        "looked for tiny/tiny.txt or the original download.\n"
    )
    assert not (home / "data").exists()


def test_get_of_a_bundled_text_says_that_it_is_there(thence):
    outcome = thence("data", "get", "cities")
    assert (outcome.code, outcome.out) == (2, "")
    assert outcome.err == (
        "thence: 'cities' comes with thence, so there is nothing to fetch; give its name in place "
        "of a file, as in: thence train cities\n"
    )


def test_get_of_an_unknown_name_suggests_one(thence):
    assert "Did you mean 'tiny'?" in thence("data", "get", "tinny").err
