import os
from pathlib import Path

import numpy as np
import pytest

from thence import locks
from thence.corpus import Documents
from thence.errors import RunError, UnknownSymbolError
from thence.mapped import is_mapped
from thence.tokens import Tokenizer, TokenOptions, TokenStore, make_tokenizer, tokenizer

from .chunks import large

TEXTS = Documents.from_strings(["emma", "", "zoë 😀", "ava mia", ""])
LARGE = large(TEXTS)
LEVELS = [
    TokenOptions(),
    TokenOptions(tokens="bytes"),
    TokenOptions(tokens="words", unknown="bytes", min_count=2),
    TokenOptions(tokens="subwords", max_size=260),
]


def assert_equal(one: TokenStore, other: TokenStore) -> None:
    for name in ("ids", "offsets", "byte_counts", "character_counts", "boundary_id"):
        first, second = np.asarray(getattr(one, name)), np.asarray(getattr(other, name))
        assert first.dtype == second.dtype
        np.testing.assert_array_equal(first, second)


def cached(home: Path) -> list[Path]:
    return sorted((home / "tokens").iterdir()) if (home / "tokens").exists() else []


def counted(made: Tokenizer, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return a list that grows with each chunk that is encoded."""
    calls: list[int] = []
    kind = type(made.level)
    encode = kind.encode_chunk
    monkeypatch.setattr(
        kind, "encode_chunk", lambda self, chunk: calls.append(1) or encode(self, chunk)
    )
    return calls


@pytest.mark.parametrize("options", LEVELS, ids=lambda options: options.tokens)
def test_on_disk_and_in_memory_are_equal(options: TokenOptions, home: Path) -> None:
    made = make_tokenizer(TEXTS, options)
    in_memory = made.encode(TEXTS)
    assert cached(home) == []
    on_disk = made.encode(LARGE)
    assert is_mapped(on_disk.ids)
    assert_equal(on_disk, in_memory)


def test_it_is_found_again(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = make_tokenizer(TEXTS, TokenOptions())
    calls = counted(made, monkeypatch)
    first = made.encode(LARGE)
    assert len(calls) > 1
    calls.clear()
    # Another tokenizer made the same way finds it too.
    assert_equal(make_tokenizer(TEXTS, TokenOptions()).encode(LARGE), first)
    assert not calls
    assert len(cached(home)) == 1


def test_another_text_or_tokenizer_is_another_entry(home: Path) -> None:
    made = make_tokenizer(TEXTS, TokenOptions())
    made.encode(LARGE)
    made.encode(large(TEXTS.take(np.array([1, 0]))))
    make_tokenizer(TEXTS, TokenOptions(max_size=2)).encode(LARGE)
    assert len(cached(home)) == 3


@pytest.mark.parametrize("name", ["ids.bin", "offsets.bin", "store.json"])
@pytest.mark.parametrize("kind", ["cut", "empty", "gone", "flipped"])
def test_a_damaged_entry_is_made_again(name: str, kind: str, home: Path) -> None:
    made = make_tokenizer(TEXTS, TokenOptions())
    expected = made.encode(LARGE).take(np.arange(len(TEXTS)))
    [folder] = cached(home)
    path = folder / name
    content = path.read_bytes()
    if kind == "gone":
        path.unlink()
    elif kind == "flipped":
        path.write_bytes(content[:-3] + bytes([content[-3] ^ 1]) + content[-2:])
    else:
        path.write_bytes(b"" if kind == "empty" else content[:-1])
    assert_equal(made.encode(LARGE), expected)
    assert path.read_bytes() == content
    assert cached(home) == [folder]


def test_no_place_to_write_is_a_sentence(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # A file where a folder should be: refused to the administrator too.
    (home / "file").write_text("")
    monkeypatch.setenv("THENCE_HOME", str(home / "file"))
    made = make_tokenizer(TEXTS, TokenOptions())
    with pytest.raises(RunError, match=r"Tokens cannot be kept in .* set THENCE_HOME to a folder"):
        made.encode(LARGE)


def test_a_full_disk_is_a_sentence(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(tokenizer, "write_store_meta", full)
    with pytest.raises(RunError, match=r"\(No space left on device\); free some space"):
        make_tokenizer(TEXTS, TokenOptions()).encode(LARGE)
    assert cached(home) == []


@pytest.mark.parametrize("interruption", [KeyboardInterrupt, MemoryError])
def test_an_interrupted_build_leaves_nothing(
    interruption: type[BaseException], home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object) -> None:
        raise interruption

    monkeypatch.setattr(tokenizer, "write_store_meta", interrupt)
    with pytest.raises(interruption):
        make_tokenizer(TEXTS, TokenOptions()).encode(LARGE)
    assert cached(home) == []


def test_a_refusal_leaves_nothing_and_names_the_place(home: Path) -> None:
    made = make_tokenizer(TEXTS, TokenOptions(unknown="refuse"))
    with pytest.raises(UnknownSymbolError, match=r"'!' \(symbol 4 of document 3\)"):
        made.encode(large(Documents.from_strings(["emma", "", "ava!"])))
    assert cached(home) == []


def test_two_processes_may_make_the_same_entry(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = make_tokenizer(TEXTS, TokenOptions())
    stream = tokenizer._stream_to

    def overtaken(made: Tokenizer, documents: Documents, folder: Path) -> None:
        monkeypatch.setattr(tokenizer, "_stream_to", stream)
        with monkeypatch.context() as other:
            other.setattr(os, "getpid", lambda: 1)
            made.encode(documents)  # The other process is first.
        stream(made, documents, folder)

    monkeypatch.setattr(tokenizer, "_stream_to", overtaken)
    monkeypatch.setattr(
        locks, "HAS_LOCKS", False
    )  # Where there are locks, one waits for the other.
    store = made.encode(LARGE)
    assert store.num_documents == len(TEXTS)
    assert len(cached(home)) == 1
