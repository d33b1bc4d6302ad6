"""The tree of a hierarchical softmax."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from thence.models.fasttext.tree import levels


def test_a_tree_by_hand() -> None:
    # Counts 5 3 1 1: node 4 = leaves 3 and 2 (1 + 1 = 2), node 5 = node 4 and leaf 1 (2 + 3 = 5).
    # Node 6, the root: leaf 0 is not below node 5 (5 < 5), so node 5 comes first.
    found = [(one.nodes.tolist(), one.left.tolist(), one.right.tolist()) for one in levels(counts)]
    assert found == [([6], [5], [0]), ([5], [4], [1]), ([4], [3], [2])]


counts = np.array([5, 3, 1, 1])


def test_one_leaf_is_its_own_root() -> None:
    assert levels(np.array([7])) == []


@given(st.lists(st.integers(0, 9), min_size=1, max_size=30))
def test_every_node_has_one_parent(some: list[int]) -> None:
    found = levels(np.array(some))
    below = [node for level in found for node in (*level.left, *level.right)]
    assert sorted(below) == list(range(2 * len(some) - 2))
