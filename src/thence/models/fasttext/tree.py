"""The Huffman tree of a hierarchical softmax, as fastText makes it from the counts of its leaves.

With L leaves, nodes 0 to L - 1 are leaves, L to 2 L - 2 inner nodes in the order in which they are
made; the last one is the root. Row i of the output matrix belongs to inner node L + i.
"""

from dataclasses import dataclass

import numpy as np

from thence.array_types import Int32, Int64, UInt8

NOT_MADE = 10**15
"""Count of an inner node before it is made, which is above all others."""


@dataclass(frozen=True)
class Level:
    """Inner nodes equally far from the root, and their children.

    Attributes:
        nodes: Their numbers.
        left: The child that one minus the sigmoid belongs to.
        right: The child that the sigmoid belongs to.
    """

    nodes: Int64[np.ndarray, " nodes"]
    left: Int64[np.ndarray, " nodes"]
    right: Int64[np.ndarray, " nodes"]


def levels(counts: Int64[np.ndarray, " leaves"]) -> list[Level]:
    """Return the inner nodes of a tree, from the root down.

    Args:
        counts: Of the leaves, below ``NOT_MADE``; those of fastText are falling.
    """
    leaves, children = len(counts), _children(counts.tolist())
    found, nodes = [], np.arange(2 * leaves - 2, leaves - 1, -1)[:1]
    while len(nodes):
        below = children[nodes - leaves]
        found.append(Level(nodes, below[:, 0], below[:, 1]))
        nodes = below[below >= leaves]
    return found


def _children(counts: list[int]) -> Int64[np.ndarray, "inner 2"]:
    """Return the children of each inner node: the two rarest that have no parent yet."""
    leaf, node, size = len(counts) - 1, len(counts), len(counts)
    totals = [*counts, *[NOT_MADE] * (size - 1)]
    children = np.zeros((size - 1, 2), np.int64)
    for made in range(size, 2 * size - 1):
        for side in (0, 1):
            if leaf >= 0 and totals[leaf] < totals[node]:
                children[made - size, side], leaf = leaf, leaf - 1
            else:
                children[made - size, side], node = node, node + 1
        left, right = children[made - size].tolist()
        totals[made] = totals[left] + totals[right]
    return children


def paths(
    tree: list[Level], leaves: int
) -> tuple[Int32[np.ndarray, " steps"], UInt8[np.ndarray, " steps"], Int64[np.ndarray, " bounds"]]:
    """Return the way from each leaf to the root.

    Returns:
        The rows of the inner nodes, one leaf's after another's; whether the child on the way is the
        right one; and where each leaf's begin.
    """
    above, is_right = np.full(2 * leaves, -1), np.zeros(2 * leaves, np.uint8)
    for level in tree:
        above[level.left] = above[level.right] = level.nodes
        is_right[level.right] = 1
    owners = nodes = np.arange(leaves)
    steps = []
    while len(nodes):
        climbs = above[nodes] >= 0
        owners, nodes = owners[climbs], nodes[climbs]
        steps.append((owners, above[nodes] - leaves, is_right[nodes]))
        nodes = above[nodes]
    whose, rows, turns = (np.concatenate(part) for part in zip(*steps, strict=True))
    order = np.argsort(whose, kind="stable")
    bounds = np.concatenate([[0], np.cumsum(np.bincount(whose, minlength=leaves))])
    return rows[order].astype(np.int32), turns[order], bounds.astype(np.int64)
