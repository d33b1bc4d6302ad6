"""Context mixing in NumPy, for machines without the compiled core: the twin of ``_core/mixing.c``.

Names, order and constants are those of the kernel, where each constant is explained; the contexts
of a decision are side by side in arrays. It reads some hundred symbols per second; its scores are
the same up to rounding.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from thence.array_types import Float32, Float64, Int32, Int64
from thence.models.base import Array
from thence.models.language.bit_history import STATES

ORDERS, MATCH_ORDERS, GROUP, ROWS, LENGTHS, WINDOW = 9, (5, 12), 3, 256, 64, 128
LIMIT, FIRST_RATE, RATE, FINAL_RATE, MAP_RATE = 1 / 500, 0.02, 0.003, 0.0007, 0.02
SMALLEST, SURE, SETS, CONSTANT = 1e-5, 0.004, 6, 0.3
SHARES = np.array([0.15, 0.3, 0.3])
"""Shares of the adaptive maps in the final probability; the rest is the mixers'."""
MASK = (1 << 64) - 1
"""Keeps the low 64 bits, as arithmetic in C does."""


def _hash(a: int, b: int) -> int:
    """Return a 64-bit hash of two numbers (multiply, then xor with shifted bits)."""
    h = ((a + 0x9E3779B97F4A7C15) * 0xBF58476D1CE4E5B9 + b * 0x94D049BB133111EB) & MASK
    h ^= h >> 29
    h = h * 0xD6E8FEB86659FD93 & MASK
    return h ^ h >> 32


def _squash(x: Any) -> Any:
    """Return the probability of log-odds (the logistic function)."""
    return 1 / (1 + np.exp(-x))


def _stretch(p: Any) -> Any:
    """Return the log-odds of a probability (the logit)."""
    return np.log(p / (1 - p))


@dataclass(frozen=True)
class Position:
    """The contexts and matches before a symbol.

    Attributes:
        contexts: The hash of each context.
        keys: Cell of this position in the table of matches, for each length; -1: none.
        expected: The symbol that followed each match, or -1.
        lengths: Length of each match in symbols.
        last: The last symbol.
        before: The symbol before it.
        word_length: Symbols of the current word so far.
    """

    contexts: list[int]
    keys: list[int]
    expected: list[int]
    lengths: list[int]
    last: int
    before: int
    word_length: int


@dataclass(frozen=True)
class Decision:
    """The prediction of one decision, with the intermediate values that learning needs.

    Attributes:
        states: Flat indexes of the contexts' bit histories in the table ``probs``.
        agrees: The bit that each match predicts, or -1.
        inputs: Inputs of the mixers, in log-odds (x).
        rows: The row of the weight vector chosen in each set.
        outputs: Outputs of the mixers, in log-odds.
        node_row: The row of the final weights.
        mixed: The mixers' probability of bit 1 (q).
        cells: Flat indexes of the lower of two cells in each adaptive map.
        fraction: Position between the two cells, 0 to 1.
        prob: The final probability of bit 1 (p).
    """

    states: Int64[np.ndarray, " contexts"]
    agrees: list[int]
    inputs: Float64[np.ndarray, " inputs"]
    rows: list[int]
    outputs: Float64[np.ndarray, " sets"]
    node_row: int
    mixed: float
    cells: Int64[np.ndarray, " maps"]
    fraction: float
    prob: float


class MixingTwin:
    """The twin of ``MixingCore``: the same methods on the same arrays, which learning changes."""

    def __init__(self, arrays: Mapping[str, Any], models: int) -> None:
        self.arrays, self.models = arrays, models
        self.symbols = len(arrays["ranks"])
        self.match_shift = 65 - int(arrays["places"].shape[1]).bit_length()
        self.map_size = int(arrays["maps"].shape[1])

    def read(
        self,
        text: Int32[np.ndarray, " symbols"],
        begin: int,
        end: int,
        carry_context: bool,
        history: Int32[np.ndarray, " history"],
        learn: bool,
        others: Float32[np.ndarray, " decisions*models"],
    ) -> Float64[np.ndarray, " targets"]:
        """Return the log-probabilities of ``text[begin:end]``; see ``MixingCore.read``."""
        a, found, low, said = self.arrays, np.zeros(end - begin), 0, 0
        for t in range(begin, end):
            if not carry_context:  # Contexts reach back to the last boundary at most.
                passed = np.flatnonzero(text[low:t] == self.symbols - 1)
                low += int(passed[-1]) if len(passed) else 0
            known = self._look(text, low, t, history[:t] if learn else history)
            path = slice(a["starts"][text[t]], a["starts"][text[t] + 1])
            steps = zip(a["nodes"][path].tolist(), a["bits"][path].tolist(), strict=True)
            for depth, (node, bit) in enumerate(steps):
                # A slot holds the 7 nodes of 3 levels of the code tree: ``at`` is the index in a
                # heap (children 2 at and 2 at + 1), and a new slot is searched every 3 levels.
                if depth % GROUP == 0:
                    slots, at = self._enter(known, node, learn), 1
                odds = others[said : said + self.models]
                made = self._predict(known, node, depth, self._states(slots, at), odds)
                found[t - begin] += np.log(made.prob if bit else 1 - made.prob)
                if learn:
                    self._learn(known, made, slots, at, bit)
                at, said = 2 * at + bit, said + self.models
            if learn:
                for number, key in enumerate(known.keys):
                    if key >= 0:
                        a["places"][number, key] = t
                a["learned"][0] += 1
        return found

    def next(
        self,
        text: Int32[np.ndarray, " symbols"],
        history: Int32[np.ndarray, " history"],
        sums: Float64[np.ndarray, "models vocab+1"],
    ) -> Float64[np.ndarray, " vocab"]:
        """Return the log-probability of every symbol after a text; see ``MixingCore.next``."""
        known, found = self._look(text, 0, len(text), history), np.zeros(self.symbols)
        nothing = np.zeros(0, np.int64)
        # Depth first through the code tree, adding up the log-probability of each path.
        waiting: list[tuple[int, int, float, Array, int]] = [(0, 0, 0.0, nothing, 1)]
        while waiting:
            node, depth, log_prob, slots, at = waiting.pop()
            if depth % GROUP == 0:
                slots, at = self._enter(known, node, False), 1
            odds = np.array([self._odds(one, node) for one in sums], np.float32)
            prob = self._predict(known, node, depth, self._states(slots, at), odds).prob
            for bit, share in ((0, 1 - prob), (1, prob)):
                child = int(self.arrays["children"][node, bit])
                there = log_prob + float(np.log(share))
                if child >= self.symbols - 1:
                    found[child - (self.symbols - 1)] = there
                else:
                    waiting.append((child, depth + 1, there, slots, 2 * at + bit))
        return found

    def log_odds(
        self,
        log_probs: Float32[np.ndarray, "rows vocab"],
        targets: Int32[np.ndarray, " rows"],
        offsets: Int64[np.ndarray, " rows"],
        log_odds: Float32[np.ndarray, "decisions models"],
        models: int,
        number: int,
    ) -> None:
        """Write a model's log-odds of each decision of some targets; see ``MixingCore``."""
        starts = self.arrays["starts"]
        for row, target, first in zip(log_probs, targets.tolist(), offsets.tolist(), strict=True):
            sums = np.zeros(self.symbols + 1)
            sums[self.arrays["ranks"] + 1] = np.exp(row.astype(np.float64))
            sums = np.cumsum(sums)
            nodes = self.arrays["nodes"][starts[target] : starts[target + 1]].tolist()
            for place, node in enumerate(nodes):
                log_odds[first + place, number] = self._odds(sums, node)

    def _odds(self, sums: Float64[np.ndarray, " vocab+1"], node: int) -> float:
        """Return the log-odds of bit 1 at a node, from cumulative probabilities in leaf order."""
        first, one, end = (float(sums[rank]) for rank in self.arrays["ranges"][node])
        p = (end - one) / (end - first) if end > first else 0.5
        return float(_stretch(min(max(p, SMALLEST), 1 - SMALLEST)))

    def _look(self, text: Array, low: int, t: int, history: Array) -> Position:
        """Return the contexts and matches before ``text[t]``; none reaches before ``low``."""
        low = max(low, t - WINDOW)
        past = [int(one) for one in text[low:t][::-1]]  # The last symbol first.
        back = [0, *(one + 1 for one in past), *[0] * ORDERS]
        h, contexts = 0, [0]  # Orders 0 to 8.
        for k in range(1, ORDERS):
            h = _hash(h, back[k])
            contexts.append(h)
        # Hashes of the word so far and of the two words before it.
        words, word, word_length = [0, 0, 0], 0, 0
        for symbol in past:
            if self.arrays["separators"][symbol]:
                word += 1
                if word == len(words):
                    break
            else:
                words[word] = _hash(words[word], symbol + 1)
                word_length += word == 0
        pair = _hash(words[0], words[1])
        contexts += [words[0], pair, _hash(pair, words[2]), _hash(words[0], words[2])]
        contexts += [_hash(back[1], words[1]), _hash(_hash(back[1], back[2]), words[1])]
        # Contexts that leave out the last symbol, or the one before it.
        gap, skip = _hash(back[2], back[3]), _hash(back[1], back[3])
        contexts += [gap, skip]
        contexts += self._line_contexts(past, back[1])
        hashed = [_hash(one, number << 32) for number, one in enumerate(contexts)]
        keys, expected, lengths = [], [], []
        for number, order in enumerate(MATCH_ORDERS):
            key = self._match_key(back[1 : order + 1]) if t - low >= order else -1
            symbol, length = self._match(number, order, key, past, history)
            keys.append(key)
            expected.append(symbol)
            lengths.append(length)
        last, before = ([*past, self.symbols - 1, self.symbols - 1])[:2]
        return Position(hashed, keys, expected, lengths, last, before, word_length)

    def _line_contexts(self, past: list[int], last: int) -> list[int]:
        """Return the contexts of the column and of the symbol above in the previous line."""
        boundary, column, above = self.symbols - 1, len(past), 0
        if boundary in past:
            column = past.index(boundary)
            before = past[column + 1 :]
            length = before.index(boundary) if boundary in before else len(before)
            line = [*past[column + 1 : column + 1 + length][::-1], boundary]
            oldest = past[-1] + 1
            above = line[column] + 1 if column < len(line) else oldest
        return [_hash(min(column, 31), last), _hash(above, last)]

    def _match_key(self, symbols: list[int]) -> int:
        h = 0
        for symbol in symbols:
            h = _hash(h, symbol)
        return h >> self.match_shift

    def _match(
        self, number: int, order: int, key: int, past: list[int], history: Array
    ) -> tuple[int, int]:
        """Return the symbol after the last occurrence of the last ``order`` symbols.

        And the length of the match: how many symbols before are equal. (-1, 0) if there is none.
        """
        place = int(self.arrays["places"][number, key]) if key >= 0 else 0
        if not 0 < place < len(history):
            return -1, 0
        length = 0
        for symbol, there in zip(past[: LENGTHS - 1], history[:place][::-1], strict=False):
            if symbol != there:
                break
            length += 1
        return (int(history[place]), length) if length >= order else (-1, 0)

    def _enter(self, known: Position, node: int, insert: bool) -> Int64[np.ndarray, " contexts"]:
        """Return each context's slot for the decisions from a node on; -1 if it has none."""
        return np.array([self._find(_hash(one, node), insert) for one in known.contexts])

    def _find(self, h: int, insert: bool) -> int:
        """Return the slot of a hash, or -1; if ``insert``, replace the weakest of 4 neighbours."""
        slots, evidence = self.arrays["slots"], self.arrays["evidence"]
        near = [(h & len(slots) - 1) ^ i for i in range(4)]
        for at in near:
            if slots[at, 0] == h >> 56 and slots[at, 1]:
                return at
        if not insert:
            return -1
        weakest = min(near, key=lambda at: int(evidence[slots[at, 1]]))
        slots[weakest] = 0
        slots[weakest, 0] = h >> 56
        return weakest

    def _states(self, slots: Int64[np.ndarray, " contexts"], at: int) -> Array:
        return np.where(slots >= 0, self.arrays["slots"][slots, at], 0).astype(np.int64)

    def _predict(
        self, known: Position, node: int, depth: int, states: Array, odds: Array
    ) -> Decision:
        """Return the prediction of a decision, by the equations of ``context_mixing``."""
        a = self.arrays
        places = np.arange(len(states)) * STATES + states
        own = np.where(states > 0, _stretch(a["probs"].ravel()[places]), 0)
        seen = np.flatnonzero(states[:ORDERS])
        order = int(seen[-1]) if len(seen) else 0
        first, one, end = a["ranges"][node].tolist()
        agrees, matched = [], []
        for number, symbol in enumerate(known.expected):
            rank = int(a["ranks"][symbol]) if symbol >= 0 else -1
            agrees.append(int(rank >= one) if first <= rank < end else -1)
            sure = float(_stretch(a["match_probs"][number, known.lengths[number]]))
            matched.append(0.0 if agrees[-1] < 0 else sure if agrees[-1] else -sure)
        inputs = np.zeros(a["weights"].shape[1])
        given = np.concatenate([own, matched, [CONSTANT], odds])
        inputs[: len(given)] = given
        rows = self._rows(known, node, depth, order, agrees)
        outputs = np.clip(a["weights"][rows] @ inputs, -12, 12)  # First layer: one mixer per set.
        node_row = min(node, ROWS - 1)
        total = float(a["final_weights"][node_row, :SETS] @ outputs)
        mixed = float(_squash(np.clip(total, -12, 12)))
        # Adaptive maps: the mean of two neighbouring cells of 33 over log-odds from -8 to 8.
        at = (min(max(total, -7.99), 7.99) + 8) * 2
        pair = _hash(known.last, node)
        shift = 65 - self.map_size.bit_length()
        chosen = [node & self.map_size - 1, pair >> shift, _hash(pair, known.before) >> shift]
        width = a["maps"].shape[2]
        cells = np.array([(i * self.map_size + c) * width + int(at) for i, c in enumerate(chosen)])
        flat, fraction = a["maps"].reshape(-1), at - int(at)
        mapped = flat[cells] * (1 - fraction) + flat[cells + 1] * fraction
        p = (1 - SHARES.sum()) * mixed + float(SHARES @ mapped)
        prob = min(max(p, SMALLEST), 1 - SMALLEST)
        return Decision(
            places, agrees, inputs, rows, outputs, node_row, mixed, cells, fraction, prob
        )

    def _rows(
        self, known: Position, node: int, depth: int, order: int, agrees: list[int]
    ) -> list[int]:
        """Return the row of the weight vector of each set for a decision."""
        depth_row, node_row, last = min(depth, 7), min(node, ROWS - 1), min(known.last, ROWS - 1)
        length = known.lengths[0]
        near = 0 if agrees[0] < 0 else length if length < 16 else 16 if length < 32 else 17
        matches, orders, words = 3 * ROWS, 3 * ROWS + 18 * 2 * 8, 3 * ROWS + 18 * 2 * 8 + ORDERS * 8
        return [
            node_row,
            ROWS + last,
            2 * ROWS + min(known.before, ROWS - 1),
            matches + (near * 2 + (agrees[1] >= 0)) * 8 + depth_row,
            orders + order * 8 + depth_row,
            words + min(known.word_length, 15) * ROWS + (node_row if depth else last),
        ]

    def _learn(self, known: Position, made: Decision, slots: Array, at: int, bit: int) -> None:
        """Update all tables after a decision whose bit is known."""
        a = self.arrays
        # The learning rates decay with the number of symbols learned from.
        slowing = FIRST_RATE / (1 + float(a["learned"][0]) * 0.001)
        if abs(bit - made.mixed) > SURE:
            final = (bit - made.mixed) * (FINAL_RATE + slowing) * made.outputs
            errors = (bit - _squash(made.outputs)) * (RATE + slowing)
            a["final_weights"][made.node_row, :SETS] += final
            a["weights"][made.rows] += errors[:, None] * made.inputs
        flat = a["maps"].reshape(-1)
        flat[made.cells] += (bit - flat[made.cells]) * MAP_RATE * (1 - made.fraction)
        flat[made.cells + 1] += (bit - flat[made.cells + 1]) * MAP_RATE * made.fraction
        _move(a["probs"].reshape(-1), a["counts"].reshape(-1), made.states, np.float32(bit))
        a["probs"][:, 0] = 0.5  # The empty history keeps log-odds of 0.
        states = made.states % STATES
        a["slots"][slots, at] = a["next"][states, bit]
        for number, expected in enumerate(made.agrees):
            if expected >= 0:
                place = np.array([number * LENGTHS + known.lengths[number]])
                probs, counts = a["match_probs"].reshape(-1), a["match_counts"].reshape(-1)
                _move(probs, counts, place, np.float32(expected == bit))


def _move(probs: Array, counts: Array, places: Array, bit: np.float32) -> None:
    """Move probabilities towards the bit, at a rate of 1 / (uses + 1.5) but at least ``LIMIT``."""
    rates = 1 / (counts[places] + 1.5)
    counts[places] += rates >= LIMIT
    moved = probs[places] + (bit - probs[places]) * np.maximum(rates, LIMIT)
    probs[places] = np.clip(moved, 1 / 4096, 4095 / 4096)
