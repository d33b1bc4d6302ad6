import bz2
import gzip
import io
import lzma
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from thence.corpus import Documents, ReadingOptions, read_documents
from thence.corpus.reading import documents_in, large_text, line_bounds, parse
from thence.errors import MissingExtraError, SettingError, TextError

same_folder = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
lines = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\0\n\r\ufeff"), min_size=1
)


def read(path: Path, data: bytes, **options: object) -> list[str]:
    path.write_bytes(data)
    return list(read_documents(path, ReadingOptions(**options)))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"emma\nzo\n", ["emma", "zo"]),
        (b"emma\nzo", ["emma", "zo"]),
        (b"emma\r\nzo\r\n", ["emma", "zo"]),
        (b"emma\r\nzo\r", ["emma", "zo\r"]),
        (b"em\rma\r\r\nzo", ["em\rma\r", "zo"]),
        (b"\xef\xbb\xbfemma\n", ["emma"]),
        ("a\x0bb\x0cc\x85d\u2028e\u2029f\x1cg\n".encode(), ["a\x0bb\x0cc\x85d\u2028e\u2029f\x1cg"]),
        (b"\n\r\nemma\n\n \nzo\n\n", ["emma", " ", "zo"]),
    ],
)
def test_lines(tmp_path: Path, data: bytes, expected: list[str]) -> None:
    assert read(tmp_path / "a.txt", data) == expected


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"\n\r\nemma\n\n", ["", "", "emma", ""]),
        (b"a\n\nb", ["a", "", "b"]),
        (b"a\n\r\n", ["a", ""]),
    ],
)
def test_empty_lines_are_kept_on_request(tmp_path: Path, data: bytes, expected: list[str]) -> None:
    assert read(tmp_path / "a.txt", data, keep_empty=True) == expected


def test_a_whole_file_is_one_document_with_its_line_ends(tmp_path: Path) -> None:
    assert read(tmp_path / "a.txt", b"emma\r\nzo\n", document="file") == ["emma\r\nzo\n"]


@same_folder
@given(st.lists(lines, min_size=1), st.booleans())
def test_written_lines_come_back(tmp_path: Path, strings: list[str], closed: bool) -> None:
    text = "\n".join(strings) + "\n" * closed
    assert read(tmp_path / "a.txt", text.encode()) == strings


def by_zstd(data: bytes) -> bytes:
    """Return data packed by zstd, in two frames."""
    zstd = pytest.importorskip(
        "compression.zstd" if sys.version_info >= (3, 14) else "backports.zstd"
    )
    half = len(data) // 2
    packed: bytes = zstd.compress(data[:half]) + zstd.compress(data[half:])
    return packed


def test_without_the_library_the_extra_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("backports.zstd", "compression.zstd"):
        monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(MissingExtraError, match=r"a.zst needs .*zstd, .*'thence\[data\]'"):
        read(tmp_path / "a.zst", bytes.fromhex("28b52ffd"))


@pytest.mark.parametrize("chunk", [1, 2, 3, 7])
def test_lines_do_not_depend_on_the_chunk(chunk: int) -> None:
    text = np.frombuffer(b"emma\r\n\nzo\r\r\n\r\nava\n" * 3, np.uint8)
    found = Documents(text, *line_bounds(text, chunk))
    assert list(found) == ["emma", "", "zo\r", "", "ava"] * 3


@pytest.mark.parametrize("pack", [gzip.compress, lzma.compress, bz2.compress, by_zstd])
@pytest.mark.parametrize("name", ["a.txt", "a.txt.gz", "a.xz", "a"])
def test_compressed_files_are_known_by_their_first_bytes(
    tmp_path: Path, pack: type, name: str
) -> None:
    assert read(tmp_path / name, pack(b"emma\nzo")) == ["emma", "zo"]


def test_a_compressed_table_is_a_table(tmp_path: Path) -> None:
    assert read(tmp_path / "a.csv.gz", gzip.compress(b"text,n\nemma,1\n")) == ["emma"]


@pytest.mark.parametrize("pack", [gzip.compress, lzma.compress, bz2.compress, by_zstd])
@pytest.mark.parametrize("damage", [lambda data: data[:-6], lambda data: data[:12] + b"xxxxxx"])
def test_broken_compressed_files(tmp_path: Path, pack: type, damage: type) -> None:
    with pytest.raises(TextError, match=r"a.txt.gz is compressed, but broken \(.*Was it copied"):
        read(tmp_path / "a.txt.gz", damage(pack(b"emma\nzo" * 100)))


def test_other_kinds_of_file_are_named(tmp_path: Path) -> None:
    with pytest.raises(TextError, match=r"a.zip is a zip archive. Unpack it"):
        read(tmp_path / "a.zip", b"PK\x03\x04xyz")


def test_a_folder_is_read_in_order_of_path(tmp_path: Path) -> None:
    for name, data in {
        "b.txt": b"b1\nb2",
        "a/z.md": b"az",
        "a/b.csv": b"text,n\nab,1\n",
        "a-c.txt.gz": gzip.compress(b"ac"),
        "c.jsonl": b'{"text": "c"}\n',
        "empty.txt": b"",
        ".hidden.txt": b"hidden",
        ".git/a.txt": b"hidden",
        "picture.png": b"\x89PNG\0",
    }.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(data)
    assert list(read_documents(tmp_path)) == ["ab", "az", "ac", "b1", "b2", "c"]


def test_each_file_of_a_folder_can_be_a_document(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"a\nb\n")
    (tmp_path / "b.txt").write_bytes(b"\xef\xbb\xbfc\n")
    assert list(read_documents(tmp_path, ReadingOptions(document="file"))) == ["a\nb\n", "c\n"]


def test_a_folder_without_text(tmp_path: Path) -> None:
    (tmp_path / "picture.png").touch()
    with pytest.raises(TextError, match=r"folder .* holds no text files. Known suffixes are .txt"):
        read_documents(tmp_path)


def test_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO("zoë\nemma".encode())))
    assert list(read_documents("-")) == ["zoë", "emma"]


def test_empty_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"")))
    with pytest.raises(TextError, match="standard input holds no text"):
        read_documents("-")


@pytest.mark.parametrize("keep_empty", [False, True])
@pytest.mark.parametrize("name", ["a.txt", "a.csv", "a.tsv", "a.jsonl"])
@pytest.mark.parametrize("data", [b"", b"\n\n", b"\xef\xbb\xbf"])
def test_files_without_text(tmp_path: Path, name: str, data: bytes, keep_empty: bool) -> None:
    with pytest.raises(TextError, match=f"{name} holds no text: it is empty, or all"):
        read(tmp_path / name, data, keep_empty=keep_empty)


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(TextError, match=r"b.txt does not exist. Is the path spelt right\?"):
        read_documents(tmp_path / "b.txt")


def test_unreadable_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def deny(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied", "a.txt")

    monkeypatch.setattr(Path, "open", deny)
    with pytest.raises(TextError, match=r"a.txt cannot be read: Permission denied."):
        read_documents(tmp_path / "a.txt")


def test_path_that_cannot_be_looked_at() -> None:
    with pytest.raises(TextError, match="cannot be read: File name too long"):
        read_documents("a" * 5000)


def test_unreadable_folder_is_not_skipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def deny(*_: object) -> None:
        raise PermissionError(13, "Permission denied", str(tmp_path))

    monkeypatch.setattr(os, "scandir", deny)
    with pytest.raises(TextError, match="cannot be read: Permission denied"):
        read_documents(tmp_path)


def test_column_of_a_plain_text(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match=r"column 'city' does not fit .*a.txt, which is plain"):
        read(tmp_path / "a.txt", b"emma", column="city")


def test_table_as_one_document(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match=r"document 'file' does not fit .*a.csv: in a table"):
        read(tmp_path / "a.csv", b"text\nemma", document="file")


def test_offsets_point_into_the_text_as_read(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"emma\r\n\nzo\n")
    documents = read_documents(tmp_path / "a.txt")
    assert documents.text.tobytes() == b"emma\r\n\nzo\n"
    np.testing.assert_array_equal(documents.starts, [0, 7])
    np.testing.assert_array_equal(documents.ends, [4, 9])


@pytest.mark.parametrize(
    "content",
    [
        b"ab\nc\r\n\nd",
        "zoë\nünï".encode() * 400_000,  # A character stands across two pieces.
        b"\xef\xbb\xbfab\nc\n",
    ],
)
def test_a_large_text_stays_on_disk_and_is_the_same(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "text.txt"
    path.write_bytes(content)
    text = large_text(path, ReadingOptions(), at_least=0)
    assert text is not None
    expected = parse(content, "text.txt", ReadingOptions())
    found = documents_in(text, ReadingOptions())
    assert found.content_hash() == expected.content_hash()
    path.write_bytes(b"changed")
    assert found.content_hash() == expected.content_hash()


@pytest.mark.parametrize(
    ("name", "content", "options"),
    [
        ("text.txt", b"zo\xeb", {}),
        ("text.txt", b"z\0", {}),
        ("text.txt", "zoë".encode()[:-1], {}),
        ("text.txt", gzip.compress(b"text", mtime=0), {}),
        ("text.csv", b"text\na", {}),
        ("text.txt", b"text", {"encoding": "latin-1"}),
        ("text.txt", b"text", {"errors": "ignore"}),
    ],
)
def test_what_is_no_large_plain_text_is_read_whole(
    tmp_path: Path, name: str, content: bytes, options: dict[str, Any]
) -> None:
    (tmp_path / name).write_bytes(content)
    assert large_text(tmp_path / name, ReadingOptions(**options), at_least=0) is None
    assert large_text(tmp_path, ReadingOptions(), at_least=0) is None
