"""The exchange of words between classes: the compiled core moves the same words as NumPy."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from thence._core import library
from thence.corpus import Documents
from thence.models.language.word_classes import ClassCounts, Pairs, sweep, sweep_in_numpy
from thence.models.ngram.counting import count_ngrams
from thence.tokens import TokenOptions, make_tokenizer

TEXTS = st.lists(st.lists(st.integers(0, 7), max_size=12), min_size=1, max_size=8)


def grid_of(texts: list[list[int]], classes: int) -> tuple[ClassCounts, np.ndarray[Any, Any]]:
    words = [" ".join(map(str, text)) for text in ([*range(8)], *texts)]
    documents = Documents.from_strings(words)
    tokenizer = make_tokenizer(documents, TokenOptions("words", unknown="refuse"))
    size = len(tokenizer.vocabulary)
    pairs = count_ngrams(tokenizer.encode(documents), 2, size, False)[1]
    first, second = np.divmod(pairs.keys, size)
    order = np.arange(size - 1)
    class_of = np.append(order % classes, classes).astype(np.int32)
    after = Pairs.of(first, second, pairs.counts, size)
    before = Pairs.of(second, first, pairs.counts, size)
    return ClassCounts.of(after, before, class_of, classes + 1), order


@settings(max_examples=40)
@given(TEXTS, st.integers(1, 6))
def test_each_sweep_is_likelier_and_keeps_the_counts(texts: list[list[int]], classes: int) -> None:
    grid, order = grid_of(texts, classes)
    before = grid.likelihood()
    moved = sweep_in_numpy(grid, order, classes)
    again = ClassCounts.of(grid.after, grid.before, grid.class_of, classes + 1)
    assert np.array_equal(grid.rows, again.rows)
    assert np.array_equal(grid.columns, again.columns)
    after = grid.likelihood()
    assert after >= before - 1e-9 and (moved == 0) <= (abs(after - before) < 1e-9)
    assert grid.class_of[-1] == classes and grid.class_of[:-1].max() < classes


@pytest.mark.skipif(library() is None, reason="the compiled core is not built")
@settings(max_examples=40)
@given(TEXTS, st.integers(1, 6))
def test_the_core_moves_the_same_words(texts: list[list[int]], classes: int) -> None:
    (one, order), (other, _) = grid_of(texts, classes), grid_of(texts, classes)
    for _ in range(3):
        assert sweep(one, order, classes) == sweep_in_numpy(other, order, classes)
        for name in ("class_of", "rows", "columns"):
            assert np.array_equal(getattr(one, name), getattr(other, name))


@pytest.mark.skipif(library() is None, reason="the compiled core is not built")
def test_the_core_refuses_what_does_not_fit() -> None:
    grid, order = grid_of([[1, 2]], 2)
    grid.class_of[0] = 9
    with pytest.raises(ValueError, match="do not fit the classes"):
        sweep(grid, order, 2)
    grid.class_of[0] = 0
    for words in (order + 1, order - 1, np.array([len(order)])):  # The boundary is not moved.
        with pytest.raises(ValueError, match="do not fit the classes"):
            sweep(grid, words, 2)
    grid.after.words[0] = 99
    with pytest.raises(ValueError, match="do not fit the classes"):
        sweep(grid, order, 2)
