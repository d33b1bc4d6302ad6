import numpy as np
import pytest
import torch

from thence.errors import SettingError
from thence.models.base import Classes
from thence.models.labels.convolution import Convolution, create
from thence.models.labels.options import ConvolutionOptions


def by_loops(network: Convolution, document: list[int]) -> np.ndarray:
    """Kim's equations (2) to (4), one filter and one window at a time."""
    vectors = [network.embedding.weight[token].detach().numpy() for token in document]
    strongest = []
    for layer in network.convolutions:
        weights, biases = layer.weight.detach().numpy(), layer.bias.detach().numpy()
        filters, size, width = weights.shape
        padded = [np.zeros(size)] * width + vectors + [np.zeros(size)] * width
        for number in range(filters):
            responses = []
            for start in range(len(padded) - width + 1):
                response = biases[number]
                for place in range(width):
                    response = response + weights[number, :, place] @ padded[start + place]
                responses.append(max(response, 0))
            strongest.append(max(responses))
    output = network.output
    return output.weight.detach().numpy() @ np.array(strongest) + output.bias.detach().numpy()


def test_as_in_the_paper() -> None:
    torch.manual_seed(0)
    options = ConvolutionOptions(embedding_size=3, widths=(1, 2, 4), filters=5)
    network = Convolution(options, 9, 2).eval()
    torch.nn.init.normal_(network.embedding.weight)
    documents = [[4, 1, 1, 7, 0, 3], [2], [], [5, 6]]
    ids = torch.tensor([document + [8] * (6 - len(document)) for document in documents])
    logits = network(ids, torch.tensor([len(document) for document in documents]))
    for document, row in zip(documents, logits.detach().numpy(), strict=True):
        np.testing.assert_allclose(row, by_loops(network, document), atol=1e-6)


def test_a_phrase_counts_wherever_it_stands() -> None:
    # One filter that answers 1 to token 1 followed by token 2, and no other bias: 1 + 1 - 1.
    network = Convolution(ConvolutionOptions(embedding_size=2, widths=(2,), filters=1), 4, 1).eval()
    with torch.no_grad():
        network.embedding.weight.copy_(torch.tensor([[0.0, 0], [1, 0], [0, 1], [0, 0]]))
        network.convolutions[0].weight.copy_(torch.eye(2)[None])
        network.convolutions[0].bias.fill_(-1)
        network.output.weight.fill_(3)
        network.output.bias.fill_(0.5)
    ids = torch.tensor([[1, 2, 0, 0], [0, 0, 1, 2], [2, 1, 2, 0], [2, 1, 0, 2]])
    logits = network(ids, torch.tensor([4, 4, 4, 4]))
    assert logits[:, 0].tolist() == [3.5, 3.5, 3.5, 0.5]


def test_number_of_weights() -> None:
    model = create(ConvolutionOptions(embedding_size=10, widths=(2, 3), filters=4), 50, Classes(3))
    # Embeddings, filters of both widths with their biases, output with its bias.
    assert model.num_parameters() == 500 + 4 * (20 + 1) + 4 * (30 + 1) + 3 * (8 + 1)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"widths": ()}, "`widths` is empty; give at least one"),
        ({"widths": (3, 0)}, "`widths` holds 0; each must be a whole number of at least 1"),
        ({"filters": 0}, "`filters` is 0; it must be a whole number from 1 to"),
        ({"max_length": 0}, "`max_length` is 0; it must be a whole number from 1 to"),
        ({"dropout": 1.0}, "`dropout` is 1.0; it must be a number from 0 to below 1"),
        (
            {"embeddings": "statik"},
            "`embeddings` is 'statik'; it must be one .* Did you mean 'static'",
        ),
    ],
)
def test_settings_out_of_range(settings: dict[str, object], message: str) -> None:
    with pytest.raises(SettingError, match=message):
        ConvolutionOptions(**settings)  # type: ignore[arg-type]
