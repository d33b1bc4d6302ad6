"""What the networks with a fixed window share: their state is the last context - 1 ids."""

from collections.abc import Sequence

import torch
from jaxtyping import Int64
from torch import Tensor


def start_window(
    batch_size: int, context: int, boundary_id: int, device: torch.device
) -> Int64[Tensor, "{batch_size} {context}-1"]:
    """Return the state before any text: nothing but boundaries."""
    return torch.full((batch_size, context - 1), boundary_id, dtype=torch.int64, device=device)


def slide_window(
    ids: Int64[Tensor, "batch time"], state: Int64[Tensor, "batch window"]
) -> tuple[Int64[Tensor, "batch time window+1"], Int64[Tensor, "batch window"]]:
    """Return the context that ends at each id, and the state after the last."""
    context = state.shape[1] + 1
    joined = torch.cat([state, ids], dim=1)  # (B, C - 1 + T)
    return joined.unfold(1, context, 1), joined[:, joined.shape[1] - context + 1 :]


@torch.no_grad()
def draw_standard_normal(weights: Sequence[tuple[Tensor, tuple[int, ...]]]) -> None:
    """Draw weights from the standard normal distribution, to the digit as a plain script does.

    Such a script (A. Karpathy's lectures on names) seeds a generator and draws one tensor after
    another, with inputs in rows, outputs in columns, and the boundary as symbol 0. Here the
    boundary is the last symbol. With the same seed both start with the same loss.

    Args:
        weights: In the script's order and layout, each with the axes that stand for symbols.
    """
    generator = torch.Generator().manual_seed(torch.initial_seed())
    for weight, symbol_axes in weights:
        if not weight.is_meta:  # A network without memory, made to count its weights.
            drawn = torch.randn(weight.shape, generator=generator)
            weight.copy_(drawn.roll([-1] * len(symbol_axes), symbol_axes) if symbol_axes else drawn)
