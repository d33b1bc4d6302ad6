"""A decoder-only transformer: each place looks at the last places through attention.

    x_i = dropout(sqrt(H) (E(w_i) + p_i))            the symbol at place i; p_i if learned
    x_i = x_i + dropout(W_o a_i)                     in each layer, a_i of all heads in a row
    x_i = x_i + dropout(W_2 gelu(W_1 norm(x_i)))
    h_i = norm(x_i)                                  after the last layer
    W_2 (silu(V y) * W_1 y)                          in place of W_2 gelu(W_1 y) with SwiGLU

    a_i = sum_j softmax_j(q_i . k_j / sqrt(d)) v_j   in each head, of d numbers, over the places
                                                     j = i - C + 1 .. i, C the ``context``
    q_i, k_i, v_i = W_q norm(x_i), W_k norm(x_i), W_v norm(x_i)
    q_i, k_i = R^i q_i, R^i k_i                      if rotary: R turns pair m of numbers by
                                                     the angle 10000^(-2 m / d)

Code names: ``embedding`` is E, ``positions`` holds all p; of a layer, ``attention.project`` is W_q,
W_k and W_v in one, ``attention.output`` is W_o, ``feed_forward`` holds W_1 (below V) and W_2.

Sources: A. Vaswani et al. 2017, "Attention is all you need"; norms before and not after each part:
R. Xiong et al. 2020, "On layer normalization in the transformer architecture"; rotary positions:
J. Su et al. 2021, "RoFormer: enhanced transformer with rotary position embedding"; SwiGLU: N.
Shazeer 2020, "GLU variants improve transformer", with two thirds of the inner numbers.

Where we differ: pair m is numbers m and m + d / 2, not two neighbours, which is the same but for
the order of rows in W_q and W_k. Every place attends to as many places as the context has, however
long the text; so a learned p_i is that of place i modulo C, and rotary turns, of which only the
differences matter, are counted from the earliest place at hand. Learned positions are scaled as the
embeddings are. Dropout acts on what comes out of each part, not on the weights of attention.
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
from thence.models.output_layer import draw_output, make_output_layer

Cache = Float[Tensor, "batch 2 heads room size"]
"""Keys and values of the last C - 1 places, before any turn; the latest is last."""

State = tuple[Int64[Tensor, " batch"] | Cache, ...]
"""How many places each row has read, then the cache of every layer. The counts are kept on the CPU,
where reading them does not wait for a GPU; they say how much of the cache is filled."""

ALIGNMENT = 16
"""Attention with a cache is computed over a multiple of so many places, the first of them empty:
with 64 bytes of single precision in a row, products of matrices take up to a fifth less time."""
EMBEDDING_SCALE = 0.02
"""Standard deviation of new embeddings: small, since they are the output weights too; the input is
larger by the square root of H."""


class Attention(nn.Module):
    """Attention of each place to those before it and itself.

    Args:
        size: Numbers per place (H).
        heads: How many heads; each has D = H / heads numbers.
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
        turns: Float[Tensor, "2 places size"] | None,
    ) -> tuple[Float[Tensor, "batch time hidden"], Float[Tensor, "batch 2 heads time size"]]:
        """Return what each new place reads, and the keys and values of the new places.

        Args:
            values: What stands at each new place.
            cached: Keys and values of P - T places before.
            mask: What is added to the scores of all places, minus infinity where a new one may not
                see them, for each row or for all alike; None: each sees all up to itself.
            turns: Cosines and sines of the P places, if positions are rotary.
        """
        queries, keys, read, new = self.compared(values, cached, turns)
        found = functional.scaled_dot_product_attention(
            queries, keys, read, attn_mask=mask, is_causal=mask is None
        )
        output: Tensor = self.output(found.transpose(1, 2).flatten(2))
        return output, new

    def compared(
        self,
        values: Float[Tensor, "batch time hidden"],
        cached: Float[Tensor, "batch 2 heads cached size"],
        turns: Float[Tensor, "2 places size"] | None,
    ) -> tuple[Tensor, Tensor, Tensor, Float[Tensor, "batch 2 heads time size"]]:
        """Return queries, keys and what is read, by head, and the new keys and values to cache."""
        # One product for all three. They are taken apart in one step each way: taking a part by its
        # index would fill a tensor with zeros for every gradient.
        projected = self.project(values).unflatten(2, (3, self.heads, -1))  # (B, T, 3, heads, D)
        cached = cached.to(projected.dtype)
        before, read_before = cached[:, 0], cached[:, 1]
        if turns is None:
            queries, keys, read = projected.unbind(2)
        else:
            old, new = turns[:, : cached.shape[3]], turns[:, cached.shape[3] :, None, None]
            compared, read = projected.split([2, 1], dim=2)
            queries, keys = turn(compared, new).unbind(2)
            before, read = turn(before, old), read.squeeze(2)
        queries, keys, read = (part.transpose(1, 2) for part in (queries, keys, read))
        if cached.shape[3]:
            keys, read = join(before, keys), join(read_before, read)
        return queries, keys, read, projected[:, :, 1:].permute(0, 2, 3, 1, 4)


def turn(
    values: Float[Tensor, "*batch size"], turns: Float[Tensor, "2 *places size"]
) -> Float[Tensor, "*batch size"]:
    """Return the values with each pair of numbers turned by the angle of its place."""
    cosines, sines = turns
    swapped = values.roll(values.shape[-1] // 2, -1)
    turned: Tensor = values * cosines + swapped * sines
    return turned.to(values.dtype)


def join(
    before: Float[Tensor, "batch heads cached size"], new: Float[Tensor, "batch heads time size"]
) -> Float[Tensor, "batch heads places size"]:
    """Return all places in a row, after as many of zeros as ``padding`` says."""
    batch, heads, cached, size = before.shape
    shape = (batch, heads, padding(cached + new.shape[2]), size)
    return torch.cat([before.new_zeros(()).expand(shape), before, new], dim=2)


def padding(places: int) -> int:
    """Return how many places are missing to a multiple of ``ALIGNMENT``."""
    return -places % ALIGNMENT


def last_places(
    cache: Float[Tensor, "batch 2 heads room size"], new: Float[Tensor, "batch 2 heads time size"]
) -> Float[Tensor, "batch 2 heads room size"]:
    """Return the last places of a cache and what follows it, as many as the cache has room for."""
    room, time = cache.shape[3], new.shape[3]
    if time >= room:
        return new[:, :, :, time - room :].to(cache.dtype)
    return torch.cat([cache[:, :, :, time:], new.to(cache.dtype)], dim=3)


class SwiGLU(nn.Module):
    """The second half of what it reads, times the SiLU of the first."""

    def forward(self, values: Float[Tensor, "*batch wide"]) -> Float[Tensor, "*batch inner"]:
        """Return half as many numbers."""
        gates, inner = values.chunk(2, dim=-1)
        return functional.silu(gates) * inner


class Layer(nn.Module):
    """Attention, then a feed-forward part, each added to what it reads.

    Args:
        options: The sizes.
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
        turns: Float[Tensor, "2 places size"] | None,
    ) -> tuple[Float[Tensor, "batch time hidden"], Float[Tensor, "batch 2 heads time size"]]:
        """Return the values after this layer, and the keys and values; see ``Attention``."""
        read, new = self.attention(self.attention_norm(values), cached, mask, turns)
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
        """Return the state before any text: nothing read, so caches of which nothing counts."""
        options = self.options
        head_size = options.embedding_size // options.heads
        shape = (batch_size, 2, options.heads, options.context - 1, head_size)
        # An expanded zero takes no memory whatever its shape; nothing of it is ever read.
        empty = torch.zeros((), dtype=self.embedding.weight.dtype, device=device).expand(shape)
        return (torch.zeros(batch_size, dtype=torch.int64), *[empty] * options.layers)

    def forward(
        self, ids: Int64[Tensor, "batch time"], state: State
    ) -> tuple[Float[Tensor, "batch time hidden"], State]:
        """Return the normed values after each id, and the state after the last."""
        count, *caches = state
        room, time = self.options.context - 1, ids.shape[1]
        cached = min(int(count.max()), room) if len(ids) else 0
        # Rows that have read equally much share one row of positions and of the mask.
        before = (count[:1] if bool((count == count[:1]).all()) else count).to(ids.device)
        # For a new text within the context the mask is the plain causal one, for which
        # scaled_dot_product_attention has faster kernels (is_causal) than for a given mask.
        mask = None if cached == 0 and time <= room + 1 else self._mask(before, cached, time)
        turns = self._turns(cached + time, ids.device)
        self._check_memory(len(ids))
        values = self.dropout(self._embed(ids, before))
        moved = []
        for layer, cache in zip(self.layers, caches, strict=True):
            values, new = layer(values, cache[:, :, :, room - cached :], mask, turns)
            moved.append(last_places(cache, new))
        return self.norm(values), (count + time, *moved)

    def _check_memory(self, rows: int) -> None:
        """Refuse caches that this machine cannot hold: they are as long as the context."""
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
        """Return 0 where a new place sees another, and minus infinity elsewhere.

        It sees those of its row, up to itself and near enough, but not the empty ones of ``join``.
        """
        empty = padding(cached + time) if cached else 0
        places = torch.arange(-empty, cached + time, device=before.device)
        lags = places[empty + cached :, None] - places  # (T, P)
        near = (lags >= 0) & (lags < self.options.context)
        read = places >= cached - before[:, None].clamp(max=cached)  # (rows, P)
        seen = (near & read[:, None])[:, None]
        zeros = torch.zeros_like(seen, dtype=self.embedding.weight.dtype)
        return zeros.masked_fill_(~seen, -torch.inf)

    def _turns(self, places: int, device: torch.device) -> Float[Tensor, "2 places size"] | None:
        """Return cosines and sines of the angles of so many places, if positions are rotary.

        The sines of the first numbers of the pairs are negative.
        """
        if self.options.positions == "learned":
            return None
        size = self.options.embedding_size // self.options.heads
        speeds = 10_000.0 ** (-torch.arange(0, size, 2, device=device) / size)
        angles = torch.outer(torch.arange(places, device=device), speeds)
        cosines, sines = angles.cos(), angles.sin()
        return torch.stack([torch.cat([cosines, cosines], 1), torch.cat([-sines, sines], 1)])

    def onnx(self, graph: Graph) -> Hidden:
        """Add the normed values after each id; see ``transformer_graph.py``."""
        return transformer_graph.transformer(graph, self.options)


def create(options: TransformerOptions, vocabulary_size: int) -> NeuralLanguageModel:
    """Make the model with new weights, drawn from torch's generator."""
    network = Transformer(options, vocabulary_size)
    tied_to = network.embedding if options.tied else None
    output_layer = make_output_layer(options, options.embedding_size, vocabulary_size, tied_to)
    draw_output(output_layer, EMBEDDING_SCALE)
    return NeuralLanguageModel(network, output_layer, vocabulary_size)
