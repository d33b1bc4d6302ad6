"""The output layer, shared by all networks: from hidden states to the loss over symbols.

    P(w | h) = exp(o_w) / sum_v exp(o_v),   o = project(h)

The readout owns the output weights and the loss, because that layer is most of the cost; the
training loop never sees logits.
"""

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn
from torch.nn import functional


class FullSoftmax(nn.Module):
    """Softmax over the whole vocabulary.

    Args:
        project: Gives the logits (N, V) of hidden states (N, H): a linear layer, or the
            identity where the hidden states are logits already.
    """

    def __init__(self, project: nn.Module) -> None:
        super().__init__()
        self.project = project

    def loss(
        self,
        hidden: Float[Tensor, "*batch hidden"],
        targets: Int64[Tensor, "*batch"] | Float[Tensor, "*batch vocab"],
    ) -> Float[Tensor, ""]:
        """Return the summed negative log-likelihood of the targets, in nats.

        Args:
            hidden: The hidden states.
            targets: One id per hidden state, or how often each id was the target there.
        """
        logits = self.project(hidden.flatten(0, -2))  # (N, V)
        flat = targets.flatten(0, hidden.dim() - 2)  # (N) ids or (N, V) counts
        return functional.cross_entropy(logits, flat, reduction="sum")

    def log_probs(self, hidden: Float[Tensor, "*batch hidden"]) -> Float[Tensor, "*batch vocab"]:
        """Return the log-probabilities of every symbol, in nats."""
        return torch.log_softmax(self.project(hidden).float(), dim=-1)
