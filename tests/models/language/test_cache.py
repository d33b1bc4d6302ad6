"""The cache against counting by hand."""

import numpy as np
import pytest

from thence.corpus import Documents
from thence.models.base import static_model
from thence.models.language.cache import Cache, CacheOptions
from thence.tokens import TokenOptions, make_tokenizer

DOCUMENTS = Documents.from_strings(["aab", "aac"])
TOKENIZER = make_tokenizer(DOCUMENTS, TokenOptions(unknown="refuse"))
STORE = TOKENIZER.encode(DOCUMENTS)  # | a a b | a a c |


def shares(order: int, length: int, carry_context: bool) -> list[float]:
    model = Cache(CacheOptions(length=length, order=order), len(TOKENIZER.vocabulary))  # type: ignore[arg-type]
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


def test_nothing_is_left_of_a_cache_that_is_static() -> None:
    model = Cache(CacheOptions(), len(TOKENIZER.vocabulary))
    assert model.adapting == ("cache",)
    assert static_model(model) is None
