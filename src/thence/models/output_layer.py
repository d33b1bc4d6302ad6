"""The output layer, shared by all networks: from hidden states to the loss over symbols.

    full       P(w | h) = exp(o_w) / sum_v exp(o_v),   o = W h + b
    sampled    the same model, but a step of training compares the target with a sample S only:
               loss = -log exp(o_t - log q_t) / sum_{v in S or t} exp(o_v - log q_v)
               with q_v the chance that v is in S, log-uniform over the ids (frequent ones first)
    adaptive   P(w | h) = P(cluster | h) P(w | cluster, h), rare clusters with narrower vectors

It owns the output weights and the loss, because that layer is most of the cost of a large
vocabulary; the training loop never sees logits. Whatever the training compared, ``log_probs`` are
those of the whole vocabulary and sum to one.

Sources: Y. Bengio and J. Senecal 2008, "Adaptive importance sampling to accelerate training of a
neural probabilistic language model", and S. Jean et al. 2015, "On using very large target
vocabulary for neural machine translation" (sampled); E. Grave et al. 2017, "Efficient softmax
approximation for GPUs" (adaptive).
"""

import math
from typing import Protocol, cast, runtime_checkable

import torch
from torch import Tensor, nn
from torch.nn import functional

from thence.array_types import Float, Int64
from thence.models.cross_entropy import chunked_cross_entropy, sampled_cross_entropy
from thence.models.graph import Graph
from thence.models.language import graphs
from thence.models.language.options import SPECIAL_IDS, OutputLayerOptions
from thence.models.memory_guard import parse_size


@runtime_checkable
class OutputLayer(Protocol):
    """The interface of output layers."""

    def loss(
        self,
        hidden: Float[Tensor, "*batch hidden"],
        targets: Int64[Tensor, "*batch"] | Float[Tensor, "*batch vocab"],
    ) -> Float[Tensor, ""]:
        """Return the summed negative log-likelihood of the targets, in nats, for training.

        Args:
            hidden: The hidden states.
            targets: One id per hidden state, or the count of each id as a target there.
        """

    def init_bias(self, counts: Float[Tensor, " vocab"]) -> None:
        """Set the biases to the log-frequencies of the symbols in the train text."""

    def log_probs(self, hidden: Float[Tensor, "*batch hidden"]) -> Float[Tensor, "*batch vocab"]:
        """Return the log-probabilities of all symbols, in nats."""

    def target_log_probs(
        self, hidden: Float[Tensor, "batch hidden"], targets: Int64[Tensor, " batch"]
    ) -> Float[Tensor, " batch"]:
        """Return the log-probability of each hidden state's target, in nats."""

    def onnx(self, graph: Graph, hidden: str) -> str:
        """Add the log-probabilities after hidden states (batch, time, H) to an ONNX graph."""


class TiedLinear(nn.Module):
    """A linear layer that shares its weights with an embedding (O. Press and L. Wolf 2017).

    Args:
        embedding: The embedding, whose table (V, E) is used; it stays the owner.
    """

    def __init__(self, embedding: nn.Embedding) -> None:
        super().__init__()
        self._owner = [embedding]  # In a list: the weights are saved and counted once.
        self.bias = nn.Parameter(torch.zeros(embedding.num_embeddings))

    @property
    def weight(self) -> Tensor:
        """The embedding's table, shape (V, E)."""
        return self._owner[0].weight

    def forward(self, hidden: Float[Tensor, "*batch hidden"]) -> Float[Tensor, "*batch vocab"]:
        """Return the logits."""
        return functional.linear(hidden, self.weight, self.bias)


def _logits(
    project: nn.Module, hidden: Float[Tensor, "*batch hidden"]
) -> Float[Tensor, "*batch vocab"]:
    """Return the logits ``project(hidden)``, a single row by a matrix-vector product."""
    weight = getattr(project, "weight", None)
    one_row = hidden.numel() == hidden.shape[-1] and not torch.is_grad_enabled()
    if one_row and isinstance(weight, Tensor) and weight.dtype == hidden.dtype:
        # One row takes as long as reading the weights from memory. BLAS's matrix-vector product
        # reads them once on every processor, its matrix product only on some.
        product = torch.addmv(cast(Tensor, project.bias), weight, hidden.flatten())
        return product.view(*hidden.shape[:-1], -1)
    logits: Tensor = project(hidden)
    return logits


class FullSoftmax(nn.Module):
    """Softmax over the whole vocabulary.

    Args:
        project: Maps hidden states (N, H) to logits (N, V): a linear layer, or the identity if
            the hidden states are logits already.
        memory: Largest size in bytes of the logits that are in memory at once.
    """

    def __init__(self, project: nn.Module, memory: int = 1 << 24) -> None:
        super().__init__()
        self.project = project
        self.memory = memory

    def loss(
        self,
        hidden: Float[Tensor, "*batch hidden"],
        targets: Int64[Tensor, "*batch"] | Float[Tensor, "*batch vocab"],
    ) -> Float[Tensor, ""]:
        """Return the summed negative log-likelihood of the targets, in nats."""
        flat = hidden.flatten(0, -2)  # (N, H)
        flat_targets = targets.flatten(0, hidden.dim() - 2)  # (N) ids or (N, V) counts
        weight = getattr(self.project, "weight", None)
        if flat_targets.dim() == 1 and isinstance(weight, Tensor):
            rows = self._rows(len(weight))
            if len(flat) > rows:
                bias = cast(Tensor, self.project.bias)
                return chunked_cross_entropy(flat, weight, bias, flat_targets, rows)
        logits = at_least_single(self.project(flat))
        return functional.cross_entropy(logits, flat_targets, reduction="sum")

    def init_bias(self, counts: Float[Tensor, " vocab"]) -> None:
        """Set the biases to the logarithms of the symbols' frequencies.

        The network then need not spend its first steps on learning which symbols are frequent.
        """
        bias = getattr(self.project, "bias", None)
        if isinstance(bias, Tensor):
            with torch.no_grad():
                bias.copy_(torch.log((counts + 1) / (counts + 1).sum()))

    def log_probs(self, hidden: Float[Tensor, "*batch hidden"]) -> Float[Tensor, "*batch vocab"]:
        """Return the log-probabilities of every symbol, in nats."""
        return torch.log_softmax(_logits(self.project, hidden).float(), dim=-1)

    def target_log_probs(
        self, hidden: Float[Tensor, "batch hidden"], targets: Int64[Tensor, " batch"]
    ) -> Float[Tensor, " batch"]:
        """Return the log-probability of one symbol for each hidden state, in nats."""
        found = []
        for part, ids in _parts(self._rows(self.project(hidden[:1]).shape[-1]), hidden, targets):
            logits = self.project(part).float()
            chosen = logits.gather(1, ids[:, None])[:, 0]
            found.append(chosen - torch.logsumexp(logits, dim=1))
        return torch.cat(found) if found else hidden.new_zeros(0, dtype=torch.float32)

    def _rows(self, vocabulary_size: int) -> int:
        return max(1, self.memory // (4 * vocabulary_size))

    def onnx(self, graph: Graph, hidden: str) -> str:
        """Add the log-probabilities of every symbol; see ``language/graphs.py``."""
        if isinstance(self.project, nn.Identity):
            return graphs.softmax(graph, hidden, None)
        tied = isinstance(self.project, TiedLinear)
        return graphs.softmax(graph, hidden, graphs.EMBEDDING if tied else "readout.project.weight")


def at_least_single(values: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """Return the values in single precision, or unchanged if they are in double precision."""
    return values if values.dtype == torch.float64 else values.float()


def _parts(rows: int, *tensors: Tensor) -> list[tuple[Tensor, ...]]:
    """Return several tensors split into the same chunks of ``rows`` rows."""
    return list(zip(*(torch.split(tensor, rows) for tensor in tensors), strict=True))


class SampledSoftmax(FullSoftmax):
    """Softmax over the whole vocabulary, trained against a sample of it.

    Ids are drawn log-uniformly by rank, which is close to Zipf's law of words; the last ids, which
    are frequent whatever their rank, are always in the sample.

    Args:
        project: The linear layer, tied or not.
        samples: Number of draws for each step.
        memory: As of ``FullSoftmax``, where the logits of all symbols are needed.
    """

    def __init__(self, project: nn.Module, samples: int, memory: int = 1 << 24) -> None:
        super().__init__(project, memory)
        self.samples = samples
        size = len(cast(Tensor, project.weight))
        self.register_buffer("log_inclusion", log_inclusion_probs(size, samples), persistent=False)

    def loss(
        self,
        hidden: Float[Tensor, "*batch hidden"],
        targets: Int64[Tensor, "*batch"] | Float[Tensor, "*batch vocab"],
    ) -> Float[Tensor, ""]:
        """Return the sampled loss while training, that of the full softmax otherwise."""
        weight = cast(Tensor, self.project.weight)
        if not self.training or targets.dim() == hidden.dim() or self.samples >= len(weight):
            return super().loss(hidden, targets)
        return sampled_cross_entropy(
            hidden.flatten(0, -2),
            weight,
            cast(Tensor, self.project.bias),
            targets.flatten(),
            self._draw(len(weight), hidden.device),
            cast(Tensor, self.log_inclusion),
        )

    def _draw(self, vocabulary_size: int, device: torch.device) -> Int64[Tensor, " drawn"]:
        """Return distinct sampled ids in ascending order."""
        ranked = vocabulary_size - SPECIAL_IDS
        # P(rank) = log((rank + 2) / (rank + 1)) / log(R + 1), by inversion of the cumulative
        # distribution log(rank + 1) / log(R + 1).
        uniform = torch.rand(self.samples, device=device)
        ranks = (torch.exp(uniform * math.log(ranked + 1)).long() - 1).clamp_(0, ranked - 1)
        special = torch.arange(ranked, vocabulary_size, device=device)
        return torch.cat([torch.unique(ranks), special])


def log_inclusion_probs(vocabulary_size: int, samples: int) -> Float[Tensor, " vocab"]:
    """Return the log-probability of each id to be in a sample of the sampled softmax."""
    ranked = max(vocabulary_size - SPECIAL_IDS, 0)
    ids = torch.arange(ranked, dtype=torch.float64)
    chance = torch.log((ids + 2) / (ids + 1)) / math.log(ranked + 1)
    # Drawn at least once in n draws: log(1 - (1 - p)^n).
    log_inclusion = torch.log(-torch.expm1(samples * torch.log1p(-chance)))
    return torch.cat([log_inclusion, torch.zeros(vocabulary_size - ranked)]).float()


class AdaptiveSoftmax(nn.Module):
    """Softmax by clusters: frequent symbols directly, rare ones through their cluster.

    Args:
        hidden_size: Size of a hidden state (H).
        vocabulary_size: Number of ids (V), in order of frequency but for the last two.
        memory: Largest size in bytes of the logits that are in memory at once.
    """

    def __init__(self, hidden_size: int, vocabulary_size: int, memory: int = 1 << 24) -> None:
        super().__init__()
        self.vocabulary_size = vocabulary_size
        self.memory = memory
        cutoffs = graphs.cutoffs_for(vocabulary_size)
        narrower = graphs.cluster_divisor(hidden_size, cutoffs)
        self.clusters = nn.AdaptiveLogSoftmaxWithLoss(
            hidden_size, vocabulary_size, cutoffs, narrower, head_bias=True
        )

    def _ranked(self, ids: Int64[Tensor, "*batch"]) -> Int64[Tensor, "*batch"]:
        """Return ids renumbered with the last two, the special symbols, first."""
        return (ids + SPECIAL_IDS) % self.vocabulary_size

    def loss(
        self,
        hidden: Float[Tensor, "*batch hidden"],
        targets: Int64[Tensor, "*batch"] | Float[Tensor, "*batch vocab"],
    ) -> Float[Tensor, ""]:
        """Return the summed negative log-likelihood of the targets, in nats."""
        if targets.dim() == hidden.dim():
            counts = targets.flatten(0, -2)
            return -(self.log_probs(hidden.flatten(0, -2)) * counts).sum()
        return -self.target_log_probs(hidden.flatten(0, -2), targets.flatten()).sum()

    def init_bias(self, counts: Float[Tensor, " vocab"]) -> None:
        """Do nothing: only the head has biases, and it does not cover all symbols."""

    def log_probs(self, hidden: Float[Tensor, "*batch hidden"]) -> Float[Tensor, "*batch vocab"]:
        """Return the log-probabilities of every symbol, in nats."""
        ranked = self.clusters.log_prob(hidden.flatten(0, -2)).float()
        return torch.unflatten(ranked.roll(-SPECIAL_IDS, dims=1), 0, hidden.shape[:-1])

    def target_log_probs(
        self, hidden: Float[Tensor, "batch hidden"], targets: Int64[Tensor, " batch"]
    ) -> Float[Tensor, " batch"]:
        """Return the log-probability of one symbol for each hidden state, in nats."""
        rows = max(1, self.memory // (4 * self.vocabulary_size))
        found = [
            self.clusters(part, self._ranked(ids)).output.float()
            for part, ids in _parts(rows, hidden, targets)
        ]
        return torch.cat(found) if found else hidden.new_zeros(0, dtype=torch.float32)

    def onnx(self, graph: Graph, hidden: str) -> str:
        """Add the log-probabilities of every symbol; see ``language/graphs.py``."""
        return graphs.adaptive_softmax(
            graph, hidden, self.clusters.in_features, self.vocabulary_size
        )


def make_output_layer(
    options: OutputLayerOptions,
    hidden_size: int,
    vocabulary_size: int,
    tied_to: nn.Embedding | None = None,
) -> FullSoftmax | AdaptiveSoftmax:
    """Make the output layer that the options name.

    Its weights are PyTorch's defaults; ``init_output_layer`` initialises them.

    Args:
        options: Which softmax.
        hidden_size: Size of a hidden state (H).
        vocabulary_size: Number of ids (V).
        tied_to: The embedding to share the output weights with, if any.
    """
    memory = parse_size("logits_memory", options.logits_memory)
    if options.softmax == "adaptive":
        return AdaptiveSoftmax(hidden_size, vocabulary_size, memory)
    project: nn.Module = (
        nn.Linear(hidden_size, vocabulary_size) if tied_to is None else TiedLinear(tied_to)
    )
    if options.softmax == "sampled":
        return SampledSoftmax(project, options.samples, memory)
    return FullSoftmax(project, memory)


def init_output_layer(output_layer: FullSoftmax | AdaptiveSoftmax, std: float) -> None:
    """Initialise an output layer: weights normal with this standard deviation, biases zero.

    An adaptive softmax keeps PyTorch's weights, and a tied layer has its embedding's.
    """
    if isinstance(output_layer, FullSoftmax) and isinstance(output_layer.project, nn.Linear):
        nn.init.normal_(output_layer.project.weight, std=std)
        nn.init.zeros_(output_layer.project.bias)
