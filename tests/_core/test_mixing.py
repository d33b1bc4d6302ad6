"""The kernel of context mixing beside its twin, and with tables that nobody learned."""

import numpy as np
import pytest

from thence._core import library
from thence._core.mixing import MixingCore
from thence.models.language.context_mixing import ContextMixing, ContextMixingOptions
from thence.models.language.context_mixing_twin import MixingTwin
from thence.tokens import TokenStore

pytestmark = pytest.mark.skipif(library() is None, reason="the core is not there")
SIZE = 12


@pytest.fixture(scope="module")
def words() -> TokenStore:
    """Random lines of four, with a boundary between each two."""
    generator = np.random.default_rng(0)
    lines = [generator.integers(0, SIZE - 1, length) for length in (22, 9, 15, 4)]
    chosen = [lines[number] for number in generator.integers(0, 4, 40)]
    ids = np.concatenate([[SIZE - 1], *(np.append(line, SIZE - 1) for line in chosen)])
    offsets = np.flatnonzero(ids == SIZE - 1) + 1
    counts = np.diff(offsets) - 1
    return TokenStore(ids.astype(np.uint8), offsets, counts, counts, SIZE - 1)


@pytest.mark.parametrize("carry", [False, True])
def test_the_kernel_equals_its_twin(words: TokenStore, carry: bool) -> None:
    few, later = words.take(np.arange(12)), words.take(np.arange(12, 15))
    size = SIZE
    made = []
    for kind in (MixingCore, MixingTwin):
        model = ContextMixing(ContextMixingOptions(slot_bits=16), size)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("thence.models.language.context_mixing.library", lambda: None)
            patch.setattr("thence.models.language.context_mixing.MixingTwin", kind)
            model.fit(few, carry)
            model = model.with_models(1)
            targets = later.targets.astype(np.int32)
            said = np.log(np.random.default_rng(0).dirichlet(np.ones(size), len(targets)))
            odds = model.log_odds(targets, [[(np.arange(len(targets)), said)]])
            static = model.static().score(later, carry, odds)
            learned = model.learn(later, carry, odds)
            after, _ = model.step(later.ids[:1], model.start(1), [said[:1]])
        made.append((odds, static, learned, after, *model.tensors().values()))
    for one, other in zip(*made, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-3)


def test_tables_of_anybody_lead_to_no_place_outside(words: TokenStore) -> None:
    model = ContextMixing(ContextMixingOptions(slot_bits=8), SIZE)
    model.fit(words, carry_context=True)
    generator = np.random.default_rng(1)
    for _ in range(20):
        tensors = dict(model.tensors())
        for name in ("slots", "places", "maps", "weights"):
            bounds = np.iinfo(np.int32) if name == "places" else np.iinfo(np.uint8)
            wild = generator.integers(bounds.min, bounds.max, tensors[name].shape, endpoint=True)
            tensors[name] = np.maximum(wild, 0).astype(tensors[name].dtype)
        other = ContextMixing(ContextMixingOptions(slot_bits=8), SIZE)
        other.load_tensors(tensors)
        for scores in (other.static().score(words), other.score(words, carry_context=True)):
            assert np.isfinite(scores).all()
        log_probs, _ = other.step(np.array([3]), other.start(1))
        assert np.exp(log_probs).sum() == pytest.approx(1)


@pytest.mark.parametrize(
    ("name", "value"), [("probs", 0.0), ("probs", 1.0), ("match_probs", np.nan), ("learned", -1)]
)
def test_numbers_that_nothing_learns_are_refused(name: str, value: float) -> None:
    model = ContextMixing(ContextMixingOptions(slot_bits=8), SIZE)
    tensors = dict(model.tensors())
    tensors[name] = np.full_like(tensors[name], value)
    with pytest.raises(ValueError, match=f"{name} holds numbers"):
        model.load_tensors(tensors)


def test_symbols_out_of_range_are_refused(words: TokenStore) -> None:
    model = ContextMixing(ContextMixingOptions(slot_bits=8), SIZE)
    model.fit(words, carry_context=True)
    core, history = model._core(), np.zeros(1, np.int32)
    with pytest.raises(ValueError, match="out of range"):
        core.next(np.array([SIZE], np.int32), history, np.zeros((0, SIZE + 1)))
    with pytest.raises(ValueError, match="too little"):
        text = np.array([SIZE - 1, 0], np.int32)
        core.read(text, 1, 2, True, history, False, np.zeros(3, np.float32))
