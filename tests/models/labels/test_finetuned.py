from typing import Any

import pytest
import torch

from thence.errors import SettingError
from thence.models.base import Classes
from thence.models.labels.finetuned import FinetunedClassifier, concat_pool
from thence.models.labels.options import FinetunedOptions
from thence.models.registry import get_family
from thence.tokens import Texts

ENCODERS: list[dict[str, Any]] = [
    {"model": "rnn", "embedding_size": 4, "hidden_size": 3, "layers": 2},
    {"model": "lstm", "embedding_size": 4, "hidden_size": 3, "layers": 2, "tied": True},
    {"model": "gru", "embedding_size": 4, "hidden_size": 3, "layers": 1},
    {"model": "transformer", "embedding_size": 4, "heads": 2, "layers": 3, "positions": "learned"},
]
SIZE = 12


def language_model(encoder: dict[str, Any]) -> Any:
    entry = get_family(encoder["model"])
    given = {name: value for name, value in encoder.items() if name != "model"}
    return entry.language_model(entry.options_class()(**given), SIZE)


def classifier(encoder: dict[str, Any], **more: Any) -> FinetunedClassifier:
    torch.manual_seed(0)
    return FinetunedClassifier(
        FinetunedOptions(encoder=encoder, head_size=5, **more), SIZE, Classes(2)
    )


def test_concat_pool_by_hand() -> None:
    states = torch.tensor([[[1.0, -2], [3, -4], [99, 99]], [[5, -6], [99, 99], [99, 99]]])
    pooled = concat_pool(states, torch.tensor([2, 1]))
    # Of (1, -2) and (3, -4): the last, the largest of each column, the mean.
    assert pooled.tolist() == [[3, -4, 3, -2, 2, -3], [5, -6, 5, -6, 5, -6]]


@pytest.mark.parametrize("encoder", ENCODERS, ids=lambda encoder: encoder["model"])
def test_what_is_pooled_are_the_language_models_states(encoder: Any, some: Texts) -> None:
    model, other = language_model(encoder), classifier(encoder)
    other.load_encoder(model)
    own = other.network.encoder.state_dict()
    for name, value in model.network.state_dict().items():
        assert torch.equal(own[name], value)
    # The language model predicts the first token from the state after the boundary, and the
    # boundary from the state after the last token: these are all states of a document.
    states = model.hidden_states(some.store)
    lengths = torch.from_numpy(some.store.target_counts)
    expected = torch.stack(
        [
            torch.cat([part[-1], part.amax(0), part.mean(0)])
            for part in torch.split(states, lengths.tolist())
        ]
    )
    seen = []
    other.network.dropout.register_forward_pre_hook(lambda _, args: seen.append(args[0]))
    for index in range(len(some)):
        ids = torch.from_numpy(some.store.ids[some.store.offsets[index] :].astype("int64"))
        other.eval().network(ids[None, : lengths[index] - 1], lengths[index : index + 1] - 1)
        torch.testing.assert_close(seen[-1][0], expected[index], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("encoder", ENCODERS, ids=lambda encoder: encoder["model"])
def test_every_weight_is_in_one_layer(encoder: Any) -> None:
    model = classifier(encoder)
    layers = model.layers()
    assert len(layers) == 1 + model.network.encoder.options.layers + 1
    found = [id(parameter) for layer in layers for parameter in layer]
    assert sorted(found) == sorted(id(parameter) for parameter in model.parameters())


def test_layers_from_the_top() -> None:
    model = classifier(ENCODERS[1])
    names = {id(parameter): name for name, parameter in model.network.named_parameters()}
    layers = [{names[id(p)].rpartition(".")[0] for p in layer} for layer in model.layers()]
    assert layers == [
        {"hidden", "output"},
        {"encoder.layers.1", "encoder.projection"},  # What follows the layers.
        {"encoder.layers.0"},
        {"encoder.embedding"},
    ]


def test_rates_of_layers_as_they_are_unfrozen() -> None:
    model = classifier(ENCODERS[0], unfreeze=0.6, layer_ratio=2.0)
    assert model.rate_factors(0.0) == [1, 0, 0, 0]
    assert model.rate_factors(0.19) == [1, 0, 0, 0]
    assert model.rate_factors(0.2) == [1, 1 / 2, 0, 0]
    assert model.rate_factors(0.41) == [1, 1 / 2, 1 / 4, 0]
    assert model.rate_factors(1.0) == [1, 1 / 2, 1 / 4, 1 / 8]
    at_once = classifier(ENCODERS[0], unfreeze=0.0, layer_ratio=1.0)
    assert at_once.rate_factors(0.0) == [1, 1, 1, 1]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"head_size": 0}, "`head_size` is 0; it must be a whole number from 1 to 1,048,576."),
        ({"max_length": 0}, "`max_length` is 0; it must be a whole number from 1 to 1,048,576."),
        ({"layer_ratio": 0.5}, "`layer_ratio` is 0.5; it must be a number from 1 to 1,048,576."),
        ({"dropout": 1.0}, "`dropout` is 1.0; it must be a number from 0 to below 1."),
        ({"unfreeze": 1.0}, "`unfreeze` is 1.0; it must be a number from 0 to below 1."),
    ],
)
def test_settings_out_of_range(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingError) as caught:
        FinetunedOptions(**settings)
    assert str(caught.value) == message


def test_an_encoder_must_be_known() -> None:
    with pytest.raises(ValueError, match="not been filled in"):
        FinetunedClassifier(FinetunedOptions(), SIZE, Classes(2))
