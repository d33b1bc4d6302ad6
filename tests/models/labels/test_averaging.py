"""Word averaging: texts are classified in NumPy as the torch module learns."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from thence._core import library
from thence.batches.bags import bags_with
from thence.corpus.documents import Labels
from thence.models.base import Classes, log_probs_of_truth
from thence.models.labels.averaging import Averaging, AveragingOptions
from thence.models.labels.averaging_fit import AveragingFit, in_cache_lines
from thence.models.labels.averaging_network import AveragingNetwork
from thence.recipes.options import TrainingOptions
from thence.tokens import Texts
from thence.training.network_learner import NetworkLearner
from thence.training.world import World

from .conftest import CHOICES, fill

words = st.lists(st.sampled_from([*"abcdefghz", "good", "bad"]), max_size=9).map(" ".join)


@pytest.mark.parametrize("settings", [{}, {"hidden_sizes": (5, 3), "character_ngrams": (2,)}])
@pytest.mark.parametrize("classes", CHOICES, ids=str)
@given(strings=st.lists(words, min_size=1, max_size=6))
def test_what_is_classified_has_the_loss_of_training(
    classes: Classes,
    settings: dict[str, Any],
    strings: list[str],
    read: Callable[[Sequence[str]], Texts],
) -> None:
    options = AveragingOptions(embedding_size=4, buckets=64, min_ngram_count=1, **settings)
    texts = read(strings)
    names = tuple(map(str, range(classes.num_classes)))
    ids = np.arange(len(texts)) % classes.num_classes
    labels = Labels(names, ids, np.arange(len(texts) + 1), classes.multilabel)
    network = AveragingNetwork(options, len(texts.tokenizer.vocabulary), classes)
    batches = network.batches(texts, labels, np.ones(len(texts), np.float32), len(texts), 0)
    fill(network, texts)
    loss, _ = network.eval().batch_loss(batches.at(0))
    asked = Averaging(options, len(texts.tokenizer.vocabulary), classes)
    asked.load_tensors(network.tensors())
    likelihood = log_probs_of_truth(asked.classify(texts), labels).sum()
    np.testing.assert_allclose(-likelihood, loss.item(), rtol=1e-5, atol=1e-5)
    assert asked.num_parameters() == network.num_parameters()


@pytest.mark.skipif(library() is None, reason="the compiled core is not built")
@pytest.mark.parametrize("size", [3, 16])
@pytest.mark.parametrize("classes", CHOICES, ids=str)
def test_the_core_makes_the_steps_of_torch(
    classes: Classes, size: int, labelled: tuple[Texts, Labels]
) -> None:
    options = AveragingOptions(embedding_size=size, buckets=256, min_ngram_count=1)
    texts, count = labelled[0], classes.num_classes
    names, documents = tuple(map(str, range(count))), len(labelled[0])
    ids = np.arange(documents) % count
    labels = Labels(names, ids, np.arange(documents + 1), classes.multilabel)
    weights = np.random.default_rng(1).random(documents).astype(np.float32)
    vocabulary_size, training = len(texts.tokenizer.vocabulary), TrainingOptions(
        optimizer="adagrad", weight_decay=0.01, batch_size=8, lr=0.2, precision="float32"
    )  # fmt: skip
    network = AveragingNetwork(options, vocabulary_size, classes)
    batches = network.batches(texts, labels, weights, 8, 5)
    by_torch = NetworkLearner(network, training, World())
    fit = AveragingFit(options, vocabulary_size, classes, texts, labels, weights, 8, 5, 0.01)
    fit.start_from(network.tensors())

    def step(number: int, rate: float) -> None:
        by_torch.step([batches.at(number)], rate, 0.0)
        fit.step([fit.batches.at(number)], rate, 0.0)

    for number in range(7):
        step(number, 0.2 / (number + 1))
    same(fit.state(), by_torch.state())
    np.testing.assert_allclose(fit.classify(texts), network.classify(texts), atol=1e-5)
    before = fit.state()
    by_torch.load_state(before, 7)  # Each goes on where the other stopped.
    fit.load_state(by_torch.state(), 7)
    assert all(np.array_equal(fit.state()[name], value) for name, value in before.items())
    step(7, 0.1)
    same(fit.state(), by_torch.state())
    fit.load_state(before, 7)
    fit.add_loss(fit.batches.at(8))
    assert fit.loss_sum() > before["loss_sum"]
    after = fit.state() | {"loss_sum": before["loss_sum"]}
    assert all(np.array_equal(after[name], value) for name, value in before.items())


def same(ones: dict[str, Any], others: dict[str, Any]) -> None:
    """Check that all that one training says is what the other says, but for rounding."""
    for name, value in ones.items():
        np.testing.assert_allclose(value, others[name], rtol=1e-3, atol=1e-5, err_msg=name)


def test_a_table_begins_a_line_of_the_cache() -> None:
    table = in_cache_lines(5, 3)
    assert table.shape == (5, 3) and table.dtype == np.float32 and table.flags.c_contiguous
    assert table.ctypes.data % 64 == 0


@given(
    sizes=st.lists(st.integers(0, 5), max_size=9), columns=st.integers(1, 4), seed=st.integers(0, 9)
)
def test_sums_of_rows(sizes: list[int], columns: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    table = random.normal(size=(7, columns)).astype(np.float32)
    bags = bags_with(random.integers(0, 7, sum(sizes)).astype(np.int32), np.array(sizes, int))
    expected = [
        table[bags.features[first:last]].sum(0)
        for first, last in zip(bags.offsets, bags.offsets[1:], strict=False)
    ]
    found = bags.sums(table)
    assert found.shape == (len(sizes), columns) and found.dtype == np.float32
    np.testing.assert_allclose(found, np.reshape(expected, found.shape), atol=1e-5)
