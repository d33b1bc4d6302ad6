"""The Huffman tree of a hierarchical softmax, built from the counts of its leaves as in fastText.

With L leaves, nodes 0 to L - 1 are leaves, and L to 2 L - 2 inner nodes in the order of merging;
the last one is the root. Row i of the output matrix belongs to inner node L + i.
"""

from dataclasses import dataclass

import numpy as np

from thence.array_types import Int32, Int64, UInt8

NOT_MADE = 10**15
"""Count of an inner node that is not made yet: above all others."""


@dataclass(frozen=True)
class Level:
    """The inner nodes at one depth, and their children.

    Attributes:
        nodes: Numbers of the nodes.
        left: The left child of each, whose probability is one minus the sigmoid.
        right: The right child of each, whose probability is the sigmoid.
    """

    nodes: Int64[np.ndarray, " nodes"]
    left: Int64[np.ndarray, " nodes"]
    right: Int64[np.ndarray, " nodes"]


def levels(counts: Int64[np.ndarray, " leaves"]) -> list[Level]:
    """Return the levels of the Huffman tree, from the root down.

    Args:
        counts: Counts of the leaves, below ``NOT_MADE``; in fastText they are in falling order.
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
    # Two queues instead of a heap: leaves from the rarest on, and inner nodes in the order made,
    # whose counts only grow.
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
    """Return the path from each leaf to the root.

    Returns:
        The rows of the inner nodes, leaf after leaf; 1 where the path comes from the right child,
        else 0; and the offset of each leaf.
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
