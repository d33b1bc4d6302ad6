"""Pruning: smaller models whose distributions still sum to one."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from thence.corpus import Documents
from thence.errors import SettingError
from thence.models.ngram import NGram, NGramOptions
from thence.tokens import TokenOptions, TokenStore, make_tokenizer


def store_of(texts: list[str]) -> tuple[TokenStore, int]:
    documents = Documents.from_strings(["abc", *texts])
    tokenizer = make_tokenizer(documents, TokenOptions(unknown="refuse"))
    return tokenizer.encode(documents), len(tokenizer.vocabulary)


@settings(max_examples=50, deadline=None)
@given(
    texts=st.lists(st.text("abc", max_size=7), min_size=3, max_size=10),
    order=st.integers(2, 5),
    prune=st.sampled_from([(), (0, 1), (1,), (2, 3)]),
    threshold=st.sampled_from([None, 0.0, 1e-3, 0.05]),
    walk=st.lists(st.integers(0, 3), max_size=6),
)
def test_what_is_left_sums_to_one(
    texts: list[str],
    order: int,
    prune: tuple[int, ...],
    threshold: float | None,
    walk: list[int],
) -> None:
    store, size = store_of(texts)
    model = NGram(NGramOptions(order=order, prune=prune, prune_entropy=threshold), size)
    model.fit(store)
    log_probs, state = model.step(np.array([size - 1]), model.start(1))
    for index in walk:
        assert np.exp(log_probs).sum() == pytest.approx(1, abs=1e-5)
        log_probs, state = model.step(np.array([index]), state)


def test_counts_up_to_the_threshold_go_and_beginnings_of_longer_ones_stay() -> None:
    # Bigrams: |a 3, ab 3, b| 2, bc 1, c| 1. Trigrams: |ab 3, ab| 2, abc 1, bc| 1. With thresholds
    # 0 and 1 the two trigrams seen once go; all bigrams stay.
    store, size = store_of(["ab", "ab"])  # and abc, which is there always
    full = NGram(NGramOptions(order=3), size)
    full.fit(store)
    pruned = NGram(NGramOptions(order=3, prune=(0, 1)), size)
    pruned.fit(store)
    assert [len(table.keys) for table in full.tables] == [4, 5, 4]
    assert [len(table.keys) for table in pruned.tables] == [4, 5, 2]
    facts = dict(pruned.facts(None))
    assert facts["n-grams of order 3"] == "2 of 4, the others pruned"


def test_more_pruning_leaves_fewer_ngrams_and_costs_likelihood() -> None:
    random = np.random.default_rng(0)
    texts = ["".join(random.choice(list("abc"), 8, p=[0.6, 0.3, 0.1])) for _ in range(200)]
    store, size = store_of(texts)
    sizes, losses = [], []
    for threshold in (None, 1e-6, 1e-4, 1e-2):
        model = NGram(NGramOptions(order=4, prune_entropy=threshold), size)
        model.fit(store)
        sizes.append(model.num_parameters())
        losses.append(-float(model.score(store).mean()))
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[-1] < sizes[0] / 2
    assert losses == sorted(losses)


def test_smoothings_without_a_backoff_cannot_be_pruned() -> None:
    store, size = store_of(["ab"])
    with pytest.raises(SettingError, match="`smoothing='mle'` cannot be pruned"):
        NGram(NGramOptions(order=2, smoothing="mle", prune=(1,)), size).fit(store)


def test_documents_of_one_character_have_no_long_ngrams() -> None:
    documents = Documents.from_strings(["a", "b", "c", "a"])
    tokenizer = make_tokenizer(documents, TokenOptions())
    store = tokenizer.encode(documents)
    model = NGram(NGramOptions(order=5), len(tokenizer.vocabulary))
    model.fit(store)
    assert np.isfinite(model.score(store)).all()
    assert len(model.facts(store)) > 5
