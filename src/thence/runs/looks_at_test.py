"""Looks at the test split: each is recorded, whatever way its documents came to be evaluated on.

A run recognises its test documents by their content, not by how they were asked for. So the file
that ``--test`` named, or a copy of the split in another order, is a look like ``--split test``.
"""

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from hashlib import blake2b, sha256
from pathlib import Path
from typing import Any

from thence.corpus import Documents
from thence.runs.metrics import read_json_lines

TEST_LOOKS = "test-looks.jsonl"
"""File of a run folder with one line for each look: ``time``, ``command``, and perhaps ``run``."""
LOOK: Mapping[str, Any] = {"time": str, "command": str, "run": str | None}
"""Fields of a line, with their types."""
TEST = "test"
"""Table of the provenance with the fingerprint of the test split."""


@dataclass(frozen=True)
class Fingerprint:
    """What documents are recognised by; their order, empty ones, and labels do not matter.

    Attributes:
        documents: How many have text.
        bytes: Of them together.
        sha256: Of the sorted hashes of the documents.
    """

    documents: int
    bytes: int
    sha256: str

    @classmethod
    def of(cls, documents: Documents) -> "Fingerprint":
        """Return the fingerprint of documents."""
        return cls(_number_with_text(documents), documents.num_bytes, _digest(documents))

    def matches(self, documents: Documents) -> bool:
        """Return whether documents have this fingerprint; most others differ in size already."""
        sizes = (_number_with_text(documents), documents.num_bytes)
        return sizes == (self.documents, self.bytes) and _digest(documents) == self.sha256


def _number_with_text(documents: Documents) -> int:
    return int((documents.ends > documents.starts).sum())


def _digest(documents: Documents) -> str:
    digests = []
    for chunk in documents.chunks():
        text = chunk.text.tobytes()
        bounds = zip(chunk.starts.tolist(), chunk.ends.tolist(), strict=True)
        digests += [blake2b(text[a:b], digest_size=16).digest() for a, b in bounds if a < b]
    return sha256(b"".join(sorted(digests))).hexdigest()


def read_test_looks(path: Path) -> list[dict[str, Any]]:
    """Read the lines of ``test-looks.jsonl``; an unfinished last line is left out."""
    return read_json_lines(path, lambda line: LOOK)


def merge_looks(*lists: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return all looks by time; one that is in several of the lists is in it once."""
    found: Counter[str] = Counter()
    for looks in lists:
        found |= Counter(json.dumps(look) for look in looks)
    return sorted(map(json.loads, found.elements()), key=lambda look: str(look["time"]))


def to_json_lines(looks: Iterable[Mapping[str, Any]]) -> bytes:
    """Return the content of a file of looks."""
    return "".join(f"{json.dumps(look)}\n" for look in looks).encode("utf-8")


def count_inherited(looks: Iterable[Mapping[str, Any]]) -> int:
    """Return how many looks came with the runs that a run was made of."""
    return sum("run" in look for look in looks)


def describe_looks(looks: Iterable[Mapping[str, Any]]) -> str:
    """Return how often a test split was looked at, and in which runs before this one was made.

    >>> describe_looks([{"run": "lstm"}, {}, {"run": "ngram"}])
    '3 so far, 2 of them before this run was made: as lstm, ngram'
    """
    looks = list(looks)
    words, inherited = f"{len(looks)} so far", count_inherited(looks)
    if not inherited:
        return words
    names = sorted({str(look["run"]) for look in looks if "run" in look})
    return f"{words}, {inherited} of them before this run was made: as {', '.join(names)}"
