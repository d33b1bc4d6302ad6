"""Optimizers: PyTorch's fused updates, with their state held as plain tensors.

PyTorch's optimizer classes import its compiler when they are made, which takes longer than many a
training here. The functions beneath them do not, and their state is easier to save. They are not
official, hence the upper bound of torch's version in ``pyproject.toml``.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor, nn
from torch.optim.adamw import adamw
from torch.optim.sgd import sgd

from thence.recipes.options import TrainingOptions


class Parameterised(Protocol):
    """A model with weights."""

    def parameters(self) -> Iterator[nn.Parameter]:
        """Yield the weights."""


@runtime_checkable
class Layered(Protocol):
    """A network whose layers have learning rates of their own, and are unfrozen one by one."""

    def layers(self) -> Sequence[Sequence[nn.Parameter]]:
        """Return the weights in layers."""

    def rate_factors(self, share: float) -> Sequence[float]:
        """Return the factor of each layer's learning rate; a layer of factor 0 is frozen.

        Args:
            share: Fraction of the training that is done, from 0 to 1.
        """


BETAS = (0.9, 0.99)
"""Decay of the running means of gradients and of their squares. A second one of 0.999 would need
more steps to settle than many a training here has."""
EPSILON = 1e-8
"""Is added to the root of the mean square, so that nothing is divided by zero."""


class Optimizer(Protocol):
    """Updates weights by their gradients."""

    def step(self, rate: float) -> None:
        """Make one step with this learning rate, and clear the gradients."""

    def state(self) -> list[Tensor]:
        """Return all tensors that later steps depend on, always in the same order."""


class AdamW:
    """Adam with decoupled weight decay; biases and other vectors do not decay.

    Source: I. Loshchilov and F. Hutter 2019, "Decoupled weight decay regularization".

    Args:
        parameters: The weights.
        weight_decay: Share of a weight that is subtracted, per step and unit of learning rate.
    """

    def __init__(self, parameters: Sequence[nn.Parameter], weight_decay: float) -> None:
        self._groups = [
            (group, [torch.zeros_like(p) for p in group], [torch.zeros_like(p) for p in group],
             [torch.zeros((), device=p.device) for p in group], decay)
            for group, decay in decay_groups(parameters, weight_decay)
        ]  # fmt: skip

    def step(self, rate: float) -> None:
        """Make one step with this learning rate, and clear the gradients."""
        with torch.no_grad():
            for group, means, squares, steps, decay in self._groups:
                adamw(
                    group,
                    take_gradients(group),
                    means,
                    squares,
                    [],
                    steps,
                    fused=True,
                    amsgrad=False,
                    beta1=BETAS[0],
                    beta2=BETAS[1],
                    lr=rate,
                    weight_decay=decay,
                    eps=EPSILON,
                    maximize=False,
                )

    def state(self) -> list[Tensor]:
        """Return the running means of gradients and their squares, and the step counts."""
        return [
            tensor
            for _, means, squares, steps, _ in self._groups
            for tensor in (*means, *squares, *steps)
        ]


class SGD:
    """Stochastic gradient descent, with momentum if asked for.

    Args:
        parameters: The weights.
        weight_decay: Share of a weight that is added to its gradient (L2 penalty).
        momentum: Decay of the running sum of gradients; 0 for none.
    """

    def __init__(
        self, parameters: Sequence[nn.Parameter], weight_decay: float, momentum: float
    ) -> None:
        self._momentum = momentum
        self._groups = [
            (group, [torch.zeros_like(p) if momentum else None for p in group], decay)
            for group, decay in decay_groups(parameters, weight_decay)
        ]

    def step(self, rate: float) -> None:
        """Make one step with this learning rate, and clear the gradients."""
        with torch.no_grad():
            for group, buffers, decay in self._groups:
                sgd(
                    group,
                    take_gradients(group),
                    buffers,
                    foreach=True,
                    weight_decay=decay,
                    momentum=self._momentum,
                    lr=rate,
                    dampening=0.0,
                    nesterov=False,
                    maximize=False,
                )

    def state(self) -> list[Tensor]:
        """Return the momentum of each parameter, if there is any."""
        return [
            buffer for _, buffers, _ in self._groups for buffer in buffers if buffer is not None
        ]


class Adagrad:
    """Adagrad; a matrix whose gradient is sparse has one rate for each row, not for each number.

        a <- a + mean of g^2 over the row,   w <- w - rate g / sqrt(a)

    Sources: J. Duchi, E. Hazan and Y. Singer 2011, "Adaptive subgradient methods for online
    learning and stochastic optimization"; one number per row is customary for large embeddings.

    Args:
        parameters: The weights.
        weight_decay: Share of a weight that is subtracted, per step and unit of learning rate; rows
            that a step does not read do not decay.
    """

    def __init__(self, parameters: Sequence[nn.Parameter], weight_decay: float) -> None:
        self._groups = decay_groups(parameters, weight_decay)
        # One sum for each row of a matrix, also where gradients turn out to be dense: whether they
        # are sparse is only known when there is one.
        self._sums = [
            [torch.zeros_like(p if p.dim() < 2 else p[:, :1]) for p in group]
            for group, _ in self._groups
        ]

    def step(self, rate: float) -> None:
        """Make one step with this learning rate, and clear the gradients."""
        with torch.no_grad():
            for (group, decay), sums in zip(self._groups, self._sums, strict=True):
                for parameter, total in zip(group, sums, strict=True):
                    if parameter.grad is not None:
                        _adagrad(parameter, parameter.grad, total, rate, decay)
                        parameter.grad = None

    def state(self) -> list[Tensor]:
        """Return the sums of squared gradients."""
        return [total for sums in self._sums for total in sums]


def _adagrad(weights: Tensor, gradient: Tensor, total: Tensor, rate: float, decay: float) -> None:
    if gradient.is_sparse:  # Read and write the rows of this step alone, each once.
        rows, values = gradient._indices()[0], gradient._values()
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


class LayeredOptimizer:
    """An optimizer for each layer of a network; frozen layers are not updated, at no cost.

    Args:
        model: The network.
        options: Name the optimizer.
    """

    def __init__(self, model: Layered, options: TrainingOptions) -> None:
        self._layers, self._rate_factors = model.layers(), model.rate_factors
        self._optimizers = [_optimizer_of(layer, options) for layer in self._layers]
        self.unfreeze(1.0)

    def unfreeze(self, share: float) -> None:
        """Freeze and unfreeze layers as is due at this fraction of the training."""
        self._factors = self._rate_factors(share)
        for layer, factor in zip(self._layers, self._factors, strict=True):
            for parameter in layer:
                parameter.requires_grad_(factor > 0)

    def step(self, rate: float) -> None:
        """Make one step, each layer with its factor of the learning rate; clear the gradients."""
        for optimizer, factor in zip(self._optimizers, self._factors, strict=True):
            if factor > 0:
                optimizer.step(factor * rate)

    def state(self) -> list[Tensor]:
        """Return the states of all layers, the frozen ones too."""
        return [tensor for optimizer in self._optimizers for tensor in optimizer.state()]


def decay_groups(
    parameters: Sequence[nn.Parameter], weight_decay: float
) -> list[tuple[list[Tensor], float]]:
    """Return the matrices with their weight decay, and the vectors (biases), without one."""
    matrices: list[Tensor] = [parameter for parameter in parameters if parameter.dim() > 1]
    vectors: list[Tensor] = [parameter for parameter in parameters if parameter.dim() <= 1]
    groups = [(matrices, weight_decay), (vectors, 0.0)]
    return [(group, decay) for group, decay in groups if group]


def take_gradients(parameters: Sequence[Tensor]) -> list[Tensor]:
    """Return the gradients, dense and zero where there is none, and clear them."""
    gradients = []
    for parameter in parameters:
        gradient = torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
        gradients.append(gradient.to_dense() if gradient.is_sparse else gradient)
        parameter.grad = None
    return gradients


def make_dense(parameters: Iterable[nn.Parameter]) -> None:
    """Turn sparse gradients into dense ones."""
    for parameter in parameters:
        if parameter.grad is not None and parameter.grad.is_sparse:
            parameter.grad = parameter.grad.to_dense()


def make_optimizer(model: Parameterised, options: TrainingOptions) -> Optimizer:
    """Return the optimizer that the options name, for all weights that are not frozen."""
    if isinstance(model, Layered):
        return LayeredOptimizer(model, options)
    return _optimizer_of(list(model.parameters()), options)


def _optimizer_of(weights: Sequence[nn.Parameter], options: TrainingOptions) -> Optimizer:
    parameters = [parameter for parameter in weights if parameter.requires_grad]
    if options.optimizer == "sgd":
        return SGD(parameters, options.weight_decay, options.momentum)
    if options.optimizer == "adagrad":
        return Adagrad(parameters, options.weight_decay)
    return AdamW(parameters, options.weight_decay)
