"""What every family of classifiers must do."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
import torch

from thence.batches.labelled import LabelledRows
from thence.corpus.documents import Labels
from thence.models.base import Classes, Classifier, FittedClassifier
from thence.models.labels.fasttext import FastText
from thence.models.labels.neural import NeuralClassifier
from thence.tokens import Texts
from thence.training.optimizers import make_dense

from .conftest import FAMILIES

pytestmark = pytest.mark.sampled

CLOSE = 1e-5
READERS = [name for name in FAMILIES if name.startswith(("convolution", "recurrent"))]
NETWORKS = [*READERS, *(name for name in FAMILIES if name.startswith("finetuned"))]
"""Families whose networks read the tokens in their order."""
LEARNING = [name for name in FAMILIES if name not in ("ensemble", "averaging-inference")]
"""Families that learn from documents themselves."""
Read = Callable[[Sequence[str]], Texts]
Make = Callable[..., Any]


def network_of(model: Any) -> NeuralClassifier:
    assert isinstance(model, NeuralClassifier)
    return model


def test_a_row_is_a_distribution(model: Classifier, classes: Classes, some: Texts) -> None:
    log_probs = model.classify(some)
    assert log_probs.shape == (len(some), classes.num_classes)
    assert np.all(log_probs <= 0)
    assert np.all(np.isfinite(log_probs))
    if not classes.multilabel:
        # fastText adds 0.00001 to each probability.
        close = 2e-5 * classes.num_classes if isinstance(model, FastText) else CLOSE
        np.testing.assert_allclose(np.exp(log_probs).sum(axis=1), 1, atol=close)


def test_documents_differ(model: Classifier, some: Texts) -> None:
    assert np.ptp(np.exp(model.classify(some)), axis=0).max() > 0.01


def test_a_document_alone_gets_what_it_gets_among_others(model: Classifier, some: Texts) -> None:
    together = model.classify(some)
    for index in range(len(some)):
        alone = model.classify(some.take(np.array([index])))
        np.testing.assert_allclose(alone[0], together[index], atol=CLOSE)


def test_the_order_of_documents_does_not_matter(model: Classifier, some: Texts) -> None:
    order = np.random.default_rng(0).permutation(len(some))
    np.testing.assert_allclose(
        model.classify(some.take(order)), model.classify(some)[order], atol=CLOSE
    )


def test_no_documents(model: Classifier, classes: Classes, some: Texts) -> None:
    assert model.classify(some.take(np.zeros(0, np.int64))).shape == (0, classes.num_classes)


@pytest.mark.parametrize("strings", [[""], ["", ""], ["", "a"]], ids=str)
def test_empty_documents(model: Classifier, read: Read, strings: list[str]) -> None:
    log_probs = model.classify(read(strings))
    assert np.all(np.isfinite(log_probs))
    np.testing.assert_allclose(log_probs[0], model.classify(read(["", "a b c"]))[0], atol=CLOSE)


@pytest.mark.parametrize("name", NETWORKS)
def test_what_stands_after_the_end_does_not_count(model: Classifier) -> None:
    network = network_of(model).eval().network
    ids, lengths = torch.tensor([[1, 2, 3, 0, 0, 0], [4, 0, 0, 0, 0, 0]]), torch.tensor([3, 1])
    other = torch.where(ids == 0, torch.tensor(7), ids)
    torch.testing.assert_close(network(ids, lengths), network(other, lengths))
    shorter = network(ids[:, :3], lengths)
    torch.testing.assert_close(network(ids, lengths), shorter, atol=CLOSE, rtol=0)


def test_tensors_make_the_same_model_again(
    model: Classifier, make: Make, name: str, classes: Classes, some: Texts
) -> None:
    tensors = model.tensors()
    for value in tensors.values():
        value.setflags(write=False)  # As a file that is mapped would be.
    other = make(name, classes, seed=9)
    other.load_tensors(tensors)
    np.testing.assert_array_equal(other.classify(some), model.classify(some))
    assert other.num_parameters() == model.num_parameters() > 0


@pytest.mark.parametrize("name", NETWORKS)
def test_tensors_are_a_snapshot(model: Classifier) -> None:
    tensors = network_of(model).tensors()
    before = {name: value.copy() for name, value in tensors.items()}
    with torch.no_grad():
        for parameter in network_of(model).parameters():
            parameter.add_(1)
    for name, value in before.items():
        np.testing.assert_array_equal(tensors[name], value)


def test_tensors_that_do_not_fit_are_refused(
    model: Classifier, make: Make, name: str, classes: Classes
) -> None:
    tensors = model.tensors()
    first = next(iter(tensors))
    another = {**tensors, "another": np.zeros(2, np.float32)}
    less = {key: value for key, value in tensors.items() if key != first}
    shape = {**tensors, first: tensors[first][None]}
    for damaged in (another, less, shape):
        with pytest.raises(ValueError):
            make(name, classes).load_tensors(damaged)


def test_the_same_seed_gives_the_same_model(make: Make, name: str, classes: Classes) -> None:
    one, other = (make(name, classes, seed=3).tensors() for _ in range(2))
    assert one.keys() == other.keys()
    for key in one:
        np.testing.assert_array_equal(one[key], other[key])


@pytest.mark.parametrize("name", READERS)
def test_only_the_first_tokens_are_read(make: Make, name: str, read: Read) -> None:
    model = make(name, Classes(3), max_length=4)
    log_probs = model.classify(read(["a b good c d e f g", "a b good c bad", "a b good c"]))
    np.testing.assert_allclose(log_probs[0], log_probs[2], atol=CLOSE)
    np.testing.assert_allclose(log_probs[1], log_probs[2], atol=CLOSE)
    assert np.abs(log_probs[2] - model.classify(read(["a b good"]))[0]).max() > 1e-4


@pytest.mark.parametrize("name", NETWORKS)
def test_every_weight_gets_a_gradient(model: Classifier, classes: Classes, some: Texts) -> None:
    network = network_of(model).train()
    names = tuple(map(str, range(classes.num_classes)))
    ids = np.arange(len(some)) % classes.num_classes
    labels = Labels(names, ids, np.arange(len(some) + 1), classes.multilabel)
    network.batch_loss(LabelledRows(some.store, labels, 99, 99).at(0))[0].backward()
    for parameter in network.parameters():
        assert parameter.grad is not None
        assert parameter.grad.abs().max() > 0


@pytest.mark.parametrize("name", LEARNING)
def test_few_documents_are_learned_by_heart(
    make: Make, name: str, labelled: tuple[Texts, Labels]
) -> None:
    texts, labels = labelled
    model = make(name, Classes(2))
    if isinstance(model, FittedClassifier):
        model.fit(texts, labels, np.ones(len(texts), np.float32))
    else:
        learn(model, texts, labels)
    log_probs = model.classify(texts)
    np.testing.assert_array_equal(log_probs.argmax(axis=1), labels.single)


def learn(model: NeuralClassifier, texts: Texts, labels: Labels) -> None:
    ones = np.ones(len(texts), np.float32)
    batch = model.batches(texts, labels, ones, 40, 0).at(0)
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.03)
    for _ in range(200):
        loss, _ = model.eval().batch_loss(batch)  # type: ignore[arg-type]  # Without dropout.
        if loss < 0.5:  # No document can be on the wrong side, where it would be ln 2.
            break
        (loss / batch.weight).backward()  # type: ignore[no-untyped-call]
        make_dense(model.parameters())
        optimizer.step()
        optimizer.zero_grad()


@pytest.mark.parametrize("name", NETWORKS)
def test_the_loss_is_that_of_the_reported_probabilities(
    make: Make, name: str, labelled: tuple[Texts, Labels]
) -> None:
    texts, labels = labelled
    model = network_of(make(name, Classes(2)))
    log_probs = model.classify(texts)
    sample_weight = np.linspace(0.5, 2, len(texts)).astype(np.float32)
    batch = LabelledRows(texts.store, labels, 40, 99, sample_weight).at(0)
    expected = -(log_probs[np.arange(40), labels.single] * sample_weight).sum()
    assert model.batch_loss(batch)[0].item() == pytest.approx(expected, rel=1e-5)
