"""Counting against a dictionary."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from thence.corpus import Documents
from thence.models.ngram import NGram, NGramOptions, counting
from thence.models.ngram.counting import count_ngrams
from thence.models.ngram.likelihood import log_likelihood
from thence.models.ngram.sorting import distinct, find, sort_with_places
from thence.tokens import TokenOptions, make_tokenizer


@settings(max_examples=60, deadline=None)
@given(
    texts=st.lists(st.text("abc", max_size=7), min_size=1, max_size=8),
    order=st.integers(1, 5),
    carry_context=st.booleans(),
)
def test_counts_equal_those_of_a_dictionary(
    texts: list[str], order: int, carry_context: bool
) -> None:
    documents = Documents.from_strings(["abc", *texts])
    tokenizer = make_tokenizer(documents, TokenOptions(unknown="refuse"))
    store, size = tokenizer.encode(documents), len(tokenizer.vocabulary)
    ids = store.ids.tolist()
    starts = [0] if carry_context else (store.offsets[:-1] - 1).tolist()
    first = {end: start for start in starts for end in range(start, len(ids))}
    tables = count_ngrams(store, order, size, carry_context)
    spelled: list[tuple[int, ...]] = [(word,) for word in range(size)]
    for length, table in enumerate(tables, start=1):
        if length > 1:
            pairs = zip(table.prefixes(size), table.words(size), strict=True)
            shorter = spelled
            spelled = [(*shorter[prefix], int(word)) for prefix, word in pairs]
            suffixes = [shorter[suffix] for suffix in table.suffixes]
            assert suffixes == [ngram[1:] for ngram in spelled]
        expected = Counter(
            tuple(ids[end - length + 1 : end + 1])
            for end in range(1, len(ids))
            if end - length + 1 >= (first[end - 1] if length > 1 else 0)
        )
        found = {n: int(c) for n, c in zip(spelled, table.counts, strict=True) if c}
        assert found == expected
        assert np.all(np.diff(table.keys) > 0)


def test_pieces_part_no_context(monkeypatch: pytest.MonkeyPatch) -> None:
    documents = Documents.from_strings(["aababca", "baab", "caabb"] * 3)
    tokenizer = make_tokenizer(documents, TokenOptions(unknown="refuse"))
    store = tokenizer.encode(documents)
    whole = count_ngrams(store, 4, 4, False)
    for size in (1, 2, 5):
        monkeypatch.setattr(counting, "BLOCK", size)
        for order, expected in zip(count_ngrams(store, 4, 4, False), whole, strict=True):
            assert order.keys.tolist() == expected.keys.tolist()
            assert order.counts.tolist() == expected.counts.tolist()
            assert order.suffixes.tolist() == expected.suffixes.tolist()


@settings(max_examples=100, deadline=None)
@given(st.lists(st.one_of(st.integers(0, 9), st.integers(0, 2**62)), max_size=40))
def test_distinct_is_unique_and_sorting_is_stable_even_if_bits_run_out(listed: list[int]) -> None:
    keys = np.array(listed, np.int64)
    found, first, which, times = np.unique(keys, True, True, True)
    for value, expected in zip(distinct(keys), (found, times, which, first), strict=True):
        assert np.array_equal(value, expected)
    ordered, places = sort_with_places(keys)
    assert np.array_equal(places, np.argsort(keys, kind="stable"))
    assert np.array_equal(ordered, keys[places])


@settings(max_examples=60, deadline=None)
@given(
    known=st.sets(st.integers(0, 29)),
    asked=st.lists(st.tuples(st.integers(-1, 6), st.integers(0, 4))),
)
def test_find_equals_a_dictionary(known: set[int], asked: list[tuple[int, int]]) -> None:
    numbers = {key: number for number, key in enumerate(sorted(known))}
    prefixes, words = np.array(asked, np.int64).reshape(-1, 2).T
    found = find(np.array(sorted(known), np.int64), prefixes, words, 5)
    assert found.tolist() == [
        numbers.get(prefix * 5 + word, -1) if prefix >= 0 else -1 for prefix, word in asked
    ]


@settings(max_examples=40, deadline=None)
@given(
    texts=st.lists(st.text("abc", max_size=7), min_size=1, max_size=8),
    order=st.integers(1, 5),
    carry_context=st.booleans(),
)
def test_likelihood_of_the_counted_text_is_the_sum_of_its_scores(
    texts: list[str], order: int, carry_context: bool
) -> None:
    documents = Documents.from_strings(["abc", *texts])
    store = make_tokenizer(documents, TokenOptions(unknown="refuse")).encode(documents)
    model = NGram(NGramOptions(order=order, smoothing="kneser-ney"), 4)
    model.fit(store, carry_context)
    counts = count_ngrams(store, order, 4, carry_context)
    nats = log_likelihood(counts, [table.log_probs for table in model.tables])
    assert np.isclose(nats, model.score(store, carry_context).sum(), rtol=1e-9)
