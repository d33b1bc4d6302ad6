"""The weights of ensembles, and what members are called."""

from math import log

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from thence.corpus.documents import Labels
from thence.models.base import Classes, log_probs_of_truth
from thence.models.labels.ensemble import (
    Ensemble,
    EnsembleOptions,
    Member,
    learn_pool,
    pooled,
)
from thence.training.dev_evaluation import evaluate_labels

Array = np.ndarray


def one_each(ids: list[int], names: str = "ab") -> Labels:
    return Labels(tuple(names), np.array(ids, np.int64), np.arange(len(ids) + 1))


def test_the_average_by_hand() -> None:
    said = [np.log([[0.9, 0.1], [0.5, 0.5]]), np.log([[0.4, 0.6], [0.2, 0.8]])]
    averaged = np.exp(pooled(said, np.array([0.25, 0.75])))
    np.testing.assert_allclose(averaged, [[0.525, 0.475], [0.275, 0.725]], rtol=1e-6)
    np.testing.assert_allclose(pooled(said, np.array([0.0, 1.0])), said[1], rtol=1e-6)


def test_the_weights_by_hand() -> None:
    # Each member is right about half, so that the likelihood of the documents is
    # n log(0.9 w + 0.1 (1 - w)) + n log(0.1 w + 0.9 (1 - w)), highest at w = 1/2.
    said = [np.log([[0.9, 0.1], [0.1, 0.9]] * 50), np.log([[0.1, 0.9], [0.9, 0.1]] * 50)]
    pool = learn_pool(said, one_each([0, 0] * 50))
    np.testing.assert_allclose(pool.weights, [0.5, 0.5])
    assert pool.nats == pytest.approx(log(2))


def test_the_weights_are_those_of_a_search() -> None:
    random = np.random.default_rng(0)
    probs = random.uniform(0.05, 0.95, (2, 400))
    said = [np.log(np.stack([part, 1 - part], axis=1)) for part in probs]
    pool = learn_pool(said, one_each([0] * 400))
    grid = np.linspace(0.001, 0.999, 999)
    mixed = grid[:, None] * probs[0] + (1 - grid[:, None]) * probs[1]
    # Five imagined documents, all members alike, are the prior w^2.5 (1-w)^2.5.
    posterior = np.log(mixed).sum(axis=1) + 2.5 * (np.log(grid) + np.log(1 - grid))
    assert pool.weights[0] == pytest.approx(grid[posterior.argmax()], abs=0.002)


def test_few_documents_hardly_move_the_weights_and_many_do() -> None:
    good, bad = np.log([[0.6, 0.4]]), np.log([[0.4, 0.6]])
    few = learn_pool([good, bad], one_each([0]))
    many = learn_pool([good.repeat(500, 0), bad.repeat(500, 0)], one_each([0] * 500))
    # Were the imagined documents to decide alone, both would be 1/2.
    assert few.nats <= -log(0.6) + 1e-12
    assert many.weights[0] > 0.95


def test_a_label_that_train_lacks_has_no_say() -> None:
    said = [np.log([[0.9, 0.1], [0.2, 0.8], [0.5, 0.5]]), np.log([[0.6, 0.4]] * 3)]
    labels = one_each([0, 1, 2], "abc")
    pool = learn_pool(said, labels)
    without = learn_pool([part[:2] for part in said], one_each([0, 1]))
    np.testing.assert_allclose(pool.weights, without.weights)
    assert pool.nats == pytest.approx(
        evaluate_labels(pooled(said, pool.weights, pool.temperature), labels).nats, rel=1e-5
    )


def test_only_labels_that_train_lacks() -> None:
    pool = learn_pool([np.log([[0.9, 0.1]])] * 2, one_each([2], "abc"))
    np.testing.assert_allclose(pool.weights, [0.5, 0.5])
    assert pool.nats == 0


def test_several_labels_are_as_many_questions() -> None:
    # The first member knows about label a, the second about b; both say yes or no.
    yes = np.array([[[0.9, 0.5], [0.1, 0.5]], [[0.5, 0.8], [0.5, 0.3]]])
    labels = Labels(("a", "b"), np.array([0, 1]), np.array([0, 2, 2]), multilabel=True)
    pool = learn_pool(list(np.log(yes)), labels)
    averaged = np.tensordot(pool.weights, yes, 1)
    expected = -np.log([*averaged[0], *(1 - averaged[1])]).sum() / 2
    assert pool.nats == pytest.approx(expected)
    assert evaluate_labels(pooled(list(np.log(yes)), pool.weights), labels).nats == pytest.approx(
        expected, rel=1e-5
    )


def test_members_that_are_quite_sure_do_no_harm() -> None:
    sure = np.log(np.array([[1.0, 1e-300], [1.0, 1e-300]]))
    sure[:, 1] = -np.inf
    pool = learn_pool([sure, np.log([[0.5, 0.5]] * 2)], one_each([0, 1]))
    assert np.isfinite(pool.nats)
    labels = Labels(("a",), np.array([0]), np.array([0, 1, 1]), multilabel=True)
    assert np.isfinite(learn_pool([np.zeros((2, 1)), np.full((2, 1), -np.inf)], labels).nats)


def test_an_average_of_members_that_differ_is_too_uncertain() -> None:
    # One member is right by 0.9 and the other does not know, in turn: the average says 0.7, and
    # each document's label is as the surer member says. Three of four are, and
    # 0.75 = 0.7^(1/T) / (0.7^(1/T) + 0.3^(1/T)), so T = ln(7/3) / ln 3 = 0.771.
    sure, none = [[0.9, 0.1]], [[0.5, 0.5]]
    said = [np.log((sure + none) * 200), np.log((none + sure) * 200)]
    pool = learn_pool(said, one_each([0, 0, 0, 1, 0, 0, 1, 0] * 50))
    np.testing.assert_allclose(pool.weights, [0.5, 0.5], atol=0.02)
    assert pool.temperature == pytest.approx(0.771, rel=0.02)
    averaged = np.exp(pooled(said, np.array([0.5, 0.5]), log(7 / 3) / log(3)))
    np.testing.assert_allclose(averaged, [[0.75, 0.25]] * 400, rtol=1e-5)


@pytest.mark.parametrize("multilabel", [False, True])
def test_a_temperature_of_an_average_by_hand(multilabel: bool) -> None:
    # Odds of 4 and a temperature of 2: odds of 2.
    said = [np.log([[0.8, 0.2]])]
    found = np.exp(pooled(said, np.ones(1), 2.0, multilabel))
    np.testing.assert_allclose(found, [[2 / 3, 1 / 3]], rtol=1e-6)


@pytest.mark.slow
@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    members=st.integers(1, 5),
    documents=st.integers(1, 40),
    classes=st.integers(2, 4),
    multilabel=st.booleans(),
    sharpness=st.floats(0.1, 30),
)
def test_never_worse_than_the_best_member(
    seed: int, members: int, documents: int, classes: int, multilabel: bool, sharpness: float
) -> None:
    random = np.random.default_rng(seed)
    logits = random.normal(0, sharpness, (members, documents, classes))
    if multilabel:
        said = -np.logaddexp(0, -logits)
    else:
        said = logits - np.logaddexp.reduce(logits, axis=2, keepdims=True)
    labels = Labels(
        tuple("abcd"[:classes]),
        random.integers(0, classes, documents),
        np.arange(documents + 1),
        multilabel,
    )
    pool = learn_pool(list(said), labels)
    alone = [-log_probs_of_truth(part, labels).sum() / documents for part in said]
    assert pool.nats <= min(alone) * (1 + 1e-12)
    assert np.all(pool.weights >= 0)
    assert pool.weights.sum() == pytest.approx(1)


@pytest.mark.parametrize("said", [[], [np.zeros((2, 2))], [np.zeros((1, 2)), np.zeros((2, 2))]])
def test_members_must_speak_of_every_document(said: list[Array]) -> None:
    with pytest.raises(ValueError, match="every document"):
        learn_pool(said, one_each([0]))


def test_members_of_one_family_are_told_apart() -> None:
    options = EnsembleOptions(
        (
            Member("linear", {"ngrams": 3, "buckets": 64, "character_ngrams": [3, 4]}),
            Member("linear", {"ngrams": 1, "buckets": 64, "character_ngrams": [], "strength": 2.0}),
            Member("averaging", {"ngrams": 2, "vectors": "vectors.txt"}),
            Member("convolution", {}),
        )
    )
    assert options.names == [
        "linear ngrams 3 character_ngrams 3 4",
        "linear ngrams 1 character_ngrams none strength 2.0",
        "averaging",
        "convolution",
    ]


@pytest.mark.parametrize("weights", [[0.5, 0.6], [-0.5, 1.5], [np.nan, 1.0], [1.0], [[0.5, 0.5]]])
def test_weights_that_are_none_are_refused(weights: list[float]) -> None:
    options = EnsembleOptions((Member("linear", {"buckets": 64}),) * 2)
    ensemble = Ensemble(options, 9, Classes(2))
    with pytest.raises(ValueError, match="weights"):
        ensemble.load_tensors({**ensemble.tensors(), "weights": np.array(weights)})
