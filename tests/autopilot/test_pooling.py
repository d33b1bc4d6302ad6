"""Averages of classifiers: never worse than the best part on what they judge by."""

from typing import Any, cast

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from thence.autopilot.parts import Part
from thence.autopilot.pooling import pool
from thence.corpus.labels import Labels
from thence.models.labels.base import Classes
from thence.models.registry import CLASSIFIERS
from thence.training.dev_evaluation import evaluate_labels

ENDS = st.integers(2, 30)


def labels_of(ids: list[list[int]], multilabel: bool = False) -> Labels:
    ends = np.cumsum([0, *map(len, ids)])
    return Labels(
        ("a", "b", "c"), np.array([i for one in ids for i in one], np.int64), ends, multilabel
    )


def part(name: str, scores: Any, labels: Labels) -> Part:
    log_probs = np.asarray(scores, np.float32)
    result = evaluate_labels(log_probs, labels)
    options = {"buckets": 8}
    family = CLASSIFIERS["linear"]
    model = family.create_classifier(
        family.options_class()(**options), 5, Classes(3, labels.multilabel)
    )
    accuracy = result.metrics["dev_accuracy"]
    return Part(name, "linear", options, cast(Any, model), log_probs, result.nats, accuracy)


def said(random: np.random.Generator, documents: int, multilabel: bool) -> np.ndarray:
    logits = random.normal(0, random.uniform(0.1, 4), (documents, 3))
    if multilabel:
        return -np.logaddexp(0, -logits)
    return logits - np.logaddexp.reduce(logits, axis=1, keepdims=True)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32), ENDS, st.integers(1, 4), st.booleans())
def test_a_pool_is_never_worse_than_its_best_part(
    seed: int, documents: int, number: int, multilabel: bool
) -> None:
    random = np.random.default_rng(seed)
    ids = [[int(random.integers(3))] for _ in range(documents)]
    if multilabel:
        ids = [np.flatnonzero(random.random(3) < 0.5).tolist() for _ in range(documents)]
    labels = labels_of(ids, multilabel)
    parts = [
        part(f"part {at}", said(random, documents, multilabel), labels) for at in range(number)
    ]
    made = pool(parts, labels, 5, Classes(3, multilabel))
    assert made.nats <= min(one.nats for one in parts)
    assert sum(made.weights) == pytest.approx(1) and len(made.weights) == len(made.parts)


def test_a_part_alone_stays_alone() -> None:
    labels = labels_of([[0], [1]] * 5)
    only = part("only", said(np.random.default_rng(0), 10, False), labels)
    made = pool([only], labels, 5, Classes(3, False))
    assert made.parts == (only,) and made.options is None and made.nats == only.nats


def test_a_useless_part_is_dropped() -> None:
    labels = labels_of([[0], [1]] * 100)
    good = np.log(np.tile([[0.9, 0.05, 0.05], [0.05, 0.9, 0.05]], (100, 1)))
    bad = np.log(np.tile([[0.01, 0.01, 0.98]], (200, 1)))
    parts = [part("good", good, labels), part("bad", bad, labels)]
    assert [one.name for one in pool(parts, labels, 5, Classes(3, False)).parts] == ["good"]


def test_parts_that_are_right_about_different_documents_are_averaged() -> None:
    labels = labels_of([[0], [0]] * 50)
    sure, unsure = [0.98, 0.01, 0.01], [0.3, 0.35, 0.35]
    parts = [
        part("one", np.log([sure, sure, unsure, unsure] * 25), labels),
        part("other", np.log([unsure, unsure, sure, sure] * 25), labels),
    ]
    made = pool(parts, labels, 5, Classes(3, False))
    assert len(made.parts) == 2 and made.accuracy == 1.0
