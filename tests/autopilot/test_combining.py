"""Combined models: never worse on dev than the best member alone."""

import math
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any, cast

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from thence.autopilot.averaging import average_few, combine_classifiers, temperature_of
from thence.autopilot.candidates import TrainedCandidate
from thence.autopilot.combining import (
    combine_language_models,
    combining_seconds,
    prune,
)
from thence.autopilot.pace import SAFETY, Pace
from thence.corpus.documents import Labels
from thence.deadline import check_deadline
from thence.models.base import Classes
from thence.models.labels.ensemble import pooled
from thence.models.labels.linear import LinearOptions
from thence.models.registry import get_family
from thence.tokens import TokenStore
from thence.training.dev_evaluation import evaluate_labels

Counted = Callable[..., TrainedCandidate]
SIZE = 20


def test_one_language_model_stays_alone(counted: Counted, dev: TokenStore) -> None:
    member = counted(2)
    made = combine_language_models([member], dev, SIZE)
    assert made.members == (member,) and made.weights == (1.0,) and made.family == "ngram"
    assert made.nats == member.nats and made.model is member.model


def test_a_double_and_a_useless_model_are_dropped(counted: Counted, dev: TokenStore) -> None:
    sure = np.full(dev.num_targets, -0.5)
    members = [
        counted(2, "good", sure), counted(2, "double", sure), counted(2, "useless", sure - 8)
    ]  # fmt: skip
    made = combine_language_models(members, dev, len_of(members))
    assert len(made.members) == 1 and made.members[0].name in ("good", "double")
    assert made.nats == 0.5


def test_choosing_ends_when_its_time_is_up(counted: Counted, dev: TokenStore) -> None:
    sure = np.full(dev.num_targets, -0.5)
    members = [counted(2, "good", sure), counted(2, "useless", sure - 8)]
    assert prune(members, dev, len_of(members), ends=0.0) == members
    assert prune(members, dev, len_of(members)) == members[:1]


def test_models_that_know_different_halves_are_mixed(counted: Counted, dev: TokenStore) -> None:
    odd = np.arange(dev.num_targets) % 2 == 0
    members = [
        counted(2, "one", np.where(odd, -0.1, -4)),
        counted(3, "other", np.where(odd, -4, -0.1)),
    ]
    made = combine_language_models(members, dev, len_of(members))
    assert len(made.members) == 2 and sum(made.weights) == pytest.approx(1)
    assert made.nats < min(member.nats for member in members) - 1


def test_a_model_that_takes_much_for_impossible_may_help(counted: Counted, dev: TokenStore) -> None:
    odd = np.arange(dev.num_targets) % 2 == 0
    cache = counted(2, "cache", np.where(odd, -0.01, -np.inf))
    assert cache.nats == math.inf
    even = counted(3, "even", np.full(dev.num_targets, -2.0))
    assert combine_language_models([even, cache], dev, len_of([even])).nats < even.nats


@pytest.mark.parametrize("seconds", [0.0, 1e-9, 1e-3, math.inf])
def test_a_hurry_gives_something_sane(counted: Counted, dev: TokenStore, seconds: float) -> None:
    members = [counted(order) for order in (2, 3, 4)]
    made = combine_language_models(members, dev, len_of(members), time.monotonic() + seconds)
    assert math.isfinite(made.nats) and made.nats <= min(member.nats for member in members)
    assert sum(made.weights) == pytest.approx(1)


@settings(
    max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.integers(0, 2**32), st.integers(1, 3), st.sampled_from([0.0, math.inf]))
def test_a_mixture_is_never_worse_than_its_best_member(
    counted: Counted, dev: TokenStore, seed: int, number: int, seconds: float
) -> None:
    random = np.random.default_rng(seed)
    members = [
        counted(2, f"member {at}", -random.exponential(random.uniform(0.1, 4), dev.num_targets))
        for at in range(number)
    ]
    made = combine_language_models(members, dev, len_of(members), time.monotonic() + seconds)
    assert made.nats <= min(member.nats for member in members)
    assert {member.name for member in made.members} <= {member.name for member in members}
    assert all(weight >= 0 for weight in made.weights)


def len_of(members: list[TrainedCandidate]) -> int:
    return int(members[0].model.vocabulary_size)


def test_past_its_end_the_best_alone_is_the_result(
    counted: Counted, dev: TokenStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def late(*about: Any) -> None:
        check_deadline()
        pytest.fail("a deadline is set")

    members = [counted(order) for order in (2, 3, 4)]
    monkeypatch.setattr("thence.models.language.mixture.Mixture.gate_features", late)
    made = combine_language_models(members, dev, len_of(members), time.monotonic() - 1)
    assert made.members == (min(members, key=lambda one: one.nats),)


def test_how_long_combining_takes_is_measured(counted: Counted, dev: TokenStore) -> None:
    members = [counted(order) for order in (2, 3, 4)]
    pace = Pace()
    assert combining_seconds(4, dev, 10.0, pace) == 0
    combine_language_models(members, dev, len_of(members), time.monotonic() + 60, pace)
    assert pace.rates.keys() == {"learning", "judging", "pruning"} and min(pace.rates.values()) > 0
    assert 0 < combining_seconds(4, dev, 1.0, pace) <= combining_seconds(4, dev, 1e6, pace)
    assert combining_seconds(4, dev, 1e-3, pace) < 1e-3


def test_no_time_is_kept_for_pruning_where_there_is_too_little_of_it(dev: TokenStore) -> None:
    seconds, targets = 0.1, dev.num_targets
    pace = Pace(rates={"learning": 0.0, "judging": seconds / targets}, units={"judging": targets})
    # Judging 4 members takes 0.4 s; at SAFETY a mixture of a sample would take 0.6 s. Pruning would
    # take at least twice that, and may take a twentieth of the time left.
    full, sample = 4 * seconds, 4 * seconds * SAFETY
    assert combining_seconds(4, dev, 20 * 2 * sample - 1, pace) == pytest.approx(full)
    kept = full + 2 * sample
    assert combining_seconds(4, dev, 20 * 2 * sample + 1, pace) == pytest.approx(kept, rel=0.05)


def test_those_who_scored_less_are_compared_on_what_they_scored(
    counted: Counted, dev: TokenStore
) -> None:
    """The first half of dev is easy for one member, the other half for nobody."""
    half = dev.beginning(dev.num_targets // 2).num_targets
    whole = np.where(np.arange(dev.num_targets) < half, -1.0, -9.0)
    members = [counted(2, "whole", whole), counted(3, "half", np.full(half, -2.0))]
    for ends in (math.inf, time.monotonic() + 60):
        made = combine_language_models(members, dev, len_of(members), ends)
        assert made.nats == pytest.approx(1.0, abs=0.01)


def test_a_mixture_in_a_hurry_is_judged_by_all_of_dev(counted: Counted, dev: TokenStore) -> None:
    """Every other target is hard, and two members are each surer where the other is not."""
    base = np.where(np.arange(dev.num_targets) % 2 == 0, -5.0, -1.5)
    turns = np.where(np.random.default_rng(0).random(dev.num_targets) < 0.5, 1.0, -1.0)
    members = [counted(2, "one", base + turns), counted(3, "other", base - turns)]
    pace = Pace({"learning": 1.0, "judging": 0.0})  # No time for all of dev, or for pruning.
    few = 2 * SAFETY * len(members) * dev.num_targets / 4
    ends = time.monotonic() + few + 0.1
    made = combine_language_models(members, dev, len_of(members), ends, pace)
    # Half of each brings log((exp(1) + exp(-1)) / 2) = 0.434: the mean is 3.25 - 0.434 = 2.816,
    # that of the easy targets alone 1.066 and of the hard ones 4.566.
    assert made.nats == pytest.approx(2.816, abs=0.3)


def test_where_judging_takes_too_long_less_of_dev_is_judged(
    counted: Counted, dev: TokenStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("thence.autopilot.combining.PROBED", (8,))
    easy = np.where(np.arange(dev.num_targets) < dev.num_targets // 2, -1.0, -9.0)
    turns = np.where(np.arange(dev.num_targets) % 2 == 0, 0.5, -0.5)
    members = [counted(2, "one", easy + turns), counted(3, "other", easy - turns)]
    pace = Pace({"learning": 0.0, "judging": 1.0})
    ends = time.monotonic() + SAFETY * len(members) * dev.num_targets / 2 + 0.5
    made = combine_language_models(members, dev, len_of(members), ends, pace)
    assert made.judged < 0.6 * dev.num_targets and made.nats == pytest.approx(1.0, abs=0.2)


ENDS = st.integers(2, 30)


def labels_of(ids: list[list[int]], multilabel: bool = False) -> Labels:
    ends = np.cumsum([0, *map(len, ids)])
    return Labels(
        ("a", "b", "c"), np.array([i for one in ids for i in one], np.int64), ends, multilabel
    )


def classifier(name: str, scores: Any, labels: Labels) -> TrainedCandidate:
    log_probs = np.asarray(scores, np.float32)
    result = evaluate_labels(log_probs, labels)
    family = get_family("linear")
    options = family.options_class()(buckets=8)
    model = family.classifier(options, 5, Classes(3, labels.multilabel))
    accuracy = result.metrics["dev_accuracy"]
    return TrainedCandidate(
        name, "linear", options, cast(Any, model), log_probs, result.nats, accuracy
    )


def said(random: np.random.Generator, documents: int, multilabel: bool) -> np.ndarray:
    logits = random.normal(0, random.uniform(0.1, 4), (documents, 3))
    if multilabel:
        return -np.logaddexp(0, -logits)
    return logits - np.logaddexp.reduce(logits, axis=1, keepdims=True)


@pytest.mark.slow
@settings(max_examples=10, deadline=None)
@given(st.integers(0, 2**32), ENDS, st.integers(1, 4), st.booleans())
def test_where_its_weights_were_learned_an_average_is_no_worse_than_a_member(
    seed: int, documents: int, number: int, multilabel: bool
) -> None:
    random = np.random.default_rng(seed)
    ids = [[int(random.integers(3))] for _ in range(documents)]
    if multilabel:
        ids = [np.flatnonzero(random.random(3) < 0.5).tolist() for _ in range(documents)]
    labels = labels_of(ids, multilabel)
    members = [
        classifier(f"member {at}", said(random, documents, multilabel), labels)
        for at in range(number)
    ]
    made = combine_classifiers(members, labels, 5, Classes(3, multilabel))
    scores, weights = [one.scores for one in made.members], np.array(made.weights)
    averaged = pooled(scores, weights, temperature_of(made.model), multilabel)
    nats = evaluate_labels(averaged, labels).nats
    assert nats <= min(one.nats for one in made.members) * (1 + 1e-5)
    assert sum(made.weights) == pytest.approx(1) and len(made.weights) == len(made.members)


def test_no_member_is_alone_because_it_was_lucky() -> None:
    # Three members of the same kind: the best of them on these documents is so by chance.
    random, ids = np.random.default_rng(4), np.array([0, 1] * 20)
    labels = labels_of([[one] for one in ids.tolist()])
    logits = random.normal(0, 1, (3, 40, 3)) + np.eye(3)[ids]
    scores = logits - np.logaddexp.reduce(logits, axis=2, keepdims=True)
    members = [classifier(f"member {at}", score, labels) for at, score in enumerate(scores)]
    made = combine_classifiers(members, labels, 5, Classes(3, False))
    assert made.nats > min(one.nats for one in members)
    assert made.family == "ensemble" and len(made.members) == 3


def test_of_very_many_members_some_stay() -> None:
    # Each of sixty has a weight of 1 / 60, less than is asked of a member.
    labels = labels_of([[0], [1]] * 5)
    score = said(np.random.default_rng(0), 10, False)
    members = [classifier(f"member {at}", score, labels) for at in range(60)]
    assert len(combine_classifiers(members, labels, 5, Classes(3, False)).members) > 0


def test_one_classifier_stays_alone() -> None:
    labels = labels_of([[0], [1]] * 5)
    only = classifier("only", said(np.random.default_rng(0), 10, False), labels)
    made = combine_classifiers([only], labels, 5, Classes(3, False))
    assert made.members == (only,) and made.nats == only.nats
    assert made.family == "linear" and made.model is only.model


def test_a_useless_classifier_is_dropped() -> None:
    labels = labels_of([[0], [1]] * 100)
    good = np.log(np.tile([[0.9, 0.05, 0.05], [0.05, 0.9, 0.05]], (100, 1)))
    bad = np.log(np.tile([[0.01, 0.01, 0.98]], (200, 1)))
    members = [classifier("good", good, labels), classifier("bad", bad, labels)]
    assert [
        one.name for one in combine_classifiers(members, labels, 5, Classes(3, False)).members
    ] == ["good"]


def test_classifiers_that_are_right_about_different_documents_are_averaged() -> None:
    labels = labels_of([[0], [0]] * 50)
    sure, unsure = [0.98, 0.01, 0.01], [0.3, 0.35, 0.35]
    members = [
        classifier("one", np.log([sure, sure, unsure, unsure] * 25), labels),
        classifier("other", np.log([unsure, unsure, sure, sure] * 25), labels),
    ]
    made = combine_classifiers(members, labels, 5, Classes(3, False))
    assert len(made.members) == 2 and made.accuracy == 1.0


def test_few_documents_average_all_members_alike() -> None:
    labels = labels_of([[0], [1]])
    members = [
        classifier("sure", np.log([[0.8, 0.2], [0.8, 0.2]]), labels),
        classifier("right", np.log([[0.6, 0.4], [0.2, 0.8]]), labels),
    ]
    made = average_few(members, labels, 5, Classes(2))
    assert made.weights == (0.5, 0.5)
    # The means are 0.7 for the first and 0.5 for the second: -(ln 0.7 + ln 0.5) / 2 = 0.5249.
    assert made.nats == pytest.approx(0.5249, abs=1e-4)
    assert average_few(members[:1], labels, 5, Classes(2)).model is members[0].model


def test_the_fewer_documents_the_more_a_centroid_counts() -> None:
    found = {}
    for documents in (100, 300, 600):
        labels = labels_of([[0], [1]] * (documents // 2))
        said = np.log(np.full((documents, 2), 0.5))
        centroid = replace(classifier("it", said, labels), options=LinearOptions(loss="centroid"))
        others = [classifier(f"other {number}", said, labels) for number in range(4)]
        found[documents] = average_few([centroid, *others], labels, 5, Classes(2)).weights[0]
    # It counts like 3^2, 1 and 1/2^2 of the 4 others.
    assert found == pytest.approx({100: 9 / 13, 300: 1 / 5, 600: 1 / 17})


def test_latent_dimensions_count_by_documents_and_by_how_likely_the_labels_are() -> None:
    labels = labels_of([[0], [1]] * 50)
    better, worse = np.log([[0.6, 0.4], [0.4, 0.6]] * 50), np.log(np.full((100, 2), 0.5))
    other = replace(classifier("other", worse, labels), options=LinearOptions())

    def weight_of_latent(said: np.ndarray[Any, np.dtype[np.float64]], dimensions: int) -> float:
        options = LinearOptions(latent_dimensions=dimensions)
        latent = replace(classifier("latent", said, labels), options=options)
        weights: tuple[float, ...] = average_few([latent, other], labels, 5, Classes(2)).weights
        return weights[0]

    # Of 100 documents it counts like the others, if the labels are as likely.
    assert weight_of_latent(worse, 20) == pytest.approx(0.5)
    # ln 0.6 - ln 0.5 = 0.18232 nats a document; times sqrt(100) / 0.3 that is 6.0774, and
    # exp(6.0774) = 435.9 to 1.
    assert weight_of_latent(better, 20) == pytest.approx(435.9 / 436.9, abs=1e-5)


def test_more_latent_dimensions_than_documents_count_less() -> None:
    labels = labels_of([[0], [1]] * 5)
    said = np.log(np.full((10, 2), 0.5))
    members = [
        replace(classifier(str(size), said, labels), options=LinearOptions(latent_dimensions=size))
        for size in (20, 100)
    ]
    other = replace(classifier("other", said, labels), options=LinearOptions())
    weights = average_few([*members, other], labels, 5, Classes(2)).weights
    # Of 10 documents 10/20 and 10/100, so 5 to 1; together 100/10 = 10 to 1 of the other.
    assert weights == pytest.approx((10 / 11 * 5 / 6, 10 / 11 / 6, 1 / 11))
