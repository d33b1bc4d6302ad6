"""Networks trained with thence, for Hugging Face's transformers; needs PyTorch and transformers.

This file is copied into exported folders and imports nothing of thence, so it is a second copy of
the equations in ``thence/models/language``; every export compares the two on random texts, and so
do the tests.

A text begins with the boundary (``config.bos_token_id``), which the tokenizer adds. There is no
key/value cache: the whole text is read again for each token that is generated.

    rnn, lstm, gru   sqrt(E) times the embeddings, recurrent layers, a projection if the output
                     weights are the embeddings and sizes differ
    transformer      sqrt(H) times the embeddings (and learned positions, modulo the context), norms
                     before attention and feed-forward parts, a norm at the end; each place attends
                     to the last ``context`` places, itself included
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import GenerationMixin, PretrainedConfig, PreTrainedModel
from transformers.modeling_outputs import CausalLMOutput


class ThenceConfig(PretrainedConfig):
    """The sizes of a network.

    Args:
        family: ``rnn``, ``lstm``, ``gru`` or ``transformer``.
        vocabulary_size: Number of ids; the boundary is the last.
        embedding_size: Numbers per symbol; for a transformer, per place in every layer too.
        hidden_size: Units of each recurrent layer.
        layers: Recurrent layers, or layers of attention and a feed-forward part.
        heads: Heads of attention.
        context: How many places each place attends to.
        positions: ``rotary`` or ``learned``.
        feed_forward: ``gelu`` or ``swiglu``.
        tied: Whether the embeddings are the output weights.
        dropout: Dropout probability in training.
        kwargs: Arguments of ``PretrainedConfig``.
    """

    model_type = "thence"

    def __init__(
        self,
        family: str = "transformer",
        vocabulary_size: int = 2,
        embedding_size: int = 8,
        hidden_size: int = 8,
        layers: int = 1,
        heads: int = 1,
        context: int = 1,
        positions: str = "rotary",
        feed_forward: str = "gelu",
        tied: bool = False,
        dropout: float = 0.0,
        **kwargs,
    ) -> None:
        self.family = family
        self.vocab_size = self.vocabulary_size = vocabulary_size
        self.embedding_size = embedding_size
        self.hidden_size = hidden_size
        self.layers = self.num_hidden_layers = layers
        self.heads = heads
        self.context = context
        self.positions = positions
        self.feed_forward = feed_forward
        self.tied = tied
        self.dropout = dropout
        boundary = vocabulary_size - 1
        for name in ("bos_token_id", "eos_token_id", "pad_token_id"):
            kwargs.setdefault(name, boundary)
        # Tied weights are shared by ``OutputLayer``, not by the mechanism of transformers.
        kwargs["tie_word_embeddings"] = False
        kwargs["use_cache"] = False
        super().__init__(**kwargs)


class Recurrent(nn.Module):
    """A recurrent network up to its last hidden layer, from the start of a text."""

    def __init__(self, config: ThenceConfig) -> None:
        super().__init__()
        self.scale = math.sqrt(config.embedding_size)
        self.embedding = nn.Embedding(config.vocabulary_size, config.embedding_size)
        kind = {"rnn": nn.RNN, "lstm": nn.LSTM, "gru": nn.GRU}[config.family]
        between = config.dropout if config.layers > 1 else 0.0
        self.layers = kind(
            config.embedding_size,
            config.hidden_size,
            config.layers,
            batch_first=True,
            dropout=between,
        )
        self.dropout = nn.Dropout(config.dropout)
        self.projection = nn.Identity()
        if config.tied and config.hidden_size != config.embedding_size:
            self.projection = nn.Linear(config.hidden_size, config.embedding_size, bias=False)

    def forward(self, ids: Tensor) -> Tensor:
        """Return the hidden states (batch, time, H) after each id."""
        hidden, _ = self.layers(self.scale * self.embedding(ids))
        return self.projection(self.dropout(hidden))


class Attention(nn.Module):
    """Multi-head self-attention with a boolean mask (True: may attend)."""

    def __init__(self, size: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.project = nn.Linear(size, 3 * size)
        self.output = nn.Linear(size, size)

    def forward(self, values: Tensor, mask: Tensor, rotations: Tensor | None) -> Tensor:
        """Return the attention output (batch, time, H)."""
        projected = self.project(values).unflatten(2, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        queries, keys, read = projected
        if rotations is not None:
            queries, keys = rotate(queries, rotations), rotate(keys, rotations)
        found = functional.scaled_dot_product_attention(queries, keys, read, attn_mask=mask)
        return self.output(found.transpose(1, 2).flatten(2))


def rotate(values: Tensor, rotations: Tensor) -> Tensor:
    """Apply rotary position embedding: rotate each pair of numbers by the angle of its place."""
    cosines, sines = rotations
    first, second = values.chunk(2, dim=-1)
    rotated = [first * cosines - second * sines, first * sines + second * cosines]
    return torch.cat(rotated, dim=-1).to(values.dtype)


class SwiGLU(nn.Module):
    """SwiGLU (Shazeer 2020): the second half of the input times the SiLU of the first half."""

    def forward(self, values: Tensor) -> Tensor:
        """Return the gated values, half as many as the input has."""
        gates, inner = values.chunk(2, dim=-1)
        return functional.silu(gates) * inner


class Layer(nn.Module):
    """A pre-norm transformer layer: attention and feed-forward with residual connections."""

    def __init__(self, config: ThenceConfig) -> None:
        super().__init__()
        size = config.embedding_size
        self.attention_norm = nn.LayerNorm(size)
        self.attention = Attention(size, config.heads)
        self.feed_forward_norm = nn.LayerNorm(size)
        wide = inner = 4 * size
        if config.feed_forward == "swiglu":
            inner = max(wide * 2 // 3 // 8, 1) * 8
            wide = 2 * inner
        between = SwiGLU() if config.feed_forward == "swiglu" else nn.GELU()
        self.feed_forward = nn.Sequential(nn.Linear(size, wide), between, nn.Linear(inner, size))
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, values: Tensor, mask: Tensor, rotations: Tensor | None) -> Tensor:
        """Return the values after this layer."""
        values = values + self.dropout(self.attention(self.attention_norm(values), mask, rotations))
        return values + self.dropout(self.feed_forward(self.feed_forward_norm(values)))


class Transformer(nn.Module):
    """A transformer up to its last norm, from the start of a text."""

    def __init__(self, config: ThenceConfig) -> None:
        super().__init__()
        self.config = config
        size = config.embedding_size
        self.embedding = nn.Embedding(config.vocabulary_size, size)
        if config.positions == "learned":
            self.positions = nn.Embedding(config.context, size)
        self.dropout = nn.Dropout(config.dropout)
        self.layers = nn.ModuleList(Layer(config) for _ in range(config.layers))
        self.norm = nn.LayerNorm(size)

    def forward(self, ids: Tensor) -> Tensor:
        """Return the normed values (batch, time, H) after each id."""
        places = torch.arange(ids.shape[1], device=ids.device)
        lags = places[:, None] - places
        mask = (lags >= 0) & (lags < self.config.context)
        values = self.embedding(ids)
        rotations = None
        if self.config.positions == "learned":
            values = values + self.positions(places % self.config.context)
        else:
            size = self.config.embedding_size // self.config.heads
            speeds = 10_000.0 ** (-torch.arange(0, size, 2, device=ids.device) / size)
            angles = torch.outer(places, speeds)
            rotations = torch.stack([angles.cos(), angles.sin()])
        values = self.dropout(math.sqrt(self.config.embedding_size) * values)
        for layer in self.layers:
            values = layer(values, mask, rotations)
        return self.norm(values)


class OutputLayer(nn.Module):
    """The output layer, with weights of its own or tied to the embeddings."""

    def __init__(self, config: ThenceConfig) -> None:
        super().__init__()
        recurrent = config.family != "transformer"
        size = config.hidden_size if recurrent else config.embedding_size
        if not config.tied:
            self.weight = nn.Parameter(torch.zeros(config.vocabulary_size, size))
        self.bias = nn.Parameter(torch.zeros(config.vocabulary_size))

    def forward(self, hidden: Tensor, embeddings: Tensor) -> Tensor:
        """Return the logits."""
        return functional.linear(hidden, getattr(self, "weight", embeddings), self.bias)


class ThenceForCausalLM(PreTrainedModel, GenerationMixin):
    """A causal language model: a network and its output layer."""

    config_class = ThenceConfig
    main_input_name = "input_ids"

    def __init__(self, config: ThenceConfig) -> None:
        super().__init__(config)
        kind = Transformer if config.family == "transformer" else Recurrent
        self.network = kind(config)
        self.readout = OutputLayer(config)
        self.post_init()

    def _init_weights(self, module: nn.Module) -> None:
        """Do nothing: weights are always loaded, so PyTorch's initialisation stays."""

    def get_input_embeddings(self) -> nn.Module:
        """Return the embeddings."""
        return self.network.embedding

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        labels: Tensor | None = None,
        num_items_in_batch: Tensor | int | None = None,
        **kwargs,
    ) -> CausalLMOutput:
        """Return the logits after each id and, with labels, the mean loss of the next ones.

        Args:
            input_ids: The ids, shape (batch, time).
            attention_mask: 0 for padding, at the beginning or end of a row; else 1.
            labels: The ids themselves, -100 where ignored; they are shifted inside.
            num_items_in_batch: Divisor of the summed loss in place of the number of labels, for
                gradient accumulation.
            kwargs: Ignored.
        """
        logits = self._read(input_ids, attention_mask)
        loss = None
        if labels is not None:
            wanted = labels[:, 1:].to(logits.device).flatten()
            guesses = logits[:, :-1].flatten(0, 1).float()
            reduction = "mean" if num_items_in_batch is None else "sum"
            loss = functional.cross_entropy(guesses, wanted, reduction=reduction)
            loss = loss if num_items_in_batch is None else loss / num_items_in_batch
        return CausalLMOutput(loss=loss, logits=logits)

    def _read(self, ids: Tensor, mask: Tensor | None) -> Tensor:
        """Return the logits; padding is moved to the end of rows, where nothing attends to it."""
        if mask is None or bool(mask.all()):
            return self.readout(self.network(ids), self.network.embedding.weight)
        order = torch.argsort(1 - mask.long(), dim=1, stable=True)
        hidden = self.network(ids.gather(1, order))
        back = torch.argsort(order, dim=1)[:, :, None].expand_as(hidden)
        return self.readout(hidden.gather(1, back), self.network.embedding.weight)

    def prepare_inputs_for_generation(
        self, input_ids: Tensor, attention_mask: Tensor | None = None, **kwargs
    ) -> dict[str, Tensor | None]:
        """Return the inputs for the next token: the whole text, since nothing is cached."""
        return {"input_ids": input_ids, "attention_mask": attention_mask}
