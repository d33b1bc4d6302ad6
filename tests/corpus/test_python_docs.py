import sysconfig
from pathlib import Path

import pytest

from thence.corpus import bundled as module
from thence.corpus.bundled import is_prose, paragraphs, python_docs
from thence.errors import TextError

SOURCE = '''
"""The module says something about itself here.

    >>> 1 + 1  and this is a test of it
    2

It says it in
    several lines, and twice.
"""
raise RuntimeError("never imported")

async def second():
    """This one comes after the first one.

    It says it in several lines, and twice.
    """

class First:
    """\\dThis class is in the middle of it all."""

    def method(self):
        """Return."""
'''


@pytest.fixture
def library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name, source in {
        "b.py": SOURCE,
        "a/x.py": '"""A package that comes before the module."""',
        "test/y.py": '"""A test that must not be found."""',
        "site-packages/z.py": '"""An installed package that is not ours."""',
        "broken.py": "def (",
        "nul.py": "\0",
        "latin.py": "# coding: latin-1\n'''Caf\xe9s are read by their own coding line.'''",
    }.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(source.encode("latin-1"))
    monkeypatch.setattr(sysconfig, "get_path", lambda _: str(tmp_path))
    return tmp_path


EXPECTED = [
    "A package that comes before the module.",
    "The module says something about itself here.",
    "It says it in several lines, and twice.",
    "This one comes after the first one.",
    "\\dThis class is in the middle of it all.",
    "Cafés are read by their own coding line.",
]


def test_paragraphs_are_prose_once_and_in_order(library: Path) -> None:
    assert paragraphs(library) == EXPECTED


@pytest.mark.parametrize(
    ("paragraph", "expected"),
    [
        ("Return the name of the file that holds it.", True),
        ("Too short a line", False),
        (">>> names = read of the file that holds it", False),
        ("socket(family=AF_INET, type=SOCK_STREAM, proto=0) -> socket object", False),
        ("=== === === === === ===", False),
        ("", False),
    ],
)
def test_prose(paragraph: str, expected: bool) -> None:
    assert is_prose(paragraph) is expected


def test_the_text_is_kept(library: Path, cache: Path) -> None:
    expected = "".join(f"{line}\n" for line in EXPECTED).encode()
    assert python_docs() == expected
    (kept,) = cache.iterdir()
    assert kept.read_bytes() == expected
    for path in library.rglob("*.py"):
        path.unlink()
    assert python_docs() == expected


@pytest.mark.usefixtures("library")
def test_a_cache_that_cannot_be_written_is_done_without(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (cache / "file").touch()
    monkeypatch.setenv("THENCE_HOME", str(cache / "file"))
    assert python_docs().decode().splitlines() == EXPECTED


def test_a_python_without_sources(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module.sysconfig, "get_path", lambda _: str(tmp_path))
    with pytest.raises(TextError, match=r"python-docs cannot be built: .* holds no Python sources"):
        python_docs()


@pytest.mark.slow
def test_the_standard_library_is_a_real_text() -> None:
    lines = python_docs().decode().splitlines()
    assert sum(len(line.split()) for line in lines) > 150_000
    assert len(set(lines)) == len(lines)
