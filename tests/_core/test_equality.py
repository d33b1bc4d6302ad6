"""Every kernel of the compiled core equals the NumPy code it stands for."""

import copy
import itertools
import pickle
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from thence._core import averaging as core_averaging
from thence._core import counting as core_counting
from thence._core import library
from thence._core import linear as core_linear
from thence._core import rows as core_rows
from thence._core import words as core_words
from thence._core.ngram import NGramTables
from thence.batches.bags import bags_with, sum_rows_in_numpy
from thence.corpus import Documents
from thence.corpus import documents as documents_module
from thence.models.labels.dual_descent import descend_in_numpy
from thence.models.ngram import queries
from thence.models.ngram.counting import count_ngrams, longer_in_numpy
from thence.models.ngram.model import NGram, NGramOptions
from thence.models.ngram.pruning import prune
from thence.models.ngram.queries import Queries
from thence.models.ngram.smoothing import OrderTable
from thence.tokens import TokenStore, word_counts
from thence.tokens.characters import character_counts, character_places
from thence.tokens.hashing import HashTable
from thence.tokens.vocabulary import choose_symbols
from thence.tokens.word_splitting import SYMBOLS, find_words, find_words_in_numpy, hash_strings

pytestmark = pytest.mark.skipif(library() is None, reason="the compiled core is not built")

PIECES = [*"ab9_ '’<>[]/.,\n\t\v", "é", "e\u0301", "\u200d", "\u00a0", "\u3000", "語", "\U0001f600"]
DOCUMENTS = st.lists(st.lists(st.sampled_from([*PIECES, *SYMBOLS]), max_size=12).map("".join))


@given(DOCUMENTS, st.sampled_from(["whitespace", "punctuation"]), st.sampled_from([1, 2]))
def test_words(texts, split, edition):
    documents = Documents.from_strings(texts)
    found = find_words(documents, split, edition)
    expected = find_words_in_numpy(documents, split, edition)
    for one, other in zip(
        (found.starts, found.ends, found.hashes, found.lengths), expected, strict=True
    ):
        assert np.array_equal(one, other)


@given(st.lists(st.text()))
def test_characters(texts):
    documents = Documents.from_strings(texts)
    places = character_places(documents)
    counts = core_words.count_characters(documents.text, documents.ends)
    assert np.array_equal(counts, places[documents.ends] - places[documents.starts])
    assert np.array_equal(counts, character_counts(documents))


def test_documents_that_do_not_fit_are_refused():
    text = np.frombuffer(b"a word", np.uint8)
    for ends in ([7], [4, 3], [-1]):
        with pytest.raises(ValueError, match="do not fit"):
            core_words.count_characters(text, np.array(ends))


@given(st.sets(st.text(min_size=1), max_size=60), st.lists(st.text(min_size=1)))
def test_numbers(known, asked):
    table = HashTable()
    table.add(hash_strings(sorted(known)), np.arange(len(known)))
    hashes = hash_strings([*asked, *known])
    assert np.array_equal(table.find(hashes), table.find_in_numpy(hashes))


@given(st.lists(st.text(max_size=4)), st.randoms(use_true_random=False))
def test_documents_next_to_each_other(texts, random):
    joined = Documents.from_strings(texts)
    chosen = np.array([at for at in range(len(texts)) if random.random() < 0.7], np.int64)
    random.shuffle(chosen)
    documents, expected = joined.take(chosen), "".join(texts[at] for at in chosen).encode()
    results = []
    for core in (library(), None):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(documents_module, "library", lambda core=core: core)
            results.append(documents.compact())
    for found in results:
        assert found.text.tobytes() == expected
        assert list(found) == [texts[at] for at in chosen]


def test_documents_outside_of_a_text_are_refused():
    text = np.zeros(4, np.uint8)
    for starts, ends in [([0], [5]), ([-1], [2]), ([3], [2]), ([0, 3], [2, 1]), ([0, 2], [4, 0])]:
        with pytest.raises(ValueError, match=r"do not fit|negative"):
            core_words.copy_documents(text, np.array(starts), np.array(ends))


WORDS = st.lists(st.text(min_size=1, max_size=3).filter(str.strip), max_size=40)


@given(WORDS, st.integers(1, 5), st.integers(1, 3), st.sampled_from(["symbol", "refuse"]))
def test_counted_words(texts, max_size, min_count, unknown):
    documents = Documents.from_strings([*texts, "<unk> a <unk>"])
    found = find_words(documents, "whitespace")
    expected = Counter(found.words(np.arange(len(found.starts))))
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {"FIRST_BITS": 2, "FEWEST": 2, "AT_ONCE": 2, "MOST_RUNS": 2}.items():
            patch.setattr(word_counts, name, value)  # Which is soon too small.
        results = []
        for core in (library(), None):
            patch.setattr(word_counts, "library", lambda core=core: core)
            counter = word_counts.WordCounter()
            numbers = [counter.add(found).tolist() for _ in range(2)]
            spilled = word_counts.count_words([found, found], memory=1)
            for counted in (counter.counted(), spilled):
                kept, left = counted.choose(max_size, 2 * min_count, unknown)
                words = [list(counted.words.in_order(kept)), counted.spread(left, 1000)]
                results.append((numbers, counted.counts(), words))
    counts, words = results[0][1:]
    assert all(result == results[0] for result in results)
    assert counts == {word: 2 * count for word, count in expected.items()}
    assert words[0] == choose_symbols(expected, max_size, min_count, unknown)
    others = set(expected) - set(words[0]) - ({"<unk>"} if unknown == "symbol" else set())
    assert words[1] == sorted(others)


def test_counts_of_words_that_do_not_fit_are_refused():
    hashes, numbers = np.array([1, 2], np.uint64), np.empty(2, np.int32)
    table = core_words.Table.of(np.zeros(4, np.uint64), np.full(4, -1, np.int32))
    for known, counts, room in [(0, 1, 2), (0, 2, 1), (-1, 2, 2)]:
        with pytest.raises(ValueError, match="does not fit"):
            core_words.count_words(table, known, hashes, np.zeros(counts, int), numbers[:room])
    damaged = core_words.Table.of(np.ones(4, np.uint64), np.full(4, 7, np.int32))
    with pytest.raises(ValueError, match="does not fit"):
        core_words.count_words(damaged, 0, hashes, np.zeros(2, int), numbers)
    text, ends = np.frombuffer(b"ab", np.uint8), np.array([1, 2])
    for bad_ends, chosen in [(ends, [2]), (ends, [-1]), (ends + 1, [0]), (ends[::-1].copy(), [0])]:
        with pytest.raises(ValueError, match="do not fit"):
            core_words.sort_words(text, bad_ends, np.array(chosen, np.int32))


def stores(vocabulary_size):
    """Return a strategy of token stores; the highest id is the boundary."""
    document = st.lists(st.integers(0, vocabulary_size - 2), max_size=9)
    return st.lists(document, min_size=1, max_size=6).map(
        lambda documents: store_of(documents, vocabulary_size - 1)
    )


def store_of(documents, boundary):
    ids = [boundary, *itertools.chain.from_iterable([*one, boundary] for one in documents)]
    lengths = np.array([len(one) for one in documents])
    offsets = np.concatenate([[1], 1 + np.cumsum(lengths + 1)])
    return TokenStore(np.array(ids, np.uint8), offsets, lengths, lengths, boundary)


def both(model):
    """Return the queries of a model by the core and by NumPy."""
    core, numpy = model.queries, Queries(model.tables, model.vocabulary_size)
    assert core.core is not None
    numpy.core = None
    return core, numpy


SIZE = 5
SMOOTHINGS = ("modified-kneser-ney", "witten-bell", "mle", "add-k", "stupid-backoff")


@given(stores(SIZE), stores(SIZE), st.integers(1, 5), st.sampled_from(SMOOTHINGS), st.booleans())
def test_ngrams(train, other, order, smoothing, carry_context):
    model = NGram(NGramOptions(order, smoothing), SIZE)
    model.fit(train, carry_context)
    same(*both(model), other, carry_context)


@pytest.mark.parametrize("order", [2, 3])
def test_ngrams_of_contexts_with_many_followers(order):  # Which are looked up by hash.
    random = np.random.default_rng(order)
    train, other = (
        store_of(random.geometric(0.05, (20, size)).clip(0, 200).tolist(), 201)
        for size in (300, 40)
    )
    model = NGram(NGramOptions(order), 202)
    model.fit(train, False)
    core, numpy = both(model)
    assert [table.bits > 0 for table in core.core.orders] == [False, True, order == 3][:order]
    same(core, numpy, other, False)


@given(stores(SIZE), stores(SIZE), st.booleans())
def test_ngrams_whose_suffixes_are_pruned(train, other, carry_context):
    model = NGram(NGramOptions(4), SIZE)
    model.fit(train, carry_context)
    counts = count_ngrams(train, 4, SIZE, carry_context)
    tables = prune(model.tables, counts, SIZE, (1, 0, 1))
    same(*both(NGram.from_tables(tables, SIZE)), other, carry_context)


def same(core, numpy, store, carry_context):
    assert np.array_equal(core.score(store, carry_context), numpy.score(store, carry_context))
    assert np.array_equal(core.contexts(store, carry_context), numpy.contexts(store, carry_context))
    states = np.full((2, len(core.tables) - 1), -1)
    ids = np.stack([store.ids, store.ids[::-1]]).astype(np.int64)
    states = core.advance(ids, states)
    assert np.array_equal(states, numpy.advance(ids, np.full_like(states, -1)))
    assert np.array_equal(core.distributions(states), numpy.distributions(states))
    states, ids = core.contexts(store, carry_context), store.targets.astype(np.int64)
    for one, other in zip(core.read(ids, states), numpy.read(ids, states), strict=True):
        assert np.array_equal(one, other)


def test_a_model_that_was_asked_can_be_copied_and_sent():
    store = store_of([[0, 1, 2], [1, 2]], SIZE - 1)
    model = NGram(NGramOptions(3), SIZE)
    model.fit(store)
    expected = model.score(store)
    assert "queries" in vars(model)
    for other in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert np.array_equal(other.score(store), expected)


def tables_of(keys_of_two):
    return [
        (np.arange(3), np.zeros(3, np.float32), np.zeros(3, np.float32)),
        (
            np.array(keys_of_two, np.int64),
            np.zeros(len(keys_of_two), np.float32),
            np.zeros(0, np.float32),
        ),
    ]


@pytest.mark.parametrize("keys", [[3, 2], [1, 1], [-1, 2], [0, 9]])
def test_keys_that_do_not_fit_are_refused(keys):
    with pytest.raises(ValueError, match="table of order 2"):
        NGramTables(tables_of(keys), 3)


def test_arrays_of_other_types_are_refused():
    tables = tables_of([1, 2])
    with pytest.raises(TypeError, match="int64"):
        NGramTables([tables[0], (tables[1][0].astype(np.int32), *tables[1][1:])], 3)
    with pytest.raises(TypeError, match="length"):
        NGramTables([tables[0], (tables[1][0], tables[1][1][:1], tables[1][2])], 3)


@pytest.mark.parametrize(
    ("ids", "states"), [([[3]], [[0]]), ([[-1]], [[0]]), ([[0]], [[3]]), ([[0]], [[-2]])]
)
def test_ids_and_states_out_of_range_are_refused(ids, states):
    tables = NGramTables(tables_of([1, 2]), 3)
    with pytest.raises(ValueError, match="out of range"):
        tables.advance(np.array(ids), np.array(states))
    with pytest.raises(ValueError, match="out of range"):
        tables.read(np.array(ids)[0], np.array(states))
    if ids == [[0]]:
        with pytest.raises(ValueError, match="out of range"):
            tables.distributions(np.array(states))
    else:
        with pytest.raises(ValueError, match="out of range"):
            tables.score(np.array([0, *ids[0]], np.int32), np.array([1, 2]))


def test_tables_of_other_types_are_asked_in_numpy():
    tables = [OrderTable(np.arange(3), np.zeros(3), np.zeros(0))]
    assert Queries(tables, 3).core is None


def test_orders_of_too_many_ngrams_are_asked_in_numpy(monkeypatch):
    tables = [OrderTable(*table) for table in tables_of([1, 2])]
    assert Queries(tables, 3).core is not None
    monkeypatch.setattr(queries, "MOST_NGRAMS", 2)  # The core refuses from 2^32 - 1 on.
    assert Queries(tables, 3).core is None


@pytest.mark.parametrize("order", [1, 3])
def test_a_model_that_has_seen_nothing_is_uniform(order):
    model = NGram(NGramOptions(order), SIZE)
    core, numpy = both(model)
    same(core, numpy, store_of([[0, 1], []], SIZE - 1), False)
    log_probs, _ = model.step(np.array([1]), model.start(1))
    np.testing.assert_allclose(np.exp(log_probs), 1 / SIZE, rtol=1e-6)


@given(
    ids=st.lists(st.integers(0, 6), min_size=1, max_size=60),
    ends=st.sets(st.integers(0, 59)),
    first=st.integers(0, 60),
    following=st.integers(0, 9),
)
def test_counting(ids, ends, first, following):
    numbers = np.array(ids, np.int32)
    followers = np.append(numbers[1:], np.int32(-1))
    followers[[end for end in ends if end < len(ids)]] = -1
    places = core_counting.place_words(numbers, 7)
    assert np.array_equal(places, np.argsort(numbers, kind="stable"))
    for weights in (None, places.astype(np.int64)):
        added = core_counting.add_by_number(numbers, weights, 8)
        assert np.array_equal(added, np.bincount(numbers, weights, 8))
    results = []
    for count in (core_counting.count_longer, longer_in_numpy):
        state = [numbers[places], places.copy(), numbers.copy()]
        part = slice(0, len(ids))
        found, end = count(state[0], state[1], part, 0, followers, state[2], 7, first, following)
        results.append([*found, state[0][:end], state[1][:end], state[2]])
    for one, other in zip(*results, strict=True):
        assert one.dtype == other.dtype
        assert np.array_equal(one, other)


@pytest.mark.parametrize("size", [24, 25, 4_000, 20_000])
def test_counting_what_follows_a_frequent_word(size):
    random = np.random.default_rng(size)
    numbers = np.zeros(2 * size, np.int32)
    numbers[1::2] = random.integers(1, 70_000, size)
    store = TokenStore(
        np.append(numbers, 0).astype(np.uint32), np.array([1, 2 * size + 1]), np.array([2 * size]),
        np.array([2 * size]), 0,
    )  # fmt: skip
    bigrams = count_ngrams(store, 2, 70_000, True)[1]
    keys = store.ids[:-1].astype(np.int64) * 70_000 + store.ids[1:]
    expected, counts = np.unique(keys, return_counts=True)
    assert np.array_equal(bigrams.keys, expected)
    assert np.array_equal(bigrams.counts, counts)


@given(st.lists(st.one_of(st.integers(0, 9), st.integers(0, 2**62)), max_size=60))
def test_sorting(listed):
    keys = np.array(listed, np.int64)
    ordered, places = core_counting.sort_with_places(keys)
    assert np.array_equal(places, np.argsort(keys, kind="stable"))
    assert np.array_equal(ordered, keys[places])


def test_counts_that_do_not_fit_are_refused():
    good = {"which": [0, 0, 1], "places": [0, 2, 1], "followers": [1, 0, -1], "numbers": [0, 1, 0]}
    damage = [
        {"which": [-1, 0, 1]}, {"places": [0, 3, 1]}, {"places": [0, -1, 1]},
        {"followers": [2, 0, -1]}, {"followers": [1, 0, 1]},
    ]  # fmt: skip

    def count(part=slice(0, 3), written=0, following=0, **other):
        arrays = {name: np.array(values, np.int32) for name, values in (good | other).items()}
        core_counting.count_longer(
            arrays["which"], arrays["places"], part, written, arrays["followers"],
            arrays["numbers"], 2, 0, following,
        )  # fmt: skip

    count()
    for one in damage:
        with pytest.raises(ValueError, match="out of range"):
            count(**one)
    with pytest.raises(ValueError, match="out of range"):
        count(written=1)
    with pytest.raises(ValueError, match="out of range"):
        count(following=2**31 - 2)
    with pytest.raises(ValueError, match="no such occurrences"):
        count(part=slice(0, 4))
    with pytest.raises(TypeError, match="differ in length"):
        count(numbers=[0, 1])
    for outside in ([0, 2], [-1, 0]):
        with pytest.raises(ValueError, match="out of range"):
            core_counting.place_words(np.array(outside, np.int32), 2)
    with pytest.raises(TypeError, match="weight for each"):
        core_counting.add_by_number(np.array([0, 1], np.int32), np.ones(1, np.int64), 2)
    with pytest.raises(ValueError, match="negative"):
        core_counting.sort_with_places(np.array([3, -1]))


SIZES = st.lists(st.one_of(st.integers(0, 6), st.sampled_from([150, 300])), max_size=12)


@given(SIZES, st.sampled_from([1, 2, 3, 16, 20]), st.integers(0, 99))
def test_sums_of_rows(sizes, columns, seed):
    random = np.random.default_rng(seed)
    table = random.normal(size=(9, columns)).astype(np.float32)
    rows = random.integers(0, 9, sum(sizes)).astype(np.int32)
    offsets = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
    found = core_rows.sum_rows(table, rows, offsets)
    assert np.array_equal(found, sum_rows_in_numpy(table, rows, offsets))
    scale = random.normal(size=len(rows)).astype(np.float32)
    scaled = core_rows.sum_rows(table, rows, offsets, scale)
    each = np.arange(len(rows) + 1)
    parts = sum_rows_in_numpy(table, rows, each) * scale[:, None]
    assert np.array_equal(scaled, sum_rows_in_numpy(parts, each[:-1].astype(np.int32), offsets))


@given(st.lists(st.integers(0, 5)))
def test_counts_of_rows(numbers):
    counts = core_rows.count_numbers(np.array(numbers, np.int32), 6)
    assert np.array_equal(counts, np.bincount(np.array(numbers, int), minlength=6))


@given(st.sets(st.integers(0, 8)), st.sampled_from([1, 3, 8, 16, 21]), st.integers(0, 99))
def test_adagrad_of_rows(rows, columns, seed):
    random = np.random.default_rng(seed)
    chosen = np.array(sorted(rows), np.int64)
    weights, gradients = (
        random.normal(size=(size, columns)).astype(np.float32) for size in (9, len(chosen))
    )
    totals = random.random((9, 1), np.float32)
    expected, sums = weights.copy(), totals.copy()
    sums[chosen] += np.square(gradients).mean(1, keepdims=True)
    expected[chosen] -= 0.2 * (gradients / np.sqrt(sums[chosen] + 1e-10) + 0.1 * expected[chosen])
    core_rows.adagrad_rows(weights, totals, chosen, gradients, 0.2, 0.1, 1e-10)
    np.testing.assert_allclose(totals, sums, rtol=1e-5)
    np.testing.assert_allclose(weights, expected, rtol=1e-5, atol=1e-6)


def test_rows_that_do_not_fit_are_refused():
    table, two = np.zeros((3, 4), np.float32), np.array([0, 2])
    for rows, offsets in [
        ([0, 3], [0, 2]),
        ([0, -1], [0, 2]),
        ([0, 1], [0, 3]),
        ([0, 1], [-1, 2]),
        ([0, 1], [0, 2, 1]),
    ]:
        with pytest.raises(ValueError, match="do not fit"):
            core_rows.sum_rows(table, np.array(rows, np.int32), np.array(offsets, np.int64))
    with pytest.raises(ValueError, match="factor"):
        core_rows.sum_rows(table, two.astype(np.int32), np.array([0, 2]), np.ones(1, np.float32))
    for numbers in ([3], [-1]):
        with pytest.raises(ValueError, match="counted"):
            core_rows.count_numbers(np.array(numbers, np.int32), 3)
    for rows, shape in [([3], (1, 4)), ([-1], (1, 4)), ([0], (1, 3)), ([0, 1], (1, 4))]:
        gradients = np.zeros(shape, np.float32)
        with pytest.raises(ValueError, match="do not fit"):
            core_rows.adagrad_rows(
                table, np.zeros((3, 1), np.float32), np.array(rows), gradients, 1, 0, 1
            )
    with pytest.raises(TypeError, match="in a row"):
        core_rows.sum_rows(table.T, two.astype(np.int32), np.array([0, 2]))


def descended(visit, sizes, seed, squared):
    """Return what a pass over random documents gives: alphas, weights, how far gradients differ."""
    random = np.random.default_rng(seed)
    features = np.concatenate([np.zeros(0, int), *(random.permutation(9)[:n] for n in sizes)])
    bags = bags_with(features.astype(np.int32), np.array(sizes, int))
    values = random.normal(size=len(features)).astype(np.float32)
    signs = random.choice([-1, 1], len(sizes)).astype(np.float32)
    diagonal, upper = np.full((2, len(sizes)), np.inf)
    diagonal[:] = 0.5 if squared else 0
    upper[:] = np.inf if squared else 0.3
    squares = [float(np.square(part).sum()) for part in np.split(values, bags.offsets[1:-1])]
    curvatures = np.array(squares[: len(sizes)]) + 1 + diagonal
    alphas, weights = np.zeros(len(sizes)), np.zeros(10, np.float32)
    order = random.permutation(len(sizes))
    fixed = (bags.features, values, bags.offsets, order, signs, curvatures, diagonal, upper)
    apart = [visit(*fixed, alphas, weights) for _ in range(3)]
    return alphas, weights, apart


@given(st.lists(st.integers(0, 9), max_size=8), st.integers(0, 2**32), st.booleans())
def test_dual_coordinate_descent(sizes, seed, squared):
    found = descended(core_linear.descend, sizes, seed, squared)
    expected = descended(descend_in_numpy, sizes, seed, squared)
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)


def test_features_that_do_not_fit_are_refused():
    ones, whole = np.ones(1, np.float32), np.ones(1)
    weights, bounds = np.zeros(3, np.float32), np.array([0, 1])
    for row, offsets, document in (
        (2, bounds, 0),
        (0, bounds + 1, 0),
        (0, bounds, 1),
        (-1, bounds, 0),
    ):
        rows = np.array([row], np.int32)
        with pytest.raises(ValueError, match="do not fit"):
            core_linear.descend(
                rows, ones, offsets, np.array([document]),
                ones, whole, whole, whole, whole.copy(), weights,
            )  # fmt: skip
        if document == 0:
            with pytest.raises(ValueError, match="do not fit"):
                core_linear.transpose_features(rows, ones, offsets, 2)


def averaging_steps(**damage):
    """Return steps on two documents, of two and of no features, with two labels."""
    weights = (np.zeros((3, 4), np.float32), np.zeros((2, 4), np.float32), np.zeros(2, np.float32))
    given = {
        "weights": weights, "totals": tuple(np.zeros(len(part), np.float32) for part in weights),
        "features": np.array([0, 2], np.int32), "offsets": np.array([0, 2, 2]),
        "targets": np.array([0, 1]), "sample_weight": np.ones(2, np.float32), "room": 2,
    }  # fmt: skip
    return core_averaging.AveragingSteps(**given | damage)


def test_averaging_that_does_not_fit_is_refused():
    steps = averaging_steps()
    assert steps.step(np.array([0, 1]), 1.0, 0.1, 0.0, 1e-16) == pytest.approx(2 * np.log(2))
    for damage in [
        {"features": np.array([0, 3], np.int32)},
        {"features": np.array([0, -1], np.int32)},
        {"offsets": np.array([0, 3, 3])},
        {"offsets": np.array([0, 2, 1])},
        {"offsets": np.array([-1, 2, 2])},
        {"targets": np.array([0, 2])},
        {"targets": np.array([-1, 0])},
    ]:
        with pytest.raises(ValueError, match="do not fit"):
            averaging_steps(**damage)
    for damage in [
        {"targets": np.array([0])},
        {"targets": np.zeros((2, 3), np.float32)},
        {"offsets": np.array([0, 2])},
        {"totals": tuple(np.zeros(2, np.float32) for _ in range(3))},
    ]:
        with pytest.raises(TypeError, match="differ in length"):
            averaging_steps(**damage)
    for chosen, room in [([2], 2), ([-1], 2), ([0], 1)]:
        with pytest.raises(ValueError, match="no such documents"):
            averaging_steps(room=room).step(np.array(chosen), 1.0, 0.1, 0.0, 1e-16)
