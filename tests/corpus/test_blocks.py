"""Files as blocks, against reading them at once."""

import gzip
import lzma
from pathlib import Path

import fsspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from thence.corpus import Documents, ReadingOptions, read_documents
from thence.corpus.blocks import cut_into_blocks, find_files, read_block
from thence.errors import MissingExtraError, TextError

LINES = ["emma\r\n", "\n", "zoë\n", "\ufeffmia\n", "a\rb\n", "x\u2028y\n", "long " * 9 + "\n"]


def texts_of(source: str, options: ReadingOptions, size: int) -> list[str]:
    blocks = cut_into_blocks(find_files(source), options, size)
    return list(Documents.join(read_block(block, options) for block in blocks))


@pytest.mark.slow
@settings(max_examples=100, deadline=None)
@given(
    files=st.lists(st.lists(st.sampled_from(LINES), max_size=8), min_size=1, max_size=4),
    size=st.integers(1, 60),
    keep_empty=st.booleans(),
    unfinished=st.booleans(),
)
def test_blocks_hold_what_the_folder_holds(
    tmp_path_factory: pytest.TempPathFactory,
    files: list[list[str]],
    size: int,
    keep_empty: bool,
    unfinished: bool,
) -> None:
    folder = tmp_path_factory.mktemp("blocks")
    for number, lines in enumerate([["first\n"], *files]):
        text = "".join(lines).encode()
        (folder / f"{number}.txt").write_bytes(text.rstrip(b"\n") if unfinished else text)
    options = ReadingOptions(keep_empty=keep_empty)
    assert texts_of(str(folder), options, size) == list(read_documents(folder, options))


def test_what_cannot_be_cut_is_a_block_as_a_whole(tmp_path: Path) -> None:
    text = "".join(f"line {number}\n" for number in range(200)).encode()
    (tmp_path / "a.txt.gz").write_bytes(gzip.compress(text))
    (tmp_path / "b.csv").write_bytes(b"text\n" + text)
    (tmp_path / "c.txt").write_bytes(lzma.compress(text))  # Known by its first bytes.
    (tmp_path / "d.txt").write_bytes(text)
    blocks = cut_into_blocks(find_files(str(tmp_path)), ReadingOptions(), 100)
    names = [piece.url.rsplit("/", 1)[1] for block in blocks for piece in block]
    assert [names.count(name) for name in ("a.txt.gz", "b.csv", "c.txt")] == [1, 1, 1]
    assert names.count("d.txt") == -(-len(text) // 100)
    assert texts_of(str(tmp_path), ReadingOptions(), 100) == list(read_documents(tmp_path))
    whole = ReadingOptions(document="file")
    (tmp_path / "b.csv").unlink()
    assert texts_of(str(tmp_path), whole, 100) == list(read_documents(tmp_path, whole))


def test_small_files_share_a_block(tmp_path: Path) -> None:
    for number in range(10):
        (tmp_path / f"{number}.txt").write_text("four")
    assert [
        len(block) for block in cut_into_blocks(find_files(str(tmp_path)), ReadingOptions(), 12)
    ] == [
        3,
        3,
        3,
        1,
    ]


def test_patterns_and_stores(tmp_path: Path) -> None:
    for name in ("part-2.txt", "part-1.txt", "other.txt", ".part-3.txt", "notes.bin"):
        (tmp_path / name).write_text(name)
    names = [file.url.rsplit("/", 1)[1] for file in find_files(f"{tmp_path}/part-*.txt")]
    assert names == ["part-1.txt", "part-2.txt"]
    every = ["other.txt", "part-1.txt", "part-2.txt"]
    assert [file.url.rsplit("/", 1)[1] for file in find_files(str(tmp_path))] == every
    assert texts_of(f"file://{tmp_path}", ReadingOptions(), 100) == every
    store = fsspec.filesystem("memory")
    store.pipe({"/blocks/a/1.txt": b"one\ntwo\n", "/blocks/.hidden/2.txt": b"no\n"})
    assert texts_of("memory://blocks", ReadingOptions(), 4) == ["one", "two"]


def test_errors_say_what_is_wrong(tmp_path: Path) -> None:
    with pytest.raises(TextError, match="holds no text files, or does not exist"):
        find_files(str(tmp_path))
    with pytest.raises(TextError, match=r"nothing-\*.txt holds no text files"):
        find_files(f"{tmp_path}/nothing-*.txt")
    with pytest.raises(
        TextError, match=r"nowhere://x cannot be read \(ValueError: Protocol not known"
    ):
        find_files("nowhere://x")
    with pytest.raises(MissingExtraError, match="pip install it here and on the workers"):
        find_files("oci://bucket/folder")
    path = tmp_path / "bad.txt"
    path.write_bytes(b"good line\n" * 5 + b"\xeb\n")
    blocks = cut_into_blocks(find_files(str(path)), ReadingOptions(), 20)
    with pytest.raises(TextError, match=r"bad.txt \(from byte 40 on\), line 2: byte 0xeb"):
        [read_block(block, ReadingOptions()) for block in blocks]
    path.unlink()
    with pytest.raises(TextError, match="can every worker reach it"):
        read_block(blocks[0], ReadingOptions())
