"""The cross-entropy of a linear layer over a large vocabulary, fast and in little memory.

The logits (N, V) of a large vocabulary would not fit into the cache or, on a GPU, the memory. As
the loss ends the forward pass, its gradient by the logits, softmax minus one-hot, is known at once:
both functions here work out the gradients of hidden states, weights and biases together with the
loss and drop the logits; the backward pass only scales the gradients. Products of matrices are in
the precision of autocast, sums in that of the weights.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from thence.array_types import Float, Int64

SMALLEST_PROBABILITY = 1e-37
"""Lower bound of a target's probability before its logarithm, so that the loss is finite: near the
smallest normal number of single precision."""

Gradients = tuple[Tensor, Tensor, Tensor, Tensor]
"""A loss and its gradients with respect to hidden states, weights and biases."""


def chunked_cross_entropy(
    hidden: Float[Tensor, "rows hidden"],
    weight: Float[Tensor, "vocab hidden"],
    bias: Float[Tensor, " vocab"],
    targets: Int64[Tensor, " rows"],
    chunk: int,
) -> Float[Tensor, ""]:
    """Return the summed negative log-likelihood of the targets, in nats.

    Args:
        hidden: The hidden states.
        weight: Weights of the linear layer.
        bias: Biases of the linear layer.
        targets: The target id of each hidden state.
        chunk: Rows of logits that are in memory at once.
    """
    dtype = _product_dtype(weight)

    def compute(hidden: Tensor, weight: Tensor, bias: Tensor) -> Gradients:
        narrow, low = weight.to(dtype), bias.to(dtype)
        d_hidden, d_weight = torch.empty_like(hidden), torch.empty_like(weight)
        d_bias = torch.zeros_like(bias)
        loss = hidden.new_zeros((), dtype=torch.float32)
        # One buffer holds the logits of a chunk, then its probabilities, then their gradient.
        buffer = narrow.new_empty(min(chunk, len(hidden)), len(weight))
        parts = (torch.split(tensor, chunk) for tensor in (hidden, d_hidden, targets))
        for index, (states, d_states, ids) in enumerate(zip(*parts, strict=True)):
            states, column = states.to(dtype), ids[:, None]
            logits = torch.addmm(low, states, narrow.T, out=buffer[: len(states)])
            probs = torch.softmax(logits, dim=1, out=logits)
            loss -= _log(probs.gather(1, column)).sum()
            # The gradient by the logits, softmax minus one-hot, from here on.
            probs.scatter_add_(1, column, probs.new_full(column.shape, -1))
            d_states.copy_(probs @ narrow)
            if index == 0:
                d_weight.copy_(probs.T @ states)
            elif dtype == weight.dtype:
                d_weight.addmm_(probs.T, states)
            else:
                d_weight += probs.T @ states
            d_bias += probs.sum(dim=0, dtype=bias.dtype)
        return loss, d_hidden, d_weight, d_bias

    return _with_gradients(compute, hidden, weight, bias)


def sampled_cross_entropy(
    hidden: Float[Tensor, "rows hidden"],
    weight: Float[Tensor, "vocab hidden"],
    bias: Float[Tensor, " vocab"],
    targets: Int64[Tensor, " rows"],
    drawn: Int64[Tensor, " sample"],
    log_inclusion: Float[Tensor, " vocab"],
) -> Float[Tensor, ""]:
    """Return the summed sampled-softmax loss of the targets, in nats (see ``output_layer.py``).

    Each logit is lowered by the log-probability that its id is in the sample, so that the sampled
    sum estimates that of the full softmax (importance sampling; Jean et al. 2015).

    Args:
        hidden: The hidden states.
        weight: Weights of the linear layer.
        bias: Biases of the linear layer.
        targets: The target id of each hidden state.
        drawn: The sample: distinct ids in ascending order.
        log_inclusion: The log-probability of each id to be in a sample.
    """
    dtype = _product_dtype(weight)

    def compute(hidden: Tensor, weight: Tensor, bias: Tensor) -> Gradients:
        offsets = bias - log_inclusion
        sampled, own = weight.index_select(0, drawn), weight.index_select(0, targets)
        narrow, states = sampled.to(dtype), hidden.to(dtype)
        # The target is the last column. Where it is in the sample too, it must not count twice.
        probs = weight.new_empty(len(hidden), len(drawn) + 1)
        of_sample = probs[:, :-1]
        torch.add(states @ narrow.T, offsets.index_select(0, drawn), out=of_sample)
        probs[:, -1] = (hidden * own).sum(dim=1) + offsets.index_select(0, targets)
        place = torch.searchsorted(drawn, targets).clamp_(max=len(drawn) - 1)[:, None]
        is_own = drawn[place] == targets[:, None]
        probs.scatter_(1, place, probs.gather(1, place).masked_fill_(is_own, -torch.inf))
        torch.softmax(probs, dim=1, out=probs)
        loss = -_log(probs[:, -1]).sum()
        probs[:, -1] -= 1  # From here on these are gradients by the logits.
        d_sample, d_own = of_sample.to(dtype), probs[:, -1:]
        d_hidden = torch.addcmul(d_sample @ narrow, d_own, own).to(hidden.dtype)
        d_weight = torch.zeros_like(weight)
        d_weight.index_copy_(0, drawn, (d_sample.T @ states).to(weight.dtype))
        d_weight.index_add_(0, targets, d_own * hidden)
        d_bias = torch.zeros_like(bias).index_copy_(0, drawn, of_sample.sum(dim=0))
        d_bias.index_add_(0, targets, d_own[:, 0])
        return loss, d_hidden, d_weight, d_bias

    return _with_gradients(compute, hidden, weight, bias)


def _product_dtype(weight: Tensor) -> torch.dtype:
    """Return the dtype of matrix products: that of autocast if it is on, else of the weights."""
    kind = weight.device.type
    return torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else weight.dtype


def _log(probs: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    return probs.float().clamp_min(SMALLEST_PROBABILITY).log()


class _WithGradients(torch.autograd.Function):
    """Autograd function of a loss whose gradients are computed in the forward pass."""

    @staticmethod
    def forward(ctx: Any, compute: Callable[..., Gradients], *inputs: Tensor) -> Tensor:
        with torch.autocast(inputs[0].device.type, enabled=False):
            loss, *gradients = compute(*inputs)
        ctx.save_for_backward(*gradients)
        return loss

    @staticmethod
    def backward(ctx: Any, *upstream: Tensor) -> Any:
        return None, *(gradient.mul_(upstream[0]) for gradient in ctx.saved_tensors)


_with_gradients: Callable[..., Tensor] = _WithGradients.apply
