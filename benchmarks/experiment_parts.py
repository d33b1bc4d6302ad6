"""Parts of networks and losses that ``experiments.py`` tried and the library does without.

Each function changes a language model in place, before its training.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from thence.batches import Batch
from thence.models.base import map_state
from thence.models.output_layer import SampledSoftmax

Change = Callable[[Any], None]
ROWS = 1 << 13
"""Of a table of n-grams; n-grams share the rows that their hashes fall on."""


class WithNgrams(nn.Module):
    """A recurrent network whose symbols have embeddings of the n-grams that they end, too.

    Args:
        network: The network, with its own embedding.
        orders: Of the n-grams.
        boundary: The id before every text.
    """

    context_length = None

    def __init__(self, network: Any, orders: tuple[int, ...], boundary: int) -> None:
        super().__init__()
        self.network, self.orders, self.boundary = network, orders, boundary
        size = network.options.embedding_size
        self.tables = nn.ModuleList(nn.Embedding(ROWS, size) for _ in orders)
        for table in self.tables:
            nn.init.zeros_(table.weight)

    def start(self, batch_size: int, device: torch.device) -> Any:
        """Return the state before any text: boundaries, and the state of the network."""
        before = torch.full((batch_size, max(self.orders) - 1), self.boundary, device=device)
        return (before, *self.network.start(batch_size, device))

    def forward(self, ids: Tensor, state: Any) -> tuple[Tensor, Any]:
        """Return the hidden states after each id, and the state after the last."""
        before, *inner = state
        read = torch.cat([before, ids], dim=1)
        first, time_steps = before.shape[1], ids.shape[1]
        added = torch.zeros(())
        for order, table in zip(self.orders, self.tables, strict=True):
            hashes = torch.zeros_like(ids)
            for back in range(order):
                place = read[:, first - back : first - back + time_steps]
                hashes = hashes * 1_000_003 + place + 1
            rows = (hashes * 0x9E3779B1 % (1 << 40) >> 8) % ROWS
            added = added + functional.embedding(rows, table.weight)
        # The network adds them to what it looks up, before its own scaling and dropout.
        scale = math.sqrt(self.network.options.embedding_size)
        hook = self.network.input_dropout.register_forward_pre_hook(
            lambda _, inputs: (inputs[0] + scale * added,)
        )
        hidden, new = self.network(ids, tuple(inner))
        hook.remove()
        return hidden, (read[:, time_steps:], *new)


def ngrams(*orders: int) -> Change:
    """Give the n-grams of these orders embeddings of their own, in hashed tables."""

    def change(model: Any) -> None:
        model.network = WithNgrams(model.network, orders, model.vocabulary_size - 1)

    return change


class GatedHeads(nn.Module):
    """The last product of attention, each head multiplied by 2 sigmoid(G x) before it.

    Source: Z. Qiu et al. 2025, "Gated attention for large language models". G begins at zero.

    Args:
        attention: A layer's attention; ``normed``, what it reads, is set before each call.
    """

    def __init__(self, attention: Any) -> None:
        super().__init__()
        self.output, self.heads = attention.output, attention.heads
        self.gate = nn.Linear(self.output.in_features, self.heads)
        nn.init.zeros_(self.gate.weight)
        nn.init.zeros_(self.gate.bias)
        self.normed = torch.zeros(())
        attention.register_forward_pre_hook(self.note)

    def note(self, _: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        """Remember what attention reads."""
        self.normed = inputs[0]

    def forward(self, read: Tensor) -> Tensor:
        """Return what is added at each place."""
        gates = 2 * torch.sigmoid(self.gate(self.normed))
        gated = read.unflatten(2, (self.heads, -1)) * gates[..., None]
        found: Tensor = self.output(gated.flatten(2))
        return found


def gated_heads(model: Any) -> None:
    """Give each head of a transformer a gate that depends on the place."""
    for layer in model.network.layers:
        layer.attention.output = GatedHeads(layer.attention)


class MixedSoftmaxes(nn.Module):
    """P(w | h) = sum_k softmax_k(R h) softmax_w(W tanh(L_k h) + b).

    Source: Z. Yang et al. 2018, "Breaking the softmax bottleneck: a high-rank RNN language model".

    Args:
        layer: The output layer whose W and b are used, and whose sample, if it draws one.
        size: Numbers of a hidden state (H).
        count: Of the softmaxes.
    """

    def __init__(self, layer: Any, size: int, count: int) -> None:
        super().__init__()
        self.layer, self.count = layer, count
        self.shares, self.latent = nn.Linear(size, count), nn.Linear(size, count * size)

    def _split(self, hidden: Tensor) -> tuple[Tensor, Tensor]:
        states = torch.tanh(self.latent(hidden)).unflatten(-1, (self.count, -1))
        return torch.log_softmax(self.shares(hidden), dim=-1), states

    def log_probs(self, hidden: Tensor) -> Tensor:
        """Return the log-probabilities of every symbol, in nats."""
        shares, states = self._split(hidden)
        each = torch.log_softmax(self.layer.project(states), dim=-1)
        return torch.logsumexp(shares[..., None] + each, dim=-2)

    def target_log_probs(self, hidden: Tensor, targets: Tensor) -> Tensor:
        """Return the log-probability of one symbol for each hidden state, in nats."""
        parts = zip(hidden.split(1024), targets.split(1024), strict=True)
        found = [self.log_probs(part).gather(1, ids[:, None])[:, 0] for part, ids in parts]
        return torch.cat(found)

    def loss(self, hidden: Tensor, targets: Tensor) -> Tensor:
        """Return the summed loss of the targets, against a sample where the layer draws one."""
        hidden, targets = hidden.flatten(0, -2), targets.flatten(0, hidden.dim() - 2)
        if not (self.training and isinstance(self.layer, SampledSoftmax)):
            return -self.log_probs(hidden).gather(1, targets[:, None]).sum()
        weight, bias = self.layer.project.weight, self.layer.project.bias
        offsets = bias - self.layer.log_inclusion
        drawn = self.layer._draw(len(weight), hidden.device)
        shares, states = self._split(hidden)
        own = torch.einsum("nkh,nh->nk", states, weight[targets]) + offsets[targets][:, None]
        others = states @ weight[drawn].T + offsets[drawn]
        twice = (drawn == targets[:, None])[:, None]
        total = torch.logsumexp(
            torch.cat([others.masked_fill(twice, -torch.inf), own[..., None]], 2), 2
        )
        return -torch.logsumexp(shares + own - total, dim=1).sum()


def mixed_softmaxes(count: int) -> Change:
    """Let the output be a mixture of so many softmaxes."""

    def change(model: Any) -> None:
        model.output_layer = MixedSoftmaxes(
            model.output_layer, model.output_layer.project.weight.shape[1], count
        )

    return change


def targets_of(model: Any, batch: Batch) -> tuple[Tensor, Tensor]:
    """Return the targets of a batch, and which of them count."""
    targets = torch.from_numpy(batch.targets).to(model.device)
    valid = torch.ones_like(targets, dtype=torch.bool)
    return targets, valid if batch.valid is None else torch.from_numpy(batch.valid)


def two_tokens(share: float) -> Change:
    """Let hidden states predict the token after the next one too, by a linear layer of its own.

    The share of its loss falls to zero in the course of the training.

    Source: F. Gloeckle et al. 2024, "Better and faster large language models via multi-token
    prediction", with a linear layer in place of a layer of the transformer.
    """

    def change(model: Any) -> None:
        size = model.output_layer.project.weight.shape[1]
        model.ahead = nn.Linear(size, size)

        def batch_loss(batch: Batch, state: Any = None) -> Any:
            hidden, after = model._read(batch, state)
            targets, valid = targets_of(model, batch)
            loss = model.output_layer.loss(hidden[valid], targets[valid])
            counted = valid[:, 1:]
            states = model.ahead(hidden[:, :-1][counted])
            further = model.output_layer.loss(states, targets[:, 1:][counted])
            loss = loss + share * (1 - model.done) * further
            return loss, map_state(Tensor.detach, after)

        model.batch_loss = batch_loss

    return change


def taught(teachers: Sequence[Any], share: float = 0.5) -> Change:
    """Let a share of each target be the mean distribution of other models.

    Source: G. Hinton, O. Vinyals and J. Dean 2015, "Distilling the knowledge in a neural network".
    """

    def change(model: Any) -> None:
        states: list[Any] = [None] * len(teachers)

        def batch_loss(batch: Batch, state: Any = None) -> Any:
            hidden, after = model._read(batch, state)
            targets, valid = targets_of(model, batch)
            soft = torch.zeros(())
            with torch.no_grad():
                for number, teacher in enumerate(teachers):
                    said, states[number] = teacher._read(batch, states[number])
                    soft = soft + teacher.output_layer.log_probs(said[valid]).exp_()
            soft *= share / len(teachers)
            wanted = targets[valid][:, None]
            soft.scatter_add_(1, wanted, soft.new_full(wanted.shape, 1 - share))
            return model.output_layer.loss(hidden[valid], soft), map_state(Tensor.detach, after)

        model.batch_loss = batch_loss

    return change


def more_samples(samples: int, since: float) -> Callable[[Any, float], None]:
    """Return what lets a sampled softmax draw so many samples since a share of the steps."""

    def late(model: Any, done: float) -> None:
        layer = model.output_layer
        if done >= since and layer.samples != samples:
            model.output_layer = SampledSoftmax(layer.project, samples, layer.memory)
            model.train()

    return late
