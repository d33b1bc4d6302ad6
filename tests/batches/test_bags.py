from collections import Counter
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from thence.batches.bags import (
    BagOptions,
    Bags,
    bags_of,
    concatenate,
    learn_table,
    number_of_features,
)
from thence.batches.labelled import LabelledBags
from thence.corpus import Documents, Labels
from thence.errors import SettingError
from thence.tokens import Texts, TokenOptions, encode_texts, make_tokenizer

WORDS = TokenOptions("words")
TEXTS = st.lists(st.text("ab c", max_size=12), min_size=1, max_size=8)
RUNS = BagOptions(ngrams=3, character_ngrams=(1, 2, 4), buckets=1 << 20)


def texts_of(strings: list[str], options: TokenOptions = WORDS) -> Texts:
    documents = Documents.from_strings(strings)
    return encode_texts(make_tokenizer(documents, options), documents)


def document(bags: Bags, index: int) -> list[int]:
    return bags.features[bags.offsets[index] : bags.offsets[index + 1]].tolist()


def runs(symbols: list[str], lengths: tuple[int, ...]) -> list[tuple[str, ...]]:
    """Every run by hand, the ends of the text among them but not alone."""
    whole = ["<", *symbols, ">"]
    return [
        tuple(whole[at : at + length])
        for length in lengths
        for at in range(len(whole) - length + 1)
        if length > 1 or whole[at] not in "<>"
    ]


@given(TEXTS)
@settings(deadline=None)
def test_bags_hold_the_runs_that_a_loop_finds(strings: list[str]) -> None:
    texts = texts_of(strings)
    bags = bags_of(texts, RUNS)
    seen: dict[object, int] = {}
    for index, text in enumerate(strings):
        words = text.split()
        expected = Counter(("token", word) for word in words)
        expected.update(("run", *run) for run in runs(words, (2, 3)))
        expected.update(("characters", *run) for run in runs(list(text), (1, 2, 4)))
        found = Counter(document(bags, index))
        assert sorted(found.values()) == sorted(expected.values())
        for (feature, count), (known, times) in zip(
            sorted(found.items()), sorted(found.items()), strict=True
        ):
            assert (feature, count) == (known, times)
        for key in expected:
            seen.setdefault(key, len(seen))
    assert len(np.unique(bags.features)) == len(seen)  # Equal runs share a bucket, others do not.


def test_tokens_alone_are_their_ids() -> None:
    texts = texts_of(["b a b", "", "a"])
    bags = bags_of(texts, BagOptions(1, (), 10))
    ids = {word: at for at, word in enumerate(texts.tokenizer.vocabulary.symbols)}
    assert document(bags, 0) == [ids["b"], ids["a"], ids["b"]]
    assert document(bags, 1) == []
    assert number_of_features(5, BagOptions(1, (), 10)) == 5


def test_the_ends_are_part_of_runs() -> None:
    bags = bags_of(texts_of(["a b", "b a"]), BagOptions(2, (), 1 << 20))
    assert len(set(document(bags, 0)) & set(document(bags, 1))) == 2  # The words, no run of two.


def test_characters_are_lower_case_where_tokens_are() -> None:
    options = BagOptions(1, (3,), 1 << 20)
    bags = bags_of(texts_of(["Abc", "abC"], TokenOptions("words", lowercase=True)), options)
    assert document(bags, 0) == document(bags, 1)


@given(TEXTS)
@settings(deadline=None)
def test_the_table_keeps_what_is_frequent(strings: list[str]) -> None:
    texts = texts_of(strings)
    vocabulary = len(texts.tokenizer.vocabulary)
    bags = bags_of(texts, RUNS)
    table = learn_table(bags, vocabulary, RUNS, 2)
    counts = Counter(bags.features.tolist())
    expected = [f for f in sorted(counts) if f >= vocabulary and counts[f] >= 2]
    assert table.kept.tolist() == [*range(vocabulary), *expected]
    rows = table.rows(bags)
    place = {feature: row for row, feature in enumerate(table.kept.tolist())}
    for index in range(len(strings)):
        wanted = [place[f] for f in document(bags, index) if f in place]
        assert document(rows, index) == wanted
        assert document(rows.distinct(), index) == sorted(set(wanted))


def test_a_table_is_restored_from_what_it_keeps() -> None:
    bags = bags_of(texts_of(["a b a b"]), RUNS)
    table = learn_table(bags, 4, RUNS, 2)
    again = table.restored(table.kept.astype(np.int32))
    assert again.rows(bags).features.tolist() == table.rows(bags).features.tolist()
    # In the last, each number is above the one before but for the carry of a difference in 32 bits.
    wrapping = [0, 2_000_000_000, -2_000_000_000, 5]
    for damaged in ([1, 0], [], [-1, 2], [0, table.size], wrapping):
        with pytest.raises(ValueError, match="kept does not name features in order"):
            table.restored(np.array(damaged, np.int32))
    with pytest.raises(ValueError, match="kept"):
        table.restored(table.kept.astype(np.float32))


def test_more_features_than_have_numbers_are_refused() -> None:
    most = BagOptions(ngrams=2, character_ngrams=(), buckets=(1 << 31) - 1)
    with pytest.raises(SettingError, match="at most 2,147,483,547"):
        number_of_features(100, most)
    assert number_of_features(100, replace(most, ngrams=1)) == 100
    fewer = replace(most, buckets=most.buckets - 100)
    assert number_of_features(100, fewer) == most.buckets


def test_taking_and_putting_side_by_side() -> None:
    bags = Bags(np.array([1, 2, 3, 4], np.int32), np.array([0, 2, 2, 4]))
    assert [document(bags.take(np.array([2, 0])), at) for at in (0, 1)] == [[3, 4], [1, 2]]
    both = concatenate(bags, bags)
    assert [document(both, at) for at in range(3)] == [[1, 2, 1, 2], [], [3, 4, 3, 4]]


@given(st.lists(st.lists(st.integers(0, 6), max_size=9), min_size=1, max_size=9), st.integers(1, 4))
def test_a_batch_is_sorted_both_ways(lists: list[list[int]], size: int) -> None:
    offsets = np.cumsum([0, *map(len, lists)])
    bags = Bags(np.array([x for some in lists for x in some], np.int32), offsets)
    labels = Labels(("0", "1"), np.arange(len(lists)) % 2, np.arange(len(lists) + 1))
    sample_weight = np.arange(1, len(lists) + 1, dtype=np.float32)
    batches = LabelledBags(bags, labels, sample_weight, size, seed=1)
    seen = []
    for step in range(batches.steps_per_epoch):
        batch = batches.at(step)
        chosen = [int(value) - 1 for value in batch.sample_weight]
        seen += chosen
        assert batch.rows.tolist() == [x for at in chosen for x in lists[at]]
        assert batch.targets.tolist() == [at % 2 for at in chosen]
        assert batch.weight == sum(at + 1 for at in chosen)
        bounds = [*batch.owner_starts.tolist(), len(batch.owners)]
        for row, (start, end) in zip(batch.touched.tolist(), pairwise(bounds), strict=True):
            owners = [at for at, which in enumerate(chosen) for x in lists[which] if x == row]
            assert batch.owners[start:end].tolist() == owners
        assert batch.rows[batch.order].tolist() == sorted(batch.rows.tolist())
        half = batch.take(slice(0, 1))
        assert (half.rows.tolist(), half.weight) == (lists[chosen[0]], batch.weight)
    assert sorted(seen) == list(range(len(lists)))
    assert batches.at(0) is batches.at(0)


def test_the_order_of_batches_changes_with_the_epoch_and_follows_from_the_seed() -> None:
    bags = Bags(np.arange(40, dtype=np.int32), np.arange(41))
    labels = Labels(("0",), np.zeros(40, np.int64), np.arange(41))
    ones = np.ones(40, np.float32)

    def order(seed: int, epoch: int) -> list[list[int]]:
        batches = LabelledBags(bags, labels, ones, 4, seed)
        return [batches.at(epoch * 10 + step).rows.tolist() for step in range(10)]

    assert order(0, 0) == order(0, 0)
    assert order(0, 0) != order(0, 1)
    assert sorted(order(0, 0)) == sorted(order(0, 1))
    assert sorted(order(0, 0)) != sorted(order(1, 0))
