import numpy as np
import torch

from thence.models.language import bigram, bigram_counts
from thence.tokens import TokenStore


def test_log_counts_as_logits_give_the_counted_probabilities(five_names: TokenStore) -> None:
    size = five_names.boundary_id + 1
    counted = bigram_counts.BigramCounts(bigram_counts.BigramCountsOptions(add_k=1), size)
    counted.fit(five_names)
    pairs = np.ones((size, size), np.float32)  # One is added to each count.
    np.add.at(pairs, (five_names.ids[:-1], five_names.ids[1:]), 1)

    network = bigram.create(bigram.BigramOptions(), size)
    network.load_tensors({"network.logits.weight": np.log(pairs)})
    np.testing.assert_allclose(network.score(five_names), counted.score(five_names), atol=1e-6)
    everything = np.arange(size)
    one, _ = network.step(everything, network.start(size))
    other, _ = counted.step(everything, counted.start(size))
    np.testing.assert_allclose(one, other, atol=1e-6)


def test_an_untrained_bigram_is_uniform() -> None:
    model = bigram.create(bigram.BigramOptions(), 27)
    log_probs, state = model.step(np.array([26, 3]), model.start(2))
    np.testing.assert_allclose(log_probs, np.full((2, 27), -np.log(27)), rtol=1e-6)
    assert state.shape == (2, 0)
    assert model.num_parameters() == 27 * 27


def test_a_look_up_is_the_product_with_a_one_hot_vector() -> None:
    torch.manual_seed(0)
    model = bigram.create(bigram.BigramOptions(), 5)
    torch.nn.init.normal_(model.network.logits.weight)
    one_hot = torch.eye(5)
    logits, _ = model.network(torch.arange(5)[:, None], model.start(5))
    torch.testing.assert_close(logits[:, 0], one_hot @ model.network.logits.weight)


def test_standard_normal_logits_are_those_of_the_lecture() -> None:
    # torch.randn((27, 27)) by a generator with this seed, and the boundary as symbol 0.
    generator = torch.Generator().manual_seed(2147483647)
    drawn = torch.randn((27, 27), generator=generator)
    torch.manual_seed(2147483647)
    model = bigram.create(bigram.BigramOptions(initialization="normal"), 27)
    log_probs, _ = model.step(np.array([26, 0]), model.start(2))
    lecture = torch.log_softmax(drawn, dim=1).numpy()
    np.testing.assert_allclose(log_probs[0, 26], lecture[0, 0], rtol=1e-5)  # The empty name.
    np.testing.assert_allclose(log_probs[1, :26], lecture[1, 1:], rtol=1e-5)  # After an a.
