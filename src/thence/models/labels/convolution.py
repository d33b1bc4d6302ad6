"""The convolutional network: filters over short phrases, pooled by their maximum over time.

    c_t = w . (x_t, ..., x_(t+n-1)) + b     the response of one filter of width n at position t
    z   = relu(max_t c_t)                   its strongest response: max over time
    y   = U dropout(z) + u                  the logits, z holding all filters of all widths

with x the embeddings, n each of ``widths`` and ``filters`` filters of each. Code names:
``convolutions`` holds w and b, one layer per width; ``output`` is U and u.

Source: Y. Kim 2014, "Convolutional neural networks for sentence classification", EMNLP, equations
(1) to (4). Documents are padded with as many zeros on both sides as a filter is wide, so that any
document is long enough. The last window of a document then holds zeros only, so the further padding
of a batch cannot change the maximum.
"""

import torch
from torch import Tensor, nn

from thence.array_types import Float, Int64
from thence.models.base import Classes
from thence.models.labels.neural import EmbeddingNetwork, NeuralClassifier
from thence.models.labels.options import ConvolutionOptions
from thence.models.network import Dropout


class Convolution(EmbeddingNetwork):
    """The network from ids to logits.

    Args:
        options: Its settings.
        vocabulary_size: Number of ids (V).
        classes: Number of logits (C).
    """

    def __init__(self, options: ConvolutionOptions, vocabulary_size: int, classes: int) -> None:
        super().__init__(options, vocabulary_size)
        # Why Conv1d: forward and backward of a batch of 64 documents of 20, 100 and 400 tokens with
        # embeddings of 100 take 21, 76 and 304 ms on one core; as a product with unfolded
        # embeddings 24, 91 and 480 ms, as a sum of shifted products 41, 217 and 1914 ms.
        self.convolutions = nn.ModuleList(
            nn.Conv1d(self.embedded_size, options.filters, width, padding=width)
            for width in options.widths
        )
        self.dropout = Dropout(options.dropout)
        self.output = nn.Linear(options.filters * len(options.widths), classes)

    def read(
        self, values: Float[Tensor, "batch time embedding"], lengths: Int64[Tensor, " batch"]
    ) -> Float[Tensor, "batch classes"]:
        """Return the logits of each document from its embeddings."""
        columns = values.transpose(1, 2)  # (B, E, T)
        strongest = [convolution(columns).amax(2) for convolution in self.convolutions]
        logits: Tensor = self.output(self.dropout(torch.cat(strongest, dim=1).relu()))
        return logits


def create(options: ConvolutionOptions, vocabulary_size: int, classes: Classes) -> NeuralClassifier:
    """Make the untrained classifier; weights are drawn from torch's generator."""
    network = Convolution(options, vocabulary_size, classes.num_classes)
    return NeuralClassifier(network, classes, options.max_length)
