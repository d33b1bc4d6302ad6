import math
import string
from collections.abc import Callable, Iterable

import numpy as np
import pytest
import torch

from thence.batches import windows
from thence.corpus import Documents
from thence.errors import SettingError
from thence.models.language.mlp import create
from thence.models.language.options import Activation, MLPOptions
from thence.tokens import TokenOptions, TokenStore, make_tokenizer


@pytest.mark.parametrize("direct", [False, True])
@pytest.mark.parametrize("layers", [1, 2])
def test_the_equation_of_the_paper(direct: bool, layers: int) -> None:
    torch.manual_seed(1)
    options = MLPOptions(3, embedding_size=2, hidden_size=4, layers=layers, direct=direct)
    model = create(options, 6)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_()
    weights = {name: value.astype(np.float64) for name, value in model.tensors().items()}

    context = [5, 0, 3]
    x = np.concatenate([weights["network.embedding.weight"][index] for index in context])
    hidden = x
    for layer in range(layers):  # Linear, tanh, dropout: three modules each.
        prefix = f"network.hidden_layers.{3 * layer}"
        hidden = np.tanh(weights[f"{prefix}.bias"] + weights[f"{prefix}.weight"] @ hidden)
    output = weights["readout.project.weight"]
    logits = weights["readout.project.bias"] + output[:, :4] @ hidden
    if direct:
        logits += output[:, 4:] @ x
    expected = logits - np.log(np.exp(logits).sum())

    state = model.start(1)
    for index in context:
        log_probs, state = model.step(np.array([index]), state)
    np.testing.assert_allclose(log_probs[0], expected, rtol=1e-5)
    loss = model.loss(torch.tensor([context]), torch.tensor([[2]]))
    assert loss.item() == pytest.approx(-expected[2], rel=1e-5)


@pytest.mark.parametrize(
    ("embedding", "hidden", "parameters"),
    [
        # V m + (n m h + h) + (h V + V), with V = 27 and n = 3:
        (2, 100, 3_481),  # 54 + (600 + 100) + (2,700 + 27)
        (2, 300, 10_281),  # 54 + (1,800 + 300) + (8,100 + 27)
        (10, 200, 11_897),  # 270 + (6,000 + 200) + (5,400 + 27)
    ],
)
def test_numbers_of_parameters(embedding: int, hidden: int, parameters: int) -> None:
    options = MLPOptions(3, embedding_size=embedding, hidden_size=hidden)
    assert create(options, 27).num_parameters() == parameters


def test_direct_connections_add_one_weight_per_input_and_symbol() -> None:
    plain = create(MLPOptions(3, 2, 100), 27).num_parameters()
    direct = create(MLPOptions(3, 2, 100, direct=True), 27).num_parameters()
    assert direct - plain == 3 * 2 * 27


def test_the_lecture_starts_at_17_7697(
    store_of: Callable[[Iterable[str]], TokenStore], five_names: TokenStore
) -> None:
    # The 32 examples of the first five names, with weights drawn as the lecture draws them. There
    # the boundary is 0 and a to z are 1 to 26; here a to z are 0 to 25 and the boundary is 26.
    generator = torch.Generator().manual_seed(2147483647)
    shapes = [(27, 2), (6, 100), (100,), (100, 27), (27,)]
    c, w1, b1, w2, b2 = (torch.randn(shape, generator=generator) for shape in shapes)
    theirs = [*range(1, 27), 0]
    model = create(MLPOptions(3, 2, 100), 27)
    tensors = {
        "network.embedding.weight": c[theirs],
        "network.hidden_layers.0.weight": w1.T,
        "network.hidden_layers.0.bias": b1,
        "readout.project.weight": w2.T[theirs],
        "readout.project.bias": b2[theirs],
    }
    model.load_tensors({name: value.numpy() for name, value in tensors.items()})

    alphabet = store_of(["abcdefghijklmnopqrstuvwxyz", *FIVE_NAMES])
    examples = torch.from_numpy(windows(alphabet, 3).gather(slice(27, None)))
    assert examples.shape == (32, 4)
    loss = model.loss(examples[:, :-1], examples[:, -1:]) / 32
    assert loss.item() == pytest.approx(17.7697, abs=1e-4)


FIVE_NAMES = ("emma", "olivia", "ava", "isabella", "sophia")


def test_the_window_reaches_as_far_as_the_context_and_no_further() -> None:
    torch.manual_seed(0)
    model = create(MLPOptions(context=3, embedding_size=4, hidden_size=8), 6)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_()

    def after(ids: list[int]) -> np.ndarray:
        state = model.start(1)
        for index in ids:
            log_probs, state = model.step(np.array([index]), state)
        return log_probs[0]

    np.testing.assert_array_equal(after([5, 0, 1, 2, 3]), after([5, 4, 1, 2, 3]))
    assert np.abs(after([5, 1, 2, 3]) - after([5, 4, 2, 3])).max() > 0.01


def test_carried_context_reaches_across_the_boundary(five_names: TokenStore) -> None:
    torch.manual_seed(0)
    model = create(MLPOptions(context=3), five_names.boundary_id + 1)
    torch.nn.init.normal_(model.output_layer.project.weight)
    fresh, carried = model.score(five_names), model.score(five_names, carry_context=True)
    # "emma" has 5 targets. Of "olivia" the first two contexts, "a|" carried or "||" afresh before
    # o and "|o" before l, hold a symbol of emma; the third is "|ol" and so the same.
    different = np.abs(fresh - carried) > 1e-4
    assert different[:10].tolist() == [False] * 5 + [True, True] + [False] * 3


def test_dropout_acts_only_in_training() -> None:
    model = create(MLPOptions(context=1, dropout=0.5, embedding_dropout=0.25), 6)
    contexts, targets = torch.tensor([[0]] * 8), torch.tensor([[1]] * 8)
    torch.nn.init.normal_(model.output_layer.project.weight)
    model.train()
    assert model.loss(contexts, targets).item() != model.loss(contexts, targets).item()
    one, _ = model.step(np.array([0]), model.start(1))
    other, _ = model.step(np.array([0]), model.start(1))
    np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"context": 0}, "`context` is 0; it must be a whole number of at least 1"),
        ({"embedding_size": 0}, "`embedding_size` is 0; it must be a whole number of at least 1"),
        ({"hidden_size": -1}, "`hidden_size` is -1; it must be a whole number of at least 1"),
        ({"layers": -1}, "`layers` is -1; it must be a whole number from 0"),
        ({"dropout": 1.0}, "`dropout` is 1.0; it must be a number from 0 to below 1"),
        ({"embedding_dropout": -0.1}, "`embedding_dropout` is -0.1; it must be"),
    ],
)
def test_settings_that_make_no_sense_are_refused(setting: dict[str, float], message: str) -> None:
    with pytest.raises(SettingError, match=message):
        MLPOptions(**setting)  # type: ignore[arg-type]


def lecture_store(texts: list[str]) -> TokenStore:
    """Texts over the letters a to z with ids 0 to 25, and the boundary as 26."""
    alphabet = Documents.from_strings([string.ascii_lowercase])
    tokenizer = make_tokenizer(alphabet, TokenOptions(unknown="refuse"))
    return tokenizer.encode(Documents.from_strings(texts))


def test_standard_normal_weights_start_where_the_lecture_does() -> None:
    # A. Karpathy's lecture: C, W1, b1, W2, b2 drawn by a generator with this seed; the loss of the
    # 32 examples of five names, then full-batch gradient descent with a rate of 0.1.
    torch.manual_seed(2147483647)
    model = create(MLPOptions(3, 2, 100, initialization="normal"), 27)
    store = lecture_store(["emma", "olivia", "ava", "isabella", "sophia"])
    cut = windows(store, 3)
    examples = torch.from_numpy(cut.gather(np.arange(len(cut))))  # (32, 4): contexts and targets
    assert len(examples) == 32
    losses = []
    for _ in range(3):
        contexts, targets = examples[:, :3], examples[:, 3]
        hidden, _ = model.network(contexts[:, -1:], contexts[:, :2])
        loss = torch.nn.functional.cross_entropy(model.output_layer.project(hidden[:, 0]), targets)
        model.zero_grad()
        loss.backward()
        with torch.no_grad():
            for parameter in model.parameters():
                assert parameter.grad is not None
                parameter -= 0.1 * parameter.grad
        losses.append(loss.item())
    assert losses == pytest.approx([17.7697, 13.6564, 11.2988], abs=6e-3)


@pytest.mark.parametrize(
    ("activation", "function"),
    [
        ("relu", lambda x: np.maximum(x, 0)),
        ("sigmoid", lambda x: 1 / (1 + np.exp(-x))),
        ("gelu", lambda x: x * 0.5 * (1 + np.vectorize(math.erf)(x / math.sqrt(2)))),
        ("none", lambda x: x),
    ],
)
def test_other_activations(
    activation: Activation, function: Callable[[np.ndarray], np.ndarray]
) -> None:
    torch.manual_seed(1)
    model = create(MLPOptions(1, 2, 4, activation=activation, initialization="uniform"), 6)
    weights = {name: value.astype(np.float64) for name, value in model.tensors().items()}
    x = weights["network.embedding.weight"][3]
    hidden = weights["network.hidden_layers.0.weight"] @ x + weights["network.hidden_layers.0.bias"]
    logits = weights["readout.project.weight"] @ function(hidden) + weights["readout.project.bias"]
    log_probs, _ = model.step(np.array([3]), model.start(1))
    np.testing.assert_allclose(log_probs[0], logits - np.log(np.exp(logits).sum()), rtol=1e-5)


@pytest.mark.parametrize("activation", ["tanh", "relu", "gelu", "sigmoid", "none"])
def test_the_first_loss_is_near_that_of_a_uniform_distribution(activation: Activation) -> None:
    torch.manual_seed(1)
    model = create(MLPOptions(activation=activation), 27)
    costs = -model.score(lecture_store(["emma", "olivia"]))
    assert costs.mean() == pytest.approx(math.log(27), abs=0.1)


def test_without_hidden_layers_the_logits_are_linear_in_the_embeddings() -> None:
    torch.manual_seed(1)
    model = create(MLPOptions(2, embedding_size=3, layers=0), 5)
    assert model.num_parameters() == 5 * 3 + (2 * 3 * 5 + 5)
    weights = {name: value.astype(np.float64) for name, value in model.tensors().items()}
    x = np.concatenate([weights["network.embedding.weight"][index] for index in (4, 1)])
    logits = weights["readout.project.weight"] @ x + weights["readout.project.bias"]
    log_probs, _ = model.step(np.array([1]), model.start(1))
    np.testing.assert_allclose(log_probs[0], logits - np.log(np.exp(logits).sum()), rtol=1e-5)
    with pytest.raises(SettingError, match="`direct` does not go with `layers=0`"):
        MLPOptions(layers=0, direct=True)
