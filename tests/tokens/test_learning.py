"""The vocabulary and the tokens learned in one go are those learned one after the other."""

import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from thence.corpus import Documents
from thence.tokens import TokenOptions, learn_tokens, make_tokenizer
from thence.tokens.parallel import in_threads

from .chunks import in_chunks

OPTIONS = [
    TokenOptions("words"),
    TokenOptions("words", word_split="whitespace", min_count=2),
    TokenOptions("words", max_size=2, lowercase=True, nfc=True),
    TokenOptions("words", unknown="bytes", min_count=2),
    TokenOptions("characters"),
]


@given(st.lists(st.text("ab Aé.<unk>", max_size=20), max_size=9), st.sampled_from(OPTIONS))
@settings(deadline=None)
def test_at_once_is_one_after_the_other(texts: list[str], options: TokenOptions) -> None:
    documents = Documents.from_strings(texts)
    learned, store = learn_tokens(documents, options)
    expected = make_tokenizer(documents, options)
    assert learned.to_json() == expected.to_json()
    other = expected.encode(documents)
    for name in ("ids", "offsets", "byte_counts", "character_counts"):
        np.testing.assert_array_equal(getattr(store, name), getattr(other, name))
    assert store.ids.dtype == other.ids.dtype


def test_several_chunks() -> None:
    texts = Documents.from_strings([f"word {n % 7} of é {n}" for n in range(99)])
    documents = in_chunks(texts, 16)
    learned, store = learn_tokens(documents, TokenOptions("words", min_count=2))
    np.testing.assert_array_equal(store.ids, learned.encode(documents).ids)


def test_threads_keep_the_order_and_pass_errors_on() -> None:
    def slow_if_early(item: int) -> int:
        time.sleep(0.002 * (item < 3))
        return item * item

    assert list(in_threads(slow_if_early, range(50))) == [n * n for n in range(50)]
    assert list(in_threads(slow_if_early, [])) == []
    with pytest.raises(ZeroDivisionError):
        list(in_threads(lambda item: 1 // item, [1, 0, 1]))
