"""Settings of neural classifiers, in a module of their own so that recipes need no torch."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from thence.errors import SettingError
from thence.models.memory_guard import LARGEST_SIZE, Layers, Size
from thence.settings import DropProbability, Fraction, PositiveInt, Range, Settings

Kind = Literal["non-static", "static", "multichannel"]


@dataclass(frozen=True)
class EmbeddingOptions(Settings):
    """Settings of every classifier that reads sequences of embeddings."""

    embedding_size: Size = 100
    """Size of the embeddings."""
    vectors: str | None = None
    """Begin with the word vectors of this file: GloVe, word2vec (text or binary), .vec, or .bin \
of fastText, which has one for every word; their size is that of the embeddings."""
    embeddings: Kind = "non-static"
    """Embeddings are learned, kept as they were given (static), or both (multichannel)."""
    word_dropout: DropProbability = 0.1
    """Dropout rate of whole tokens."""
    dropout: DropProbability = 0.5
    """Dropout rate of the pooled features of a document."""
    adversarial: Fraction = 0.08
    """Adversarial training: also learn from embeddings moved along the gradient of the loss, by \
this share of their norm."""
    max_length: Size = 400
    """Tokens of a document that are read, its first ones."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.embeddings != "non-static" and self.vectors is None:
            raise SettingError(
                f"`embeddings={self.embeddings!r}` keeps vectors that were learned before, and "
                "none are given: name their file with `vectors`, or leave out `embeddings`."
            )


@dataclass(frozen=True)
class ConvolutionOptions(EmbeddingOptions):
    """Settings of the ``convolution`` classifier."""

    embedding_size: Size = 200
    """Size of the embeddings."""
    widths: tuple[PositiveInt, ...] = (3, 4, 5)
    """Width of a filter in tokens (n), for each set of filters."""
    filters: Size = 100
    """Filters of each width."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.widths:
            raise SettingError("`widths` is empty; give at least one.")


Cell = Literal["lstm", "gru"]

Pooling = Literal["last", "mean", "max"]


@dataclass(frozen=True)
class RecurrentOptions(EmbeddingOptions):
    """Settings of the ``recurrent`` classifier."""

    cell: Cell = "lstm"
    """Long short-term memory or gated recurrent units."""
    embedding_size: Size = 200
    """Size of the embeddings."""
    hidden_size: Size = 64
    """Units of each layer in each direction."""
    layers: Layers = 1
    """Recurrent layers, each reading the one below."""
    bidirectional: bool = True
    """Read in both directions."""
    pooling: Pooling = "max"
    """How a document's hidden states are pooled: the last ones, or their mean or maximum."""
    input_dropout: DropProbability = 0.0
    """Dropout rate of the embeddings."""


@dataclass(frozen=True)
class FinetunedOptions(Settings):
    """Settings of the ``finetuned`` classifier."""

    start_from: str | None = None
    """Run of the language model to start from (rnn, lstm, gru or transformer); needed only while \
training begins, and its tokens are the classifier's."""
    encoder: Mapping[str, Any] | None = None
    """Model and settings of that language model; filled in from its run."""
    head_size: Size = 50
    """Units of the head's hidden layer, between the pooled states and the logits."""
    dropout: DropProbability = 0.4
    """Dropout rate of the head's inputs; the language model keeps its own dropout."""
    unfreeze: Fraction = 0.3
    """Share of the training after which all layers learn; the head alone learns from the start."""
    layer_ratio: Annotated[float, Range(ge=1, le=LARGEST_SIZE)] = 1.0
    """Each layer's learning rate is that of the layer above divided by this (1: all equal; higher \
values, such as 2.6 with --lr 0.01, keep more of what a strong language model knows)."""
    max_length: Size = 400
    """Tokens of a document that are read, its first ones."""
