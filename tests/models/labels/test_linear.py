"""The linear classifier beside scikit-learn's, how its strength is chosen, and an early end."""

import itertools
from collections.abc import Callable, Sequence

import numpy as np
import pytest
import torch

from thence.corpus.documents import Labels
from thence.models.base import Classes
from thence.models.labels.linear import STRENGTH, TOLERANCE, Linear, LinearOptions
from thence.tokens import Texts

Data = tuple[Texts, Labels]


@pytest.fixture
def noisy(read: Callable[[Sequence[str]], Texts]) -> tuple[Data, Data]:
    """Three hundred documents to learn from and as many as dev, a quarter of them mislabelled."""
    random = np.random.default_rng(5)

    def draw() -> Data:
        names = random.choice(["good", "bad"], 300)
        texts = [" ".join([*random.choice(list("abcdefgh"), 6), name]) for name in names]
        wrong = random.random(300) < 0.25
        told = np.where(wrong, np.where(names == "good", "bad", "good"), names)
        labels = Labels.from_lists([[str(name)] for name in told], multilabel=False)
        return read(texts), labels.named(["good", "bad"])

    return draw(), draw()


def fitted(
    data: Data, dev: Data | None = None, tolerance: float = TOLERANCE, **settings: object
) -> Linear:
    texts, labels = data
    options = LinearOptions(ngrams=1, buckets=1 << 12, **settings)  # type: ignore[arg-type]
    model = Linear(options, len(texts.tokenizer.vocabulary), Classes(2), tolerance)
    model.fit(texts, labels, np.ones(len(labels), np.float32), dev)
    return model


def test_it_is_logistic_regression(noisy: tuple[Data, Data]) -> None:
    from sklearn.linear_model import LogisticRegression

    (texts, labels), (others, _) = noisy
    model = fitted((texts, labels), tolerance=1e-9, naive_bayes=0.0, strength=2.0)

    def features(of: Texts) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
        found = np.zeros((len(of), len(of.tokenizer.vocabulary)))
        for at in range(len(of)):
            found[at, of.store.document(at)] = 1
        return found / np.sqrt(found.sum(1, keepdims=True))

    oracle = LogisticRegression(C=2.0, tol=1e-10, max_iter=1000)
    oracle.fit(features(texts), labels.single)
    expected = oracle.predict_log_proba(features(others))
    np.testing.assert_allclose(model.classify(others), expected, atol=1e-3)


def test_the_strength_is_the_likeliest_on_dev(noisy: tuple[Data, Data]) -> None:
    train, dev = noisy
    chosen = fitted(train, dev)

    def likelihood(model: Linear) -> float:
        return float(model.classify(dev[0])[np.arange(300), dev[1].single].sum())

    assert chosen.strength < STRENGTH  # A quarter of the labels is wrong: weak is good.
    others = [fitted(train, strength=strength) for strength in (1.0, 3.0, 10.0, 30.0, 100.0)]
    assert likelihood(chosen) >= max(map(likelihood, others)) - 0.5
    assert fitted(train).strength == STRENGTH


def test_it_ends_with_what_it_has(labelled: Data) -> None:
    texts, labels = labelled
    asked = itertools.count()
    model = Linear(LinearOptions(buckets=1 << 12), len(texts.tokenizer.vocabulary), Classes(2))
    ones = np.ones(len(labels), np.float32)
    model.fit(texts, labels, ones, (texts, labels), lambda: next(asked) >= 2)
    assert next(asked) <= 6
    assert model.strength == STRENGTH
    right = model.classify(texts).argmax(1) == labels.single
    assert right.mean() > 0.9


def test_documents_of_each_row_are_in_order() -> None:
    from thence.batches.bags import bags_with
    from thence.models.labels.linear_fit import make_design

    random = np.random.default_rng(3)
    sizes = random.integers(0, 40, 50)
    bags = bags_with(random.integers(0, 30, sizes.sum()).astype(np.int32), sizes).distinct()
    design = make_design(bags, 33)  # Rows 30 to 32 are in no document.
    owners = np.repeat(np.arange(50), bags.sizes)
    for row in range(33):
        first = int(design.owner_starts[row])
        last = int(design.owner_starts[row + 1]) if row < 32 else len(owners)
        np.testing.assert_array_equal(
            torch.as_tensor(design.owners)[first:last], owners[bags.features == row]
        )
