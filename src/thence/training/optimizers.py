"""Optimizers: PyTorch's fused updates, with their state in plain tensors.

PyTorch's optimizer classes import its compiler when constructed, which takes longer than many
trainings here. The operators below them do not, and their state is easier to save. They are not
part of PyTorch's public API, hence the upper bound of its version in ``pyproject.toml``.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Protocol, cast, runtime_checkable

import torch
from torch import Tensor, nn

from thence._core import library
from thence._core.rows import adagrad_rows
from thence.recipes.options import TrainingOptions


class Parameterised(Protocol):
    """A model with weights."""

    def parameters(self) -> Iterator[nn.Parameter]:
        """Yield the weights."""


@runtime_checkable
class Layered(Protocol):
    """A network whose layers have learning rates of their own, and are unfrozen one by one."""

    def layers(self) -> Sequence[Sequence[nn.Parameter]]:
        """Return the weights grouped by layer."""

    def rate_factors(self, share: float) -> Sequence[float]:
        """Return the factor of each layer's learning rate; a layer of factor 0 is frozen.

        Args:
            share: Fraction of the training that is done, from 0 to 1.
        """


BETAS = (0.9, 0.99)
"""Decay of the running means of gradients and of their squares. With the usual 0.999 the second
would need more steps to settle than many trainings here have."""
EPSILON = 1e-8
"""Added to denominators (AdamW: the root mean square; Muon: the norm) against division by zero."""

EPSILON_OF_NORM = 1e-6
"""Added to the norm that gradients are divided by, as in PyTorch's ``clip_grad_norm_``."""


class AdamW:
    """Adam with decoupled weight decay, for one group of parameters.

    Source: I. Loshchilov and F. Hutter 2019, "Decoupled weight decay regularization".

    Args:
        parameters: The weights.
        decay: Share of a weight that is subtracted, per step and unit of learning rate.
    """

    def __init__(self, parameters: list[Tensor], decay: float) -> None:
        self._parameters, self._decay = parameters, decay
        self._means = [torch.zeros_like(parameter) for parameter in parameters]
        self._squares = [torch.zeros_like(parameter) for parameter in parameters]
        # PyTorch's update takes a step count per parameter; here all are the same tensor.
        self._steps = [torch.zeros((), device=parameters[0].device)] * len(parameters)

    def step(self, rate: float) -> None:
        """Make one step with this learning rate, and clear the gradients."""
        gradients = take_gradients(self._parameters)
        beta1, beta2 = BETAS
        self._steps[0] += 1
        torch._fused_adamw_(
            self._parameters, gradients, self._means, self._squares, [], self._steps,
            lr=rate, beta1=beta1, beta2=beta2, weight_decay=self._decay, eps=EPSILON,
            amsgrad=False, maximize=False,
        )  # fmt: skip

    def state(self) -> list[Tensor]:
        """Return the running means of gradients and of their squares, and the step counts."""
        return [*self._means, *self._squares, *self._steps]


MOMENTUM = 0.95
"""Decay of the running mean of gradients in Muon (K. Jordan et al. 2024)."""
NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)
"""Coefficients a, b, c of Muon's iteration X <- a X + b (X X^T) X + c (X X^T)^2 X, which multiplies
small singular values by 3.4 a step (K. Jordan et al. 2024)."""
NEWTON_SCHULZ_STEPS = 5
"""Iterations: singular values are then between about 0.7 and 1.2."""
MUON_SCALE = 0.2
"""Root mean square of the change of a weight per unit of learning rate: about that of AdamW (J. Liu
et al. 2025), so that both can use one learning rate."""


class Muon:
    """Momentum with orthogonalised steps (Muon), for one group of matrices.

        m <- 0.95 m + 0.05 g,    u = 0.95 m + 0.05 g
        w <- w - rate (decay w + 0.2 sqrt(max(rows, columns)) orthogonal(u))

    with orthogonal(U S V^T) about U V^T, by a Newton-Schulz iteration. Gradients of a layer are
    nearly of low rank: a plain step changes only their few largest singular directions, while this
    one changes all alike.

    Sources: K. Jordan et al. 2024, "Muon: an optimizer for hidden layers in neural networks";
    J. Liu et al. 2025, "Muon is scalable for LLM training" (the scale).

    Args:
        parameters: The weights.
        decay: Share of a weight that is subtracted, per step and unit of learning rate.
    """

    def __init__(self, parameters: list[Tensor], decay: float) -> None:
        self._parameters, self._decay = parameters, decay
        self._means = [torch.zeros_like(parameter) for parameter in parameters]

    def step(self, rate: float) -> None:
        """Make one step with this learning rate, and clear the gradients."""
        gradients = take_gradients(self._parameters)
        for weights, gradient, mean in zip(self._parameters, gradients, self._means, strict=True):
            mean.lerp_(gradient, 1 - MOMENTUM)
            change = orthogonalized(gradient.lerp(mean, MOMENTUM))
            scale = MUON_SCALE * math.sqrt(max(weights.shape))
            weights.mul_(1 - rate * self._decay).sub_(change, alpha=rate * scale)

    def state(self) -> list[Tensor]:
        """Return the running means of gradients."""
        return self._means


def orthogonalized(matrix: Tensor) -> Tensor:
    """Return a matrix with the same singular vectors and singular values close to 1."""
    wide = matrix if matrix.shape[0] <= matrix.shape[1] else matrix.T
    # The Frobenius norm bounds the largest singular value: all are now at most 1, where the
    # iteration converges.
    wide = wide / (torch.linalg.vector_norm(wide) + EPSILON)
    first, second, third = NEWTON_SCHULZ
    for _ in range(NEWTON_SCHULZ_STEPS):
        square = wide @ wide.T
        polynomial = torch.addmm(square, square, square, beta=second, alpha=third)
        wide = torch.addmm(wide, polynomial, wide, beta=first)
    return wide if wide.shape == matrix.shape else wide.T


class SGD:
    """Stochastic gradient descent for one group of parameters, with optional momentum.

    Args:
        parameters: The weights.
        decay: Share of a weight that is added to its gradient (L2 penalty).
        momentum: Decay of the running sum of gradients; 0 for none.
    """

    def __init__(self, parameters: list[Tensor], decay: float, momentum: float) -> None:
        self._parameters, self._decay, self._momentum = parameters, decay, momentum
        self._sums = [torch.zeros_like(parameter) for parameter in parameters if momentum]

    def step(self, rate: float) -> None:
        """Make one step with this learning rate, and clear the gradients."""
        gradients = take_gradients(self._parameters)
        if self._decay:
            decayed = torch._foreach_add(gradients, self._parameters, alpha=self._decay)
            gradients = list(decayed)
        if self._momentum:
            torch._foreach_mul_(self._sums, self._momentum)
            torch._foreach_add_(self._sums, gradients)
            gradients = self._sums
        torch._foreach_add_(self._parameters, gradients, alpha=-rate)

    def state(self) -> list[Tensor]:
        """Return the running sum of each parameter's gradients, if there is any momentum."""
        return self._sums


class Adagrad:
    """Adagrad for one group of parameters, with one accumulator for each row of a matrix.

        a <- a + mean of g^2 over the row,   w <- w - rate g / sqrt(a)

    The state of a large embedding is then one number per row, not one per weight. If the gradient
    is sparse, only the rows of this step are read and written.

    Sources: J. Duchi, E. Hazan and Y. Singer 2011, "Adaptive subgradient methods for online
    learning and stochastic optimization"; one number per row is customary for large embeddings.

    Args:
        parameters: The weights.
        decay: Share of a weight that is subtracted, per step and unit of learning rate; with sparse
            gradients only rows of the step decay.
    """

    def __init__(self, parameters: list[Tensor], decay: float) -> None:
        self._parameters, self._decay = parameters, decay
        self._sums = [torch.zeros_like(p if p.dim() < 2 else p[:, :1]) for p in parameters]

    def step(self, rate: float) -> None:
        """Make one step with this learning rate, and clear the gradients."""
        for parameter, total in zip(self._parameters, self._sums, strict=True):
            if parameter.grad is not None:
                _adagrad(parameter, parameter.grad, total, rate, self._decay)
                parameter.grad = None

    def state(self) -> list[Tensor]:
        """Return the sums of squared gradients."""
        return self._sums


def _adagrad(weights: Tensor, gradient: Tensor, total: Tensor, rate: float, decay: float) -> None:
    """Update a parameter and its accumulator in place; see ``Adagrad``."""
    if gradient.is_sparse:  # Each row occurs once.
        rows, values = gradient._indices()[0], gradient._values()
        if weights.device.type == "cpu" and values.dtype == torch.float32 and library() is not None:
            adagrad_rows(
                weights.detach().numpy(),
                total.numpy(),
                rows.numpy(),
                values.contiguous().numpy(),
                rate,
                decay,
                EPSILON**2,
            )
            return
        squares = total.index_select(0, rows)
        squares += values.square().mean(1, keepdim=True)
        total.index_copy_(0, rows, squares)
        chosen = weights.index_select(0, rows)
        chosen -= rate * (values * (squares + EPSILON**2).rsqrt() + decay * chosen)
        weights.index_copy_(0, rows, chosen)
        return
    squared = gradient.square()
    total += squared if weights.dim() < 2 else squared.mean(1, keepdim=True)
    weights -= rate * (gradient * (total + EPSILON**2).rsqrt() + decay * weights)


class Optimizer:
    """The optimizer of a network, with a learning rate per layer for ``Layered`` networks.

    Frozen weights and layers are not updated, at no cost. Vectors, such as biases, do not decay.

    Args:
        model: The network.
        options: The settings of training.
    """

    def __init__(self, model: Parameterised, options: TrainingOptions) -> None:
        layers: Sequence[Sequence[nn.Parameter]] = [list(model.parameters())]
        self._rate_factors: Callable[[float], Sequence[float]] = lambda share: [1.0]
        if isinstance(model, Layered):
            layers, self._rate_factors = model.layers(), model.rate_factors
        self._layers = [[weight for weight in layer if weight.requires_grad] for layer in layers]
        hidden = _hidden_matrices(model) if options.optimizer == "muon" else set()
        self._rules = [_rules(layer, hidden, options) for layer in self._layers]
        self._factors: Sequence[float] = ()
        self.unfreeze(1.0)

    def unfreeze(self, share: float) -> None:
        """Freeze and unfreeze layers for this fraction of the training (0 to 1)."""
        factors = self._rate_factors(share)
        if factors == self._factors:
            return
        self._factors = factors
        for layer, factor in zip(self._layers, factors, strict=True):
            for parameter in layer:
                parameter.requires_grad_(factor > 0)

    def step(self, rate: float) -> None:
        """Make one step, each layer with its factor of the learning rate; clear the gradients."""
        with torch.no_grad():
            for rules, factor in zip(self._rules, self._factors, strict=True):
                for rule in rules if factor > 0 else []:
                    rule.step(factor * rate)

    def state(self) -> list[Tensor]:
        """Return all tensors that later steps depend on, in a fixed order."""
        return [tensor for rules in self._rules for rule in rules for tensor in rule.state()]


def _hidden_matrices(model: Parameterised) -> set[int]:
    """Return the ``id()`` of the matrices of hidden layers: neither embeddings nor output layer."""
    assert isinstance(model, nn.Module)
    tables = [part for part in model.modules() if isinstance(part, nn.Embedding | nn.EmbeddingBag)]
    others = {id(table.weight) for table in tables}
    return {
        id(weights)
        for name, weights in model.named_parameters()
        if weights.dim() == 2
        and id(weights) not in others
        and not name.startswith(("output.", "output_layer."))
    }


def _rules(
    layer: Sequence[nn.Parameter], hidden: set[int], options: TrainingOptions
) -> "list[AdamW | Muon | SGD | Adagrad]":
    """Return the optimizers of a layer's weights: Muon for those in ``hidden``, else by options."""
    matrices: list[Tensor] = [weights for weights in layer if id(weights) in hidden]
    others = [weights for weights in layer if id(weights) not in hidden]
    made = [Muon(matrices, options.weight_decay)] if matrices else []
    return [
        *made,
        *(_rule(group, decay, options) for group, decay in decay_groups(others, options)),
    ]


def _rule(
    parameters: list[Tensor], decay: float, options: TrainingOptions
) -> AdamW | SGD | Adagrad:
    """Return the optimizer of a group of parameters."""
    match options.optimizer:
        case "sgd":
            return SGD(parameters, decay, options.momentum)
        case "adagrad":
            return Adagrad(parameters, decay)
        case _:
            return AdamW(parameters, decay)


def decay_groups(
    parameters: Sequence[nn.Parameter], options: TrainingOptions
) -> list[tuple[list[Tensor], float]]:
    """Return the matrices with their weight decay, and the vectors (biases) with none."""
    matrices: list[Tensor] = [parameter for parameter in parameters if parameter.dim() > 1]
    vectors: list[Tensor] = [parameter for parameter in parameters if parameter.dim() <= 1]
    groups = [(matrices, options.weight_decay), (vectors, 0.0)]
    return [(group, decay) for group, decay in groups if group]


def take_gradients(parameters: Sequence[Tensor]) -> list[Tensor]:
    """Return the gradients as dense tensors, zero where there is none; clear them."""
    gradients = []
    for parameter in parameters:
        gradient = torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
        gradients.append(gradient.to_dense() if gradient.is_sparse else gradient)
        parameter.grad = None
    return gradients


def clip_gradients(parameters: Iterable[nn.Parameter], limit: float) -> bool:
    """Scale the gradients down to a norm of ``limit`` if theirs is larger; return whether it was.

    Sparse gradients become dense.
    """
    parameters = [parameter for parameter in parameters if parameter.grad is not None]
    if math.isinf(limit) or not parameters:
        return False
    make_dense(parameters)
    gradients = [cast(Tensor, parameter.grad) for parameter in parameters]
    norm = gradient_norm(parameters)
    if not norm > limit:
        return False
    torch._foreach_mul_(gradients, limit / (norm + EPSILON_OF_NORM))
    return True


def gradient_norm(parameters: Iterable[nn.Parameter]) -> Tensor:
    """Return the Euclidean norm of all gradients together, on their device; NaN if none."""
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    if not gradients:
        return torch.tensor(math.nan)
    values = [g.coalesce().values() if g.is_sparse else g for g in gradients]
    norm: Tensor = torch.linalg.vector_norm(torch.stack(torch._foreach_norm(values)))
    return norm


def make_dense(parameters: Iterable[nn.Parameter]) -> None:
    """Turn sparse gradients into dense ones."""
    for parameter in parameters:
        if parameter.grad is not None and parameter.grad.is_sparse:
            parameter.grad = parameter.grad.to_dense()
