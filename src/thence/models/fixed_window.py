"""What the networks with a fixed window share: their state is the last context - 1 ids."""

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
