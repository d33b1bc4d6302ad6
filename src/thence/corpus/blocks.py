"""Many files as blocks of about equal size, for many machines to read at once.

| source                        | files                                                           |
|-------------------------------|-----------------------------------------------------------------|
| a folder, ``s3://bucket/dir`` | those with a known suffix, as in ``reading.py``; hidden skipped |
| ``dir/part-*.txt.gz``         | whatever the pattern matches                                    |
| a file                        | itself                                                          |

A plain text whose documents are its lines is cut at line ends; everything else (compressed files,
tables, files that are one document, encodings other than UTF-8) is a block as a whole. Small files
share one. The documents of all blocks, in order, are those that ``read_documents`` gives.
Everything is reached through fsspec: a path of this machine, or a URL of a store it knows.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO

from thence.corpus.decoding import CHUNK, MARK, Bytes, find_codec
from thence.corpus.documents import Documents
from thence.corpus.packing import START, SUFFIXES, packed_as
from thence.corpus.reading import (
    KNOWN_SUFFIXES,
    LINE_FEED,
    ReadingOptions,
    inner_suffix,
    parse,
)
from thence.corpus.tables import TABLES
from thence.errors import MissingExtraError, TextError


@dataclass(frozen=True)
class Piece:
    """A file, or its lines that begin in a range of bytes.

    Attributes:
        url: Its URL or path for fsspec.
        start: First byte of the range.
        stop: End of the range; None for the whole file.
    """

    url: str
    start: int = 0
    stop: int | None = None


Block = tuple[Piece, ...]
"""The text of one task: a part of a large file, or several small files."""


@dataclass(frozen=True)
class File:
    """A file's URL or path, and its size in bytes."""

    url: str
    size: int


def is_url(source: str) -> bool:
    """Return whether a source is a URL: ``s3://bucket/folder``.

    >>> is_url("s3://bucket/folder"), is_url("folder/part-*.txt")
    (True, False)
    """
    return "://" in source


def find_files(source: str) -> list[File]:
    """Return the files of a folder or a pattern, or a single file, sorted by path.

    Args:
        source: A path of this machine or a URL; may have ``*``, ``?`` and ``[...]``.

    Raises:
        TextError: There are no files, or they cannot be listed.
        MissingExtraError: The library that reads this kind of store is not installed.
    """
    name = source if is_url(source) else str(Path(source).absolute())
    with _reached(source):
        from fsspec.core import url_to_fs

        store, path = url_to_fs(name)
        if store.exists(path):
            found = store.find(path, detail=True)
            alone = list(found) == [path]
            kept = {at: about for at, about in found.items() if alone or _is_text(at, path)}
        else:
            kept = store.glob(path, detail=True) if any(sign in path for sign in "*?[") else {}
        files = [
            File(str(store.unstrip_protocol(at)), int(about["size"]))
            for at, about in sorted(kept.items(), key=lambda item: PurePosixPath(item[0]).parts)
            if about["type"] == "file"
        ]
    if not files:
        raise TextError(
            f"{source} holds no text files, or does not exist. Name a folder or a URL with files "
            f"that end in {', '.join(KNOWN_SUFFIXES)} (packed ones too), or a pattern."
        )
    return files


def _is_text(path: str, folder: str) -> bool:
    below = PurePosixPath(path).relative_to(PurePosixPath(folder))
    hidden = any(part.startswith(".") for part in below.parts)
    return not hidden and inner_suffix(path) in KNOWN_SUFFIXES


def cut_into_blocks(files: Sequence[File], options: ReadingOptions, size: int) -> list[Block]:
    """Divide files into blocks of about ``size`` bytes."""
    blocks: list[Block] = []
    waiting: list[Piece] = []
    filled = 0
    for file in files:
        if file.size > size and _may_be_cut(file, options):
            starts = range(0, file.size, size)
            pieces = [Piece(file.url, start, min(start + size, file.size)) for start in starts]
        else:
            pieces = [Piece(file.url)]
        for piece in pieces:
            length = file.size if piece.stop is None else piece.stop - piece.start
            if waiting and filled + length > size:
                blocks.append(tuple(waiting))
                waiting, filled = [], 0
            waiting.append(piece)
            filled += length
    return [*blocks, tuple(waiting)] if waiting else blocks


def _may_be_cut(file: File, options: ReadingOptions) -> bool:
    suffix = PurePosixPath(file.url).suffix.lower()
    if options.document == "file" or suffix in SUFFIXES or inner_suffix(file.url) in TABLES:
        return False
    if find_codec(options.encoding).name not in ("utf-8", "utf-8-sig"):
        return False
    with _opened(file.url) as opened:
        return packed_as(opened.read(START)) is None


def read_block(block: Block, options: ReadingOptions) -> Documents:
    """Return the documents of a block; there may be none."""
    parts = [_read_piece(piece, options) for piece in block]
    return parts[0] if len(parts) == 1 else Documents.join(parts)


def _read_piece(piece: Piece, options: ReadingOptions) -> Documents:
    """Return the documents of a file, or of the lines that begin in a range of its bytes."""
    name = piece.url.removeprefix("file://")
    with _opened(piece.url) as file:
        if piece.stop is None:
            return parse(file.read(), name, options)
        data = _lines_between(file, piece.start, piece.stop)
    if piece.start:
        name = f"{name} (from byte {piece.start:,} on)"
        if data.startswith(MARK):  # parse() removes one: only at a file's start it is no text.
            data = MARK + data
    return parse(data, name, options)


def _lines_between(file: BinaryIO, start: int, stop: int) -> Bytes:
    r"""Return the lines that begin between two bytes of a file.

    >>> from io import BytesIO
    >>> [bytes(_lines_between(BytesIO(b"ab\ncd\ne"), *at)) for at in ((0, 3), (3, 5), (5, 7))]
    [b'ab\n', b'cd\n', b'e']
    """
    first = max(start - 1, 0)
    file.seek(first)
    data = bytearray(file.read(stop - first))
    if start:
        end_before = data.find(LINE_FEED)
        if end_before < 0:
            return b""
        del data[: end_before + 1]
    while data and data[-1] != LINE_FEED and (more := file.readline(CHUNK)):
        data += more
    return data


@contextmanager
def _opened(url: str) -> Iterator[Any]:
    with _reached(url):
        from fsspec.core import url_to_fs

        store, path = url_to_fs(url)
        with store.open(path, "rb") as file:
            yield file


@contextmanager
def _reached(source: str) -> Iterator[None]:
    """Context manager: turn the errors of a store into a TextError that says what to do."""
    source = source.removeprefix("file://")
    try:
        yield
    except TextError:
        raise
    except ImportError as error:
        raise MissingExtraError(
            f"{source} needs a library that is not installed ({error}); pip install it here and "
            "on the workers, for example s3fs for s3:// or gcsfs for gs://."
        ) from error
    except FileNotFoundError as error:
        raise TextError(
            f"{source} does not exist. Is the path spelt right, and can every worker reach it?"
        ) from error
    except Exception as error:  # Stores raise errors of libraries of their own.
        raise TextError(
            f"{source} cannot be read ({type(error).__name__}: {str(error)[:200]}). Is the address "
            "right, and does the environment hold what is needed to sign in?"
        ) from error
