"""A binary code of the symbols of a vocabulary: each symbol is a path of bits down a tree.

The tree is a Huffman tree, so that frequent symbols have few bits. The root is node 0, and nodes
are numbered by falling weight.

Source: D. Huffman 1952, "A method for the construction of minimum-redundancy codes".
"""

import heapq
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from thence.array_types import Int32, UInt8

MAX_DEPTH = 64
"""Upper bound of the bits of a symbol; counts below 2^31 never need more than 46."""


@dataclass(frozen=True)
class SymbolCode:
    """The code of V symbols, over V - 1 nodes.

    Attributes:
        starts: Offsets of each symbol's decisions in ``nodes`` and ``bits``; V + 1 of them.
        nodes: The node of each decision, symbol after symbol.
        bits: The bit of the symbol at that node.
        children: The two children of each node; the leaf of symbol v has number V - 1 + v.
        ranges: For each node, in the order of leaves from left to right: the first leaf below it,
            the first leaf of bit 1, and the end.
        ranks: The position of each symbol's leaf in that order.
    """

    starts: Int32[np.ndarray, " vocab+1"]
    nodes: Int32[np.ndarray, " decisions"]
    bits: UInt8[np.ndarray, " decisions"]
    children: Int32[np.ndarray, "nodes 2"]
    ranges: Int32[np.ndarray, "nodes 3"]
    ranks: Int32[np.ndarray, " vocab"]


def huffman_code(counts: Sequence[int]) -> SymbolCode:
    """Return the Huffman code of symbols with these counts; there must be at least two."""
    size = len(counts)
    # Nodes are numbered from the first merge (V - 2) to the root (0), and leaves come after them.
    # Ties are broken by number, so that the code depends on the counts alone.
    heap = [(count, size - 1 + symbol) for symbol, count in enumerate(counts)]
    heapq.heapify(heap)
    children = np.zeros((size - 1, 2), np.int32)
    for node in range(size - 2, -1, -1):
        (one, left), (two, right) = heapq.heappop(heap), heapq.heappop(heap)
        children[node] = left, right
        heapq.heappush(heap, (one + two, node))
    return _code_of(children)


def _code_of(children: Int32[np.ndarray, "nodes 2"]) -> SymbolCode:
    """Return the code of a tree, by a depth-first walk over its leaves from left to right."""
    size = len(children) + 1
    paths: list[list[tuple[int, int]]] = [[] for _ in range(size)]
    ranges, ranks = np.zeros((size - 1, 3), np.int32), np.zeros(size, np.int32)
    # A stack of (node, path, part): a node is visited before its leaves (part 0), between the
    # leaves of bit 0 and those of bit 1 (part 1), and after all (part 2).
    waiting: list[tuple[int, list[tuple[int, int]], int]] = [(0, [], 0)]
    passed = 0
    while waiting:
        at, path, part = waiting.pop()
        if at >= size - 1:
            ranks[at - (size - 1)], paths[at - (size - 1)] = passed, path
            passed += 1
            continue
        ranges[at, part] = passed
        if part < 2:
            waiting += [(at, path, part + 1), (int(children[at, part]), [*path, (at, part)], 0)]
    lengths = [len(path) for path in paths]
    assert max(lengths) <= MAX_DEPTH
    starts = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)
    steps = np.array([step for path in paths for step in path], np.int32).reshape(-1, 2)
    nodes, bits = np.ascontiguousarray(steps[:, 0]), steps[:, 1].astype(np.uint8)
    return SymbolCode(starts, nodes, bits, children, ranges, ranks)
