"""A pretrained language model fine-tuned as a classifier (a small ULMFiT).

    h_1 .. h_T = encoder(boundary, w_1, w_2, ...)    the language model's hidden states
    p   = (h_T, max_t h_t, mean_t h_t)               concat pooling
    y   = U relu(V dropout(p) + v) + u               the logits

The encoder is the language model without its output layer, and starts from its weights; the head (V
and U) is initialised randomly. Layers are unfrozen gradually, from the top: first the head learns
alone, then with the top layer of the encoder, and so on down to the embeddings; each layer's
learning rate is that of the layer above divided by ``layer_ratio`` (discriminative fine-tuning).
Code names: ``hidden`` is V and v, ``output`` is U and u.

Source: J. Howard and S. Ruder 2018, "Universal language model fine-tuning for text classification",
sections 3.2 and 3.3, and section 3.1 for the pretraining.

Where we differ: a further layer is unfrozen after a share of the training, not after each epoch,
and the learning rate goes up and down once for all of them. The head has no batch normalisation,
and dropout once only. Documents are read from the front only. The language model is not trained
further on the documents first; it may have been trained on their text. All layers learn at one rate
by default, not each at that of the one above divided by 2.6: a language model trained for 8 minutes
on 3 million words of film reviews gave on SST-2 (dev, three seeds) 82.2 % with one rate of 0.004,
80.7 % with 2.6 and 0.01 for the head, and the same network from random weights 81.0 %.
"""

from collections.abc import Mapping
from typing import Any, cast

import torch
from torch import Tensor, nn

from thence.array_types import Float, Int64
from thence.models.base import Classes
from thence.models.labels.neural import NeuralClassifier
from thence.models.labels.options import FinetunedOptions
from thence.models.labels.recurrent import gather_time
from thence.models.language.neural import NeuralLanguageModel
from thence.models.network import Dropout
from thence.models.registry import get_family


class Finetuned(nn.Module):
    """The network from ids to logits.

    Args:
        options: Its settings.
        vocabulary_size: Number of ids (V), the last of which is the boundary.
        classes: Number of logits (C).
    """

    def __init__(self, options: FinetunedOptions, vocabulary_size: int, classes: int) -> None:
        super().__init__()
        self.boundary = vocabulary_size - 1
        self.encoder, size = new_encoder(options.encoder, vocabulary_size)
        self.dropout = Dropout(options.dropout)
        self.hidden = nn.Linear(3 * size, options.head_size)
        self.output = nn.Linear(options.head_size, classes)

    def forward(
        self, ids: Int64[Tensor, "batch time"], lengths: Int64[Tensor, " batch"]
    ) -> Float[Tensor, "batch classes"]:
        """Return the logits of each document."""
        read = torch.cat([ids.new_full((len(ids), 1), self.boundary), ids], dim=1)
        states, _ = self.encoder(read, self.encoder.start(len(ids), ids.device))
        values = self.dropout(concat_pool(states, lengths + 1))
        logits: Tensor = self.output(self.hidden(values).relu())
        return logits

    def layers(self) -> list[list[nn.Parameter]]:
        """Return the parameters in groups from the top: head, layers of the encoder, embeddings.

        Parameters after the encoder's layers, such as a last norm, are in the group of the top one.
        """
        lowest: list[nn.Parameter] = []
        middle: list[list[nn.Parameter]] = [[] for _ in self.encoder.layers]
        for name, parameter in self.encoder.named_parameters():
            part, place, *_ = name.split(".")
            if part == "layers":
                middle[int(place)].append(parameter)
            else:
                (lowest if part in ("embedding", "positions") else middle[-1]).append(parameter)
        head = [*self.hidden.parameters(), *self.output.parameters()]
        return [head, *reversed(middle), lowest]


def new_encoder(encoder: Mapping[str, Any] | None, vocabulary_size: int) -> tuple[Any, int]:
    """Return the network of a language model, untrained, and the size of its hidden states.

    Raises:
        ValueError: If ``encoder`` is None; training fills it in at its start.
    """
    if encoder is None:
        raise ValueError("the encoder has not been filled in from a language model's run")
    family = get_family(encoder["model"])
    options = family.make_options({k: v for k, v in encoder.items() if k != "model"})
    network = cast(Any, family.language_model(options, vocabulary_size)).network
    return network, getattr(network, "output_size", options.embedding_size)


def concat_pool(
    states: Float[Tensor, "batch time hidden"], lengths: Int64[Tensor, " batch"]
) -> Float[Tensor, "batch 3*hidden"]:
    """Return the last state of each row, and the maximum and mean of its states, concatenated."""
    inside = torch.arange(states.shape[1], device=states.device) < lengths[:, None]  # (B, T)
    last = gather_time(states, lengths[:, None] - 1)[:, 0]
    largest = states.masked_fill(~inside[..., None], -torch.inf).amax(1)
    mean = (states * inside[..., None]).sum(1) / lengths[:, None]
    return torch.cat([last, largest, mean], dim=1)


class FinetunedClassifier(NeuralClassifier):
    """A classifier whose layers are unfrozen one by one.

    Args:
        options: Its settings.
        vocabulary_size: Number of ids (V).
        classes: The labels that it predicts.
    """

    network: Finetuned

    def __init__(self, options: FinetunedOptions, vocabulary_size: int, classes: Classes) -> None:
        network = Finetuned(options, vocabulary_size, classes.num_classes)
        super().__init__(network, classes, options.max_length)
        self._unfreeze, self._ratio = options.unfreeze, options.layer_ratio

    def load_encoder(self, model: NeuralLanguageModel) -> None:
        """Copy the weights of a language model of the same kind."""
        self.network.encoder.load_state_dict(cast(nn.Module, model.network).state_dict())

    def layers(self) -> list[list[nn.Parameter]]:
        """Return the parameters in groups, from the top layer down."""
        return self.network.layers()

    def rate_factors(self, share: float) -> list[float]:
        """Return the factor of each layer's learning rate, from the top; 0: it is frozen.

        Args:
            share: The share of the training that is done, 0 to 1.
        """
        below = len(self.layers()) - 1
        return [
            self._ratio**-depth if share >= self._unfreeze * depth / below else 0.0
            for depth in range(below + 1)
        ]
