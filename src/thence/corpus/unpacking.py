"""From a downloaded file to the file that is wanted: a copy, a member, or a table made of it.

Members are read by name and written to a file that we name, so an archive cannot choose where
anything lands.
"""

import csv
import re
import shutil
import tarfile
import zipfile
from codecs import getwriter
from collections.abc import Callable, Iterable
from functools import partial
from hashlib import sha256
from io import BufferedIOBase
from pathlib import Path

Unpack = Callable[[Path, BufferedIOBase], None]
REVIEW = re.compile(r"aclImdb/(train|test)/(pos|neg)/(\d+)_(\d+)\.txt")


def copy(source: Path, target: BufferedIOBase) -> None:
    """Write the downloaded file as it is."""
    with source.open("rb") as file:
        shutil.copyfileobj(file, target)


def zip_member(name: str) -> Unpack:
    """Return an unpacker that writes one member of a zip archive."""
    return partial(write_zip_member, name)


def write_zip_member(name: str, source: Path, target: BufferedIOBase) -> None:
    """Write the member ``name`` of a zip archive."""
    with zipfile.ZipFile(source) as archive, archive.open(name) as member:
        shutil.copyfileobj(member, target)


def ag_news_table(source: Path, target: BufferedIOBase) -> None:
    """Write AG News (class 1-4, title, description; no header) as ``label,text``, label 0-3."""
    with source.open(encoding="utf-8", newline="") as file:
        rows = (
            (int(label) - 1, f"{title} . {description}")
            for label, title, description in csv.reader(file)
        )
        write_csv(target, ("label", "text"), rows)


def imdb_table(split: str) -> Unpack:
    """Return an unpacker that writes one split of the IMDB reviews as a table."""
    return partial(write_imdb_table, split)


def write_imdb_table(split: str, source: Path, target: BufferedIOBase) -> None:
    """Write the reviews of ``train`` or ``test`` as ``label,text,rating,id``; label 1 is positive.

    Rows are ordered by a hash of the file name, which mixes the classes the same way everywhere.
    """
    rows: list[tuple[str, tuple[int, str, str, str]]] = []
    with tarfile.open(source, "r:gz") as archive:
        for member in archive:
            found = REVIEW.fullmatch(member.name)
            if not found or found[1] != split:
                continue
            file = archive.extractfile(member)
            assert file is not None  # the checksum says that these are ordinary files
            key = sha256(member.name.removeprefix("aclImdb/").encode()).hexdigest()
            label = int(found[2] == "pos")
            rows.append((key, (label, file.read().decode("utf-8"), found[4], found[3])))
    write_csv(target, ("label", "text", "rating", "id"), (row for _, row in sorted(rows)))


def write_csv(
    target: BufferedIOBase, header: tuple[str, ...], rows: Iterable[tuple[object, ...]]
) -> None:
    """Write a CSV whose lines end in LF."""
    writer = csv.writer(getwriter("utf-8")(target), lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
