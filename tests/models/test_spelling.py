import math
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from thence.corpus import Documents
from thence.models.spelling import Spelling, spelling_costs
from thence.tokens import UNKNOWN, Tokenizer, TokenOptions, make_tokenizer

TEXT = Documents.from_strings(["the cat sat", "the cats sat", "a bat"])
# Counts: the 2, cat 1, sat 2, cats 1, a 1, bat 1: with min_count 2 only "the" and "sat" have ids.


def words(**settings: object) -> Tokenizer:
    return make_tokenizer(TEXT, TokenOptions("words", **settings))  # type: ignore[arg-type]


def ended_and_open(spelling: Spelling, length: int) -> tuple[float, float]:
    """Return the probability of all strings of at most so many bytes, and of all longer ones."""
    model, ended = spelling._model, 0.0
    reached, ids, state = np.zeros(1), np.array([256]), model.start(1)
    for _ in range(length + 1):
        log_probs, state = model.step(ids, state)
        log_probs = log_probs + reached[:, None]
        ended += float(np.exp(log_probs[:, 256]).sum())
        reached, count = log_probs[:, :256].ravel(), len(ids)
        ids, state = np.tile(np.arange(256), count), np.repeat(state, 256, axis=0)
    return ended, float(np.exp(reached).sum())


@pytest.mark.parametrize("tokens", ["words", "characters"])
def test_probabilities_of_all_strings_sum_to_one(tokens: str) -> None:
    spelling = Spelling(make_tokenizer(TEXT, TokenOptions(tokens)))
    ended, longer = ended_and_open(spelling, 1)
    assert ended + longer == pytest.approx(1, abs=1e-5)
    assert 0 < ended < 1


def test_what_known_words_would_take_is_given_to_the_others() -> None:
    tokenizer = words(min_count=2)
    assert tokenizer.vocabulary.symbols == ("sat", "the")
    assert tokenizer.left_out == ("a", "bat", "cat", "cats")
    spelling = Spelling(tokenizer)
    known = float(np.exp(spelling._spelled(Documents.from_strings(["sat", "the"]))).sum())
    strings = ["bat", "dog", "zoë"]
    expected = spelling._spelled(Documents.from_strings(strings)) - math.log(1 - known)
    assert spelling.log_probs(strings) == pytest.approx(expected)
    # A word like those of the text is likelier than one that is not.
    assert spelling.log_probs(["cat"])[0] > spelling.log_probs(["tac"])[0]


def test_literal_unknown_symbols_are_words_of_their_text() -> None:
    text = Documents.from_strings(["the <unk> sat", "the sat"])
    tokenizer = make_tokenizer(text, TokenOptions("words", "whitespace"))
    other = Documents.from_strings(["the <unk> sat <unk>"])
    assert tokenizer.unknown_symbols(other) == [UNKNOWN, UNKNOWN]
    assert not spelling_costs(tokenizer, other, tokenizer.encode(other)).any()


@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.text("abctx é<", max_size=12), min_size=1, max_size=5),
    st.sampled_from([words(), words(min_count=2), make_tokenizer(TEXT, TokenOptions())]),
)
def test_costs_stand_where_the_unknown_targets_are(texts: list[str], tokenizer: Tokenizer) -> None:
    documents = Documents.from_strings(texts)
    store = tokenizer.encode(documents)
    costs = spelling_costs(tokenizer, documents, store)
    unknown = tokenizer.vocabulary.are_unknown(store.targets)
    spelled = tokenizer.unknown_symbols(documents)
    assert spelled is not None
    assert len(spelled) == unknown.sum()
    assert not costs[~unknown].any()
    by_hand = [-float(Spelling(tokenizer).log_probs([word])[0]) for word in spelled]
    assert costs[unknown].tolist() == pytest.approx(by_hand)


def test_nothing_is_spelled_where_nothing_can_be_unknown() -> None:
    for tokenizer in (words(unknown="bytes", min_count=2), words(unknown="refuse")):
        assert tokenizer.left_out == ()
        assert tokenizer.unknown_symbols(Documents.from_strings(["the"])) == []


def test_any_alphabet_can_be_spelled() -> None:
    tokenizer = make_tokenizer(TEXT, TokenOptions())
    costs = -Spelling(tokenizer).log_probs(["e", "é", "漢", "\U0001f600"])
    assert np.isfinite(costs).all()
    assert (np.diff(costs[1:]) > 0).all()  # Longer in bytes, none of which it has seen.


def test_left_out_words_come_from_all_over_the_alphabet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("thence.tokens.making.MOST_LEFT_OUT", 3)
    counts = [f"{first}{second}" for first, second in product("abc", "xy")]
    tokenizer = make_tokenizer(Documents.from_strings(counts), TokenOptions("words", min_count=2))
    assert tokenizer.left_out == ("ax", "bx", "cx")
