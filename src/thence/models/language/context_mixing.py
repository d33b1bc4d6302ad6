"""Context mixing: many contexts say how likely each bit of a symbol is, and are believed by merit.

A symbol is a path of binary decisions, its code (``symbol_code``). At each, every context i (the
last 0 to 8 symbols, words, gaps, the column) looks up the history s_i of this decision after the
same context (a byte in a hashed table, ``bit_history``), and its adaptive probability p_i(s_i):

    x_i  = ln p_i / (1 - p_i)                      the inputs; 0 for a context never seen
    q_k  = 1 / (1 + exp(-w_k . x))                 w_k: one weight vector of each set k, chosen by
                                                   the node, the last symbols, the longest match...
    q    = 1 / (1 + exp(-sum_k v_k ln q_k / (1 - q_k)))
    p    = q / 4 + (0.15 a_0 + 0.3 a_1 + 0.3 a_2)  a_j: maps from q to what came after such a q, in
                                                   contexts of the last 0 to 2 symbols

The symbol that followed the last 5 and 12 symbols when they stood together before is an input, too,
as are the decisions of other models (``mixture``). After each decision with bit b everything
learns: histories, p_i towards b by one over how often it was asked, w_k by the gradient of
log-likelihood, (b - q_k) x_i, and the maps.

The model is read once to learn it and, with running text, goes on learning from what it scores,
each symbol after it was scored. Probabilities of all symbols sum to one because those of each
decision do.

Sources: M. Mahoney 2005, "Adaptive weighing of context models for lossless data compression", and
"Data Compression Explained"; B. Knoll and N. de Freitas 2012, "A machine learning perspective on
predictive coding with PAQ8". The kernel is ``_core/mixing.c``, its twin ``context_mixing_twin``.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from copy import copy
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np

from thence._core import library
from thence._core.mixing import MixingCore
from thence.array_types import Float, Float32, Float64, Int32, Int64, Integer
from thence.deadline import check_deadline, past_deadline
from thence.models.base import MAX_WEIGHT, Array
from thence.models.language.bit_history import STATES, empty_slots, history_tables
from thence.models.language.context_mixing_twin import MixingTwin
from thence.models.language.symbol_code import huffman_code
from thence.models.memory_guard import check_memory
from thence.settings import Range, Settings
from thence.tokens import TokenStore

CONTEXTS, MATCHES, LANES, SETS, MODELS = 19, 2, 8, 6, 16
"""Contexts; matches; floats that are added at once; sets of weight vectors; other models at most:
those of the kernel."""
WINDOW = 128
"""Symbols before a target that its contexts may depend on."""
LENGTHS, CELLS, MAPS, ROWS = 64, 33, 3, 256
"""Distinct lengths of a match; cells of an adaptive map, from -8 to 8 in log-odds; maps; symbols
and nodes that have weights of their own."""
WEIGHT_ROWS = 3 * ROWS + 18 * 2 * 8 + 9 * 8 + 16 * ROWS
"""Weight vectors of all sets: by node, last symbol, the one before; by match and depth; by the
longest context seen and depth; by the length of the word and node."""
FIRST_WEIGHT = 0.2
"""Weight of each context and match before anything is learned; other models share one such."""
HISTORY = 1 << 22
"""Symbols of train that matches may point into (16 MB)."""
BLOCK = 1 << 14
"""Symbols that are read between looks at the clock."""
SLOT_BITS = (12, 24)
"""Least and most of ``slot_bits`` where none is given."""
SLOTS_PER_SYMBOL = 8
"""Slots for each symbol of train, as far as ``SLOT_BITS`` allows: with fewer, some are lost."""


BOUNDS: Mapping[str, tuple[float, float]] = {
    "f": (-MAX_WEIGHT, MAX_WEIGHT), "u": (0, 255), "i": (0, 1 << 62),
    "probs": (1 / 4096, 4095 / 4096), "match_probs": (1 / 4096, 4095 / 4096),
}  # fmt: skip
"""Least and largest number of a tensor, by its name or the kind of its type."""

LogOdds = Float32[np.ndarray, "decisions models"]
"""What other models say of each decision of each target: the log-odds of bit 1."""


Recent = Int32[np.ndarray, "batch window"]


@dataclass(frozen=True)
class ContextMixingOptions(Settings):
    """Settings of the ``context-mixing`` model."""

    slot_bits: Annotated[int, Range(ge=8, le=28)] | None = None
    """The table of bit histories has 2^slot_bits slots of 8 bytes; by default 8 for each symbol \
of the train split, at most 2^24 (128 MB)."""


class ContextMixing:
    """A context mixing model.

    Args:
        options: Its settings.
        vocabulary_size: Number of ids (V).
    """

    def __init__(self, options: ContextMixingOptions, vocabulary_size: int) -> None:
        self.options, self.vocabulary_size = options, vocabulary_size
        self._static, self.models = False, 0
        self._begin(np.zeros(vocabulary_size, np.int64), np.zeros(1, np.int32))

    def _begin(self, counts: Array, ids: Int32[np.ndarray, " symbols"]) -> None:
        """Forget everything; make tables for a text."""
        size = len(ids)
        least, most = SLOT_BITS
        wanted = math.ceil(math.log2(max(size * SLOTS_PER_SYMBOL, 1)))
        slot_bits = self.options.slot_bits or min(max(wanted, least), most)
        map_bits = min(max(math.ceil(math.log2(max(size, 1))) - 6, 8), 16)
        match_bits = map_bits + 6
        check_memory((8 << slot_bits) * 2, "The table of contexts", "Use fewer `slot_bits`.")
        self._set_code(counts)
        self._history = ids
        levels = 1 / (1 + np.exp(-(np.arange(CELLS) - CELLS // 2) / 2))
        self._learned: dict[str, Array] = {
            "separators": np.zeros(self.vocabulary_size, np.uint8),
            "slots": empty_slots(1 << slot_bits),
            "probs": np.full((CONTEXTS, STATES), 0.5, np.float32),
            "counts": np.zeros((CONTEXTS, STATES), np.float32),
            "places": np.zeros((MATCHES, 1 << match_bits), np.int32),
            "match_probs": np.full((MATCHES, LENGTHS), 0.75, np.float32),
            "match_counts": np.zeros((MATCHES, LENGTHS), np.float32),
            "weights": _weights(self.models),
            "final_weights": np.full((ROWS, LANES), 1 / SETS, np.float32),
            "maps": np.tile(levels.astype(np.float32), (MAPS, 1 << map_bits, 1)),
            "learned": np.zeros(1, np.int64),
        }

    def _set_code(self, counts: Int64[np.ndarray, " vocab"]) -> None:
        """Give every symbol a code, by how often it occurs in train, and once more."""
        self._symbol_counts = counts
        self._code = huffman_code((counts + 1).tolist())

    def arrays(self) -> dict[str, Any]:
        """Return the tables and the code as the kernel and its twin read and change them."""
        after, evidence = history_tables()
        return {**self._learned, **vars(self._code), "next": after, "evidence": evidence}

    def _core(self) -> MixingCore | MixingTwin:
        kind = MixingTwin if library() is None else MixingCore
        return kind(self.arrays(), self.models)

    def fit(
        self, store: TokenStore, carry_context: bool = False, dev: TokenStore | None = None
    ) -> None:
        """Read a store once and learn from it; what was learned before is forgotten.

        Once a deadline has passed, the rest of the store is left unread.
        """
        counts = np.bincount(store.targets, minlength=self.vocabulary_size)
        ids = store.ids.astype(np.int32)
        self._begin(counts, ids)
        self._learned["separators"][self._ends_of_words()] = 1
        self._read(ids, 1, carry_context, True, partly=True)

    def _ends_of_words(self) -> list[int]:
        """Return the symbols that end words: the boundary, and the most frequent one, the space."""
        boundary = self.vocabulary_size - 1
        return [boundary, int(np.argmax(self._symbol_counts[:boundary]))]

    @property
    def history(self) -> Int32[np.ndarray, " symbols"]:
        """The end of what was read, which matches point into."""
        return self._history

    def learn(
        self, store: TokenStore, carry_context: bool = False, others: LogOdds | None = None
    ) -> Float[np.ndarray, " targets"]:
        """Read on, learning from each target after it was scored; return the scores.

        Args:
            store: What follows the text read so far.
            carry_context: Whether context reaches across documents.
            others: What the other models say of it (see ``log_odds``).
        """
        # A store begins with a boundary, with which the text before has ended.
        text = np.concatenate([self._history, store.ids[1:].astype(np.int32)])
        return self._read(text, len(self._history), carry_context, True, others)

    def _read(
        self,
        text: Int32[np.ndarray, " symbols"],
        begin: int,
        carry_context: bool,
        learn: bool,
        others: LogOdds | None = None,
        partly: bool = False,
    ) -> Float[np.ndarray, " targets"]:
        """Return the log-probabilities of a text from a place on, and learn from it if wished.

        Args:
            text: What is read, with what is before it.
            begin: The first target.
            carry_context: Whether context reaches across documents.
            learn: Learn from each target after it was scored.
            others: What the other models say of the targets.
            partly: Once a deadline has passed, leave the rest unread; else give up.
        """
        history, core = text if learn else self._history, self._core()
        starts = self._code.starts
        depths = starts[text[begin:] + 1] - starts[text[begin:]]
        ends = np.concatenate([[0], np.cumsum(depths, dtype=np.int64)]) * self.models
        others = np.zeros(int(ends[-1]), np.float32) if others is None else others.ravel()
        found = np.zeros(len(text) - begin)
        for at in range(begin, len(text), BLOCK):
            end = min(at + BLOCK, len(text))
            odds = others[ends[at - begin] : ends[end - begin]]
            found[at - begin : end - begin] = core.read(
                text, at, end, carry_context, history, learn, odds
            )
            if not partly:
                check_deadline()
            elif past_deadline():
                text = text[:end]
                break
        if learn:
            self._keep(text)
        return found

    def _keep(self, text: Int32[np.ndarray, " symbols"]) -> None:
        """Keep the end of what was read, which matches point into."""
        forgotten = max(0, len(text) - HISTORY)
        self._history = text[forgotten:].copy()
        places = self._learned["places"]
        np.maximum(places - forgotten, 0, out=places)

    def score(
        self,
        store: TokenStore,
        carry_context: bool = False,
        others: LogOdds | None = None,
    ) -> Float[np.ndarray, " targets"]:
        """Return the log-probability of every target, in nats.

        Running text is learned from as it is scored, unless the model is static; the model itself
        stays as it is.
        """
        if carry_context and not self._static:
            return self.copied().learn(store, carry_context, others)
        return self._read(store.ids.astype(np.int32), 1, carry_context, False, others)

    def decision_ends(self, store: TokenStore) -> Int64[np.ndarray, " targets+1"]:
        """Return how many decisions there are before each target of a store, and in all."""
        starts, targets = self._code.starts, store.targets
        return np.append(0, np.cumsum(starts[targets + 1] - starts[targets], dtype=np.int64))

    def log_odds(
        self,
        targets: Int32[np.ndarray, " targets"],
        distributions: Iterable[Iterable[tuple[Int64[np.ndarray, " read"], Array]]],
    ) -> LogOdds:
        """Return what other models say of each decision of each target.

        Args:
            targets: The symbols that came.
            distributions: Of each model, in parts: numbers of targets, and the log-probabilities
                (read, V) of what could have come.
        """
        models, core, starts = [*distributions], self._core(), self._code.starts
        ends = np.cumsum(starts[targets + 1] - starts[targets], dtype=np.int64)
        begins = ends - (starts[targets + 1] - starts[targets])
        found = np.zeros((int(ends[-1]) if len(ends) else 0, len(models)), np.float32)
        for number, parts in enumerate(models):
            for places, log_probs in parts:
                rows = np.ascontiguousarray(log_probs, np.float32)
                there = np.ascontiguousarray(begins[places])
                core.log_odds(rows, targets[places], there, found, len(models), number)
        return found

    def with_models(self, models: int) -> "ContextMixing":
        """Return a copy with so many other models as inputs, whose weights are still to learn."""
        made, known = self.copied(), CONTEXTS + MATCHES + 1
        weights = _weights(models)
        weights[:, :known] = self._learned["weights"][:, :known]
        made.models, made._learned["weights"] = models, weights
        return made

    def shares(self) -> Float[np.ndarray, " models+1"]:
        """Return the shares of its own inputs and of each other model in the sizes of weights."""
        sizes = np.abs(self._learned["weights"]).sum(axis=0, dtype=np.float64)
        own = CONTEXTS + MATCHES + 1
        found = np.concatenate([[sizes[:own].sum()], sizes[own : own + self.models]])
        return np.asarray(found / found.sum())

    def copied(self) -> "ContextMixing":
        """Return a copy that can learn without changing this model."""
        made = copy(self)
        made._learned = {name: array.copy() for name, array in self._learned.items()}
        made._learned["slots"] = empty_slots(len(self._learned["slots"]))
        made._learned["slots"][:] = self._learned["slots"]
        return made

    @property
    def adapting(self) -> tuple[str, ...]:
        """Its name, unless it is static: it learns from running text as it scores it."""
        return () if self._static else ("context-mixing",)

    def static(self) -> "ContextMixing":
        """Return the model as it was learned from train, which learns no more."""
        made = copy(self)
        made._static = True
        return made

    def start(self, batch_size: int) -> Recent:
        """Return the state before any text: the last symbols read, -1 where there was none."""
        return np.full((batch_size, WINDOW), -1, np.int32)

    def step(
        self,
        ids: Integer[np.ndarray, " batch"],
        state: Recent,
        others: Sequence[Float[np.ndarray, "batch vocab"]] = (),
    ) -> tuple[Float64[np.ndarray, "batch vocab"], Recent]:
        """Read one id per row; return the log-probabilities of the next and the new state.

        Args:
            ids: What is read.
            state: Of as many rows.
            others: The log-probabilities of the next by each of the other models.

        Raises:
            ValueError: If those are not as many as the model has learned with.
        """
        if len(others) != self.models:
            raise ValueError(f"{len(others)} other models say something, and not {self.models}")
        recent = np.concatenate([state[:, 1:], ids[:, None].astype(np.int32)], axis=1)
        core = self._core()
        found = np.empty((len(ids), self.vocabulary_size))
        sums = np.zeros((len(others), self.vocabulary_size + 1))
        for row, window in enumerate(recent):
            for number, log_probs in enumerate(others):
                sums[number, self._code.ranks + 1] = np.exp(log_probs[row])
            read = np.ascontiguousarray(window[np.count_nonzero(window < 0) :])
            found[row] = core.next(read, self._history, np.cumsum(sums, axis=1))
        return found, recent

    def tensors(self) -> dict[str, Array]:
        """Return all tables, by name."""
        kept = {"symbol_counts": self._symbol_counts, "history": self._history}
        return {**self._learned, **kept}

    def load_tensors(self, tensors: Mapping[str, Array]) -> None:
        """Set what ``tensors`` returned."""
        if tensors.keys() != self.tensors().keys():
            raise ValueError(f"{', '.join(tensors)} are not the tensors of context mixing")
        history, learned = tensors["history"], {name: tensors[name] for name in self._learned}
        _check(tensors, "symbol_counts", (self.vocabulary_size,), np.int64, (0, 1 << 40))
        _check(tensors, "history", (len(history),), np.int32, (0, self.vocabulary_size - 1))
        slots, places = _bits(learned["slots"], 0), _bits(learned["places"], 1)
        maps = _bits(learned["maps"], 1)
        inputs = learned["weights"].shape[-1] // LANES * LANES
        free = {
            "slots": (1 << slots, 8),
            "places": (MATCHES, 1 << places),
            "maps": (MAPS, 1 << maps, CELLS),
            "weights": (WEIGHT_ROWS, max(inputs, _weights(self.models).shape[1])),
        }
        for name, own in self._learned.items():
            shape: tuple[int, ...] = free.get(name) or own.shape
            bounds = BOUNDS.get(name) or BOUNDS[own.dtype.kind]
            _check(learned, name, shape, own.dtype, bounds)
        self._set_code(tensors["symbol_counts"])
        self._learned, self._history = learned, history

    def num_parameters(self) -> int:
        """Return how many bit histories, weights and probabilities were learned."""
        others = sum(self._learned[name].size for name in ("weights", "final_weights", "maps"))
        return int(np.count_nonzero(self._learned["slots"][:, 1:])) + others


def _bits(array: Array, axis: int) -> int:
    """Return the logarithm of the size of a table along an axis, which is a power of two."""
    return max(array.shape[axis] if array.ndim > axis else 1, 1).bit_length() - 1


def _check(
    tensors: Mapping[str, Array],
    name: str,
    shape: tuple[int, ...],
    dtype: np.dtype[Any] | type,
    bounds: tuple[float, float],
) -> None:
    """Refuse a tensor of another shape or type, or with numbers out of bounds or none.

    Raises:
        ValueError: If it is one.
    """
    array = tensors[name]
    if array.shape != shape or array.dtype != dtype:
        raise ValueError(f"{name} holds {array.dtype} {array.shape}, not {dtype} {shape}")
    if array.size and not (array.min() >= bounds[0] and array.max() <= bounds[1]):
        raise ValueError(f"{name} holds numbers that no learning gives")


def _weights(models: int) -> Float32[np.ndarray, "rows inputs"]:
    """Return the weight vectors before anything is learned, padded to whole ``LANES``."""
    inputs = CONTEXTS + MATCHES + 1 + models
    weights = np.zeros((WEIGHT_ROWS, -(-inputs // LANES) * LANES), np.float32)
    weights[:, :inputs] = FIRST_WEIGHT
    weights[:, CONTEXTS + MATCHES + 1 : inputs] /= max(models, 1)
    return weights
