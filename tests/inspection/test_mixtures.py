"""Mixtures and caches: weights, shares, and what was remembered."""

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import thence
from thence.inspection import Look, look
from thence.runs import Run

Counted = Callable[..., Run]
LINES = ["the cat sat on the mat", "a dog ran to the cat", "the dog sat", "a mat on a mat"] * 3
RUNNING = {"tokens": "words", "carry_context": True, "dev": LINES}
TEXT = "the dog ran to the mat on the dog"


def seen(run: Run, text: str, *lenses: str) -> Look:
    found = look(run, text, lenses=lenses or None)
    assert isinstance(found, Look)
    return found


@pytest.mark.parametrize("weights", ["gated", "buckets", "single"])
def test_weights_and_shares(counted: Counted, tmp_path: Path, weights: str) -> None:
    runs = [
        counted(LINES, name=f"order{order}", model="ngram", order=order, dev=LINES[:3])
        for order in (1, 3)
    ]
    mixed = thence.mix(runs, tmp_path / "mixed", weights=weights)  # type: ignore[arg-type]
    found = seen(mixed, "the dog")
    lens = found.lenses["mixture"]
    assert lens.members == ("ngram order 1", "ngram order 3")
    assert (lens.depends, lens.adapts) == (weights, False)
    for token, one in zip(found.tokens, lens.tokens, strict=True):
        assert math.fsum(one.weights) == pytest.approx(1, abs=1e-9)
        assert math.fsum(one.shares) == pytest.approx(1, abs=1e-9)
        mean = np.dot(one.weights, one.probabilities)
        assert mean == pytest.approx(token.probability, abs=1e-9)
        assert one.shares[0] == pytest.approx(one.weights[0] * one.probabilities[0] / mean)
    known = [one.known for one in lens.tokens]
    assert known[:3] == ([None] * 3 if weights == "single" else [1, 2, 2])
    # The n-gram of the highest order is shown.
    assert max(term.order for term in found.lenses["backoff"][4].terms) == 3
    assert found.lenses["backoff"][4].member == "ngram order 3"
    by_member = math.fsum(term.share for term in found.lenses["backoff"][4].terms)
    assert by_member == pytest.approx(lens.tokens[4].probabilities[1], abs=1e-9)


def test_a_cache_by_hand(counted: Counted) -> None:
    # Before the last word were read: the dog ran to the mat on the. Of 8 words the are 3.
    run = counted(LINES, model="cache", length=100, **RUNNING)
    found = seen(run, TEXT, "cache")
    (cache,) = found.lenses["cache"]
    last = cache.tokens[-1]
    assert (cache.name, last.weight) == ("cache", 1.0)
    assert last.probability == pytest.approx(1 / 8)
    shown = {one.text: (one.share, one.ago, one.count, one.order) for one in last.remembered}
    assert shown["the"] == (pytest.approx(3 / 8), 1, 3, 1)
    assert shown["dog"] == (pytest.approx(1 / 8), 7, 1, 1)
    assert cache.tokens[0].remembered == ()


def test_caches_of_a_mixture(counted: Counted, tmp_path: Path) -> None:
    run = counted(LINES, model="ngram", order=2, **RUNNING)
    found = seen(thence.mix([run], tmp_path / "mixed", cache=4), TEXT, "cache", "mixture")
    single, pairs = found.lenses["cache"]
    assert (single.name, pairs.name) == ("cache order 1 length 4", "cache order 2 length 4")
    # Before the last word: mat on the, and of the last 4 words after the: mat. Further back dog.
    (mat,) = pairs.tokens[-1].remembered
    assert (mat.text, mat.share, mat.ago, mat.count, mat.order) == ("mat", 1.0, 3, 1, 2)
    for at, cache in ((1, single), (2, pairs)):
        for token, mixed in zip(cache.tokens, found.lenses["mixture"].tokens, strict=True):
            assert token.weight == pytest.approx(mixed.weights[at])
            assert token.probability == pytest.approx(mixed.probabilities[at])


def test_a_cache_that_backs_off(counted: Counted) -> None:
    run = counted(LINES, model="cache", order=3, length=20, discount=0.4, **RUNNING)
    found = look(run, TEXT, lenses=["cache"], top=50)
    assert isinstance(found, Look)
    (cache,) = found.lenses["cache"]
    for token, after in zip(found.tokens, cache.tokens, strict=True):
        said = {one.id: one.share for one in after.remembered}
        if token.id in said:
            assert said[token.id] == pytest.approx(token.probability)
        assert math.fsum(said.values()) <= 1 + 1e-9


@pytest.mark.slow
def test_what_learns_as_it_reads(counted: Counted, tmp_path: Path) -> None:
    run = counted(
        LINES * 3, model="gru", hidden_size=8, embedding_size=8, batch_size=2, steps=20, threads=1,
        lr=0.02, **RUNNING,
    )  # fmt: skip
    mixed = thence.mix([run], tmp_path / "mixed", neural_cache=5, dynamic=True)
    text = " ".join([TEXT] * 8)  # Longer than the window after which a network learns.
    found = seen(mixed, text, "cache", "mixture", "learning", "following")
    assert any(abs(one.bits_gained) > 0.01 for one in found.lenses["learning"])
    (neural,) = found.lenses["cache"]
    mixture = found.lenses["mixture"]
    for token, one, learned in zip(
        found.tokens, mixture.tokens, found.lenses["learning"], strict=True
    ):
        mean = np.dot(one.weights, one.probabilities)
        assert mean == pytest.approx(token.probability, rel=1e-6)
        assert learned.bits_gained == pytest.approx(
            math.log2(token.probability / learned.probability)
        )
    for place, (token, after) in enumerate(zip(found.tokens, neural.tokens, strict=True)):
        assert len(after.remembered) == min(place, 5)
        if place:
            assert math.fsum(one.share for one in after.remembered) == pytest.approx(1)
            own = math.fsum(one.share for one in after.remembered if one.id == token.id)
            assert own == pytest.approx(after.probability, abs=1e-6)
    # Each distribution is of the model that has learned from what is before.
    for token in found.tokens:
        assert {one.id: one.probability for one in token.top}.get(token.id, token.probability) == (
            pytest.approx(token.probability, rel=1e-4)
        )


@pytest.mark.parametrize("carries", [True, False])
def test_inputs_of_context_mixing(counted: Counted, carries: bool) -> None:
    settings = {**RUNNING, "tokens": "characters", "carry_context": carries, "slot_bits": 12}
    run = counted(LINES, model="context-mixing", **settings)
    text = "the cat\nsat on the dog"
    found = seen(run, text, "mixing", "following")
    assert "learning" in found.available or not carries
    for token, one in zip(found.tokens, found.lenses["mixing"], strict=True):
        assert one.probability == pytest.approx(token.probability, rel=1e-3)
        assert one.decisions >= 1
    # In "the ca|t" the longest contexts are sure of t, and nothing speaks against it.
    t = found.lenses["mixing"][6]
    assert t.inputs[0].log_odds > 0
    assert {one.name for one in t.inputs} >= {"order 0", "order 3", "the word", "always"}
    part = look(run, text, lenses=["mixing"], places=(10, 12))
    assert isinstance(part, Look)
    for whole, one in zip(found.lenses["mixing"][10:12], part.lenses["mixing"], strict=True):
        assert one.probability == pytest.approx(whole.probability, rel=1e-4)
