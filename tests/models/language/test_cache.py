"""The cache against counting by hand."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from thence.corpus import Documents
from thence.models.base import static_model
from thence.models.language.cache import Cache, CacheOptions
from thence.tokens import TokenOptions, make_tokenizer

DOCUMENTS = Documents.from_strings(["aab", "aac"])
TOKENIZER = make_tokenizer(DOCUMENTS, TokenOptions(unknown="refuse"))
STORE = TOKENIZER.encode(DOCUMENTS)  # | a a b | a a c |


def shares(
    order: int, length: int, carry_context: bool, discount: float | None = None
) -> list[float]:
    model = Cache(CacheOptions(length, order, discount), len(TOKENIZER.vocabulary))
    return np.exp(model.score(STORE, carry_context)).tolist()


def test_symbols_by_hand() -> None:
    # Before each target: nothing (uniform over a, b, c and the boundary), a, aa, aab, aab|, aab|a,
    # aab|aa, aab|aac: the share of the target among them.
    expected = [1 / 4, 1, 0, 0, 2 / 4, 3 / 5, 0, 1 / 7]
    assert shares(1, 100, True) == pytest.approx(expected)
    # Of the last two only: -, a, aa, ab, b|, |a, aa, ac.
    assert shares(1, 2, True) == pytest.approx([1 / 4, 1, 0, 0, 0, 1 / 2, 0, 0])


def test_documents_apart_by_hand() -> None:
    assert shares(1, 100, False) == pytest.approx([1 / 4, 1, 0, 0] * 2)


def test_followers_by_hand() -> None:
    # What followed the symbol before: | had no follower before the first a; a had none before the
    # second a, then a (so b is 0); b none; | a; a: a, b (so a is 1/2); a: a, b, a (so c is 0);
    # c none.
    expected = [1 / 4, 1 / 4, 0, 1 / 4, 1, 1 / 2, 0, 1 / 4]
    assert shares(2, 100, True) == pytest.approx(expected)


def test_backing_off_by_hand() -> None:
    # | a a b | a a c |, discount 0.4, four symbols; order 1 before each target, u = 1/4:
    #   a: nothing read: u = 0.25
    #   a: a: (0.6 + 0.4 u) / 1 = 0.7           b: aa: (0 + 0.4 u) / 2 = 0.05
    #   |: aab: 0.8 u / 3 = 1/15                a: aab|: (1.6 + 1.2 u) / 4 = 0.475
    #   a: aab|a: (2.6 + 1.2 u) / 5 = 0.58      c: aab|aa: 1.2 u / 6 = 0.05
    #   |: aab|aac: (0.6 + 1.6 u) / 7 = 1/7
    first = [0.25, 0.7, 0.05, 1 / 15, 0.475, 0.58, 0.05, 1 / 7]
    assert shares(1, 100, True, 0.4) == pytest.approx(first)
    # Order 2 keeps order 1 where the last symbol was not followed by any: the first two, | and b.
    #   b after a: a once: 0.4 * 0.05                 a after |: a once: 0.6 + 0.4 * 0.475
    #   a after a: a, b: (0.6 + 0.8 * 0.58) / 2       c after a: a, b, a: 0.8 * 0.05 / 3
    second = [0.25, 0.7, 0.02, 1 / 15, 0.79, 0.532, 0.04 / 3, 1 / 7]
    assert shares(2, 100, True, 0.4) == pytest.approx(second)


def test_what_is_known_of_contexts() -> None:
    model = Cache(CacheOptions(100, 3, 0.4), len(TOKENIZER.vocabulary))
    # Before c: aa was seen once, and b followed it; before the last boundary only single symbols
    # were, seven of three kinds: a, b, | and c.
    known = model.contexts(STORE, carry_context=True)
    assert known[[0, 6, 7]].tolist() == [[0, 0, 0], [3, 1, 1], [1, 7, 4]]
    features = model.context_features(known[[0, 6, 7]])
    expected = [[0, 0, 0, 0], [1, 1, 0, 0], [0, 0, np.log(7), np.log(4)]]
    np.testing.assert_allclose(features, expected)


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.text("abc", max_size=9), min_size=1, max_size=5),
    st.integers(1, 5),
    st.integers(1, 12),
    st.sampled_from([None, 0.3]),
    st.booleans(),
)
def test_scores_are_those_of_steps(
    texts: list[str], order: int, length: int, discount: float | None, carry: bool
) -> None:
    store = TOKENIZER.encode(Documents.from_strings(texts))
    model = Cache(CacheOptions(length, order, discount), len(TOKENIZER.vocabulary))
    scores, known, state = [], [], model.start(1)
    for place, (before, target) in enumerate(zip(store.ids[:-1], store.targets, strict=True)):
        if not carry and place + 1 in store.offsets:
            state = model.start(1)
        log_probs, state = model.step(before[None], state)
        np.testing.assert_allclose(np.exp(log_probs).sum(), 1)
        scores.append(log_probs[0, target])
        known.append(state[1][0])
    np.testing.assert_allclose(model.score(store, carry), scores)
    np.testing.assert_array_equal(model.contexts(store, carry), known)


def test_nothing_is_left_of_a_cache_that_is_static() -> None:
    model = Cache(CacheOptions(), len(TOKENIZER.vocabulary))
    assert model.adapting == ("cache",)
    assert static_model(model) is None
