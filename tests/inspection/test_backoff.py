"""Which order of an n-gram answered, and what each order gave."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import thence
from thence.errors import TextError
from thence.inspection import Look, look
from thence.inspection.backoff import Decomposition, Term, decompositions
from thence.inspection.train_counts import TrainCounts
from thence.models.ngram.model import NGram, NGramOptions
from thence.models.ngram.smoothing import Smoothing
from thence.runs import Run
from thence.tokens import TokenStore

SIZE = 5  # a to d and the boundary
Counted = Callable[..., Run]


def store_of(documents: list[str]) -> TokenStore:
    ids, offsets = [SIZE - 1], [1]
    for document in documents:
        ids += [*("abcd".index(letter) for letter in document), SIZE - 1]
        offsets.append(len(ids))
    sizes = np.array([len(document) for document in documents], np.int64)
    return TokenStore(np.array(ids, np.uint8), np.array(offsets), sizes, sizes, SIZE - 1)


texts = st.lists(st.text("abcd", max_size=6), min_size=1, max_size=6)


def explained(term: Term, smoothing: str, add_k: float) -> float:
    """Return f of a term, from its counts alone."""
    assert term.count is not None
    assert term.context_count is not None
    total = term.context_count
    if smoothing == "witten-bell":
        assert term.followers is not None
        return term.count / (total + term.followers)
    if smoothing == "jelinek-mercer":
        return (1 - (term.backoff or 0)) * term.count / total  # None where nothing is left.
    if smoothing == "add-k":  # (c + k) / (C + k V), of which k / (C + k V) is the uniform part.
        return term.count / (total + add_k * SIZE)
    return (term.count - (term.discount or 0)) / total


@pytest.mark.parametrize("smoothing", get_args(Smoothing))
@given(train=texts, text=texts, order=st.integers(1, 4), carries=st.booleans())
def test_shares_add_up_and_counts_explain_them(
    smoothing: Smoothing, train: list[str], text: list[str], order: int, carries: bool
) -> None:
    model = NGram(NGramOptions(order, smoothing, add_k=0.5), SIZE)
    model.fit(store_of(train), carries, store_of(["ab", "ba"]))
    counts, store = TrainCounts(store_of(train), SIZE, carries), store_of(text)
    found = decompositions(model, store, carries, range(store.num_targets), counts, lambda a, b: "")
    bare = decompositions(model, store, carries, range(store.num_targets), None, lambda a, b: "")
    expected = np.exp(model.score(store, carries))
    for stack, without, probability in zip(found, bare, expected.tolist(), strict=True):
        shares = [term.share for term in stack.terms]
        assert min(shares) >= 0
        assert math.fsum(shares) == pytest.approx(probability, rel=1e-9, abs=1e-9)
        assert math.fsum(t.share for t in without.terms) == pytest.approx(probability, abs=1e-9)
        for term in stack.terms:
            if term.order == 0 or (smoothing == "stupid-backoff" and term.order != stack.order):
                continue
            if term.context_count == 0:
                continue
            expected_f = explained(term, smoothing, 0.5)
            assert term.share == pytest.approx(term.weight * expected_f, rel=1e-4, abs=2e-7)


def test_kneser_ney_by_hand(counted: Counted) -> None:
    # Train ab, ab, b: with | for the boundary, |ab| |ab| |b|. Bigrams: |a 2, |b 1, ab 2, b| 3.
    # Counts of counts of order 2: one of 1 (|b), two of 2, one of 3. D = n1 / (n1 + 2 n2) = 1/5.
    # Order 1 counts what a token follows: a follows | only (1), b follows | and a (2), | follows
    # b only (1): two of 1, one of 2, so D = 2 / (2 + 2) = 1/2, and C = 4.
    # V = 4 with <unk>. Order 1 leaves g = 3 D / 4 = 3/8 to 1/4 each.
    #   p(b) = (2 - 1/2) / 4 + 3/8 / 4 = 15/32
    #   p(b | a) = (2 - 1/5) / 2 + (1/5 / 2) p(b) = 9/10 + 1/10 15/32
    run = counted(model="ngram", order=2, smoothing="kneser-ney")
    found = look(run, "ab")
    assert isinstance(found, Look)
    stack: Decomposition = found.lenses["backoff"][1]
    two, one, zero = stack.terms
    assert (stack.order, stack.longest) == (2, 2)
    assert found.tokens[1].probability == pytest.approx(9 / 10 + 15 / 320)
    assert (two.context, two.first, two.count, two.context_count) == ("a", 0, 2, 2)
    assert (two.followers, two.is_continuation) == (1, False)
    assert two.discount == pytest.approx(0.2)
    assert two.share == pytest.approx(9 / 10)
    assert two.backoff == one.weight == pytest.approx(1 / 10)
    assert (one.context, one.count, one.context_count, one.is_continuation) == ("", 2, 4, True)
    assert (one.occurrences, one.followers) == (3, 3)
    assert one.discount == pytest.approx(0.5)
    assert one.share == pytest.approx(3 / 80)
    assert zero.share == pytest.approx(3 / 320)
    first = found.lenses["backoff"][0].terms[0]
    assert (first.context, first.first) == ("<boundary>", -1)


def test_what_was_never_seen_falls_to_the_order_that_was(counted: Counted) -> None:
    # aa never occurs, but after a comes something: order 2 leaves g = 1/10 and has no share.
    run = counted(model="ngram", order=2, smoothing="kneser-ney")
    found = look(run, "aa")
    assert isinstance(found, Look)
    stack = found.lenses["backoff"][1]
    assert (stack.order, stack.longest) == (1, 2)
    two, *_ = stack.terms
    assert (two.seen, two.share, two.count, two.context_count) == (False, 0.0, 0, 2)


@pytest.mark.parametrize("settings", [{"prune": (0, 1)}, {"prune_entropy": 0.01}, {"bits": 4}])
def test_pruned_and_quantised_models_add_up(counted: Counted, settings: dict[str, object]) -> None:
    lines = ["abcab", "abd", "cab", "bcad", "abc", "dabc"]
    run = counted(lines, model="ngram", order=3, **settings)
    found = look(run, "abcadbab")
    assert isinstance(found, Look)
    for token, stack in zip(found.tokens, found.lenses["backoff"], strict=True):
        assert math.fsum(t.share for t in stack.terms) == pytest.approx(token.probability, abs=1e-9)
        assert min(t.share for t in stack.terms) >= 0


def test_bigram_counts_by_hand(counted: Counted) -> None:
    # Train ab, ab, b. After a came b twice of 2; add 1 to each of V = 4:
    # p(b | a) = (2 + 1) / (2 + 4) = 2/6 + 4/6 1/4.
    found = look(counted(), "ab")
    assert isinstance(found, Look)
    pair, uniform = found.lenses["backoff"][1].terms
    assert (pair.context, pair.count, pair.context_count, pair.followers) == ("a", 2, 2, 1)
    assert (pair.share, pair.backoff) == (pytest.approx(2 / 6), pytest.approx(4 / 6))
    assert (uniform.order, uniform.share) == (0, pytest.approx(1 / 6))


@pytest.mark.parametrize("add_k", [0.0, 0.5])
def test_bigram_counts_add_up(counted: Counted, add_k: float) -> None:
    found = look(counted(add_k=add_k), "abba?")
    assert isinstance(found, Look)
    for token, stack in zip(found.tokens, found.lenses["backoff"], strict=True):
        assert math.fsum(t.share for t in stack.terms) == pytest.approx(token.probability, abs=1e-9)


def test_classes(counted: Counted) -> None:
    lines = ["the cat sat", "the dog sat", "a cat ran", "a dog ran"]
    settings = {"model": "class-ngram", "tokens": "words", "classes": 3, "order": 3}
    found = look(counted(lines, dev=lines[:2], **settings), "the dog ran away")
    assert isinstance(found, Look)
    for token, stack in zip(found.tokens, found.lenses["backoff"], strict=True):
        assert math.fsum(t.share for t in stack.terms) == pytest.approx(token.probability, abs=1e-9)
        assert stack.given_class is not None
    dog = found.lenses["backoff"][1]
    # dog and cat were seen twice each; were they alone in a class: (2 + 0.1) / (4 + 0.2) = 1/2.
    given = dog.given_class
    expected = (given.count + 0.1) / (given.class_count + 0.1 * given.members)
    assert given.count == 2
    assert given.probability == pytest.approx(expected)
    assert dog.terms[0].context.endswith("the")
    assert dog.terms[0].count is not None


def test_an_imported_model_has_no_counts(counted: Counted, tmp_path: Path) -> None:
    lines = ["one two three one two", "one two four", "three one two"]
    run = counted(lines, model="ngram", order=3, tokens="words")
    thence.export(run, tmp_path / "model.arpa")
    imported = thence.import_arpa(tmp_path / "model.arpa", output=tmp_path / "imported")
    found = look(imported, "one two four four")
    assert isinstance(found, Look)
    for token, stack in zip(found.tokens, found.lenses["backoff"], strict=True):
        *longer, answered = stack.terms
        assert answered.share == pytest.approx(token.probability, abs=1e-9)
        assert answered.order == stack.order
        assert [term.share for term in longer] == [0.0] * len(longer)
        assert answered.count is None
        weight = math.prod(term.backoff or 0 for term in longer)
        assert answered.weight == pytest.approx(weight)


def test_examples_of_train(counted: Counted) -> None:
    lines = ["abcab", "abd", "cab", "b" * 40 + "cab"]
    run = counted(lines, model="ngram", order=2)
    found = look(run, "xcab", lenses=["examples"])
    assert isinstance(found, Look)
    unknown, c, a, b = found.lenses["examples"]
    assert (unknown.order, unknown.count, unknown.lines) == (0, 0, ())
    assert (c.order, c.first, c.count) == (1, 1, 3)
    assert (b.order, b.first, b.count) == (3, 1, 3)
    marked = [(one.text[: one.start], one.text[one.start : one.end]) for one in b.lines]
    assert marked == [("ab", "cab"), ("", "cab"), ("b" * 12, "cab")]
    assert a.order == 2


@pytest.mark.parametrize("settings", [{"order": 3}, {"model": "class-ngram", "classes": 2}])
def test_without_the_train_text_the_shares_remain(
    counted: Counted, tmp_path: Path, settings: dict[str, object]
) -> None:
    run = counted(["abcab", "abd", "cab"], **{"model": "ngram", **settings})
    (tmp_path / "run-text.txt").unlink()
    run = thence.open_run(run.folder)
    found = look(run, "abca", lenses=["backoff"])
    assert isinstance(found, Look)
    for token, stack in zip(found.tokens, found.lenses["backoff"], strict=True):
        assert math.fsum(t.share for t in stack.terms) == pytest.approx(token.probability, abs=1e-9)
        assert {term.count for term in stack.terms} == {None}
        assert stack.terms[-1].order == 1  # What is uniform of it is not known.
    with pytest.raises(TextError, match=r"The train text of run is not at hand: .* is gone"):
        look(run, "abca", lenses=["examples"])
