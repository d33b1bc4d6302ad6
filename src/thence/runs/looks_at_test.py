"""Looks at the test split: each counts, whatever way its documents came to be judged.

A run knows its test documents by what they say, not by how they were asked for. So the file that
``--test`` named, or a copy of the split in another order, is a look like ``--split test``.
"""

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from hashlib import blake2b, sha256
from typing import TYPE_CHECKING, Any

from thence.corpus import Documents

if TYPE_CHECKING:
    from thence.runs.run import Run

TEST_LOOKS = "test-looks.jsonl"
TEST = "test"
"""Table of the provenance that says which documents the test split has."""
FACTS_OF_TEST: Mapping[str, type] = {"documents": int, "bytes": int, "sha256": str}


def facts_of_test(documents: Documents) -> dict[str, Any]:
    """Return what a run keeps of its test split, to know it again.

    The order of documents, empty ones, and labels do not matter.

    Returns:
        ``documents`` (how many have text), ``bytes`` (of them together), and ``sha256``.
    """
    return {
        "documents": int((documents.ends > documents.starts).sum()),
        "bytes": documents.num_bytes,
        "sha256": _digest(documents),
    }


def are_the_same(facts: Mapping[str, Any], documents: Documents) -> bool:
    """Return whether documents are those that ``facts_of_test`` tells of.

    Nearly all others differ in number or size already, so that this costs nothing for them.
    """
    if int((documents.ends > documents.starts).sum()) != facts["documents"]:
        return False
    return bool(documents.num_bytes == facts["bytes"] and _digest(documents) == facts["sha256"])


def _digest(documents: Documents) -> str:
    digests = []
    for chunk in documents.chunks():
        text = chunk.text.tobytes()
        bounds = zip(chunk.starts.tolist(), chunk.ends.tolist(), strict=True)
        digests += [blake2b(text[a:b], digest_size=16).digest() for a, b in bounds if a < b]
    return sha256(b"".join(sorted(digests))).hexdigest()


def inherited_looks(parents: "Iterable[Run]", test: Documents) -> list[dict[str, Any]]:
    """Return the looks at a test split that what is made of other runs begins with.

    A look that came to several of the runs from one they were all made of counts once.

    Args:
        parents: The runs.
        test: The documents of the new run's test split; runs of another have not looked at them.

    Returns:
        The looks by time, each with the name of the ``run`` that was judged.
    """
    return joined(
        *(
            [{"run": parent.name, **look} for look in parent.test_looks()]
            for parent in parents
            if parent.is_test_split(test)
        )
    )


def joined(*several: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return all looks by time; one that is in several of the lists is in it once."""
    found: Counter[str] = Counter()
    for looks in several:
        found |= Counter(json.dumps(look) for look in looks)
    return sorted(map(json.loads, found.elements()), key=lambda look: str(look["time"]))


def json_lines(looks: Iterable[Mapping[str, Any]]) -> bytes:
    """Return looks as their file has them."""
    return "".join(f"{json.dumps(look)}\n" for look in looks).encode("utf-8")


def looks_before(looks: Iterable[Mapping[str, Any]]) -> int:
    """Return how many looks came with the runs that a run was made of."""
    return sum("run" in look for look in looks)


def looks_in_words(looks: Iterable[Mapping[str, Any]]) -> str:
    """Return how often a test split was looked at, and in which runs before this one was made.

    >>> looks_in_words([{"run": "lstm"}, {}, {"run": "ngram"}])
    "3 in this run's life, 2 of them before it was made: as lstm, ngram"
    """
    looks = list(looks)
    words, before = f"{len(looks)} in this run's life", looks_before(looks)
    if not before:
        return words
    names = sorted({str(look["run"]) for look in looks if "run" in look})
    return f"{words}, {before} of them before it was made: as {', '.join(names)}"
