import pytest

from thence.corpus import BUNDLED, ReadingOptions, bundled, read_bundled
from thence.errors import TextError

FILES = [name for name, entry in BUNDLED.items() if entry.file]


@pytest.mark.parametrize("name", FILES)
def test_bundled_texts_are_there(name: str) -> None:
    documents = read_bundled(name)
    assert len(documents) >= 8
    assert all(document.strip() == document for document in documents)


def test_a_table_has_its_text_column_and_others() -> None:
    assert "Oslo" in set(read_bundled("cities"))
    assert "Norway" in set(read_bundled("cities", ReadingOptions(column="country")))


def test_python_docs_is_built(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bundled, "python_docs", lambda: b"one\ntwo\n")
    assert list(read_bundled("python-docs")) == ["one", "two"]


def test_the_encoding_asked_for_is_not_that_of_bundled_texts() -> None:
    read_bundled("given-names", ReadingOptions(encoding="utf-16"))


def test_unknown_name() -> None:
    with pytest.raises(TextError, match=r"'citis' is not a bundled text; .*Did you mean 'cities'"):
        read_bundled("citis")
