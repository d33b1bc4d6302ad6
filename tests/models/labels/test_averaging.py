"""Word averaging: texts are classified in NumPy as the torch module learns."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from thence.batches.bags import bags_with
from thence.corpus.documents import Labels
from thence.models.base import Classes, log_probs_of_truth
from thence.models.labels.averaging import Averaging, AveragingOptions
from thence.models.labels.averaging_network import AveragingNetwork
from thence.tokens.texts import Texts

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
