"""Reading and writing fastText files, `.bin` and `.ftz`.

| what                  | as                                                              |
|-----------------------|-----------------------------------------------------------------|
| magic, version        | 793712314, 12 (or 11)                                           |
| settings              | 12 numbers of 32 bits, one of 64                                |
| dictionary            | sizes; each entry: its bytes, a zero, a count, 0 word / 1 label |
| kept buckets          | pairs of bucket and row                                         |
| input, output matrix  | whether quantised; sizes; numbers, or codes and centroids       |

All numbers are little-endian. Such a file may come from anyone: sizes in it are compared with the
length of the file before any memory is reserved.
"""

import struct
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from thence.atomic import write_atomically
from thence.corpus.opening import odd_kind, read_whole
from thence.errors import SettingError, TextError
from thence.models.fasttext.contents import (
    CENTROIDS,
    KINDS,
    LOSSES,
    Arguments,
    Dense,
    Dictionary,
    Entries,
    FastTextModel,
    Matrix,
    Quantised,
)
from thence.models.fasttext.features import subword_bags
from thence.models.fasttext.predictions import hidden
from thence.tokens import WordVectors

MAGIC, VERSION = 793712314, 12
OLDER = 11
"""An older version, whose supervised models have no character n-grams, whatever their settings."""
ARGUMENTS = struct.Struct("<12id")
"""The settings, in the order of ``Arguments``."""
SIZES = struct.Struct("<3i2q")
"""Entries, words and labels of the dictionary, tokens of the train text, kept buckets."""
ENTRY = struct.Struct("<qb")
"""Count and kind of an entry of the dictionary."""
WORD, LABEL = 0, 1
"""The kinds of entries."""
NOT_PRUNED = -1
"""Number of kept buckets that means all."""


def is_fasttext(path: Path) -> bool:
    """Return whether a file begins with fastText's magic number; False if it cannot be read."""
    if odd_kind(path) is None:
        with suppress(OSError), path.open("rb") as file:
            return file.read(4) == struct.pack("<i", MAGIC)
    return False


class _BrokenError(Exception):
    """A damaged file; the message is the end of a sentence."""


class _Reader:
    """A cursor over the bytes of a file.

    Args:
        data: The bytes.
    """

    def __init__(self, data: bytes) -> None:
        self.data, self.at = data, 0

    def take(self, size: int) -> int:
        """Advance by ``size`` bytes; return the offset of the first.

        Raises:
            _BrokenError: If the file ends before.
        """
        if not 0 <= size <= len(self.data) - self.at:
            left = len(self.data) - self.at
            raise _BrokenError(f"it needs {size:,} bytes more where {left:,} are left")
        self.at += size
        return self.at - size

    def numbers(self, form: struct.Struct) -> tuple[Any, ...]:
        """Return the next numbers, by a format of ``struct``."""
        return form.unpack_from(self.data, self.take(form.size))

    def array(self, dtype: Any, size: int) -> np.ndarray[Any, np.dtype[Any]]:
        """Return the next ``size`` numbers of one dtype, without a copy."""
        first = self.take(size * np.dtype(dtype).itemsize)
        return np.frombuffer(self.data, dtype, size, first)


def read_fasttext(path: str | Path) -> FastTextModel:
    """Read a file of fastText, ``.bin`` or ``.ftz``, of versions 11 and 12.

    Raises:
        TextError: If it is not such a file, or damaged.
    """
    data = read_whole(Path(path))
    try:
        return _read(_Reader(data))
    except (_BrokenError, SettingError, ValueError) as error:
        raise TextError(
            f"{path} is no file of fastText, or damaged: {str(error).rstrip('.')}. Was it "
            "downloaded whole?"
        ) from error


def _read(reader: _Reader) -> FastTextModel:
    arguments = _read_arguments(reader)
    dictionary = _read_dictionary(reader)
    is_quantised = _read_bool(reader)
    if dictionary.pruned is not None and not is_quantised:
        raise _BrokenError("it has kept buckets, but is not quantised")
    matrix = _read_quantised(reader) if is_quantised else _read_dense(reader)
    output_too = _read_bool(reader) and is_quantised
    output = _read_quantised(reader) if output_too else _read_dense(reader)
    return FastTextModel(arguments, dictionary, matrix, output)


def _read_arguments(reader: _Reader) -> Arguments:
    magic, version = reader.numbers(struct.Struct("<2i"))
    if magic != MAGIC:
        raise _BrokenError("it does not begin as they do")
    if version not in (OLDER, VERSION):
        raise _BrokenError(f"it is of version {version}, not {OLDER} or {VERSION}")
    (
        dim, ws, epoch, min_count, neg, word_ngrams, loss, model, bucket, minn, maxn, rate, t
    ) = reader.numbers(ARGUMENTS)  # fmt: skip
    if not 1 <= loss <= len(LOSSES) or not 1 <= model <= len(KINDS):
        raise _BrokenError(f"its loss is number {loss} and its model number {model}")
    kind = KINDS[model - 1]
    if version == OLDER and kind == "supervised":
        maxn = 0
    return Arguments(
        dim, ws, epoch, min_count, neg, max(word_ngrams, 1), LOSSES[loss - 1], kind, bucket,
        max(minn, 0), max(maxn, 0), rate, t,
    )  # fmt: skip


def _read_bool(reader: _Reader) -> bool:
    return bool(reader.array(np.uint8, 1)[0])


def _read_dictionary(reader: _Reader) -> Dictionary:
    size, words, labels, tokens, kept = reader.numbers(SIZES)
    if min(words, labels) < 0 or words + labels != size:
        raise _BrokenError(f"of its {size:,} entries {words:,} are words and {labels:,} labels")
    found = Dictionary(
        _read_entries(reader, words, WORD), _read_entries(reader, labels, LABEL), tokens
    )
    if kept < 0:
        return found
    pairs = reader.array("<i4", 2 * kept).reshape(-1, 2)
    return Dictionary(found.words, found.labels, tokens, np.ascontiguousarray(pairs, np.int32))


def _read_entries(reader: _Reader, size: int, kind: int) -> Entries:
    data, at, strings, counts = reader.data, reader.at, [], []
    for _ in range(size):
        end = data.find(b"\0", at)
        if end < 0:
            raise _BrokenError("its dictionary has no end")
        strings.append(data[at:end])
        reader.at = end + 1
        count, is_label = reader.numbers(ENTRY)
        if is_label != kind:
            raise _BrokenError("labels stand among the words of its dictionary")
        counts.append(count)
        at = reader.at
    return Entries.of(strings, counts)


def _read_dense(reader: _Reader) -> Dense:
    rows, dim = reader.numbers(struct.Struct("<2q"))
    if rows < 0 or dim < 1:
        raise _BrokenError(f"it has a matrix of {rows:,} x {dim:,}")
    return Dense(reader.array("<f4", rows * dim).reshape(rows, dim))


def _read_quantised(reader: _Reader) -> Quantised:
    has_norms = _read_bool(reader)
    rows, dim, size = reader.numbers(struct.Struct("<2qi"))
    codes = reader.array(np.uint8, size)
    found_dim, parts, part_size, last_size = reader.numbers(struct.Struct("<4i"))
    fits = rows >= 0 and parts > 0 and part_size >= last_size > 0
    fits = fits and (parts - 1) * part_size + last_size == dim == found_dim
    if not fits or rows * parts != size:
        raise _BrokenError("the parts of a quantised matrix do not fit together")
    centroids = reader.array("<f4", CENTROIDS * dim)
    norm_codes = norms = None
    if has_norms:
        norm_codes = reader.array(np.uint8, rows)
        if reader.numbers(struct.Struct("<4i")) != (1, 1, 1, 1):
            raise _BrokenError("its norms are not one number each")
        norms = np.array(reader.array("<f4", CENTROIDS), np.float32)
    codes = codes.reshape(rows, parts)
    return Quantised(codes, np.array(centroids, np.float32), dim, part_size, norm_codes, norms)


def write_fasttext(model: FastTextModel, path: str | Path) -> None:
    """Write a file that fastText reads; it appears whole or not at all.

    Raises:
        RunError: If it cannot be written.
    """
    write_atomically(Path(path), _parts(model))


def _parts(model: FastTextModel) -> Iterator[bytes | memoryview]:
    a, dictionary = model.arguments, model.dictionary
    yield struct.pack("<2i", MAGIC, VERSION)
    yield ARGUMENTS.pack(
        a.dim, a.ws, a.epoch, a.min_count, a.neg, a.word_ngrams, LOSSES.index(a.loss) + 1,
        KINDS.index(a.model) + 1, a.bucket, a.minn, a.maxn, a.lr_update_rate, a.t,
    )  # fmt: skip
    kept = NOT_PRUNED if dictionary.pruned is None else len(dictionary.pruned)
    yield SIZES.pack(
        len(dictionary), len(dictionary.words), len(dictionary.labels), dictionary.num_tokens, kept
    )
    for entries, kind in ((dictionary.words, WORD), (dictionary.labels, LABEL)):
        for string, count in zip(entries.encoded(), entries.counts.tolist(), strict=True):
            yield string + b"\0" + ENTRY.pack(count, kind)
    if dictionary.pruned is not None:
        yield dictionary.pruned.astype("<i4").data
    is_quantised = isinstance(model.input, Quantised)
    yield bytes([is_quantised])
    yield from _matrix(model.input)
    output_too = isinstance(model.output, Quantised)
    if output_too and not is_quantised:
        raise SettingError("fastText quantises no output matrix beside an input that is not.")
    yield bytes([output_too])
    yield from _matrix(model.output)


def _matrix(matrix: Matrix) -> Iterator[bytes | memoryview]:
    rows, dim = matrix.shape
    if isinstance(matrix, Dense):
        yield struct.pack("<2q", rows, dim)
        yield _bytes(matrix.values, "<f4")
        return
    has_norms = matrix.norm_codes is not None
    parts = matrix.codes.shape[1]
    last = dim - (parts - 1) * matrix.part_size
    yield struct.pack("<?2qi", has_norms, rows, dim, matrix.codes.size)
    yield _bytes(matrix.codes, "u1")
    yield struct.pack("<4i", dim, parts, matrix.part_size, last)
    yield _bytes(matrix.centroids, "<f4")
    if matrix.norm_codes is not None and matrix.norms is not None:
        yield _bytes(matrix.norm_codes, "u1")
        yield struct.pack("<4i", 1, 1, 1, 1)
        yield _bytes(matrix.norms, "<f4")


def _bytes(values: np.ndarray[Any, np.dtype[Any]], dtype: str) -> memoryview:
    """Return the bytes of an array in this dtype, copied only if the layout differs."""
    return np.ascontiguousarray(values, dtype).reshape(-1).view(np.uint8).data


def vectors_in(path: Path, words: Sequence[str], ordinary: int) -> WordVectors:
    """Return the vectors of words, computed from their subwords, so that unknown words have one.

    Args:
        path: The file.
        words: The words, then special symbols.
        ordinary: How many of them are words; special symbols have no vector.

    Raises:
        TextError: If it is not a fastText file, or damaged.
    """
    model = read_fasttext(path)
    bags = subword_bags(model, words)
    matrix, found = hidden(model, bags), bags.sizes > 0
    found[ordinary:] = False
    matrix[~found] = 0
    if not np.isfinite(matrix).all():
        raise TextError(f"{path} holds vectors that are no finite numbers: it is damaged.")
    return WordVectors(matrix, found, len(model.dictionary.words), None, 0, None)
