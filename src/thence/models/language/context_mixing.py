"""Context mixing (PAQ): many contexts predict each bit of a symbol, and a network mixes them.

A symbol is a sequence of binary decisions, the bits of its code (``symbol_code``). At each, every
context i (the last 0 to 8 symbols, words, gaps, the column) looks up the history s_i of this
decision after the same context (a byte in a hashed table, ``bit_history``), and the adaptive
probability p_i(s_i) of a 1 after such a history:

    x_i  = ln p_i / (1 - p_i)                      the inputs; 0 for a context never seen
    q_k  = 1 / (1 + exp(-w_k . x))                 w_k: one weight vector of each set k, chosen by
                                                   the node, the last symbols, the longest match...
    q    = 1 / (1 + exp(-sum_k v_k ln q_k / (1 - q_k)))
    p    = q / 4 + (0.15 a_0 + 0.3 a_1 + 0.3 a_2)  a_j: adaptive probability maps (APM), from q to
                                                   the observed rate of 1, in contexts of the last 0
                                                   to 2 symbols

The symbol that followed the last 5 and 12 symbols at their previous occurrence (a match) is an
input, too, as are the predictions of other models (``mixture``). After each decision with bit b
everything is updated: the histories; p_i towards b, at a rate of one over its number of uses; the
maps; and, unless q was nearly certain of b, w_k along the gradient of the log-likelihood,
(b - q_k) x_i.

Training is one pass over the text. On running text the model goes on learning from each symbol
after it was scored. The probabilities of all symbols sum to one because those of each decision do.

Sources: M. Mahoney 2005, "Adaptive weighing of context models for lossless data compression", and
"Data Compression Explained"; B. Knoll and N. de Freitas 2012, "A machine learning perspective on
predictive coding with PAQ8". The kernel is ``_core/mixing.c``, its twin ``context_mixing_twin``.
"""

from collections.abc import Iterable, Mapping, Sequence
from copy import copy
from dataclasses import dataclass
from itertools import pairwise
from typing import Annotated, Any

import numpy as np

from thence._core import library
from thence._core.mixing import MixingCore
from thence.array_types import Float, Float32, Float64, Int32, Int64, Integer
from thence.deadline import check_deadline, past_deadline
from thence.models.base import Array
from thence.models.language.bit_history import empty_slots, history_tables
from thence.models.language.context_mixing_twin import MixingTwin
from thence.models.language.mixing_tables import (
    OWN_INPUTS,
    check,
    check_tables,
    first_tables,
    first_weights,
)
from thence.models.language.symbol_code import huffman_code
from thence.settings import Range, Settings
from thence.tokens import TokenStore

WINDOW = 128
"""Number of symbols before a target on which its contexts may depend."""
HISTORY = 1 << 22
"""Number of last symbols of the train text that are kept for matches (16 MB)."""
BLOCK = 1 << 14
"""Symbols that are read between two checks of the deadline."""
SCORED_TOGETHER = 256
"""Separate documents are scored, and then learned from, in groups of at least so many symbols: each
call of the kernel costs as much as some symbols."""

LogOdds = Float32[np.ndarray, "decisions models"]
"""Log-odds of bit 1 by other models, for each decision of each target, one target after another."""

Recent = Int32[np.ndarray, "batch window"]
"""State: the last symbols of each row; -1 before the beginning of the text."""


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
        """Reset the model to untrained tables of sizes that suit a text."""
        self._set_code(counts)
        self._history = ids
        bits = self.options.slot_bits
        self._learned = first_tables(self.vocabulary_size, len(ids), bits, self.models)

    def _set_code(self, counts: Int64[np.ndarray, " vocab"]) -> None:
        """Set the Huffman code by the symbols' counts in train plus one."""
        self._symbol_counts = counts
        self._code = huffman_code((counts + 1).tolist())

    def arrays(self) -> dict[str, Any]:
        """Return the tables and the code, which the kernel and its twin update in place."""
        after, evidence = history_tables()
        return {**self._learned, **vars(self._code), "next": after, "evidence": evidence}

    def _core(self) -> MixingCore | MixingTwin:
        kind = MixingTwin if library() is None else MixingCore
        return kind(self.arrays(), self.models)

    def fit(
        self, store: TokenStore, carry_context: bool = False, dev: TokenStore | None = None
    ) -> None:
        """Learn from a store in one pass; an earlier fit is forgotten.

        After a deadline the rest of the store is not read.
        """
        counts = np.bincount(store.targets, minlength=self.vocabulary_size)
        ids = store.ids.astype(np.int32)
        self._begin(counts, ids)
        self._learned["separators"][self._ends_of_words()] = 1
        read = self._read(ids, slice(1, len(ids)), carry_context, True, partly=True)
        self._keep(ids[: 1 + len(read)])

    def _ends_of_words(self) -> list[int]:
        """Return the ids that end words: the boundary and the most frequent symbol, the space."""
        boundary = self.vocabulary_size - 1
        return [boundary, int(np.argmax(self._symbol_counts[:boundary]))]

    @property
    def history(self) -> Int32[np.ndarray, " symbols"]:
        """The last symbols that were read, in which matches are found."""
        return self._history

    def learn(
        self, store: TokenStore, carry_context: bool = False, others: LogOdds | None = None
    ) -> Float[np.ndarray, " targets"]:
        """Score further text and learn from it; return the log-probability of every target.

        With carried context the model learns from each target right after it was scored, as
        ``score`` does. Without, ``score`` does not learn, so whole documents are scored before the
        model learns from them.

        Args:
            store: The text that follows what was read so far.
            carry_context: Whether context reaches across documents.
            others: The log-odds by the other models (see ``log_odds``).
        """
        # A store begins with a boundary, which already ends the text before.
        text = np.concatenate([self._history, store.ids[1:]], dtype=np.int32)
        begin, ends = len(self._history), self.decision_ends(store)
        bounds = [0, store.num_targets] if carry_context else _groups(store.target_counts)
        found = np.empty(store.num_targets)
        for first, end in pairwise(bounds):
            part = slice(begin + first, begin + end)
            odds = None if others is None else others[ends[first] : ends[end]]
            found[first:end] = self._read(text, part, carry_context, carry_context, odds)
            if not carry_context:
                self._read(text, part, False, True, odds)
        self._keep(text)
        return found

    def _read(
        self,
        text: Int32[np.ndarray, " symbols"],
        part: slice,
        carry_context: bool,
        learn: bool,
        others: LogOdds | None = None,
        history: Int32[np.ndarray, " history"] | None = None,
        partly: bool = False,
    ) -> Float[np.ndarray, " targets"]:
        """Return the log-probabilities of a part of a text; learn from it if ``learn``.

        Args:
            text: The targets and the text before them.
            part: The slice of ``text`` that holds the targets.
            carry_context: Whether context reaches across documents.
            learn: Learn from each target after it was scored.
            others: The log-odds of the targets' decisions by the other models.
            history: The text in which matches are found; by default ``text``.
            partly: At a deadline, return the part that was read rather than raise.
        """
        core, starts, targets = self._core(), self._code.starts, text[part]
        depths = starts[targets + 1] - starts[targets]
        ends = np.concatenate([[0], np.cumsum(depths, dtype=np.int64)]) * self.models
        others = np.zeros(int(ends[-1]), np.float32) if others is None else others.ravel()
        found = np.zeros(len(targets))
        for first in range(0, len(targets), BLOCK):
            end = min(first + BLOCK, len(targets))
            found[first:end] = core.read(
                text,
                part.start + first,
                part.start + end,
                carry_context,
                text if history is None else history,
                learn,
                others[ends[first] : ends[end]],
            )
            if not partly:
                check_deadline()
            elif past_deadline():
                return found[:end]
        return found

    def _keep(self, text: Int32[np.ndarray, " symbols"]) -> None:
        """Keep the end of a text for matches; shift the positions that point into it."""
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

        On running text a copy of the model learns as it scores, unless the model is static; the
        model itself does not change.
        """
        if carry_context and not self._static:
            return self.copied().learn(store, carry_context, others)
        ids = store.ids.astype(np.int32)
        part, history = slice(1, len(ids)), self._history
        return self._read(ids, part, carry_context, False, others, history)

    def decision_ends(self, store: TokenStore) -> Int64[np.ndarray, " targets+1"]:
        """Return the number of decisions before each target of a store, and in all."""
        starts, targets = self._code.starts, store.targets
        return np.append(0, np.cumsum(starts[targets + 1] - starts[targets], dtype=np.int64))

    def log_odds(
        self,
        targets: Int32[np.ndarray, " targets"],
        distributions: Iterable[Iterable[tuple[Int64[np.ndarray, " read"], Array]]],
    ) -> LogOdds:
        """Return the log-odds of bit 1 for each decision of each target, by other models.

        Args:
            targets: Ids of the targets.
            distributions: For each model, in parts: indexes of targets, and the log-probabilities
                (read, V) of all symbols there.
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
        """Return a copy with ``models`` other models as inputs, with untrained weights."""
        made, weights = self.copied(), first_weights(models)
        weights[:, :OWN_INPUTS] = self._learned["weights"][:, :OWN_INPUTS]
        made.models, made._learned["weights"] = models, weights
        return made

    def shares(self) -> Float[np.ndarray, " models+1"]:
        """Return the shares of its own inputs and of each other model in the sum of |weights|."""
        sizes = np.abs(self._learned["weights"]).sum(axis=0, dtype=np.float64)
        found = np.concatenate([[sizes[:OWN_INPUTS].sum()], sizes[OWN_INPUTS:][: self.models]])
        return np.asarray(found / found.sum())

    def copied(self) -> "ContextMixing":
        """Return a deep copy of the tables, so that it can learn without changing this model."""
        made = copy(self)
        made._learned = {name: array.copy() for name, array in self._learned.items()}
        made._learned["slots"] = empty_slots(len(self._learned["slots"]))
        made._learned["slots"][:] = self._learned["slots"]
        return made

    @property
    def adapting(self) -> tuple[str, ...]:
        """Names of the parts that adapt (see ``Adapts``); none if it is static."""
        return () if self._static else ("context-mixing",)

    def static(self) -> "ContextMixing":
        """Return the model as it is after training, which does not learn from scored text."""
        made = copy(self)
        made._static = True
        return made

    def start(self, batch_size: int) -> Recent:
        """Return the state before any text."""
        return np.full((batch_size, WINDOW), -1, np.int32)

    def step(
        self,
        ids: Integer[np.ndarray, " batch"],
        state: Recent,
        others: Sequence[Float[np.ndarray, "batch vocab"]] = (),
    ) -> tuple[Float64[np.ndarray, "batch vocab"], Recent]:
        """Read one id per row; return the log-probabilities of the next and the new state.

        Args:
            ids: Ids to read.
            state: The state before them.
            others: The log-probabilities of the next symbol by each of the other models.

        Raises:
            ValueError: If the model was trained with another number of other models.
        """
        if len(others) != self.models:
            raise ValueError(f"{len(others)} other models are inputs, not {self.models}")
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
        check(tensors, "symbol_counts", (self.vocabulary_size,), np.int64, (0, 1 << 40))
        check(tensors, "history", (len(history),), np.int32, (0, self.vocabulary_size - 1))
        check_tables(learned, self._learned, self.models)
        learned["probs"] = learned["probs"].copy()
        learned["probs"][:, 0] = 0.5  # An empty history has log-odds of 0.
        self._set_code(tensors["symbol_counts"])
        self._learned, self._history = learned, history

    def num_parameters(self) -> int:
        """Return the number of bit histories in use, weights and probabilities."""
        others = sum(self._learned[name].size for name in ("weights", "final_weights", "maps"))
        return int(np.count_nonzero(self._learned["slots"][:, 1:])) + others


def _groups(sizes: Int64[np.ndarray, " documents"]) -> list[int]:
    """Return the bounds of groups of whole documents, as indexes of targets."""
    ends = np.cumsum(sizes)
    chosen = np.flatnonzero(np.diff(ends // SCORED_TOGETHER, prepend=0))
    return sorted({0, *ends[chosen].tolist(), *ends[-1:].tolist()})
