"""Verdicts on hand-made losses, and on small trainings."""

from collections.abc import Callable, Sequence
from typing import Any

import pytest

import thence
from thence.evaluation.verdict import diagnose
from thence.runs import Run

SmallTrain = Callable[..., Run]
UNIFORM = 3.0
"""Of these models; what is learned of 3 nats is 1 nat where dev comes down to 2."""


def losses(train: Sequence[float], dev: Sequence[float | None]) -> list[dict[str, Any]]:
    return [
        {"step": 10 * place, "train_nats_per_token": one, "dev_nats_per_token": other}
        for place, (one, other) in enumerate(zip(train, dev, strict=True), start=1)
    ]


@pytest.mark.parametrize(
    ("kind", "words", "train", "dev"),
    [
        ("overfit", "evaluation 1 of 4 (2) and rose to 2.3 while train went on falling to 1.2",
         [2.1, 1.8, 1.5, 1.2], [2.0, 2.1, 2.2, 2.3]),
        # Dev stands still from the second of four on, and train falls by more than 0.03 nats.
        ("overfit", "Begins to overfit: dev was best at evaluation 2 of 4",
         [2.2, 2.0, 1.9, 1.8], [2.2, 2.0, 2.001, 2.001]),
        ("underfit", "train and dev are about equal (train 1.98, dev 2)",
         [2.2, 2.05, 2.0, 1.98], [2.2, 2.05, 2.003, 2.0]),
        ("underfit", "dev was still falling (2.1, then 2)",
         [2.2, 2.0, 1.9, 1.8], [2.3, 2.2, 2.1, 2.0]),
        ("diverged", "from 2 to 2.5 after step 20", [2.2, 2.0, 2.2, 2.5], [2.2, 2.0, 2.2, 2.5]),
        # Train alone rises, as the means over a few steps do.
        ("fine", "Fine: dev was best at evaluation 4", [1.8, 1.7, 1.6, 1.9], [2.2, 2.1, 2.004, 2]),
        # Dev rises by 0.02 nats, but train is no further below than that.
        ("unsettled", "Unsettled: dev was best at evaluation 3 of 4",
         [2.2, 2.1, 2.02, 2.0], [2.2, 2.05, 2.0, 2.02]),
        # A gap of 1.5 where 1.3 was learned (of a uniform 3.3).
        ("fine", "but train is far below (train 0.5, dev 2)",
         [2.0, 1.0, 0.6, 0.5], [2.2, 2.1, 2.003, 2.0]),
        ("fine", "train is not far below (train 1.9, dev 2)",
         [2.2, 2.05, 1.95, 1.9], [2.2, 2.05, 2.003, 2.0]),
        ("fine", "(0.005), so there is hardly anything left to learn.",
         [0.9, 0.1, 0.02, 0.016], [0.14, 0.02, 0.006, 0.005]),
        ("unknown", "no dev split", [2.0, 1.0], [None, None]),
    ],
)  # fmt: skip
def test_hand_made_losses(
    kind: str, words: str, train: list[float], dev: list[float | None]
) -> None:
    found = diagnose(losses(train, dev), UNIFORM)
    assert found.kind == kind
    assert words in found.sentence
    assert bool(found.advice) == (kind not in ("fine", "unknown"))


def test_a_verdict_does_not_depend_on_the_unit() -> None:
    train, dev = [2.1, 1.8, 1.5, 1.2], [2.0, 2.1, 2.2, 2.3]
    for factor in (1e-3, 1e3):
        scaled = losses([factor * x for x in train], [factor * x for x in dev])
        assert diagnose(scaled, factor * UNIFORM).kind == "overfit"


def test_pairs_are_counted_too() -> None:
    curve = losses([2.2, 2.05, 1.95, 1.9], [2.2, 2.05, 2.003, 2.0])
    assert diagnose(curve, UNIFORM, pairs=2.1).kind == "fine"
    found = diagnose(curve, UNIFORM, pairs=1.9)
    assert found.kind == "worse than counting"
    assert "dev is at 2 nats per token, and counting pairs has 1.9" in found.sentence
    assert "Or count: --model ngram" in found.advice


def test_trainings(small: SmallTrain) -> None:
    learned = small("bigram", model="bigram", steps=2, lr=1e-6)
    found = thence.verdict(learned)
    assert found is not None
    assert found.kind == "worse than counting"
    assert found.to_json().keys() == {"kind", "sentence", "advice"}
    untrained = small("untrained", steps=0).verdict()
    assert untrained.kind == "untrained"
    by_heart = small(
        "by-heart", steps=300, hidden_size=64, context=3, lr=0.05, split="20/80/0"
    ).verdict()
    assert by_heart.kind in ("overfit", "worse than counting")
    assert "learns by heart" in by_heart.sentence
    assert small("counts", model="bigram-counts").verdict() is None


def test_a_classifier_is_held_against_guessing() -> None:
    lines = [{"step": 5, "train_nats_per_document": 0.5, "dev_nats_per_document": 0.6}]
    found = [
        diagnose([{**lines[0], "dev_accuracy": right}], 0.69, guess=0.6) for right in (0.6, 0.7)
    ]
    assert [one.kind for one in found] == ["worse than counting", "fine"]
    assert "60.00 % of dev is right" in found[0].sentence


def test_a_verdict_of_a_classifier(opinions: Run) -> None:
    found = opinions.verdict()
    assert found is None or found.sentence


def test_losses_are_said_in_another_unit() -> None:
    # 2 nats are 2 / 0.6931 = 2.885 bits and 2 / 2.3026 = 0.8686 powers of ten; the kind stays.
    found = [diagnose(losses([2.2], [2.0]), UNIFORM, 1.5, unit=one) for one in ("bits", "log10")]
    assert "dev is at 2.885 bits per token, and counting pairs has 2.164." in str(found[0])
    assert "dev is at 0.8686 log10 per token, and counting pairs has 0.6514." in str(found[1])
