"""Documents: text as one flat UTF-8 buffer, with the place where each document starts and ends.

A hundred megabytes of short lines are one array here, not fourteen million Python strings, so
reading, splitting and tokenising stay vectorised and within a small multiple of the text.
"""

from array import array
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import PurePath

import numpy as np

from thence.array_types import Int64, UInt8
from thence.errors import TextError


@dataclass(frozen=True)
class Documents:
    """A sequence of documents; document ``i`` is ``text[starts[i]:ends[i]]``.

    Attributes:
        text: Valid UTF-8 bytes. Bytes between documents (line ends, commas) belong to none.
        starts: First byte of each document.
        ends: One past the last byte of each document.
    """

    text: UInt8[np.ndarray, " bytes"]
    starts: Int64[np.ndarray, " documents"]
    ends: Int64[np.ndarray, " documents"]

    @classmethod
    def from_strings(cls, strings: Iterable[str]) -> "Documents":
        """Build documents from Python strings, read once and one by one; a single one is a text.

        >>> Documents.from_strings(["emma", "zoë"])[1]
        'zoë'
        >>> len(Documents.from_strings("emma"))
        1

        Raises:
            TextError: If one is no string, or holds what is no character.
        """
        text, ends = bytearray(), array("q")
        for string in [strings] if isinstance(strings, str) else strings:
            if not isinstance(string, str):
                raise TextError(not_a_text(string, len(ends)))
            try:
                text += string.encode("utf-8")
            except UnicodeEncodeError as error:
                raise TextError(
                    f"A text holds half of a surrogate pair ({error.object[error.start]!a}, "
                    f"character {error.start + 1}), which is no character; decode the text again "
                    "with the right encoding."
                ) from error
            ends.append(len(text))
        found = np.frombuffer(ends, np.int64) if ends else np.zeros(0, np.int64)
        starts = np.concatenate([np.zeros(1, np.int64), found])[: len(found)]
        return cls(np.frombuffer(bytes(text), np.uint8), starts, found)

    @classmethod
    def join(cls, parts: Iterable["Documents"]) -> "Documents":
        """Put documents one after another, their texts copied into one buffer; at least one part.

        >>> list(Documents.join([Documents.from_strings(["a", "b"]), Documents.from_strings("c")]))
        ['a', 'b', 'c']
        """
        parts = list(parts)
        text = np.concatenate([part.text for part in parts])
        sizes = np.array([len(part.text) for part in parts])
        shift = np.repeat(np.cumsum(sizes) - sizes, [len(part) for part in parts])
        starts = np.concatenate([part.starts for part in parts]) + shift
        ends = np.concatenate([part.ends for part in parts]) + shift
        return cls(text, starts, ends)

    def __len__(self) -> int:
        return len(self.starts)

    def __getitem__(self, index: int) -> str:
        return self.text[self.starts[index] : self.ends[index]].tobytes().decode("utf-8")

    def __iter__(self) -> Iterator[str]:
        for chunk in self.chunks():  # Slices of bytes are cheaper than those of an array.
            data = chunk.text.tobytes()
            for start, end in zip(chunk.starts.tolist(), chunk.ends.tolist(), strict=True):
                yield data[start:end].decode("utf-8")

    @property
    def num_bytes(self) -> int:
        """Bytes of text in all documents together (what lies between them not counted)."""
        return int(self.ends.sum()) - int(self.starts.sum())

    def take(self, indices: Int64[np.ndarray, " chosen"]) -> "Documents":
        """Return the chosen documents in that order, sharing the same text buffer."""
        return Documents(self.text, self.starts[indices], self.ends[indices])

    def compact(self) -> "Documents":
        """Return the same documents copied next to each other, nothing between them."""
        lengths = self.ends - self.starts
        ends = np.cumsum(lengths)
        gaps = self.starts[1:] - self.ends[:-1]
        if len(self) and np.all(gaps >= 0) and gaps.sum() <= ends[-1]:
            # As in the file: one byte for each of the text says whether it is kept.
            is_kept = np.ones(2 * len(self) - 1, bool)
            is_kept[1::2] = False
            runs = np.empty(len(is_kept), np.int64)
            runs[0::2], runs[1::2] = lengths, gaps
            text = self.text[self.starts[0] : self.ends[-1]][np.repeat(is_kept, runs)]
        else:
            shift = np.repeat(self.starts - (ends - lengths), lengths)
            text = self.text[np.arange(len(shift)) + shift]
        return Documents(text, ends - lengths, ends)

    def chunks(self, size: int = 1 << 22) -> Iterator["Documents"]:
        """Yield the documents in order, compacted, about ``size`` bytes at a time.

        A document is never cut, so one that is larger than ``size`` is a chunk of its own.
        """
        cumulative = np.cumsum(self.ends - self.starts)
        first = 0
        while first < len(self):
            before = int(cumulative[first - 1]) if first else 0
            last = max(first + 1, int(np.searchsorted(cumulative, before + size, "right")))
            yield Documents(self.text, self.starts[first:last], self.ends[first:last]).compact()
            first = last

    def character_counts(self) -> Int64[np.ndarray, " documents"]:
        """Return the number of code points of each document."""
        counts = [np.zeros(0, np.int64)]
        for chunk in self.chunks():
            starts = np.concatenate([np.zeros(1, np.int64), np.cumsum(chunk.text & 0xC0 != 0x80)])
            counts.append(starts[chunk.ends] - starts[chunk.starts])
        return np.concatenate(counts)

    def content_hash(self) -> str:
        """Return the SHA-256 (hex) of the documents' bytes and boundaries, in order."""
        digest = sha256()
        for chunk in self.chunks():
            digest.update((chunk.ends - chunk.starts).tobytes())
            digest.update(chunk.text.tobytes())
        return digest.hexdigest()


def not_a_text(value: object, place: int) -> str:
    """Return the sentence for an item among texts that is no string.

    Args:
        value: The item.
        place: How many come before it.
    """
    # NaN and what stands for it elsewhere differ from themselves, or cannot say.
    is_missing = value is None or type(value).__name__ in ("NAType", "NaTType")
    is_missing = is_missing or (isinstance(value, float) and value != value)
    way_out = "Leave out or fill in what is missing" if is_missing else "Each must be a string"
    if isinstance(value, PurePath):
        way_out = "Give the texts themselves, or one path: of a file, or of a folder"
    shown = repr(value)
    shown = shown if len(shown) <= 40 else f"{shown[:40]} ..."
    return (
        f"Among the texts item {place} is {shown}, of the type {type(value).__name__}. {way_out}."
    )
