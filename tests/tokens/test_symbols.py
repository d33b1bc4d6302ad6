"""The symbols of a large vocabulary, kept as bytes, are what they are as strings."""

import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from thence.corpus import Documents
from thence.errors import RunError
from thence.tokens import (
    TokenOptions,
    learn_tokens,
    making,
    symbols,
    tokenizer,
    tokenizer_from_json,
)
from thence.tokens.symbols import Symbols, pack
from thence.tokens.word_splitting import hash_strings

WORDS = st.lists(st.text('aé"\\😀\n', min_size=1, max_size=4), unique=True, max_size=9)
PLACES = st.none() | st.integers(-12, 12)
SLICES = st.builds(slice, PLACES, PLACES, st.sampled_from([None, 1, 2, -1]))


@given(WORDS, WORDS, SLICES)
def test_they_are_a_sequence(words: list[str], more: list[str], part: slice) -> None:
    found, expected = Symbols(pack([words])).followed_by(more), (*words, *more)
    assert (len(found), tuple(found), found[part]) == (len(expected), expected, expected[part])
    assert [found[at] for at in range(-len(found), len(found))] == [*expected, *expected]
    with pytest.raises(IndexError):
        found[len(found)]
    copy = pickle.loads(pickle.dumps(found))
    assert (copy, hash(copy)) == (found, hash(found))
    assert found != found.followed_by("x")
    assert hash_strings(found).tolist() == hash_strings(expected).tolist()


@given(st.lists(st.text('ab Aé."<unk>\\', max_size=20), max_size=9), st.data())
@settings(deadline=None, max_examples=50)
def test_the_tokenizer_is_the_same(texts: list[str], data: st.DataObject) -> None:
    documents = Documents.from_strings(texts)
    options = TokenOptions(
        "words", word_split=data.draw(st.sampled_from(["whitespace", "punctuation"])),
        min_count=data.draw(st.sampled_from([1, 2])),
        unknown=data.draw(st.sampled_from(["symbol", "bytes"])),
    )  # fmt: skip
    one, store = learn_tokens(documents, options)
    with pytest.MonkeyPatch.context() as patch:
        for module, name in ((symbols, "MANY"), (making, "LARGE_DEFINITION")):
            patch.setattr(module, name, 0)
        for module, name in ((tokenizer, "WORDS_AT_ONCE"), (making, "CHUNK")):
            patch.setattr(module, name, 2)
        many, same = learn_tokens(documents, options)
        read = tokenizer_from_json(many.to_json(), "it")
    assert isinstance(many.vocabulary.symbols, Symbols)
    assert (many, many.to_json(), tuple(many.vocabulary.names())) == (
        read, one.to_json(), one.vocabulary.names(),
    )  # fmt: skip
    for found in (same, read.encode(documents)):
        np.testing.assert_array_equal(found.ids, store.ids)
    assert many.decode(store.ids.tolist()) == one.decode(store.ids.tolist())


@pytest.mark.parametrize("damage", ['"b"', '""', '"\\ud800"', "7", '"c'])
def test_what_is_damaged_is_refused(damage: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(symbols, "MANY", 0)
    monkeypatch.setattr(making, "LARGE_DEFINITION", 0)
    text = learn_tokens(Documents.from_strings(["a b c"]), TokenOptions("words"))[0].to_json()
    with pytest.raises((ValueError, RunError)):
        tokenizer_from_json(text.replace('"a"', damage), "it")
