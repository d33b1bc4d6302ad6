"""The beam search of the compiled core beside that in Python: the same texts, frames and scores."""

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from thence._core import library
from thence._core.ctc import BeamSearch, KnownWords
from thence._core.ngram import NGramTables
from thence.corpus import Documents
from thence.ctc import Alphabet, LanguageModel, core_search
from thence.ctc.core_search import CoreSearch
from thence.ctc.search import BeamLimits, Hotwords, Search
from thence.models.ngram import NGram
from thence.models.ngram.model import NGramOptions
from thence.tokens import TokenOptions, make_tokenizer

pytestmark = pytest.mark.skipif(library() is None, reason="there is no compiled core")
CHARACTERS = ("a", "b", "c", " ", "")
PIECES = ("▁a", "b", "▁", "▁⁇▁", "ab", "")
TEXTS = ["ab b ab", "b ab a", "a b b", "ab ⁇ b"]


def language_model(order, word_split, unknown, unigrams, tokens="words"):
    documents = Documents.from_strings(TEXTS)
    tokenizer = make_tokenizer(
        documents, TokenOptions(tokens, word_split=word_split, unknown=unknown)
    )
    model = NGram(NGramOptions(order, "witten-bell"), len(tokenizer.vocabulary))
    model.fit(tokenizer.encode(TEXTS))
    return LanguageModel((model, tokenizer), unigrams, 0.8, 0.7, -1.5)


MODELS = st.none() | st.builds(
    language_model,
    st.integers(1, 3),
    st.sampled_from(["whitespace", "punctuation"]),
    st.sampled_from(["symbol", "refuse"]),
    st.sampled_from([None, (), ("ab", "b"), ("a", "ab", "b", "⁇")]),
    st.sampled_from(["words", "words", "characters", "bytes"]),
)
LIMITS = st.builds(
    BeamLimits,
    st.sampled_from([1, 3, 100]),
    st.sampled_from([-math.inf, -8.0, -1.0]),
    st.sampled_from([-math.inf, -2.0, 0.0]),
    st.booleans(),
)
HOTWORDS = st.builds(
    Hotwords.build_scorer, st.lists(st.sampled_from(["a", "abb", "b ab"])), st.floats(0, 4)
)


@given(
    st.sampled_from([CHARACTERS, PIECES]),
    MODELS,
    LIMITS,
    HOTWORDS,
    st.integers(0, 1 << 32),
    st.lists(st.integers(0, 5), max_size=3),
    st.sampled_from([1, 20, 1 << 15]),
)
def test_searches_in_chunks(labels, model, limits, hotwords, seed, chunks, most_kept):
    alphabet = Alphabet.build_alphabet(labels)
    assume(model is None or core_search._core_supports(model, alphabet))
    with pytest.MonkeyPatch.context() as patch:  # With few, what no beam has is forgotten often.
        patch.setattr(core_search, "MOST_KEPT", most_kept)
        core = CoreSearch(alphabet, model, limits, hotwords)
    python = Search(alphabet, model, limits, hotwords)
    logits = np.random.default_rng(seed).normal(0, 2, (sum(chunks), len(labels)))
    log_probs = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    for first, last in pairwise(np.cumsum([0, *chunks])):
        for search in (core, python):
            search.read(log_probs[first:last])
        assert core.text() == python.text()
        found, expected = core.results(), python.results()
        assert [one.words for one in found] == [one.words for one in expected]
        assert [one.frames for one in found] == [one.frames for one in expected]
        for one, same in zip(found, expected, strict=True):
            assert one.logit_score == pytest.approx(same.logit_score, abs=1e-9)
            assert one.score == pytest.approx(same.score, abs=1e-9)
            assert one.state == same.state


def search(ids=((0,),), vocabulary=2, state=(), **damage):
    zeros = np.zeros(2, np.float32)
    tables = NGramTables([(np.arange(2), zeros, zeros[:0])], 2)
    words = KnownWords(["a"], ids, vocabulary)
    numbers = {"width": 4, "alpha": 1.0, "other": -1, "average": 6, **damage}
    labels = [(4, "a"), (1, ""), (0, "")]
    return BeamSearch(labels, tables, state, words, lambda word: ((9,), True), [], **numbers)


@pytest.mark.parametrize(
    "damage",
    [
        {"width": 0},
        {"ids": ((2,),)},
        {"ids": ((-1,),)},
        {"ids": ((0,),), "vocabulary": 1},
        {"other": 2},
    ],
)
def test_what_does_not_fit_is_refused(damage):
    with pytest.raises(ValueError, match="fit"):
        search(**damage)


def test_frames_and_answers_that_do_not_fit_are_refused():
    found = search()
    with pytest.raises(ValueError, match="a number for each label"):
        found.read(np.zeros((3, 2)))
    with pytest.raises(ValueError, match="fit"):  # The word aa is asked for: there is no id 9.
        found.read(np.log([[0.8, 0.1, 0.1], [0.1, 0.1, 0.8], [0.8, 0.1, 0.1], [0.1, 0.8, 0.1]]))
    with pytest.raises(ValueError, match="fit"):
        found.beam(7, finished=False)


def test_long_words_are_asked_for():
    alphabet = Alphabet.build_alphabet(CHARACTERS)
    model = language_model(2, "punctuation", "symbol", None)
    labels = ["a", ""] * 100 + [" "]
    log_probs = np.log([[0.96 if label == one else 0.01 for one in CHARACTERS] for label in labels])
    found = CoreSearch(alphabet, model, BeamLimits(2, -10.0, -1.0, True), Hotwords())
    found.read(log_probs)
    assert found.results()[0].words == ("a" * 100,)
