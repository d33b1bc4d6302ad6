"""Where a smooth, convex function of many numbers is smallest.

By L-BFGS: the last moves, and how the slope turned along each, tell of the curvature. PyTorch's own
takes over a second to begin, and asks for the function again where it has been.

Source: J. Nocedal and S. Wright 2006, "Numerical optimization", algorithms 7.4 and 3.1.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]
Scale = Callable[[Array], Array]

DESCENT = 1e-4
"""Share of what the slope promises that a step must bring."""
SHORTEST = 1e-6
"""Share of a step below which it is not cut again."""
FLAT = 1e-10
"""Cosine of a move and how the slope turned below which they tell nothing of the curvature."""
FEW = 5
"""Steps after which it is seen whether more are worth it."""


def never() -> bool:
    """Return that it is not enough."""
    return False


def minimum(
    loss: Callable[[Array], tuple[float, Array]],
    start: Array,
    scale: Scale,
    close: float,
    steps: int,
    memory: int,
    enough: Callable[[], bool] = never,
) -> Array:
    """Return where a convex function is smallest.

    Args:
        loss: Gives the function and its slope, of the shape of ``start``.
        start: Where to begin.
        scale: Multiplies with about the inverse of the curvature.
        close: The descent ends when five steps lower the function by less.
        steps: Of the descent, at most.
        memory: Steps that tell of the curvature.
        enough: Asked after each step whether to end where the descent has come to.
    """
    place = start
    moves: list[Array] = []
    turns: list[Array] = []
    value, slope = loss(place)
    values = [value]
    for _ in range(steps):
        direction = _newton_like(slope, moves, turns, scale)
        expected, share = float(np.vdot(slope, direction)), 1.0
        while True:
            ahead = place - share * direction
            value, new_slope = loss(ahead)
            if value <= values[-1] - DESCENT * share * expected or share < SHORTEST:
                break
            share /= 2
        move, turn = ahead - place, new_slope - slope
        if np.vdot(move, turn) > FLAT * np.linalg.norm(move) * np.linalg.norm(turn):
            moves, turns = [*moves[1 - memory :], move], [*turns[1 - memory :], turn]
        place, slope = ahead, new_slope
        values.append(value)
        if enough() or (len(values) > FEW and values[-1 - FEW] - value < close):
            break
    return place


def _newton_like(slope: Array, moves: list[Array], turns: list[Array], scale: Scale) -> Array:
    """Return the slope times the inverse curvature that the last moves tell of."""
    direction, shares = slope, []
    for move, turn in zip(reversed(moves), reversed(turns), strict=True):
        share = np.vdot(move, direction) / np.vdot(move, turn)
        direction = direction - share * turn
        shares.append(share)
    direction = scale(direction)
    if moves:
        move, turn = moves[-1], turns[-1]
        direction *= np.vdot(move, turn) / np.vdot(turn, scale(turn))
    for move, turn, share in zip(moves, turns, reversed(shares), strict=True):
        direction = direction + move * (share - np.vdot(turn, direction) / np.vdot(move, turn))
    return direction
