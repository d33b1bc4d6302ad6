"""The catalogue of data sets to download: addresses, files, and checksums.

``catalogue.toml`` lists them. A file is a copy of the download, a member of an archive, or a table
made from it. Members are read by name and written to a file that we name, so an archive cannot
choose where a file is written.
"""

import csv
import re
import shutil
import tarfile
import tomllib
import zipfile
from codecs import getwriter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from functools import partial
from hashlib import sha256
from io import BufferedIOBase
from pathlib import Path
from typing import Any, Literal

from thence.corpus.bundled import BUNDLED

Role = Literal["all", "train", "dev", "test", "vectors"]
Unpack = Callable[[Path, BufferedIOBase], None]
REVIEW = re.compile(r"aclImdb/(train|test)/(pos|neg)/(\d+)_(\d+)\.txt")


@dataclass(frozen=True)
class Remote:
    """A file on the web.

    Attributes:
        url: Its address.
        size: Bytes.
        sha256: Checksum in hex.
    """

    url: str
    size: int
    sha256: str


@dataclass(frozen=True)
class DataFile:
    """A file of a data set in the cache folder.

    Attributes:
        name: File name in the set's folder.
        role: Its split; ``all`` for a text not yet split, ``vectors`` for word vectors.
        remote: The download that it is made from.
        unpack: The function that makes it from the download.
        size: Bytes; None if not known.
        sha256: Checksum in hex, to recognise a local copy; None if not known.
        local: Its path in a folder of local copies (``--from``, ``$THENCE_DATA``).
    """

    name: str
    role: Role
    remote: Remote
    unpack: Unpack
    size: int | None
    sha256: str | None
    local: str


@dataclass(frozen=True)
class Dataset:
    """A set of files that belong together.

    Attributes:
        description: One line about the set.
        licence: Its licence, as far as known.
        origin: Its authors.
        files: The files of the set's folder.
    """

    description: str
    licence: str
    origin: str
    files: tuple[DataFile, ...]

    @property
    def download_size(self) -> int:
        """Bytes to download if the cache has none of the files."""
        return sum(remote.size for remote in {file.remote for file in self.files})


def copy(source: Path, target: BufferedIOBase) -> None:
    """Copy the downloaded file."""
    with source.open("rb") as file:
        shutil.copyfileobj(file, target)


def write_zip_member(name: str, source: Path, target: BufferedIOBase) -> None:
    """Write the member ``name`` of a zip archive."""
    with zipfile.ZipFile(source) as archive, archive.open(name) as member:
        shutil.copyfileobj(member, target)


def write_ag_news_table(source: Path, target: BufferedIOBase) -> None:
    """Write AG News (class 1-4, title, description; no header) as ``label,text``, label 0-3."""
    with source.open(encoding="utf-8", newline="") as file:
        rows = (
            (int(label) - 1, f"{title} . {description}")
            for label, title, description in csv.reader(file)
        )
        write_csv(target, ("label", "text"), rows)


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


def read_catalogue(content: Mapping[str, Any]) -> dict[str, Dataset]:
    """Return the data sets of a catalogue by name; ``catalogue.toml`` explains its fields."""
    return {
        name: Dataset(
            one["description"],
            one["licence"],
            one["origin"],
            tuple(_data_file(file) for file in one["files"]),
        )
        for name, one in content.items()
    }


def _data_file(file: Mapping[str, Any]) -> DataFile:
    """Return a file of the catalogue; by default the download has its size and checksum."""
    size, checksum = file.get("size"), file.get("sha256")
    remote = Remote(file["url"], file.get("url_size", size), file.get("url_sha256", checksum))
    unpack: Mapping[str | None, Unpack] = {
        None: copy,
        "zip": partial(write_zip_member, file.get("member", "")),
        "imdb": partial(write_imdb_table, file.get("member", "")),
        "ag-news": write_ag_news_table,
    }
    return DataFile(
        file["name"],
        file["role"],
        remote,
        unpack[file.get("unpack")],
        size,
        checksum,
        file["local"],
    )


CATALOGUE = read_catalogue(
    tomllib.loads(Path(__file__).with_name("catalogue.toml").read_text("utf-8"))
)


def named_texts() -> list[dict[str, Any]]:
    """Return a table entry for each text that can be named instead of a file.

    Each has a ``name``, ``where`` it is (``bundled``, or the command that downloads it), a
    ``description`` and the ``licence``; those to download also have an ``origin`` and ``files``.
    """
    bundled: list[dict[str, Any]] = [
        {"name": name, "where": "bundled", "description": entry.description, "licence": "MIT"}
        for name, entry in BUNDLED.items()
    ]
    return bundled + [
        {
            "name": name,
            "where": "thence data get",
            "description": entry.description,
            "licence": entry.licence,
            "origin": entry.origin,
            "files": [
                {"name": file.name, "role": file.role, **asdict(file.remote)}
                for file in entry.files
            ],
        }
        for name, entry in CATALOGUE.items()
    ]
