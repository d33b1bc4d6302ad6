"""The record of looks: evaluations on the test split, in whatever way its documents were given.

A run recognises its test documents by a fingerprint of their content. So evaluating on the file
that ``--test`` named, or on a shuffled copy of the split, counts like ``--split test``.
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
"""File in the run folder with one JSON line per look: ``time``, ``command``, maybe ``run``."""
LOOK: Mapping[str, Any] = {"time": str, "command": str, "run": str | None}
"""Fields of a line, with their types; ``run`` is the parent run that a look is inherited from."""
TEST = "test"
"""Table in the provenance with the fingerprint of the test split."""


@dataclass(frozen=True)
class Fingerprint:
    """An identity of a set of documents that ignores their order, empty ones, and labels.

    Attributes:
        documents: Number of documents that are not empty.
        bytes: Their UTF-8 bytes.
        sha256: SHA-256 of the sorted hashes of the documents.
    """

    documents: int
    bytes: int
    sha256: str

    @classmethod
    def of(cls, documents: Documents) -> "Fingerprint":
        """Compute the fingerprint of documents."""
        return cls(_number_with_text(documents), documents.num_bytes, _digest(documents))

    def matches(self, documents: Documents) -> bool:
        """Return whether documents have this fingerprint; they are hashed only if sizes match."""
        sizes = (_number_with_text(documents), documents.num_bytes)
        return sizes == (self.documents, self.bytes) and _digest(documents) == self.sha256


def _number_with_text(documents: Documents) -> int:
    return int((documents.ends > documents.starts).sum())


def _digest(documents: Documents) -> str:
    """Return the SHA-256 of the sorted BLAKE2 hashes of the documents that are not empty."""
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
    """Return the union of lists of looks as multisets, by time.

    A look that occurs in several lists is counted once, one that occurs twice in a list twice.
    """
    found: Counter[str] = Counter()
    for looks in lists:
        found |= Counter(json.dumps(look) for look in looks)
    return sorted(map(json.loads, found.elements()), key=lambda look: str(look["time"]))


def to_json_lines(looks: Iterable[Mapping[str, Any]]) -> bytes:
    """Return looks as UTF-8 JSON lines."""
    return "".join(f"{json.dumps(look)}\n" for look in looks).encode("utf-8")


def count_inherited(looks: Iterable[Mapping[str, Any]]) -> int:
    """Return the number of looks that were inherited from the runs that a run is built from."""
    return sum("run" in look for look in looks)


def describe_looks(looks: Iterable[Mapping[str, Any]]) -> str:
    """Return the number of looks in words, with the runs that some are inherited from.

    >>> describe_looks([{"run": "lstm"}, {}, {"run": "ngram"}])
    '3 so far, 2 of them before this run was made: as lstm, ngram'
    """
    looks = list(looks)
    words, inherited = f"{len(looks)} so far", count_inherited(looks)
    if not inherited:
        return words
    names = sorted({str(look["run"]) for look in looks if "run" in look})
    return f"{words}, {inherited} of them before this run was made: as {', '.join(names)}"
