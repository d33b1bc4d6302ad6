"""Opening files: refuses what is no file, no text, or larger than the memory.

| kind                                      | in a folder | named itself                          |
|-------------------------------------------|-------------|---------------------------------------|
| a file                                    | read        | read                                  |
| a pipe: `<(...)`, a FIFO, standard input  | refused     | read to its end, where it may be text |
| a terminal                                | refused     | read to its end, where it may be text |
| another device, a socket                  | refused     | refused                               |

The content may differ from what the file name says:

| content                                            | action                                      |
|----------------------------------------------------|---------------------------------------------|
| an archive, a picture, a PDF, an office document,  | refused                                     |
| a database                                         |                                             |
| a pointer file of Git LFS or git-annex             | refused                                     |
| a CSV or TSV with another separator                | refused                                     |
| JSON, a table or a web page in plain text          | read as it is, with a ``ThenceWarning``     |
| a column ``label`` beside the text, where no label | ignored in training, with a warning         |
| is asked for                                       |                                             |

Source code, logs and poems are text, whatever they begin with: there is a warning only if all of
the first lines have the form.
"""

import json
import os
import re
import stat
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO, Protocol

from thence.corpus.decoding import CHUNK, Bytes
from thence.corpus.packing import unpacking
from thence.errors import TextError, ThenceError, ThenceWarning

CONTAINER_LIMIT = Path("/sys/fs/cgroup/memory.max")
MOST_OF_MEMORY = 0.9
"""Largest size of a text, as a share of the free memory: a process that uses all is killed."""


class Stream(Protocol):
    """A readable binary stream."""

    def read(self, size: int, /) -> bytes:
        """Return up to ``size`` bytes; b"" at the end."""


def odd_kind(path: Path, pipes: bool = False) -> str | None:
    """Return the kind of a path that is no file: ``a folder``, ``a pipe``, ``a device``; else None.

    Args:
        path: The path; None is also returned if it does not exist.
        pipes: Whether a pipe and a terminal, which can be read once, count as files.
    """
    try:
        mode = path.stat().st_mode
    except (OSError, ValueError):
        return None
    if stat.S_ISREG(mode) or (pipes and (stat.S_ISFIFO(mode) or _is_terminal(path, mode))):
        return None
    kinds = {"a folder": stat.S_ISDIR, "a pipe": stat.S_ISFIFO, "a socket": stat.S_ISSOCK}
    return next((kind for kind, is_one in kinds.items() if is_one(mode)), "a device")


def _is_terminal(path: Path, mode: int) -> bool:
    """Return whether a path is a terminal, which is opened without waiting for input."""
    if not stat.S_ISCHR(mode):
        return False
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY)
    except OSError:
        return False
    try:
        return os.isatty(descriptor)
    finally:
        os.close(descriptor)


def refuse_odd(path: Path, pipes: bool = False) -> None:
    """Raise TextError for a path that exists but is no file; see ``odd_kind``."""
    kind = odd_kind(path, pipes)
    if kind == "a pipe":
        raise TextError(
            f"{path} cannot be read: it is a pipe, not a file, and may never end. Copy what comes "
            "out of it into a file."
        )
    if kind is not None:
        raise TextError(f"{path} cannot be read: it is {kind}, not a file. Name a file.")


def open_named(path: Path) -> BinaryIO:
    """Open a file or a pipe for reading, unbuffered.

    Raises:
        TextError: It does not exist, is something else, or cannot be opened.
    """
    refuse_odd(path, pipes=True)
    try:
        # Unbuffered: a buffered file would copy the content once more.
        return path.open("rb", buffering=0)
    except FileNotFoundError:
        raise TextError(f"{path} does not exist. Is the path spelt right?") from None
    except (OSError, ValueError) as error:  # ValueError: the name has a NUL.
        reason = getattr(error, "strerror", None) or str(error)
        raise TextError(f"{path} cannot be read: {reason}.") from None


def read_to_end(stream: Stream, name: str, known_size: int = 0) -> bytearray:
    """Return the whole content of a stream.

    Args:
        stream: The stream; may be unbuffered.
        name: Its name, for the message.
        known_size: Its minimal size in bytes, if known.

    Raises:
        TextError: It is larger than the free memory.
    """
    free = free_memory()
    if known_size > free:
        raise too_large(name, free)
    result = bytearray()
    try:
        if known_size:  # One large read is faster.
            result += stream.read(known_size)
        while piece := stream.read(CHUNK):
            result += piece
            if len(result) > free:
                raise too_large(name, free)
    except MemoryError:
        raise too_large(name, len(result)) from None
    return result


def read_whole(path: Path) -> bytes:
    """Return the bytes of a file without decoding, such as a model.

    It is not memory-mapped: overwriting a mapped file would kill the process (SIGBUS).

    Raises:
        TextError: It is no file, cannot be read, or is larger than the free memory.
    """
    refuse_odd(path)
    try:
        with path.open("rb", buffering=0) as file:
            free = free_memory()
            if os.fstat(file.fileno()).st_size > free:
                raise too_large(str(path), free)
            return file.read()
    except MemoryError:
        raise too_large(str(path), free) from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise TextError(f"The file {path} cannot be read: {reason}.") from None


def unpacked_start(path: Path, size: int) -> bytes:
    """Return the first bytes of a file, decompressed; b"" if it cannot be read."""
    try:
        with path.open("rb") as file, unpacking(file, str(path)) as stream:
            return stream.read(size)
    except (OSError, ThenceError):
        return b""


def too_large(name: str, free: int) -> TextError:
    """Return the error for a text that is larger than the free memory."""
    return TextError(
        f"{name} has more than {free / 1e9:,.1f} GB, which is more than the memory that is free. "
        "Read a part of it; n-grams of many files are counted in parts with `cluster`."
    )


def free_memory() -> int:
    """Return the bytes that a text may take: most of the free memory; 2^62 if not known."""
    free = [_number(Path("/proc/meminfo"), _available), _number(CONTAINER_LIMIT, int)]
    known = [number for number in free if number > 0]
    return int(MOST_OF_MEMORY * min(known)) if known else 1 << 62


def _available(text: str) -> int:
    line = next(line for line in text.splitlines() if line.startswith("MemAvailable:"))
    return 1024 * int(line.split()[1])


def _number(path: Path, read: Callable[[str], int]) -> int:
    """Return the number in a system file; -1 if it cannot be read."""
    try:
        return read(path.read_text())
    except (OSError, ValueError, StopIteration):
        return -1


def cache_folder() -> Path:
    r"""Return the cache folder, which need not exist yet.

    ``$THENCE_HOME`` if set, else ``%LOCALAPPDATA%\thence`` on Windows, else
    ``$XDG_CACHE_HOME/thence``, else ``~/.cache/thence``.
    """
    if home := os.environ.get("THENCE_HOME"):
        return Path(home).expanduser()
    variable = "LOCALAPPDATA" if sys.platform == "win32" else "XDG_CACHE_HOME"
    parent = os.environ.get(variable)
    return (Path(parent) if parent else Path.home() / ".cache") / "thence"


ARCHIVES = {
    b"PK\x03\x04": "a zip archive",
    b"7z\xbc\xaf\x27\x1c": "a 7-Zip archive",
    b"Rar!\x1a\x07": "a RAR archive",
}
"""The first bytes of archives, which must be unpacked first."""
NO_TEXTS = {
    b"%PDF-": "a PDF",
    b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1": "a document of Word, Excel or PowerPoint",
    b"{\\rtf1": "a document in RTF",
    b"\x89PNG\r\n": "a picture (PNG)",
    b"\xff\xd8\xff": "a picture (JPEG)",
    b"GIF87a": "a picture (GIF)",
    b"GIF89a": "a picture (GIF)",
    b"SQLite format 3\0": "a database (SQLite)",
    b"\x89HDF\r\n": "a file of arrays (HDF5)",
    b"\x93NUMPY": "a file of arrays (NumPy)",
    b"\x7fELF": "a program",
    b"ID3": "a sound (MP3)",
    b"OggS\0": "a sound or a film (Ogg)",
}
OFFICE = {
    b"word/": "Word",
    b"xl/": "Excel",
    b"ppt/": "PowerPoint",
    b"mimetypeapplication/vnd.oasis": "LibreOffice",
    b"mimetypeapplication/epub": "an e-book reader",
}
"""Programs whose documents are zip archives, by a name that occurs at the archive's beginning."""
LFS = b"version https://git-lfs.github.com/spec/"
ANNEX = re.compile(rb"(?:\.\./)*(?:\.git)?/?annex/objects/[^\n]{1,1000}\n?")

LOOKED_AT = 1 << 16
"""Bytes at the beginning of a text from which its kind is recognised."""
LARGEST_SHAPED = 1 << 24
"""Bytes of plain text up to which the whole is parsed to recognise a JSON array."""
FIRST_LINES, FEWEST_LINES = 20, 3
"""A text is recognised as JSON lines or a table if all of its first ``FIRST_LINES`` lines have that
form; as a table only with at least ``FEWEST_LINES`` lines."""
SEPARATORS = {"\t": "tabs", ",": "commas", ";": "semicolons", "|": "bars (|)"}
COLUMNS = {"text", "label", "labels", "sentence", "document", "category", "class", "target"}
"""Usual names of columns, by which the header of a table is recognised."""
WEB_PAGE = re.compile(r"\s*(?:<\?xml[^>]*>\s*)?<(?:!doctype\s+html|html)[\s>]", re.IGNORECASE)


def refuse_foreign(data: Bytes, name: str) -> None:
    """Raise TextError for bytes of a known format that is no text, or of a pointer to a file."""
    for first, kind in ARCHIVES.items():
        if data.startswith(first):
            start = bytes(data[:LOOKED_AT])
            program = next((about for sign, about in OFFICE.items() if sign in start), None)
            if first == b"PK\x03\x04" and program is not None:
                raise _no_text(name, f"a document of {program}")
            raise TextError(f"{name} is {kind}. Unpack it to plain text, gzip or xz first.")
    for first, kind in NO_TEXTS.items():
        if data.startswith(first):
            raise _no_text(name, kind)
    if data.startswith(LFS) or (len(data) < LOOKED_AT and ANNEX.fullmatch(bytes(data))):
        tool = "git lfs pull" if data.startswith(LFS) else "git annex get"
        raise TextError(
            f"{name} only points to the file that is meant, which is not here. Fetch it: {tool}"
        )


def _no_text(name: str, kind: str) -> TextError:
    return TextError(
        f"{name} is {kind}, not text. Unpack it to plain text, or save it as plain text (UTF-8) "
        "first."
    )


def refuse_other_separator(lines: list[str], separator: str, name: str) -> None:
    """Raise TextError if a table seems to have another separator than its suffix says."""
    if not lines or separator in lines[0]:
        return
    for other, called in SEPARATORS.items():
        shared = sum(other in line for line in lines[1:])
        if other in lines[0] and shared and 2 * shared >= len(lines) - 1:
            tool = "as .tsv" if other == "\t" else f"with {SEPARATORS[separator]}"
            raise TextError(
                f"{name} seems to have {called} between its columns, not {SEPARATORS[separator]}: "
                f"its first line is {lines[0][:60]!r}. Save it {tool}."
            )


def first_lines(text: Bytes) -> list[str]:
    """Return the first complete lines of UTF-8 text that are not blank."""
    start = bytes(text[:LOOKED_AT])
    lines = start.decode("utf-8", "ignore").split("\n")
    if len(text) > LOOKED_AT and len(lines) > 1:
        lines.pop()
    return [line.rstrip("\r") for line in lines if line.strip()][: FIRST_LINES + 1]


def odd_shape(text: Bytes) -> str | None:
    """Return the probable format of a plain text with a remedy, for a warning; None for text."""
    lines = first_lines(text)
    if not lines:
        return None
    if all(line.lstrip().startswith("{") and isinstance(_parsed(line), dict) for line in lines):
        return "JSON lines; name it .jsonl to have a field of each read"
    if lines[0].lstrip().startswith("[") and isinstance(_parsed(text), list):
        return "a JSON array; name it .json to have its items read"
    if WEB_PAGE.match("\n".join(lines[:3])):
        return "a web page (HTML); is it the text that was meant, or a page that says why not?"
    for separator, called in SEPARATORS.items():
        names = {cell.strip("\"'").lower() for cell in lines[0].split(separator)}
        is_header = len(names) > 1 and names & COLUMNS and " " not in "".join(names)
        is_table = is_header and len(lines) >= FEWEST_LINES
        if is_table and all(separator in line for line in lines):
            suffix = ".tsv" if separator == "\t" else ".csv"
            return f"a table with {called} between its columns; name it {suffix} to have one read"
    return None


def _parsed(text: Bytes | str) -> object:
    """Return the value of JSON text, or None; fast for other text, which fails at once."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def warn_of_shape(text: Bytes, name: str) -> None:
    """Warn if a plain text seems to have another format."""
    shape = odd_shape(text)
    if shape is not None:
        message = f"{name} is read as plain text, line by line, but seems to be {shape}."
        warnings.warn(message.replace("?.", "?"), ThenceWarning, stacklevel=2)
