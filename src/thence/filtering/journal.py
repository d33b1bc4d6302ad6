"""What is known of each document so far, on disk: a killed filter goes on from there.

It is a hidden folder beside the output: ``about.json`` says what is judged by what, ``judged`` has
ten bytes for each document, and ``parts`` two numbers for each part, written after them.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from shutil import rmtree
from typing import Any

import numpy as np
import orjson

from thence.array_types import Float64, Int64
from thence.atomic import WriteError, write_atomically
from thence.errors import RunError
from thence.filtering.judge import JUDGED
from thence.locks import BusyError, locked
from thence.mapped import map_file, release

BLOCK = 1 << 16
"""Documents that are looked at together."""
DIGIT = 16
"""Bits of a perplexity that are found at a time: four passes over all."""
PART = np.dtype([("documents", "<i8"), ("bytes", "<i8")])


class Journal:
    """What is known of the documents of some files; see the module's head.

    Args:
        folder: Its folder, which this process has locked.
        about: What is judged by what; a journal about anything else begins anew.

    Attributes:
        parts: What was judged: documents and bytes of text of each part.
    """

    def __init__(self, folder: Path, about: Mapping[str, Any]) -> None:
        self._folder, content = folder, orjson.dumps(about)
        path = folder / "about.json"
        if not path.exists() or path.read_bytes() != content:
            for name in ("parts", "judged"):
                (folder / name).unlink(missing_ok=True)
            write_atomically(path, content)
        self._files = [(folder / name).open("ab") for name in ("judged", "parts")]
        sizes = [(folder / name).stat().st_size for name in ("judged", "parts")]
        parts = np.fromfile(folder / "parts", PART, sizes[1] // PART.itemsize)
        written = sizes[0] // JUDGED.itemsize
        self.parts = parts[np.cumsum(parts["documents"]) <= written].tolist()
        written = self._written()
        self.parts = parts[np.cumsum(parts["documents"]) <= written].tolist()
        self._files[0].truncate(self.documents * JUDGED.itemsize)
        self._files[1].truncate(len(self.parts) * PART.itemsize)

    def _written(self) -> int:
        """Return how many documents were written for sure: of others the system may have zeros.

        That is what is left where a machine lost its power; no perplexity is below one.
        """
        done = 0
        for block in self.blocks():
            if not block["perplexity"].all():
                return done + int(np.argmin(block["perplexity"] != 0))
            done += len(block)
        return done

    @property
    def documents(self) -> int:
        """How many documents were judged."""
        return sum(documents for documents, _ in self.parts)

    def append(self, judged: np.ndarray[Any, np.dtype[Any]], num_bytes: int) -> None:
        """Keep what is known of a part.

        Raises:
            WriteError: If the disk is full, for example.
        """
        part = (len(judged), num_bytes)
        try:
            for file, values in zip(self._files, (judged, np.array([part], PART)), strict=True):
                file.write(values.tobytes())
                file.flush()
        except OSError as error:
            raise WriteError(
                self._folder, error, "The same command goes on from what was judged."
            ) from error
        self.parts.append(part)

    def blocks(self) -> Iterator[np.ndarray[Any, np.dtype[Any]]]:
        """Yield what is known of all documents, some at a time."""
        judged = map_file(self._folder / "judged", JUDGED, self.documents)
        for first in range(0, len(judged), BLOCK):
            yield judged[first : first + BLOCK]
            release(judged)

    def perplexities(self, model: int) -> Iterator[Float64[np.ndarray, " documents"]]:
        """Yield the perplexities of the documents of one model, some at a time."""
        for block in self.blocks():
            yield block["perplexity"][block["model"] == model]

    def reader(self) -> Callable[[int], np.ndarray[Any, np.dtype[Any]]]:
        """Return what gives the next so many documents at each call."""
        judged, done = map_file(self._folder / "judged", JUDGED, self.documents), 0

        def following(count: int) -> np.ndarray[Any, np.dtype[Any]]:
            nonlocal done
            found = judged[done : done + count].copy()
            done += count
            release(judged)
            return found

        return following

    def close(self) -> None:
        """Close the files."""
        for file in self._files:
            file.close()


@contextmanager
def open_journal(output: Path, about: Mapping[str, Any]) -> Iterator[Journal]:
    """Open the journal of an output; it is removed when the block ends, and kept if it raises.

    Raises:
        BusyError: If another process is making the same output.
        RunError: If there is a link in its place.
        WriteError: If it cannot be made.
    """
    folder = journal_folder(output)
    if folder.is_symlink():
        raise RunError(f"{folder} is a link; nothing is written through it. Remove it.")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise WriteError(output, error) from error
    try:
        with locked(folder):
            journal = Journal(folder, about)
            try:
                yield journal
            except BaseException:
                journal.close()
                if not journal.parts:
                    rmtree(folder, ignore_errors=True)
                raise
            journal.close()
            rmtree(folder, ignore_errors=True)
    except BusyError:
        raise BusyError(
            f"{output} is being made by another process; wait for it, or choose another name."
        ) from None


def journal_folder(output: Path) -> Path:
    """Return where the journal of an output is."""
    return output.with_name(f".{output.name}.filter")


def at_ranks(
    values: Callable[[], Iterator[Float64[np.ndarray, " documents"]]],
    ranks: Int64[np.ndarray, " ranks"],
) -> list[float]:
    """Return the values that stand at some ranks once all are sorted, in bounded memory.

    The bits of numbers that are not negative are in the same order as the numbers. So the first 16
    bits of the one that is wanted are found by counting, then the next 16 among those that begin
    so.

    Args:
        values: Yields all values, not negative, some at a time; called several times.
        ranks: From 0, below the number of values.
    """
    return [_at_rank(values, int(rank)) for rank in ranks]


def _at_rank(values: Callable[[], Iterator[Float64[np.ndarray, " _"]]], rank: int) -> float:
    found, bits = 0, 64
    while bits:
        bits -= DIGIT
        counts = np.zeros(1 << DIGIT, np.int64)
        for some in values():
            keys = some.view(np.uint64) >> np.uint64(bits)
            keys = keys[keys >> np.uint64(DIGIT) == found]
            counts += np.bincount((keys & np.uint64(0xFFFF)).astype(np.int64), minlength=1 << DIGIT)
        before = np.cumsum(counts)
        digit = int(np.searchsorted(before, rank, "right"))
        rank -= int(before[digit - 1]) if digit else 0
        found = found << DIGIT | digit
    return float(np.array(found, np.uint64).view(np.float64))
