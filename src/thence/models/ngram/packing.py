"""Compressed tables: quantised logarithms, and keys as a succinct trie.

**Logarithms.** The values of an order are put into 2^bits bins, and each is replaced by the mean of
its bin. The density of bins is proportional to the cube root of the density of values, which
minimises the squared error (Panter and Dite 1951, "Quantization distortion in pulse-count
modulation with nonuniform spacing of levels"). Bins with equally many values (KenLM's; Heafield
2011, "KenLM: faster and smaller language model queries", section 3.3) leave too few to the probable
n-grams, of which there are few. 0 and minus infinity have bins of their own. Unigrams are not
quantised.

**Keys.** Sorted keys are a trie: n-grams with the same prefix are contiguous. A key is stored as
its last word, in as many bits as the vocabulary needs, and as a unary code of the prefixes: for
each n-gram of the order below, one 1 for each of its followers, then a 0. For the bigrams aa, ab,
ca of the words a, b, c the bits are 110 0 10.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace

import numpy as np

from thence.array_types import Float, Float32, Int64, Integer, UInt8
from thence.mapped import Array, Column, Columns, MemoryColumn, Spool, pieces, release
from thence.models.memory_guard import fits_into_memory
from thence.models.ngram.gathering import blocks
from thence.models.ngram.smoothing import OrderTable, context_blocks, new_columns

LOGARITHMS = ("log_probs", "log_backoffs")
"""The arrays of a table that are quantised."""
SAMPLE = 1 << 22
"""Largest number of values from which the bounds of bins are computed; more hardly move them."""
CELLS = 1 << 12
"""Cells of the histogram from which the bounds of bins are computed."""
PACKED_AT_ONCE = 1 << 16
"""Numbers that are packed or unpacked together; a multiple of 8, so that they fill whole bytes."""
BYTES_PER_NGRAM = 16
"""Bytes of an n-gram in memory after unpacking: key, log-probability and back-off weight."""


def quantise(tables: list[OrderTable], bits: int, memory: int | None = None) -> list[OrderTable]:
    """Return tables with at most 2^bits distinct logarithms of a kind per order, from order 2 on.

    Args:
        tables: A smoothed model.
        bits: Bits per logarithm.
        memory: About how many bytes to work in, with the tables on disk; None: no bound.
    """
    column = new_columns(memory)
    longer = [
        replace(
            table,
            log_probs=_quantised(table.log_probs, bits, column),
            log_backoffs=_quantised(table.log_backoffs, bits, column),
        )
        for table in tables[1:]
    ]
    return [tables[0], *longer]


def _quantised(
    values: Float[np.ndarray, " values"], bits: int, column: Columns
) -> Float32[np.ndarray, " values"]:
    """Return the quantised values: each the mean of its bin."""
    step = -(-max(len(values), 1) // SAMPLE)
    sample = np.sort(_ordinary(values[::step]))
    release(values)
    most = 2**bits - 2  # Two bins are kept for 0 and minus infinity.
    bounds = np.unique(sample) if len(sample) else np.zeros(1, np.float32)
    if len(bounds) > most:
        bounds = _bounds(sample, most)
    sums, counts = np.zeros(len(bounds)), np.zeros(len(bounds), np.int64)
    for block in blocks(values):
        ordinary = _ordinary(block)
        which = _bins(bounds, ordinary)
        sums += np.bincount(which, ordinary, len(bounds))
        counts += np.bincount(which, minlength=len(bounds))
    means = (sums / np.maximum(counts, 1)).astype(np.float32)
    found = column(np.float32, len(values))
    for block in blocks(values):
        is_ordinary = np.isfinite(block) & (block != 0)
        block = block.astype(np.float32)
        block[is_ordinary] = means[_bins(bounds, block[is_ordinary])]
        found.append(block)
    return found.array()


def _bounds(ordered: Float[np.ndarray, " values"], most: int) -> Float32[np.ndarray, " bins"]:
    """Return the lower bounds of at most ``most`` bins, from sorted values."""
    counts, edges = np.histogram(ordered, CELLS)
    shares = np.cumsum(np.cbrt(counts))
    places = np.searchsorted(shares, shares[-1] * np.arange(most) / most, "right")
    return np.unique(edges[places].astype(np.float32))


def _ordinary(values: Float[np.ndarray, " values"]) -> Float[np.ndarray, " some"]:
    """Return the values that are binned: neither 0 nor infinite."""
    found: Float[np.ndarray, " some"] = values[np.isfinite(values) & (values != 0)]
    return found


def _bins(
    bounds: Float[np.ndarray, " bins"], values: Float[np.ndarray, " values"]
) -> Int64[np.ndarray, " values"]:
    """Return the bin of each value, by the lower bounds of the bins."""
    return np.maximum(np.searchsorted(bounds, values, "right") - 1, 0)


def pack_tables(
    tables: list[OrderTable], vocabulary_size: int, bits: int, memory: int | None = None
) -> dict[str, Array]:
    """Return quantised tables as compressed arrays by name; ``unpack_tables`` is the inverse."""
    column = new_columns(memory)
    packed: dict[str, Array] = {"sizes": np.array([len(table.keys) for table in tables])}
    packed |= {f"1.{name}": getattr(tables[0], name) for name in LOGARITHMS}
    contexts = vocabulary_size
    for order, table in enumerate(tables[1:], 2):
        for name in LOGARITHMS:
            values: Array = getattr(table, name)
            known = np.zeros(0, np.float32)
            for block in blocks(values):
                known = np.union1d(known, block)
            codes = (np.searchsorted(known, block) for block in blocks(values))
            packed[f"{order}.{name}.values"] = known.astype(np.float32)
            packed[f"{order}.{name}"] = _pack(codes, bits, column, len(values))
        words = (block % vocabulary_size for block in blocks(table.keys))
        width = (vocabulary_size - 1).bit_length()
        packed[f"{order}.words"] = _pack(words, width, column, len(table.keys))
        packed[f"{order}.followers"] = _pack_followers(
            table.keys, contexts, vocabulary_size, column
        )
        contexts = len(table.keys)
    return packed


def _pack(
    parts: Iterator[Integer[np.ndarray, " part"]], bits: int, column: Columns, size: int
) -> UInt8[np.ndarray, " bytes"]:
    """Return numbers packed in ``bits`` bits each, the lowest bit first."""
    packed = column(np.uint8, -(-size * bits // 8))
    shifts = np.arange(bits)
    writer = _BitWriter(packed)
    for part in parts:
        for start, stop in pieces(0, len(part), PACKED_AT_ONCE):
            writer.append((part[start:stop, None] >> shifts & 1).astype(np.uint8).reshape(-1))
    return writer.finish()


class _BitWriter:
    """Packs bits into the bytes of a column, the lowest bit first."""

    def __init__(self, column: Column) -> None:
        self._column, self._left = column, np.zeros(0, np.uint8)

    def append(self, bits: UInt8[np.ndarray, " bits"]) -> None:
        """Add bits at the end."""
        bits = np.concatenate([self._left, bits])
        whole = len(bits) // 8 * 8
        self._column.append(np.packbits(bits[:whole], bitorder="little"))
        self._left = bits[whole:]

    def finish(self) -> UInt8[np.ndarray, " bytes"]:
        """Fill the last byte with zeros, and return all."""
        self._column.append(np.packbits(self._left, bitorder="little"))
        return self._column.array()


def _pack_followers(
    keys: Int64[np.ndarray, " ngrams"], contexts: int, vocabulary_size: int, column: Columns
) -> UInt8[np.ndarray, " bytes"]:
    """Return the unary code of the prefixes: a 1 for each n-gram, and a 0 after each context."""
    writer = _BitWriter(column(np.uint8, -(-(len(keys) + contexts) // 8)))
    for ngrams, some in context_blocks(keys, contexts, vocabulary_size):
        size = some.stop - some.start
        followers = np.bincount(keys[ngrams] // vocabulary_size - some.start, minlength=size)
        bits = np.ones(ngrams.stop - ngrams.start + size, np.uint8)
        bits[np.cumsum(followers) + np.arange(size)] = 0
        writer.append(bits)
        release(keys)
    return writer.finish()


def packed_names(order: int) -> set[str]:
    """Return the names of the arrays of ``pack_tables`` for a model of this order."""
    orders = range(2, order + 1)
    logs = {f"{k}.{name}" for k in orders for name in LOGARITHMS}
    keys = {f"{k}.{name}" for k in orders for name in ("words", "followers")}
    first = {f"1.{name}" for name in LOGARITHMS}
    return {"sizes", *first, *keys, *logs, *(f"{name}.values" for name in logs)}


def unpack_tables(
    packed: Mapping[str, Array], order: int, vocabulary_size: int, bits: int
) -> list[OrderTable]:
    """Return the tables packed by ``pack_tables``, in memory or, if they do not fit, on disk.

    Raises:
        ValueError: If lengths, dtypes or values do not fit together. Lengths are checked before any
            memory is reserved, so that no array is larger than the file allows.
    """
    sizes = packed["sizes"]
    if sizes.shape != (order,) or sizes.dtype.kind != "i" or sizes[0] != vocabulary_size:
        raise ValueError("the numbers of n-grams do not fit the order and the vocabulary")
    width = (vocabulary_size - 1).bit_length()
    contexts = vocabulary_size
    for k, size in enumerate(sizes.tolist()[1:], 2):
        lengths = {
            "log_probs": bits * size, "log_backoffs": bits * size if k < order else 0,
            "words": width * size, "followers": size + contexts,
        }  # fmt: skip
        for name, length in lengths.items():
            array = packed[f"{k}.{name}"]
            if size < 0 or array.dtype != np.uint8 or array.shape != (-(-length // 8),):
                raise ValueError(f"the {name} of order {k} have another type or length")
        contexts = size
    column = MemoryColumn if fits_into_memory(int(sizes.sum()) * BYTES_PER_NGRAM) else Spool
    ids, contexts = np.arange(vocabulary_size), vocabulary_size
    tables = [OrderTable(ids, *(packed[f"1.{name}"] for name in LOGARITHMS))]
    for k, size in enumerate(sizes.tolist()[1:], 2):
        keys = _unpack_keys(packed, k, size, contexts, vocabulary_size, column)
        logs = (
            _unpack_logs(packed, f"{k}.{name}", length, bits, column)
            for name, length in zip(LOGARITHMS, (size, size if k < order else 0), strict=True)
        )
        tables.append(OrderTable(keys, *logs))
        contexts = size
    return tables


def _unpack_logs(
    packed: Mapping[str, Array], name: str, size: int, bits: int, column: Columns
) -> Float32[np.ndarray, " values"]:
    values = packed[f"{name}.values"]
    if values.dtype != np.float32 or values.ndim != 1:
        raise ValueError(f"the values of {name} have another type")
    found = column(np.float32, size)
    for codes in _unpack(packed[name], bits, size):
        if codes.max(initial=0) >= len(values):
            raise ValueError(f"{name} holds codes without a value")
        found.append(values[codes])
    return found.array()


def _unpack(
    packed: UInt8[np.ndarray, " bytes"], bits: int, size: int
) -> Iterator[Int64[np.ndarray, " block"]]:
    """Yield blocks of numbers that are packed in ``bits`` bits each."""
    if not bits:  # The words of a vocabulary of one.
        yield from (np.zeros(stop - start, np.int64) for start, stop in pieces(0, size, 1 << 18))
        return
    for start, stop in pieces(0, size, PACKED_AT_ONCE):
        bytes_ = packed[start * bits // 8 : -(-stop * bits // 8)]
        ones = np.unpackbits(bytes_, bitorder="little", count=(stop - start) * bits)
        # Spread each number over 64 bits, with zeros above its own, and read it as an integer.
        room = np.zeros((stop - start, 64), np.uint8)
        room[:, :bits] = ones.reshape(-1, bits)
        yield np.packbits(room, axis=1, bitorder="little").view("<i8").reshape(-1)
        release(packed)


def _unpack_keys(
    packed: Mapping[str, Array],
    order: int,
    size: int,
    contexts: int,
    vocabulary_size: int,
    column: Columns,
) -> Int64[np.ndarray, " ngrams"]:
    """Return the keys of an order; ``check_table`` checks that they ascend."""
    width = (vocabulary_size - 1).bit_length()
    words = column(np.int64, size)
    for block in _unpack(packed[f"{order}.words"], width, size):
        words.append(block)
    last_words, bits = words.array(), packed[f"{order}.followers"]
    keys, context, done = column(np.int64, size), 0, 0
    for start, stop in pieces(0, len(bits), PACKED_AT_ONCE):
        count = min(8 * stop, size + contexts) - 8 * start
        ones = np.unpackbits(bits[start:stop], bitorder="little", count=count).astype(bool)
        prefixes = context + np.cumsum(~ones)[ones]
        context += len(ones) - len(prefixes)
        block = last_words[done : done + len(prefixes)]
        if len(block) < len(prefixes) or block.max(initial=0) >= vocabulary_size:
            raise ValueError(f"the keys of order {order} do not fit")
        keys.append(prefixes * vocabulary_size + block)
        done += len(prefixes)
        release(bits, last_words)
    if (done, context) != (size, contexts):
        raise ValueError(f"the keys of order {order} do not fit")
    return keys.array()


def check_table(order: int, table: OrderTable, key_limit: int, is_last: bool) -> None:
    """Check the arrays of one order of a model from a file.

    Args:
        order: The order, for messages.
        table: The arrays.
        key_limit: All keys must be below this.
        is_last: Whether it is the highest order, without back-off weights.

    Raises:
        ValueError: If dtypes, lengths, keys or logarithms do not fit.
    """
    kinds = [array.dtype.kind for array in (table.keys, table.log_probs, table.log_backoffs)]
    shapes = [table.keys.shape, table.log_probs.shape, table.log_backoffs.shape]
    size = len(table.keys)
    if kinds != ["i", "f", "f"] or shapes != [(size,), (size,), (0 if is_last else size,)]:
        raise ValueError(f"the arrays of order {order} differ in type or length")
    before = -1
    for block in blocks(table.keys):
        if block[0] <= before or np.any(block[1:] <= block[:-1]):
            before = key_limit
            break
        before = int(block[-1])
    if before >= key_limit:
        raise ValueError(f"the keys of order {order} do not fit the vocabulary")
    if order == 1 and size != key_limit:
        raise ValueError(f"order 1 has {size} symbols of {key_limit}")
    for logarithms in (table.log_probs, table.log_backoffs):
        for block in blocks(logarithms):
            if np.any(np.isnan(block) | (block == np.inf)):
                raise ValueError(f"order {order} holds logarithms that are no numbers")
