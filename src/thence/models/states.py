"""States as values: trees of arrays or tensors, lists and tuples, whose first axis is the batch."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from jaxtyping import Bool, Int64

from thence.models.base import State


def map_state(function: Callable[..., Any], state: State, *others: State) -> State:
    """Return the tree of what a function gives for each leaf, and the others' leaves there."""
    if state is None:
        return None
    if isinstance(state, list | tuple):
        parts = zip(state, *others, strict=True)
        return type(state)(map_state(function, *part) for part in parts)
    return function(state, *others)


def take_rows(state: State, rows: Int64[np.ndarray, " chosen"]) -> State:
    """Return the state of the chosen rows, in that order."""
    return map_state(lambda leaf: leaf[rows], state)


def join_rows(states: Sequence[State]) -> State:
    """Return the state of all rows of several states, one after another."""

    def join(*leaves: Any) -> Any:
        if isinstance(leaves[0], np.ndarray):
            return np.concatenate(leaves)
        import torch  # A model with tensors has imported it long since; counts never wait for it.

        return torch.cat(leaves)

    return map_state(join, *states)


def restart(state: State, fresh: State, rows: Bool[np.ndarray, " batch"]) -> State:
    """Return a state in which some rows are as in a fresh one."""

    def mix(old: Any, new: Any) -> Any:
        mixed = old.clone() if hasattr(old, "clone") else old.copy()
        mixed[rows] = new[rows]
        return mixed

    return map_state(mix, state, fresh)


def leaves(state: State) -> list[Any]:
    """Return the arrays or tensors of a state, always in the same order."""
    if state is None:
        return []
    if isinstance(state, list | tuple):
        return [leaf for part in state for leaf in leaves(part)]
    return [state]
