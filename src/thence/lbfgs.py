"""L-BFGS: minimise a smooth, convex function of many parameters.

    x   <- x - alpha H grad                  H about the inverse Hessian, from the last pairs (s, y)
    s   =  x_new - x
    y   =  grad_new - grad

PyTorch's own takes over a second to import, evaluates the function again at points where it has
been, and accepts no preconditioner (the first guess of H).

Source: J. Nocedal and S. Wright 2006, "Numerical optimization", algorithms 7.4 (two-loop recursion)
and 3.1 (backtracking line search).
"""

from collections.abc import Callable
from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]
Preconditioner = Callable[[Array], Array]

SUFFICIENT_DECREASE = 1e-4
"""Share of the decrease predicted by the gradient that a step must reach (Armijo's c1)."""
MIN_STEP = 1e-6
"""The line search stops halving below this share of the full step."""
MIN_COSINE = 1e-10
"""A pair (s, y) at nearly right angles holds no usable curvature, and is left out."""
WINDOW = 5
"""Progress is measured over this many iterations: a single one may be small by chance."""


def minimize(
    function: Callable[[Array], tuple[float, Array]],
    x: Array,
    precondition: Preconditioner,
    tolerance: float,
    max_iterations: int,
    history: int,
    should_stop: Callable[[], bool] = lambda: False,
) -> Array:
    """Return the point at which a convex function is smallest, in the shape of ``x``.

    Args:
        function: Returns the value and the gradient (in the shape of ``x``) at a point.
        x: The starting point.
        precondition: Multiplies a gradient by an estimate of the inverse Hessian.
        tolerance: Stop when five iterations decrease the function by less than this.
        max_iterations: Stop after this many iterations.
        history: Number of the last pairs (s, y) that estimate the inverse Hessian.
        should_stop: Asked after each iteration whether to return the point reached so far.
    """
    pairs: list[tuple[Array, Array]] = []
    value, grad = function(x)
    values = [value]
    for _ in range(max_iterations):
        direction = _quasi_newton_direction(grad, pairs, precondition)
        expected, step = float(np.vdot(grad, direction)), 1.0
        while True:
            new_x = x - step * direction
            value, new_grad = function(new_x)
            if value <= values[-1] - SUFFICIENT_DECREASE * step * expected or step < MIN_STEP:
                break
            step /= 2
        s, y = new_x - x, new_grad - grad
        if np.vdot(s, y) > MIN_COSINE * np.linalg.norm(s) * np.linalg.norm(y):
            pairs = [*pairs, (s, y)][-history:]
        x, grad = new_x, new_grad
        values.append(value)
        if should_stop() or (len(values) > WINDOW and values[-1 - WINDOW] - value < tolerance):
            break
    return x


def _quasi_newton_direction(
    grad: Array, pairs: list[tuple[Array, Array]], precondition: Preconditioner
) -> Array:
    """Return H grad, with the inverse Hessian H estimated from the pairs (two-loop recursion)."""
    direction, alphas = grad, []
    for s, y in reversed(pairs):
        alpha = np.vdot(s, direction) / np.vdot(s, y)
        direction = direction - alpha * y
        alphas.append(alpha)
    direction = precondition(direction)
    if pairs:  # gamma = s'y / y'Py (equation 7.20, with P) scales P to the last curvature.
        s, y = pairs[-1]
        direction *= np.vdot(s, y) / np.vdot(y, precondition(y))
    for (s, y), alpha in zip(pairs, reversed(alphas), strict=True):
        direction = direction + s * (alpha - np.vdot(y, direction) / np.vdot(s, y))
    return direction
