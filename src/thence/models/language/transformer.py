"""A decoder-only transformer with sliding-window attention.

    x_i = dropout(sqrt(H) (E(w_i) + p_i))            the symbol at position i; p_i if learned
    x_i = x_i + dropout(W_o a_i)                     in each layer, a_i concatenated over heads
    x_i = x_i + dropout(W_2 gelu(W_1 norm(x_i)))
    h_i = norm(x_i)                                  after the last layer
    W_2 (silu(V y) * W_1 y)                          in place of W_2 gelu(W_1 y) with SwiGLU

    a_i = sum_j softmax_j(q_i . k_j / sqrt(d)) v_j   in each head, of size d, over the positions
                                                     j = i - C + 1 .. i, C the ``context``
    q_i, k_i, v_i = W_q norm(x_i), W_k norm(x_i), W_v norm(x_i)
    q_i, k_i = R^i q_i, R^i k_i                      if rotary: R rotates pair m of numbers by
                                                     the angle 10000^(-2 m / d)

Code names: ``embedding`` is E, ``positions`` holds all p; of a layer, ``attention.project`` is W_q,
W_k and W_v in one, ``attention.output`` is W_o, ``feed_forward`` holds W_1 (below V) and W_2.

Sources: A. Vaswani et al. 2017, "Attention is all you need"; norms before and not after each part:
R. Xiong et al. 2020, "On layer normalization in the transformer architecture"; rotary positions:
J. Su et al. 2021, "RoFormer: enhanced transformer with rotary position embedding"; SwiGLU: N.
Shazeer 2020, "GLU variants improve transformer", with two thirds of the inner numbers.

Where we differ: pair m is numbers m and m + d / 2, not two neighbours, which is the same but for
the order of rows in W_q and W_k. Every position attends to the last C, however long the text. So a
learned p_i is that of position i modulo C, and rotary angles, of which only differences matter, are
counted from the earliest position in the cache. Learned positions are scaled as the embeddings are.
Dropout acts on the output of each part, not on the attention weights.
"""

import math
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from thence.array_types import Float, Int64
from thence.models.graph import Graph, Hidden
from thence.models.language import transformer_graph
from thence.models.language.neural import NeuralLanguageModel
from thence.models.language.options import TransformerOptions
from thence.models.memory_guard import check_memory
from thence.models.network import Dropout
from thence.models.output_layer import init_output_layer, make_output_layer

Cache = Float[Tensor, "batch 2 heads room size"]
"""Keys and values of the last C - 1 positions, before rotation; the latest is last."""

State = tuple[Int64[Tensor, " batch"] | Cache, ...]
"""The number of ids that each row has read, then the key-value cache of every layer. The numbers,
which say how much of the cache is filled, stay on the CPU, so that reading them never waits for a
GPU."""

ALIGNMENT = 16
"""Attention with a cache is padded at the front to a multiple of so many positions: with rows of 64
bytes in single precision, matrix products take up to a fifth less time."""
EMBEDDING_SCALE = 0.02
"""Standard deviation of initial embeddings: small, since they may be the output weights too; the
input is multiplied by the square root of H."""


class Attention(nn.Module):
    """Multi-head attention of each position to the positions before it and to itself.

    Args:
        size: Size of the values (H).
        heads: Number of heads; each has size D = H / heads.
    """

    def __init__(self, size: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.project = nn.Linear(size, 3 * size)
        self.output = nn.Linear(size, size)

    def forward(
        self,
        values: Float[Tensor, "batch time hidden"],
        cached: Float[Tensor, "batch 2 heads cached size"],
        mask: Float[Tensor, "rows 1 time places"] | None,
        rotations: Float[Tensor, "2 places size"] | None,
    ) -> tuple[Float[Tensor, "batch time hidden"], Float[Tensor, "batch 2 heads time size"]]:
        """Return the output at each new position, and the new keys and values.

        Args:
            values: The input at each of T new positions.
            cached: Keys and values of P - T positions before.
            mask: Added to the attention scores: 0, or minus infinity where a new position may not
                attend, for each row or for all rows; None: the plain causal mask.
            rotations: Cosines and sines of the P positions, if positions are rotary.
        """
        queries, keys, read, new = self.queries_keys_values(values, cached, rotations)
        found = functional.scaled_dot_product_attention(
            queries, keys, read, attn_mask=mask, is_causal=mask is None
        )
        output: Tensor = self.output(found.transpose(1, 2).flatten(2))
        return output, new

    def queries_keys_values(
        self,
        values: Float[Tensor, "batch time hidden"],
        cached: Float[Tensor, "batch 2 heads cached size"],
        rotations: Float[Tensor, "2 places size"] | None,
    ) -> tuple[Tensor, Tensor, Tensor, Float[Tensor, "batch 2 heads time size"]]:
        """Return queries, keys and values by head, and the new keys and values for the cache."""
        # One matrix product for all three. They are separated by one unbind or split: indexing each
        # part would fill a tensor with zeros for every gradient.
        projected = self.project(values).unflatten(2, (3, self.heads, -1))  # (B, T, 3, heads, D)
        cached = cached.to(projected.dtype)
        before, read_before = cached[:, 0], cached[:, 1]
        if rotations is None:
            queries, keys, read = projected.unbind(2)
        else:
            old, new = rotations[:, : cached.shape[3]], rotations[:, cached.shape[3] :, None, None]
            compared, read = projected.split([2, 1], dim=2)
            queries, keys = rotate(compared, new).unbind(2)
            before, read = rotate(before, old), read.squeeze(2)
        queries, keys, read = (part.transpose(1, 2) for part in (queries, keys, read))
        if cached.shape[3]:
            keys, read = join(before, keys), join(read_before, read)
        return queries, keys, read, projected[:, :, 1:].permute(0, 2, 3, 1, 4)


def rotate(
    values: Float[Tensor, "*batch size"], rotations: Float[Tensor, "2 *places size"]
) -> Float[Tensor, "*batch size"]:
    """Return the values with each pair (m, m + d / 2) rotated by the angle of its position."""
    cosines, sines = rotations
    swapped = values.roll(values.shape[-1] // 2, -1)
    rotated: Tensor = values * cosines + swapped * sines
    return rotated.to(values.dtype)


def join(
    before: Float[Tensor, "batch heads cached size"], new: Float[Tensor, "batch heads time size"]
) -> Float[Tensor, "batch heads places size"]:
    """Return cached and new positions concatenated, after ``padding`` positions of zeros."""
    batch, heads, cached, size = before.shape
    shape = (batch, heads, padding(cached + new.shape[2]), size)
    return torch.cat([before.new_zeros(()).expand(shape), before, new], dim=2)


def padding(places: int) -> int:
    """Return the number of positions to add to get a multiple of ``ALIGNMENT``."""
    return -places % ALIGNMENT


def last_places(
    cache: Float[Tensor, "batch 2 heads room size"], new: Float[Tensor, "batch 2 heads time size"]
) -> Float[Tensor, "batch 2 heads room size"]:
    """Return the cache with new positions appended and as many of the oldest dropped."""
    room, time = cache.shape[3], new.shape[3]
    if time >= room:
        return new[:, :, :, time - room :].to(cache.dtype)
    return torch.cat([cache[:, :, :, time:], new.to(cache.dtype)], dim=3)


class SwiGLU(nn.Module):
    """The SwiGLU activation: the second half of the input times the SiLU of the first half."""

    def forward(self, values: Float[Tensor, "*batch wide"]) -> Float[Tensor, "*batch inner"]:
        """Return the products, half as many numbers as the input."""
        gates, inner = values.chunk(2, dim=-1)
        return functional.silu(gates) * inner


class Layer(nn.Module):
    """A pre-norm transformer block: attention, then a feed-forward part, with residuals.

    Args:
        options: Its settings.
    """

    def __init__(self, options: TransformerOptions) -> None:
        super().__init__()
        size = options.embedding_size
        self.attention_norm = nn.LayerNorm(size)
        self.attention = Attention(size, options.heads)
        self.feed_forward_norm = nn.LayerNorm(size)
        wide, inner = options.feed_forward_sizes
        between = SwiGLU() if options.feed_forward == "swiglu" else nn.GELU()
        self.feed_forward = nn.Sequential(nn.Linear(size, wide), between, nn.Linear(inner, size))
        self.dropout = Dropout(options.dropout)
        # 2 parts per layer add to the residual stream; divided by the root of their number, their
        # sum starts with the variance of one (Radford et al. 2019, section 2.3).
        with torch.no_grad():
            for weight in (self.attention.output.weight, self.feed_forward[2].weight):
                cast(Tensor, weight).div_(math.sqrt(2 * options.layers))

    def forward(
        self,
        values: Float[Tensor, "batch time hidden"],
        cached: Float[Tensor, "batch 2 heads cached size"],
        mask: Float[Tensor, "rows 1 time places"] | None,
        rotations: Float[Tensor, "2 places size"] | None,
    ) -> tuple[Float[Tensor, "batch time hidden"], Float[Tensor, "batch 2 heads time size"]]:
        """Return the output, and the new keys and values; see ``Attention``."""
        read, new = self.attention(self.attention_norm(values), cached, mask, rotations)
        values = values + self.dropout(read)
        return values + self.dropout(self.feed_forward(self.feed_forward_norm(values))), new


class Transformer(nn.Module):
    """The network up to its last norm.

    Args:
        options: The sizes.
        vocabulary_size: Number of ids (V).
    """

    context_length = None

    def __init__(self, options: TransformerOptions, vocabulary_size: int) -> None:
        super().__init__()
        self.options = options
        size = options.embedding_size
        self.embedding = nn.Embedding(vocabulary_size, size)
        nn.init.normal_(self.embedding.weight, std=EMBEDDING_SCALE)
        if options.positions == "learned":
            self.positions = nn.Embedding(options.context, size)
            nn.init.normal_(self.positions.weight, std=EMBEDDING_SCALE)
        self.dropout = Dropout(options.dropout)
        self.layers = nn.ModuleList(Layer(options) for _ in range(options.layers))
        self.norm = nn.LayerNorm(size)

    def start(self, batch_size: int, device: torch.device) -> State:
        """Return the state before any text: empty caches."""
        options = self.options
        head_size = options.embedding_size // options.heads
        shape = (batch_size, 2, options.heads, options.context - 1, head_size)
        # An expanded zero takes no memory, whatever its shape; it is never read.
        empty = torch.zeros((), dtype=self.embedding.weight.dtype, device=device).expand(shape)
        return (torch.zeros(batch_size, dtype=torch.int64), *[empty] * options.layers)

    def forward(
        self, ids: Int64[Tensor, "batch time"], state: State
    ) -> tuple[Float[Tensor, "batch time hidden"], State]:
        """Return the normalised hidden states after each id, and the state after the last."""
        count, *caches = state
        room, time = self.options.context - 1, ids.shape[1]
        cached = min(int(count.max()), room) if len(ids) else 0
        # If all rows have read equally many ids, they share one row of positions and of the mask.
        before = (count[:1] if bool((count == count[:1]).all()) else count).to(ids.device)
        # For a new text within the context the mask is the plain causal one, for which
        # scaled_dot_product_attention has faster kernels (is_causal) than for a given mask.
        mask = None if cached == 0 and time <= room + 1 else self._mask(before, cached, time)
        rotations = self._angles(cached + time, ids.device)
        self._check_memory(len(ids))
        values = self.dropout(self._embed(ids, before))
        moved = []
        for layer, cache in zip(self.layers, caches, strict=True):
            values, new = layer(values, cache[:, :, :, room - cached :], mask, rotations)
            moved.append(last_places(cache, new))
        return self.norm(values), (count + time, *moved)

    def _check_memory(self, rows: int) -> None:
        """Raise an error if the key-value caches, as long as the context, exceed the memory."""
        options = self.options
        size = 2 * 4 * rows * options.context * options.embedding_size * options.layers
        what = f"A `context` of {options.context:,} places in {rows} texts side by side"
        check_memory(size, what, "Use a shorter context.")

    def _embed(
        self, ids: Int64[Tensor, "batch time"], before: Int64[Tensor, " batch"]
    ) -> Float[Tensor, "batch time hidden"]:
        """Return the scaled embeddings of the ids and, if learned, of their positions."""
        values: Tensor = self.embedding(ids)
        if self.options.positions == "learned":
            places = before[:, None] + torch.arange(ids.shape[1], device=ids.device)
            values = values + self.positions(places % self.options.context)
        return math.sqrt(self.options.embedding_size) * values

    def _mask(
        self, before: Int64[Tensor, " rows"], cached: int, time: int
    ) -> Float[Tensor, "rows 1 time places"]:
        """Return the attention mask: 0 where a new position attends, minus infinity elsewhere.

        It attends to the last C positions up to itself, but not to the padding of ``join``, nor to
        cached positions that its row has not read.
        """
        empty = padding(cached + time) if cached else 0
        places = torch.arange(-empty, cached + time, device=before.device)
        lags = places[empty + cached :, None] - places  # (T, P)
        near = (lags >= 0) & (lags < self.options.context)
        read = places >= cached - before[:, None].clamp(max=cached)  # (rows, P)
        seen = (near & read[:, None])[:, None]
        zeros = torch.zeros_like(seen, dtype=self.embedding.weight.dtype)
        return zeros.masked_fill_(~seen, -torch.inf)

    def _angles(self, places: int, device: torch.device) -> Float[Tensor, "2 places size"] | None:
        """Return cosines and sines of the angles of positions 0, 1, ...; None if not rotary.

        The sines for the first number of each pair are negated, as in a rotation matrix, so that
        ``rotate`` is two products and a sum.
        """
        if self.options.positions == "learned":
            return None
        size = self.options.embedding_size // self.options.heads
        speeds = 10_000.0 ** (-torch.arange(0, size, 2, device=device) / size)
        angles = torch.outer(torch.arange(places, device=device), speeds)
        cosines, sines = angles.cos(), angles.sin()
        return torch.stack([torch.cat([cosines, cosines], 1), torch.cat([-sines, sines], 1)])

    def onnx(self, graph: Graph) -> Hidden:
        """Add the normalised hidden states after each id; see ``transformer_graph.py``."""
        return transformer_graph.transformer(graph, self.options)


def create(options: TransformerOptions, vocabulary_size: int) -> NeuralLanguageModel:
    """Make the model with new weights, drawn from torch's generator."""
    network = Transformer(options, vocabulary_size)
    tied_to = network.embedding if options.tied else None
    output_layer = make_output_layer(options, options.embedding_size, vocabulary_size, tied_to)
    init_output_layer(output_layer, EMBEDDING_SCALE)
    return NeuralLanguageModel(network, output_layer, vocabulary_size)
