"""Smoothing: hand-worked numbers, and every distribution sums to one."""

from typing import get_args

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from thence.corpus import Documents
from thence.models.ngram import NGram, NGramOptions, smoothing
from thence.models.ngram.counting import count_ngrams
from thence.models.ngram.smoothing import (
    FALLBACK_DISCOUNTS,
    Smoothing,
    modified_discounts,
    single_discount,
    smooth,
)
from thence.tokens import TokenOptions, TokenStore, make_tokenizer

A, B, BOUNDARY = 0, 1, 2
PROBABILISTIC = [name for name in get_args(Smoothing) if name != "stupid-backoff"]


def store_of(*texts: str) -> tuple[TokenStore, int]:
    documents = Documents.from_strings(texts)
    tokenizer = make_tokenizer(documents, TokenOptions(unknown="refuse"))
    return tokenizer.encode(documents), len(tokenizer.vocabulary)


def fitted(store: TokenStore, size: int, **options: object) -> NGram:
    model = NGram(NGramOptions(**options), size)  # type: ignore[arg-type]
    model.fit(store)
    return model


def after(model: NGram, *ids: int) -> np.ndarray:
    """Probabilities of what follows the boundary and then these ids."""
    log_probs, state = model.step(np.array([BOUNDARY]), model.start(1))
    for index in ids:
        log_probs, state = model.step(np.array([index]), state)
    return np.exp(log_probs[0])


def test_discounts_by_hand() -> None:
    # n1 = 4, n2 = 2, n3 = 2, n4 = 1: Y = 4 / (4 + 2 * 2) = 1/2,
    # D1 = 1 - 2 * 1/2 * 2/4 = 1/2, D2 = 2 - 3 * 1/2 * 2/2 = 1/2, D3 = 3 - 4 * 1/2 * 1/2 = 2.
    found = modified_discounts(2, np.array([1, 1, 1, 1, 2, 2, 3, 3, 4]))
    assert found.counts_of_counts == (4, 2, 2, 1)
    assert found.values == pytest.approx((0.5, 0.5, 2.0))
    assert not found.fallback
    assert single_discount(2, np.array([1, 1, 1, 1, 2, 2, 3])).values[0] == 0.5  # 4 / (4 + 2 * 2)


def test_counts_of_counts_that_give_no_discount_fall_back_and_say_so() -> None:
    found = modified_discounts(1, np.array([5, 5, 7]))
    assert found.values == FALLBACK_DISCOUNTS
    assert found.fallback


@pytest.mark.parametrize(
    "method", [name for name in get_args(Smoothing) if name != "jelinek-mercer"]
)
@pytest.mark.parametrize("size", [1, 3])
def test_blocks_part_no_context(
    method: Smoothing, size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, vocabulary_size = store_of("aababca", "baab", "caabb")
    counts = count_ngrams(store, 4, vocabulary_size, carry_context=False)
    whole, _ = smooth(counts, vocabulary_size, method)
    monkeypatch.setattr(smoothing, "BLOCK", size)
    parted, _ = smooth(counts, vocabulary_size, method)
    for expected, found in zip(whole, parted, strict=True):
        np.testing.assert_array_equal(found.log_probs, expected.log_probs)
        np.testing.assert_array_equal(found.log_backoffs, expected.log_backoffs)


def test_maximum_likelihood_by_hand() -> None:
    # |ab| |ab| |aa|: after the boundary always a; after a: b twice, a once, boundary once.
    store, size = store_of("ab", "ab", "aa")
    model = fitted(store, size, order=2, smoothing="mle")
    assert after(model) == pytest.approx([1, 0, 0])
    assert after(model, A) == pytest.approx([1 / 4, 2 / 4, 1 / 4])


def test_witten_bell_by_hand() -> None:
    # Unigrams of |ab|: a, b, | once each: f = 1 / (3 + 3), left 3 / 6 for the uniform 1/3:
    # p = 1/6 + 1/2 * 1/3 = 1/3. After a only b, once: f = 1 / (1 + 1), left 1/2:
    # p(b | a) = 1/2 + 1/2 * 1/3 = 2/3, the others 1/6.
    store, size = store_of("ab")
    model = fitted(store, size, order=2, smoothing="witten-bell")
    assert after(model, A) == pytest.approx([1 / 6, 2 / 3, 1 / 6])


def test_kneser_ney_counts_contexts_not_occurrences() -> None:
    # b occurs more often than a but always after a, so as a continuation it counts once:
    # bigrams |a, ab, ba, b|: a is preceded by | and b (2), b by a (1), | by b (1).
    store, size = store_of("ababab", "ab")
    model = fitted(store, size, order=2, smoothing="kneser-ney")
    unigram = np.exp(model.tables[0].log_probs)
    assert unigram[A] > unigram[B] == pytest.approx(unigram[BOUNDARY])


def test_jelinek_mercer_of_a_text_without_longer_ngrams() -> None:
    store, size = store_of("a", "")
    empty = store.take(np.array([1]))  # Only the bigram of two boundaries, and no trigram.
    model = NGram(NGramOptions(3, "jelinek-mercer"), size)
    model.fit(empty, dev=store)
    assert np.exp(model.step(np.array([size - 1]), model.start(1))[0]).sum() == pytest.approx(1)


def test_add_k_by_hand() -> None:
    # After a, of |ab| |ab| |aa| with V = 3 and k = 1: (1 + 1) / (4 + 3), (2 + 1) / 7, (1 + 1) / 7.
    store, size = store_of("ab", "ab", "aa")
    model = fitted(store, size, order=2, smoothing="add-k", add_k=1)
    assert after(model, A) == pytest.approx([2 / 7, 3 / 7, 2 / 7])


def test_stupid_backoff_is_a_score_not_a_probability() -> None:
    # After a: b seen 1 of 1. a not seen after a: 0.4 times its unigram share 1/3.
    store, size = store_of("ab")
    model = fitted(store, size, order=2, smoothing="stupid-backoff")
    assert after(model, A) == pytest.approx([0.4 / 3, 1, 0.4 / 3])
    assert not model.is_probability


@settings(max_examples=60, deadline=None)
@given(
    texts=st.lists(st.text("abc", max_size=6), min_size=1, max_size=8),
    order=st.integers(1, 5),
    smoothing=st.sampled_from(PROBABILISTIC),
    carry_context=st.booleans(),
    walk=st.lists(st.integers(0, 3), max_size=6),
)
def test_every_distribution_sums_to_one(
    texts: list[str], order: int, smoothing: Smoothing, carry_context: bool, walk: list[int]
) -> None:
    store, size = store_of("abc", *texts)
    model = NGram(NGramOptions(order=order, smoothing=smoothing), size)
    model.fit(store, carry_context, dev=store)
    log_probs, state = model.step(np.array([size - 1]), model.start(1))
    for index in [*walk, None]:
        assert np.exp(log_probs).sum() == pytest.approx(1, abs=1e-5)
        if index is not None:
            log_probs, state = model.step(np.array([index]), state)


@settings(max_examples=40, deadline=None)
@given(
    texts=st.lists(st.text("abc", max_size=6), min_size=1, max_size=8),
    other=st.lists(st.text("abc", max_size=6), min_size=1, max_size=4),
    order=st.integers(1, 5),
    carry_context=st.booleans(),
)
def test_score_equals_the_steps(
    texts: list[str], other: list[str], order: int, carry_context: bool
) -> None:
    documents = [Documents.from_strings(group) for group in (["abc", *texts], other)]
    tokenizer = make_tokenizer(documents[0], TokenOptions(unknown="refuse"))
    train, judged = (tokenizer.encode(group) for group in documents)
    model = NGram(NGramOptions(order=order), len(tokenizer.vocabulary))
    model.fit(train, carry_context)
    stepped = []
    state = model.start(1)
    for place, target in enumerate(judged.targets):
        begins = place + 1 in judged.offsets
        if begins and not carry_context:
            state = model.start(1)
        log_probs, state = model.step(judged.ids[place : place + 1].astype(np.int64), state)
        stepped.append(log_probs[0, target])
    assert model.score(judged, carry_context) == pytest.approx(np.array(stepped), abs=1e-5)
