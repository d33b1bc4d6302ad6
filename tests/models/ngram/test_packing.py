"""Tables in a few bits: keys come back as they were, logarithms as the mean of their bin."""

from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors import safe_open

import thence
from thence.models.base import Array
from thence.models.memory_guard import within_memory
from thence.models.ngram import NGram, NGramOptions, gathering, packing, smoothing
from thence.models.ngram.packing import pack_tables, quantise, unpack_tables
from thence.models.ngram.pruning import sums
from thence.models.ngram.smoothing import OrderTable
from thence.tokens import TokenStore

StoreOf = Callable[[Iterable[str]], TokenStore]


def assert_equal(found: list[OrderTable], expected: list[OrderTable]) -> None:
    for one, other in zip(found, expected, strict=True):
        for part in ("keys", "log_probs", "log_backoffs"):
            values, others = getattr(one, part), getattr(other, part)
            assert values.dtype == others.dtype
            assert np.array_equal(values, others), part


@settings(max_examples=80, deadline=None)
@given(
    keys=st.lists(st.sets(st.integers(0, 10_000), max_size=40), max_size=3),
    vocabulary_size=st.sampled_from([1, 2, 3, 5, 8, 300, 70_000]),
    bits=st.sampled_from([2, 3, 8, 11, 16]),
    size=st.integers(1, 20),
    memory=st.sampled_from([None, 1000]),
)
def test_keys_and_quantised_logarithms_come_back(
    keys: list[set[int]], vocabulary_size: int, bits: int, size: int, memory: int | None
) -> None:
    random = np.random.default_rng(0)

    def table(keys: Array, is_last: bool) -> OrderTable:
        values = random.choice([0, -np.inf, -1.5, *random.normal(0, 9, 9)], (2, len(keys)))
        log_probs, log_backoffs = values.astype(np.float32)
        return OrderTable(keys, log_probs, log_backoffs[: 0 if is_last else len(keys)])

    tables = [table(np.arange(vocabulary_size), not keys)]
    for order, some in enumerate(keys, 2):
        most = len(tables[-1].keys) * vocabulary_size
        chosen = np.array(sorted({key % most for key in some} if most else []), np.int64)
        tables.append(table(chosen, order == len(keys) + 1))
    with pytest.MonkeyPatch.context() as patch:
        for module, name in (
            (gathering, "BLOCK"), (smoothing, "BLOCK"), (packing, "SAMPLE"),
        ):  # fmt: skip
            patch.setattr(module, name, size)
        patch.setattr(packing, "PACKED_AT_ONCE", 8 * size)
        smaller = quantise(tables, bits, memory)
        packed = pack_tables(smaller, vocabulary_size, bits, memory)
        with within_memory(memory):
            found = unpack_tables(packed, len(tables), vocabulary_size, bits)
    assert_equal(found, smaller)
    assert smaller[0] is tables[0]
    for one, other in zip(smaller[1:], tables[1:], strict=True):
        assert np.array_equal(one.keys, other.keys)
        for part in ("log_probs", "log_backoffs"):
            values, others = getattr(one, part), getattr(other, part)
            assert len(np.unique(values)) <= 2**bits
            assert np.array_equal(np.isneginf(values), np.isneginf(others))
            assert np.all(values[others == 0] == 0)


def test_followers_worked_by_hand() -> None:
    # The bigrams aa, ab, ca of the words a 0, b 1, c 2: 110 0 10, the lowest bit first.
    keys = np.array([0, 1, 6])
    tables = [
        OrderTable(np.arange(3), *np.zeros((2, 3), np.float32)),
        OrderTable(keys, np.zeros(3, np.float32), np.zeros(0, np.float32)),
    ]
    packed = pack_tables(tables, 3, 8)
    assert packed["2.followers"].tolist() == [0b010011]
    assert packed["2.words"].tolist() == [0b000100]  # 0, 1, 0 in two bits each
    assert packed["sizes"].tolist() == [3, 3]


def test_bins_err_less_than_those_of_equally_many_values() -> None:
    values = np.sort(np.random.default_rng(0).normal(-5, 2, 10_000).astype(np.float32))
    one = OrderTable(np.arange(10_000), values, np.zeros(0, np.float32))
    _, table = quantise([one, one], 4)
    assert len(np.unique(table.log_probs)) == 14
    assert np.all(np.diff(table.log_probs) >= 0)
    equal = np.concatenate([np.full(len(some), some.mean()) for some in np.array_split(values, 14)])
    assert np.mean((table.log_probs - values) ** 2) < 0.6 * np.mean((equal - values) ** 2)


def random_store() -> TokenStore:
    random = np.random.default_rng(1)
    ids = (300 * random.random(40_001) ** 3).astype(np.uint16)
    ids[::20] = 300
    lengths = np.full(2_000, 19)
    return TokenStore(ids, np.arange(2_001) * 20 + 1, lengths, lengths, 300)


@pytest.mark.parametrize("memory", [None, "50kB"])
def test_a_model_in_8_bits_is_nearly_the_same_and_comes_back(memory: str | None) -> None:
    store = random_store()
    whole, small = NGram(NGramOptions(4), 301), NGram(NGramOptions(4, bits=8, memory=memory), 301)
    nats, found = whole.fit(store), small.fit(store)
    assert nats is not None
    assert found is not None
    assert abs(found / nats - 1) < 0.002
    assert found == pytest.approx(small.score(store).sum())
    tensors = small.tensors()
    assert sum(array.nbytes for array in tensors.values()) < 6 * small.num_parameters()
    other = NGram(small.options, 301)
    other.load_tensors(tensors)
    assert_equal(other.tables, small.tables)
    worst = max(float(np.abs(some.totals - 1).max()) for some in sums(other.tables, 301))
    assert 1e-6 < worst < 0.3  # Binned probabilities sum to one only nearly.


def test_damaged_arrays_are_refused(store_of: StoreOf) -> None:
    model = NGram(NGramOptions(3, bits=4), 4)
    model.fit(store_of(["abcab", "cabba", "bbca"]))
    good = model.tensors()
    NGram(model.options, 4).load_tensors(good)
    random = np.random.default_rng(0)
    for name, array in good.items():
        damage = [array.astype(np.complex64), array[None]]
        if array.dtype == np.uint8 and array.size:
            damage += [array[:-1], np.concatenate([array, array])]
            damage += [np.full_like(array, 255)] if "log" not in name else []
        for damaged in damage if name not in ("counted", "discounts") else []:
            with pytest.raises(ValueError, match=r"order|codes|values|type"):
                NGram(model.options, 4).load_tensors({**good, name: damaged})
    for _ in range(300):  # Whatever the bytes are, they are refused or make a model.
        name = random.choice([key for key in good if good[key].dtype == np.uint8])
        damaged = good[name].copy()
        if not len(damaged):
            continue
        damaged[random.integers(len(damaged))] ^= 1 << random.integers(8)
        try:
            other = NGram(model.options, 4)
            other.load_tensors({**good, name: damaged})
            other.score(store_of(["abc"]))
        except ValueError:
            pass


def test_sizes_from_a_stranger_take_no_memory(store_of: StoreOf) -> None:
    model = NGram(NGramOptions(2, bits=8), 4)
    model.fit(store_of(["abcab"]))
    for sizes in ([4, 2**62], [4, -1], [2**40, 2**40], [4, 10**9]):
        with pytest.raises(ValueError, match="order"):
            NGram(model.options, 4).load_tensors({**model.tensors(), "sizes": np.array(sizes)})


def test_a_run_in_few_bits_is_saved_and_opened(tmp_path: Path) -> None:
    texts = ["ababc", "cabba", "bbcab", "caab", "abcc", "bac", "cab", "abab", "bcb", "acb"]
    settings = {"order": 3, "bits": 8, "memory": "1kB", "split": "80/20/0"}
    run = thence.train(texts, "ngram", output=tmp_path / "run", **settings)
    opened = thence.open_run(tmp_path / "run")
    expected = run.metrics()[-1]["dev_nats_per_token"]
    assert thence.evaluate(opened).nats_per_token == pytest.approx(expected)
    with safe_open(tmp_path / "run" / "model.safetensors", framework="numpy") as file:
        assert {"2.words", "3.followers", "3.log_probs.values"} <= set(file.keys())
