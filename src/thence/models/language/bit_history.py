"""Bit histories: a state machine of one byte that counts the bits seen in one context.

A state is the exact sequence of up to three bits, or the two counts and which bit came last. When a
bit comes against many of the other kind, most of those are forgotten, as recent bits predict better
(nonstationary counts). Counts are bounded, more narrowly the more even they are, so that there are
at most 256 states.

Source: M. Mahoney, "Data Compression Explained" (indirect context models of PAQ6 and later); the
bounds are our own.
"""

from functools import cache

import numpy as np

from thence.array_types import UInt8

STATES = 256
"""Number of states: those of a byte."""
EXACT = 3
"""Longest sequence of bits that is stored exactly."""
MOST = (48, 32, 16, 8, 6, 5)
"""Upper bound of the larger count, indexed by the smaller count, which is at most 5."""
LAST_KNOWN = 12
"""Largest number of bits for which a state also stores which bit came last."""
FORGET_FROM = 2
"""If a count is above this when the opposite bit comes, half of it is forgotten."""
MOST_KEPT = 7
"""Upper bound of a count after forgetting."""
CACHE_LINE = 64
"""Bytes of a line of the processor's cache."""

State = tuple[int, ...]
"""The bits so far, up to ``EXACT``; or -1, the counts of 0 and 1, and the last bit (-1: unknown).
"""


@cache
def history_tables() -> tuple[UInt8[np.ndarray, "states 2"], UInt8[np.ndarray, " states"]]:
    """Return the next state by state and bit, and the number of bits that each state counts.

    State 0 is the empty history.
    """
    numbers: dict[State, int] = {(): 0}
    queue: list[State] = [()]
    after = np.zeros((STATES, 2), np.uint8)
    evidence = np.zeros(STATES, np.uint8)
    for state in queue:  # Breadth-first over all reachable states: the queue grows meanwhile.
        number = numbers[state]
        evidence[number] = len(state) if not _counts(state) else state[1] + state[2]
        for bit in (0, 1):
            new = _after(state, bit)
            if new not in numbers:
                numbers[new] = len(numbers)
                queue.append(new)
            after[number, bit] = numbers[new]
    assert len(numbers) <= STATES
    return after, evidence


def _counts(state: State) -> bool:
    """Return whether a state holds counts rather than an exact sequence."""
    return bool(state) and state[0] == -1


def _after(state: State, bit: int) -> State:
    """Return the state after a state and a bit, within the bounds of ``MOST``."""
    if not _counts(state) and len(state) < EXACT:
        return (*state, bit)
    counts = list(state[1:3]) if _counts(state) else [state.count(0), state.count(1)]
    counts[bit] += 1
    if _counts(state) and counts[1 - bit] > FORGET_FROM:
        counts[1 - bit] = min(1 + counts[1 - bit] // 2, MOST_KEPT)
    while max(counts) > MOST[min(min(counts), len(MOST) - 1)] or min(counts) >= len(MOST):
        counts[counts.index(max(counts))] -= 1
    known = min(counts) > 0 and sum(counts) <= LAST_KNOWN
    return (-1, *counts, bit if known else -1)


def empty_slots(number: int) -> UInt8[np.ndarray, "slots 8"]:
    """Return zeroed slots whose memory is aligned to a cache line.

    The four slots that are searched together are then on one line, so each search waits for memory
    once and not twice.
    """
    room = np.zeros(8 * number + CACHE_LINE, np.uint8)
    first = -room.ctypes.data % CACHE_LINE
    return room[first : first + 8 * number].reshape(number, 8)
