"""The linear classifier beside scikit-learn's, how its strength is chosen, and an early end."""

import itertools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

from thence._core import library
from thence._core.linear import transpose_features
from thence.batches.bags import bags_with
from thence.corpus.documents import Labels
from thence.models.base import Classes
from thence.models.labels.design import transposed_in_numpy
from thence.models.labels.linear import TOLERANCE, Linear, LinearOptions
from thence.models.labels.linear_choice import FIRST, folds_of
from thence.models.labels.linear_fit import Problem, label_columns
from thence.models.labels.temperature import learn_temperature
from thence.tokens import Texts

STRENGTH = FIRST["log_loss"]
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


HINGES = [("squared_hinge", 0.5), ("hinge", 2.0)]


@pytest.mark.parametrize(("loss", "strength"), HINGES)
@pytest.mark.parametrize("naive_bayes", [0.0, 1.0])
def test_it_is_a_support_vector_machine(
    noisy: tuple[Data, Data], loss: str, strength: float, naive_bayes: float
) -> None:
    from sklearn.svm import LinearSVC

    (texts, labels), dev = noisy
    settings: dict[str, Any] = {"loss": loss, "strength": strength, "naive_bayes": naive_bayes}
    model = fitted((texts, labels), dev, **settings)
    values = dense(model, texts)
    if naive_bayes:
        has = values > 0
        with_label, without = (1 + has[labels.single == label].sum(0) for label in (1, 0))
        values = values * np.log(with_label / with_label.sum() / without * without.sum())
    oracle = LinearSVC(C=strength, loss=loss, tol=1e-6, max_iter=100_000, random_state=0)
    oracle.fit(values, labels.single)
    found = np.diff(model.classify(texts), axis=1)[:, 0]  # The logit, which a temperature scales.
    expected = oracle.decision_function(values)
    np.testing.assert_allclose(found / found.std(), expected / expected.std(), atol=0.05)


def test_a_centroid_is_a_mean_without_its_length(noisy: tuple[Data, Data]) -> None:
    (texts, labels), _ = noisy
    model = fitted((texts, labels), loss="centroid", weighting="tfidf", naive_bayes=0.0)
    values = dense(model, texts)
    means = [values[labels.single == label].mean(0) for label in (0, 1)]
    likenesses = [values @ mean / np.linalg.norm(mean) for mean in means]
    found = np.diff(model.classify(texts), axis=1)[:, 0]  # The logit, which a temperature scales.
    expected = likenesses[1] - likenesses[0]
    np.testing.assert_allclose(found / found.std(), expected / expected.std(), atol=1e-4)


def dense(model: Linear, texts: Texts) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    design = model._features(texts)
    found = np.zeros((len(texts), design.num_rows))
    found[np.repeat(np.arange(len(texts)), design.bags.sizes), design.bags.features] = design.values
    return found


def test_values_are_those_of_tfidf(read: Callable[[Sequence[str]], Texts]) -> None:
    from sklearn.feature_extraction.text import TfidfVectorizer

    strings = ["a a a b", "b c good", "a good good", "", "d"]
    model = Linear(LinearOptions(ngrams=1, weighting="tfidf"), 11, Classes(2))
    labels = Labels.from_lists([[name] for name in "xyxyx"], multilabel=False)
    model.fit(read(strings), labels, np.ones(5, np.float32))
    oracle = TfidfVectorizer(sublinear_tf=True, token_pattern=r"\w+")
    expected = oracle.fit_transform(strings).toarray()
    symbols = list(read([]).tokenizer.vocabulary.symbols)
    at = [symbols.index(word) for word in oracle.get_feature_names_out()]
    np.testing.assert_allclose(dense(model, read(strings))[:, at], expected, atol=1e-6)


@pytest.mark.parametrize("multilabel", [False, True])
def test_the_temperature_is_the_likeliest(multilabel: bool) -> None:
    # 75 of 100 answers are right, and half of the pseudo-document's: they are likeliest where the
    # odds exp(2 / T) are 75.5 / 25.5, at T = 2 / ln(2.961) = 1.842.
    logits = np.zeros((100, 1 if multilabel else 2), np.float32)
    logits[:, -1] = 2
    lists = [["b"]] * 75 + ([[]] if multilabel else [["a"]]) * 25
    names = ["b"] if multilabel else ["a", "b"]
    labels = Labels.from_lists(lists, multilabel).named(names)
    found = learn_temperature(logits, labels, Classes(len(names), multilabel))
    assert found == pytest.approx(1.842, rel=1e-3)


def test_a_temperature_of_documents_that_are_all_right_is_above_zero() -> None:
    labels = Labels.from_lists([["a"], ["b"]], multilabel=False)
    logits = np.array([[3, 0], [0, 3]], np.float32)
    # Two and a half of three answers are right: exp(3 / T) = 5, T = 3 / 1.609 = 1.864.
    assert learn_temperature(logits, labels, Classes(2)) == pytest.approx(1.864, rel=1e-3)


def test_folds_hold_each_label_alike() -> None:
    labels = Labels.from_lists([[name] for name in "abb" * 10], multilabel=False)
    folds = folds_of(labels, 5)
    for label, count in ((0, 2), (1, 4)):
        np.testing.assert_array_equal(np.bincount(folds[labels.single == label]), [count] * 5)


@pytest.mark.parametrize("loss", ["log_loss", "squared_hinge"])
def test_cross_validation_never_asks_weights_about_what_they_learned(
    noisy: tuple[Data, Data], loss: str
) -> None:
    (texts, labels), _ = noisy
    model = fitted((texts, labels), loss=loss, cv=3, strength=1.0)
    said, folds = model.cross_validated, folds_of(labels, 3)
    assert said is not None
    ones = np.ones(300, np.float32)
    for fold in range(3):  # Other labels for what is held out change nothing but the temperature.
        names = np.where(folds == fold, 1 - labels.single, labels.single)
        others = Labels(labels.names, names, labels.offsets)
        problem = [label_columns(given, Classes(2)) for given in (labels, others)]
        learned = [
            Problem(model._features(texts), is_label, Classes(2), loss, 1.0, 1e-3, lambda: False)
            .learn(1.0, np.where(folds == fold, 0, ones))
            for is_label in problem
        ]  # fmt: skip
        np.testing.assert_array_equal(learned[0].weights, learned[1].weights)
        logits = learned[0].columns(model._features(texts))[folds == fold, 0]
        ratio = np.diff(said, axis=1)[folds == fold, 0] / logits
        np.testing.assert_allclose(ratio, ratio[0], rtol=1e-3)


def test_without_dev_a_hinge_is_calibrated_in_folds(noisy: tuple[Data, Data]) -> None:
    train, (others, truth) = noisy
    model = fitted(train, loss="squared_hinge")
    nats = -float(model.classify(others)[np.arange(300), truth.single].mean())
    assert nats < fitted(train).classify(others).var() + np.log(2)
    assert nats < 0.65  # A quarter of the labels is wrong: 0.562 at best.


def test_rows_one_after_another_hold_their_documents_in_order() -> None:
    random = np.random.default_rng(3)
    sizes = random.integers(0, 40, 50)
    bags = bags_with(random.integers(0, 30, sizes.sum()).astype(np.int32), sizes).distinct()
    values = random.random(len(bags.features)).astype(np.float32)
    found = [
        transpose(bags.features, values, bags.offsets, 33)  # Rows 30 to 32 are in no document.
        for transpose in (transposed_in_numpy, transpose_features)
        if library() is not None or transpose is transposed_in_numpy
    ]
    matrix = np.zeros((50, 33), np.float32)
    owners = np.repeat(np.arange(50), bags.sizes)
    matrix[owners, bags.features] = values
    for starts, documents, amounts in found:
        for row in range(33):
            chosen = slice(starts[row], starts[row + 1])
            np.testing.assert_array_equal(documents[chosen], np.flatnonzero(matrix[:, row]))
            np.testing.assert_array_equal(amounts[chosen], matrix[documents[chosen], row])


def test_the_temperature_of_many_documents_is_that_of_a_part(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    random = np.random.default_rng(3)
    logits = random.normal(0, 3, (4000, 2)).astype(np.float32)
    right = random.random(4000) < 1 / (1 + np.exp((logits[:, 0] - logits[:, 1]) / 2))
    labels = Labels(("a", "b"), right.astype(np.int64), np.arange(4001))
    monkeypatch.setattr("thence.models.labels.temperature.MAX_LOGITS", 2000)
    assert learn_temperature(logits, labels, Classes(2)) == pytest.approx(2, rel=0.15)
