"""A binary code of the symbols of a vocabulary: each is a path of decisions down a tree.

The tree is Huffman's, so that frequent symbols take few decisions. The root is node 0, and nodes
are numbered by falling weight.

Source: D. Huffman 1952, "A method for the construction of minimum-redundancy codes".
"""

import heapq
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from thence.array_types import Int32, UInt8

MAX_DEPTH = 64
"""Decisions of a symbol at most; counts of below 2^31 never need more than 46."""


@dataclass(frozen=True)
class SymbolCode:
    """The code of V symbols, over V - 1 nodes.

    Attributes:
        starts: Where the decisions of each symbol begin, and where all end (V + 1).
        nodes: The node of each decision, symbol after symbol.
        bits: The bit that the symbol takes there.
        children: The two children of each node; a symbol v is V - 1 + v.
        ranges: In the order of the leaves from left to right, where those below each node begin,
            where those of bit 1 begin, and where they end.
        ranks: The place of each symbol in that order.
    """

    starts: Int32[np.ndarray, " vocab+1"]
    nodes: Int32[np.ndarray, " decisions"]
    bits: UInt8[np.ndarray, " decisions"]
    children: Int32[np.ndarray, "nodes 2"]
    ranges: Int32[np.ndarray, "nodes 3"]
    ranks: Int32[np.ndarray, " vocab"]


def huffman_code(counts: Sequence[int]) -> SymbolCode:
    """Return the code of symbols that occur so often each; at least two symbols."""
    size = len(counts)
    # While the tree is made, a node is numbered from the last (V - 2) to the root (0), and symbols
    # come after the nodes. Ties go by number, so that the code follows from the counts alone.
    heap = [(count, size - 1 + symbol) for symbol, count in enumerate(counts)]
    heapq.heapify(heap)
    children = np.zeros((size - 1, 2), np.int32)
    for node in range(size - 2, -1, -1):
        (one, left), (two, right) = heapq.heappop(heap), heapq.heappop(heap)
        children[node] = left, right
        heapq.heappush(heap, (one + two, node))
    return _code_of(children)


def _code_of(children: Int32[np.ndarray, "nodes 2"]) -> SymbolCode:
    """Return the code of a tree."""
    size = len(children) + 1
    paths: list[list[tuple[int, int]]] = [[] for _ in range(size)]
    ranges, ranks = np.zeros((size - 1, 3), np.int32), np.zeros(size, np.int32)
    # Nodes and their paths from left to right; a node comes again, as None, when its leaves of bit
    # 0 are passed and when all are.
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
