"""The history of a decision in one byte: how often each bit came, and in what order lately.

A state is the exact sequence of up to three bits, or the two counts and which bit came last. When
a bit comes against many of the other kind, most of those are forgotten: what came lately counts
more. Counts are bounded, more narrowly the more even they are, so that a byte holds them all.

Source: M. Mahoney, "Data Compression Explained" (indirect context models of PAQ6 and later); the
bounds are our own.
"""

from functools import cache

import numpy as np

from thence.array_types import UInt8

STATES = 256
EXACT = 3
"""Bits whose order is kept."""
MOST = (48, 32, 16, 8, 6, 5)
"""The larger count is at most this, by the smaller one; the smaller is at most 5."""
LAST_KNOWN = 12
"""Up to so many bits it is known which came last."""
FORGET_FROM = 2
"""Of more than so many bits of one kind, half are forgotten when the other kind comes."""
MOST_KEPT = 7
"""Bits that are kept then, at most."""
CACHE_LINE = 64
"""Bytes of a line of a processor's cache."""

State = tuple[int, ...]
"""The bits so far, up to ``EXACT``; or -1, how often 0 and 1 came, and the last bit or -1."""


@cache
def history_tables() -> tuple[UInt8[np.ndarray, "states 2"], UInt8[np.ndarray, " states"]]:
    """Return the state after each state and bit, and how many bits a state counts.

    State 0 has seen nothing.
    """
    numbers: dict[State, int] = {(): 0}
    queue: list[State] = [()]
    after = np.zeros((STATES, 2), np.uint8)
    evidence = np.zeros(STATES, np.uint8)
    for state in queue:  # It grows while it is gone through.
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
    return bool(state) and state[0] == -1


def _after(state: State, bit: int) -> State:
    """Return the state after a bit."""
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
    """Return empty slots, which begin where a line of the processor's cache does.

    The four that are looked at together are then on one line: half as much is waited for.
    """
    room = np.zeros(8 * number + CACHE_LINE, np.uint8)
    first = -room.ctypes.data % CACHE_LINE
    return room[first : first + 8 * number].reshape(number, 8)
