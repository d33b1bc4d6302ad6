"""Settings of neural language models, in a module of their own so that recipes need no torch."""

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from thence.errors import SettingError
from thence.models.memory_guard import MAX_LAYERS, Layers, parse_size
from thence.settings import DropProbability, PositiveInt, Range, Settings

Softmax = Literal["full", "sampled", "adaptive"]

SPECIAL_IDS = 2
"""Number of special symbols, the unknown symbol and the boundary. They have the last ids, though
all other ids are in order of falling frequency."""


@dataclass(frozen=True, kw_only=True)
class OutputLayerOptions(Settings):
    """Settings of the output layer of a network."""

    softmax: Softmax = "full"
    """Compare with the whole vocabulary, with a sample of it while training, or by clusters of \
frequent and rare symbols (the last two for large vocabularies of words)."""
    samples: PositiveInt = 2048
    """For the sampled softmax: how many symbols each training step compares with."""
    logits_memory: str = "16MB"
    """How much memory the logits may take at once."""

    def __post_init__(self) -> None:
        super().__post_init__()
        parse_size("logits_memory", self.logits_memory)


@dataclass(frozen=True)
class BigramOptions(Settings):
    """Settings of the neural ``bigram`` model."""

    initialization: Literal["zeros", "normal"] = "zeros"
    """How the logits begin: zeros (a uniform distribution), or drawn from the standard normal."""


Activation = Literal["tanh", "relu", "gelu", "sigmoid", "none"]

Initialization = Literal["kaiming", "uniform", "normal"]


@dataclass(frozen=True)
class MLPOptions(OutputLayerOptions):
    """Settings of the ``mlp`` model."""

    context: PositiveInt = 3
    """Symbols of context (n): how far back the model sees."""
    embedding_size: PositiveInt = 10
    """Size of the embeddings (m)."""
    hidden_size: PositiveInt = 200
    """Units of each hidden layer (h)."""
    layers: Annotated[int, Range(ge=0, le=MAX_LAYERS)] = 1
    """Hidden layers; 0 for a linear model of the embeddings."""
    activation: Activation = "tanh"
    """Activation function of the hidden layers; none is the identity."""
    initialization: Initialization = "kaiming"
    """How the weights are initialised: kaiming (units keep the variance, first loss near ln V), \
uniform (PyTorch's defaults), or normal (standard normal, the first loss is far too high)."""
    direct: bool = False
    """Connect the embeddings to the output directly too (W of the paper)."""
    dropout: DropProbability = 0.0
    """Dropout rate of the hidden units."""
    embedding_dropout: DropProbability = 0.0
    """Dropout rate of the concatenated embeddings."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.direct and self.layers == 0:
            raise SettingError(
                "`direct` does not go with `layers=0`, where the embeddings are connected to the "
                "output already; leave out one of them."
            )


Cell = Literal["rnn", "lstm", "gru"]


@dataclass(frozen=True)
class RecurrentOptions(OutputLayerOptions):
    """Settings of the recurrent models."""

    cell: ClassVar[Cell]

    embedding_size: PositiveInt = 128
    """Size of the embeddings."""
    hidden_size: PositiveInt = 256
    """Units of each recurrent layer."""
    layers: Layers = 1
    """Recurrent layers, each reading the one below."""
    dropout: DropProbability = 0.2
    """Dropout rate of the outputs of recurrent layers."""
    input_dropout: DropProbability = 0.0
    """Dropout rate of the embeddings."""
    embedding_dropout: DropProbability = 0.0
    """Dropout rate of whole symbols: rows of the embedding table."""
    weight_drop: DropProbability = 0.0
    """Dropout rate of the recurrent (hidden-to-hidden) weights (DropConnect)."""
    locked: bool = True
    """Use the same dropout mask at every position of a sequence (variational dropout)."""
    tied: bool = False
    """Tie the output weights to the embedding, with a projection if the sizes differ."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.tied and self.softmax == "adaptive":
            raise SettingError(
                "`tied` does not go with `softmax='adaptive'`, whose rare symbols have narrower "
                "output weights; leave out one of them."
            )


@dataclass(frozen=True)
class RNNOptions(RecurrentOptions):
    """Settings of the ``rnn`` model."""

    cell = "rnn"


@dataclass(frozen=True)
class LSTMOptions(RecurrentOptions):
    """Settings of the ``lstm`` model."""

    cell = "lstm"


@dataclass(frozen=True)
class GRUOptions(RecurrentOptions):
    """Settings of the ``gru`` model."""

    cell = "gru"


FEED_FORWARD_FACTOR = 4
"""The inner layer of the feed-forward part is this many times wider (Vaswani et al. 2017)."""


@dataclass(frozen=True)
class TransformerOptions(OutputLayerOptions):
    """Settings of the ``transformer`` model."""

    context: Annotated[int, Range(ge=1, le=1 << 24)] = 128
    """Number of positions that each position attends to, itself included."""
    embedding_size: PositiveInt = 128
    """Size of the embeddings, and of the values in every layer."""
    layers: Layers = 4
    """Layers, each of attention and a feed-forward part."""
    heads: PositiveInt = 4
    """Attention heads in each layer, among which the embedding size is divided."""
    positions: Literal["rotary", "learned"] = "rotary"
    """Rotary embedding (rotates queries and keys), or a learned embedding of each position."""
    feed_forward: Literal["gelu", "swiglu"] = "gelu"
    """Activation of the feed-forward part: GELU, or SwiGLU, which multiplies half of the numbers \
by the SiLU of the others and learns more in the same time."""
    dropout: DropProbability = 0.1
    """Dropout rate of the embeddings, and of the outputs of attention and feed-forward parts."""
    tied: bool = True
    """Tie the output weights to the embedding."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self._check_heads()
        if self.tied and self.softmax == "adaptive":
            raise SettingError(
                "`tied` does not go with `softmax='adaptive'`, whose rare symbols have narrower "
                "output weights; use `tied=False`, or another softmax."
            )

    @property
    def feed_forward_sizes(self) -> tuple[int, int]:
        """Output size of the first linear layer, and input size of the second."""
        inner = FEED_FORWARD_FACTOR * self.embedding_size
        if self.feed_forward == "gelu":
            return inner, inner
        inner = max(2 * inner // 3 // 8, 1) * 8  # About as many weights, in rows of whole vectors.
        return 2 * inner, inner

    def _check_heads(self) -> None:
        size, heads = self.embedding_size, self.heads
        if size % heads:
            raise SettingError(
                f"`embedding_size` is {size}, which {heads} heads cannot divide evenly; "
                "use a multiple of `heads`."
            )
        if self.positions == "rotary" and size // heads % 2:
            raise SettingError(
                f"`embedding_size` is {size} and `heads` {heads}, so each head has {size // heads} "
                "numbers, but rotary positions turn pairs; use an even number per head."
            )


@dataclass(frozen=True)
class NeuralCacheOptions(Settings):
    """Settings of a ``neural-cache`` member of a mixture."""

    length: PositiveInt
    """Length of the cache in positions (L)."""
    theta: float
    """Inverse temperature of the similarity of hidden states (theta); with 0 all count alike."""
    of: int
    """Index of the member whose network's hidden states are compared."""
