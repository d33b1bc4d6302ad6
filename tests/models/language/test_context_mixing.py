"""Context mixing: its code, its histories, what it learns and when."""

from collections.abc import Callable, Iterable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from thence.errors import SettingError
from thence.models.base import CountedModel
from thence.models.language.bit_history import history_tables
from thence.models.language.context_mixing import ContextMixing, ContextMixingOptions
from thence.models.language.members import Member, MixtureOptions
from thence.models.language.mixture import Mixture
from thence.models.language.symbol_code import huffman_code
from thence.tokens import TokenStore

StoreOf = Callable[[Iterable[str]], TokenStore]


def test_a_code_of_four_symbols() -> None:
    # 1 and 1 make 2 (node 2), 2 and 2 make 4 (node 1), 4 and 5 make 9 (the root, node 0).
    code = huffman_code([5, 1, 2, 1])
    lengths = np.diff(code.starts)
    assert lengths.tolist() == [1, 3, 2, 3]
    assert code.nodes[: code.starts[1]].tolist() == [0]
    assert sorted(code.ranks.tolist()) == [0, 1, 2, 3]
    assert code.ranges[0].tolist() in ([0, 1, 4], [0, 3, 4])


@given(st.lists(st.integers(1, 1000), min_size=2, max_size=40))
@settings(max_examples=50, deadline=None)
def test_a_code_is_a_tree_over_all_symbols(counts: list[int]) -> None:
    code = huffman_code(counts)
    lengths = np.diff(code.starts)
    assert sum(2.0 ** -int(length) for length in lengths) == 1  # Kraft: none is left out.
    for symbol in range(len(counts)):
        path = slice(code.starts[symbol], code.starts[symbol + 1])
        for node, bit in zip(code.nodes[path], code.bits[path], strict=True):
            first, one, end = code.ranges[node]
            rank = code.ranks[symbol]
            assert (one <= rank < end) if bit else (first <= rank < one)
    entropy = -sum(c / sum(counts) * np.log2(c / sum(counts)) for c in counts)
    mean = float(np.dot(counts, lengths)) / sum(counts)
    assert entropy <= mean + 1e-9 < entropy + 1 + 1e-9


def test_histories() -> None:
    after, evidence = history_tables()
    state = 0
    for number, bit in enumerate([1, 1, 1, 1, 1], start=1):
        state = after[state, bit]
        assert evidence[state] == number
    # Five ones and a zero: half of the ones are forgotten, 1 + 5 // 2 = 3 are left.
    assert evidence[after[state, 0]] == 4
    orders = {after[after[0, 0], 1], after[after[0, 1], 0]}
    assert len(orders) == 2  # 01 and 10 are told apart.


@pytest.fixture(scope="module")
def words(store_of: StoreOf) -> TokenStore:
    generator = np.random.default_rng(0)
    lines = ["the cat sat on the mat", "a dog ran to the door", "the dog sat", "we ran"]
    return store_of([lines[n] for n in generator.integers(0, 4, 200)])


def fitted(store: TokenStore) -> ContextMixing:
    model = ContextMixing(ContextMixingOptions(slot_bits=14), store.boundary_id + 1)
    model.fit(store, carry_context=True)
    return model


def test_it_learns_what_is_said_again_and_again(words: TokenStore) -> None:
    model = fitted(words)
    # Four lines of equal share, 15 to 23 symbols long: ln 4 nats a line, and next to nothing more.
    lines = 4
    assert -model.score(words, True).sum() / words.num_documents < np.log(lines) + 0.6


def test_running_text_is_learned_from_and_the_model_stays_as_it_was(
    words: TokenStore, store_of: StoreOf
) -> None:
    model = fitted(words)
    before = {name: array.copy() for name, array in model.tensors().items()}
    half = words.take(np.arange(100))
    once = model.score(half, carry_context=True)
    assert model.adapting == ("context-mixing",)
    np.testing.assert_array_equal(model.score(half, carry_context=True), once)
    for name, array in before.items():
        np.testing.assert_array_equal(model.tensors()[name], array)
    static = model.static()
    assert static.adapting == ()
    assert once.sum() > static.score(half, carry_context=True).sum()


def test_a_document_apart_is_scored_before_anything_of_it_is_learned(
    words: TokenStore, store_of: StoreOf
) -> None:
    # It says one thing forty times, which who learns it meanwhile is not surprised by.
    texts = ["the moon sat on a tree; " * 40, "the moon sat on a tree"]
    both = store_of(["the cat sat on the mat", "a dog ran to the door; we", *texts])
    first, second = both.take(np.array([2])), both.take(np.array([3]))
    model = ContextMixing(ContextMixingOptions(slot_bits=14), both.boundary_id + 1)
    model.fit(both.take(np.arange(2)))
    judged = model.copied()
    np.testing.assert_array_equal(judged.learn(first), model.score(first))
    # The next one is scored by what the first has taught.
    apart = judged.score(second)
    assert apart.sum() > model.score(second).sum() + 10
    np.testing.assert_array_equal(judged.learn(second), apart)


@given(st.data())
@settings(max_examples=20, deadline=None)
def test_the_future_changes_no_past_score(words: TokenStore, data: st.DataObject) -> None:
    model = fitted(words)
    ids = words.ids[:400].copy()
    place = data.draw(st.integers(2, 390))
    changed = ids.copy()
    boundary = words.boundary_id
    changed[place:] = data.draw(
        st.lists(st.integers(0, boundary - 1), min_size=400 - place, max_size=400 - place)
    )
    ids[-1] = changed[-1] = boundary

    def scores(of: np.ndarray) -> np.ndarray:
        ends = np.flatnonzero(of == boundary)
        counts = np.zeros(len(ends) - 1, np.int64)
        return model.score(TokenStore(of, ends + 1, counts, counts, boundary), True)

    np.testing.assert_array_equal(scores(ids)[: place - 1], scores(changed)[: place - 1])


def test_other_models_are_inputs_that_it_learns_to_trust(words: TokenStore) -> None:
    # One model knows every target, the other none: all symbols alike.
    size = words.boundary_id + 1
    targets = words.targets.astype(np.int32)
    knows = np.full((len(targets), size), np.log(0.01 / (size - 1)), np.float32)
    knows[np.arange(len(targets)), targets] = np.log(0.99)
    nothing = np.full_like(knows, -np.log(size))
    places = np.arange(len(targets))
    model = ContextMixing(ContextMixingOptions(slot_bits=10), size).with_models(2)
    odds = model.log_odds(targets, [[(places, knows)], [(places, nothing)]])
    scores = model.learn(words, True, odds)
    assert -scores[-500:].mean() < 0.05


def test_steps_with_other_models_give_the_scores(words: TokenStore) -> None:
    size = words.boundary_id + 1
    model = fitted(words).with_models(1)
    few = words.take(np.arange(3))
    targets = few.targets.astype(np.int32)
    generator = np.random.default_rng(1)
    said = np.log(generator.dirichlet(np.ones(size), len(targets))).astype(np.float32)
    odds = model.log_odds(targets, [[(np.arange(len(targets)), said)]])
    scores, state = model.static().score(few, True, odds), model.start(1)
    for place, id_ in enumerate(few.ids[:-1]):
        log_probs, state = model.step(np.array([id_]), state, [said[[place]]])
        assert np.exp(log_probs).sum() == pytest.approx(1)
        assert log_probs[0, targets[place]] == pytest.approx(scores[place], abs=1e-5)


def test_a_step_without_the_other_models_is_refused(words: TokenStore) -> None:
    model = fitted(words).with_models(2)
    with pytest.raises(ValueError, match="0 other models are inputs, not 2"):
        model.step(np.array([0]), model.start(1))
    with pytest.raises(ValueError, match="too little"):
        model._core().next(np.zeros(1, np.int32), np.zeros(1, np.int32), np.zeros((0, 3)))


def test_a_mixture_whose_members_are_inputs(words: TokenStore) -> None:
    members = (
        Member("ngram", {"order": 3}),
        Member("bigram-counts", {}),
        Member("context-mixing", {"slot_bits": 14}, carry_context=True, inputs=(1, 0)),
    )
    mixture = Mixture(MixtureOptions(members), words.boundary_id + 1)
    for model in mixture.models:
        assert isinstance(model, CountedModel)
        model.fit(words, carry_context=True)
    few = words.take(np.arange(4))
    mixture.learn_weights(few, carry_context=True)
    again = Mixture(mixture.options, words.boundary_id + 1)
    again.load_tensors(mixture.tensors())
    scores = mixture.score(few, carry_context=True)
    np.testing.assert_array_equal(again.score(few, carry_context=True), scores)
    static = mixture.static()
    assert static is not None
    scores, state = static.score(few, carry_context=True), static.start(1)
    for place, id_ in enumerate(few.ids[:-1]):
        log_probs, state = static.step(np.array([id_]), state)
        assert np.exp(log_probs).sum() == pytest.approx(1)
        assert log_probs[0, few.targets[place]] == pytest.approx(scores[place], abs=1e-4)


@pytest.mark.parametrize("inputs", [(1,), (-1,), (2,)])
def test_inputs_come_before_what_they_are_inputs_of(inputs: tuple[int, ...]) -> None:
    members = (Member("ngram", {}), Member("context-mixing", {}, inputs=inputs))
    with pytest.raises(SettingError, match="cannot have the inputs"):
        Mixture(MixtureOptions(members), 5)
