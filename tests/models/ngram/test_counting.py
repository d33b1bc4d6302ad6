"""Counting against a dictionary."""

from collections import Counter

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from thence.corpus import Documents
from thence.models.ngram.counting import count_ngrams
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
