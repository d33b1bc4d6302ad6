"""The journal of a filter: the score of each document so far, on disk, to continue after a kill.

It is a hidden folder beside the output: ``about.json`` has the identity of models and files,
``judged`` ten bytes for each document, and ``parts`` two numbers for each part, written after its
documents.
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
from thence.filtering.scorer import SCORES
from thence.locks import BusyError, locked
from thence.mapped import map_file, release

BLOCK = 1 << 16
"""Documents that are read at a time."""
DIGIT = 16
"""Bits of a quantile that are found per pass over all perplexities: four passes in all."""
PART = np.dtype([("documents", "<i8"), ("bytes", "<i8")])


class Journal:
    """The scores of documents on disk; see the module's docstring.

    Args:
        folder: Its folder, which this process has locked.
        about: Identity of models and files; a journal with another identity is emptied.

    Attributes:
        parts: The parts that were scored: number of documents and bytes of text of each.
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
        written = sizes[0] // SCORES.itemsize
        self.parts = parts[np.cumsum(parts["documents"]) <= written].tolist()
        written = self._written()
        self.parts = parts[np.cumsum(parts["documents"]) <= written].tolist()
        self._files[0].truncate(self.documents * SCORES.itemsize)
        self._files[1].truncate(len(self.parts) * PART.itemsize)

    def _written(self) -> int:
        """Return the number of documents up to the first one with the perplexity 0.

        After a power failure a file may end in zeros instead of data; a perplexity is at least 1.
        """
        done = 0
        for block in self.blocks():
            if not block["perplexity"].all():
                return done + int(np.argmin(block["perplexity"] != 0))
            done += len(block)
        return done

    @property
    def documents(self) -> int:
        """Number of documents that were scored."""
        return sum(documents for documents, _ in self.parts)

    def append(self, scores: np.ndarray[Any, np.dtype[Any]], num_bytes: int) -> None:
        """Append the scores of a part (dtype ``SCORES``) and its bytes of text.

        Raises:
            WriteError: If the disk is full, for example.
        """
        part = (len(scores), num_bytes)
        try:
            for file, values in zip(self._files, (scores, np.array([part], PART)), strict=True):
                file.write(values.tobytes())
                file.flush()
        except OSError as error:
            raise WriteError(
                self._folder, error, "The same command continues from what was scored."
            ) from error
        self.parts.append(part)

    def blocks(self) -> Iterator[np.ndarray[Any, np.dtype[Any]]]:
        """Yield the scores of all documents in blocks."""
        scores = map_file(self._folder / "judged", SCORES, self.documents)
        for first in range(0, len(scores), BLOCK):
            yield scores[first : first + BLOCK]
            release(scores)

    def perplexities(self, model: int) -> Iterator[Float64[np.ndarray, " documents"]]:
        """Yield the perplexities of the documents of one model in blocks."""
        for block in self.blocks():
            yield block["perplexity"][block["model"] == model]

    def reader(self) -> Callable[[int], np.ndarray[Any, np.dtype[Any]]]:
        """Return a function that returns the scores of the next ``count`` documents."""
        scores, done = map_file(self._folder / "judged", SCORES, self.documents), 0

        def next_scores(count: int) -> np.ndarray[Any, np.dtype[Any]]:
            nonlocal done
            found = scores[done : done + count].copy()
            done += count
            release(scores)
            return found

        return next_scores

    def close(self) -> None:
        """Close the files."""
        for file in self._files:
            file.close()


@contextmanager
def open_journal(output: Path, about: Mapping[str, Any]) -> Iterator[Journal]:
    """Context manager: the journal of an output; removed when the block ends, kept if it raises.

    Raises:
        BusyError: If another process is making the same output.
        RunError: If its path is a symbolic link.
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
    """Return the folder of the journal of an output."""
    return output.with_name(f".{output.name}.filter")


def at_ranks(
    values: Callable[[], Iterator[Float64[np.ndarray, " documents"]]],
    ranks: Int64[np.ndarray, " ranks"],
) -> list[float]:
    """Return the values of given ranks in sorted order, in bounded memory (radix selection).

    The bits of non-negative floating-point numbers are in the same order as the numbers. So the
    first 16 bits of the value are found by a histogram, then the next 16 among the values with this
    prefix, and so on.

    Args:
        values: Yields all values (not negative) in blocks; called several times.
        ranks: Ranks from 0, below the number of values.
    """
    return [_at_rank(values, int(rank)) for rank in ranks]


def _at_rank(values: Callable[[], Iterator[Float64[np.ndarray, " _"]]], rank: int) -> float:
    """Return the value of one rank, 16 bits per pass; see ``at_ranks``."""
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
