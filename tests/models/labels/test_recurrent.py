from typing import Any

import pytest
import torch
from torch import Tensor, nn

from thence.errors import SettingError
from thence.models.labels.options import RecurrentOptions
from thence.models.labels.recurrent import Recurrent


def as_torch_has_it(network: Recurrent, cell: str, layers: int) -> Any:
    """PyTorch's own bidirectional module with the same weights."""
    kind: Any = {"lstm": nn.LSTM, "gru": nn.GRU}[cell]
    size, hidden = network.embedding.embedding_dim, network.hidden_size
    module = kind(size, hidden, layers, batch_first=True, bidirectional=True)
    for direction, suffix in ((network.forwards, ""), (network.backwards, "_reverse")):
        for index, layer in enumerate(direction):
            for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"):
                getattr(module, f"{name}_l{index}{suffix}").data = getattr(layer, name).data
    return module


def pooled(states: Tensor, pooling: str, hidden: int) -> Tensor:
    """States (T, 2 H) of one document to the vector that describes it."""
    if pooling == "max":
        return states.max(dim=0).values
    if pooling == "mean":
        return states.mean(dim=0)
    return torch.cat([states[-1, :hidden], states[0, hidden:]])


@pytest.mark.parametrize("pooling", ["last", "mean", "max"])
@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_as_torch_reads_each_document_without_padding(cell: Any, layers: int, pooling: Any) -> None:
    torch.manual_seed(0)
    options = RecurrentOptions(
        cell=cell, embedding_size=4, hidden_size=3, layers=layers, pooling=pooling
    )
    network = Recurrent(options, 9, 2).eval()
    for parameter in network.parameters():
        nn.init.normal_(parameter)
    module = as_torch_has_it(network, cell, layers)
    documents = [[4, 1, 1, 7, 0, 3], [2], [5, 6]]
    ids = torch.tensor([document + [8] * (6 - len(document)) for document in documents])
    logits = network(ids, torch.tensor([len(document) for document in documents]))
    for document, row in zip(documents, logits, strict=True):
        states = module(network.embedding(torch.tensor([document])))[0][0]
        expected = network.output(pooled(states, pooling, options.hidden_size))
        torch.testing.assert_close(row, expected)


def test_an_empty_document_is_one_place_of_zeros() -> None:
    torch.manual_seed(0)
    network = Recurrent(RecurrentOptions(embedding_size=4, hidden_size=3), 9, 2).eval()
    module = as_torch_has_it(network, "lstm", 1)
    states = module(torch.zeros(1, 1, 4))[0][0]
    logits = network(torch.zeros(1, 0, dtype=torch.int64), torch.tensor([0]))
    torch.testing.assert_close(logits[0], network.output(states[0]))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"cell": "grue"}, "`cell` is 'grue'; it must be one of lstm, gru. Did you mean 'gru'?"),
        ({"pooling": "sum"}, "`pooling` is 'sum'; it must be one of last, mean, max"),
        ({"layers": 0}, "`layers` is 0; it must be a whole number from 1 to"),
        ({"input_dropout": -0.1}, "`input_dropout` is -0.1; it must be a number from 0 to below 1"),
    ],
)
def test_settings_out_of_range(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingError, match=message):
        RecurrentOptions(**settings)
