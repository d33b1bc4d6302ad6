"""Explanations, checked against classifying each text without the word by hand."""

import math
from importlib import import_module
from itertools import pairwise

import numpy as np
import pytest

import thence
from thence.corpus import Documents
from thence.errors import SettingError
from thence.evaluation.explain import MOST_PARTS, _log_odds, _without, log_odds_without, parts_of
from thence.tokens import encode_texts

MODULE = import_module("thence.evaluation.explain")  # The package has a function of that name.


def log_odds(run, text, label):
    log_probs = run.classifier.classify(encode_texts(run.tokenizer, Documents.from_strings([text])))
    chance = math.exp(log_probs[0, run.label_names.index(label)])
    return math.log(chance / (1 - chance))


def test_a_weight_is_the_fall_of_the_log_odds_without_the_word(opinions):
    found = thence.explain(opinions.folder, "A  GOOD film")
    whole = log_odds(opinions, "A  GOOD film", "pos")
    without = [log_odds(opinions, text, "pos") for text in ("good film", "a film", "a good")]
    assert found.label == "pos"
    assert [part.text for part in found.tokens] == ["A", "GOOD", "film"]
    assert [part.start for part in found.tokens] == [0, 3, 8]
    for part, odds in zip(found.tokens, without, strict=True):
        assert part.weight == pytest.approx(whole - odds, abs=1e-3)
    assert found.largest == found.tokens[1].weight > 0


def test_another_label_has_the_opposite_weights_where_there_are_two(opinions):
    of_best = thence.explain(opinions, "not a bad film")
    of_other = thence.explain(opinions, "not a bad film", "pos")
    assert (of_best.label, of_other.label) == ("neg", "pos")
    for one, other in zip(of_best.tokens, of_other.tokens, strict=True):
        assert one.weight == pytest.approx(-other.weight, abs=1e-4)
    with pytest.raises(SettingError, match=r"no label 'poss' in .* Did you mean 'pos'"):
        thence.explain(opinions, "a film", "poss")


@pytest.mark.parametrize("text", ["", "  ", " (good)\tfilm,\n", "zoë’s 東京 don't"])
def test_the_pieces_are_the_text_as_it_was_written(opinions, text):
    found = thence.explain(opinions, text)
    assert "".join(piece for piece, _ in found.pieces()) == text
    assert all(part.text.strip() == part.text != "" for part in found.tokens)


def test_what_a_classifier_cannot_read_weighs_like_any_unknown_word(opinions):
    first, second = thence.explain(opinions, "zzz qqq").tokens
    assert first.weight == second.weight


def test_several_labels(topics):
    found = thence.explain(topics, "war and trade", "economy")
    war, _, trade = found.tokens
    assert trade.weight > max(war.weight, 0)
    whole, less = (log_odds(topics, text, "economy") for text in ("war and trade", "war and"))
    assert trade.weight == pytest.approx(whole - less, abs=1e-3)


def test_characters(places):
    found = thence.explain(places, "xa b")
    assert [part.text for part in found.tokens] == ["x", "a", " ", "b"]
    odds = log_odds(places, "xab", found.label)
    assert found.tokens[2].weight == pytest.approx(
        log_odds(places, "xa b", found.label) - odds, abs=1e-3
    )


def test_many_words_are_left_out_in_runs(opinions):
    text = "good " * (MOST_PARTS * 2 + 1)
    found = thence.explain(opinions, text)
    assert len(found.tokens) == 267  # 801 words, three at a time
    assert {part.text for part in found.tokens} == {"good good good"}
    assert "".join(piece for piece, _ in found.pieces()) == text
    assert len(parts_of(text, opinions.tokenizer, most_characters=1)) == 20


def test_variants_in_several_batches_change_nothing(opinions):
    text = "not a bad but a good film"
    bounds = parts_of(text, opinions.tokenizer)
    whole = log_odds_without(opinions, text, bounds, 0)
    np.testing.assert_allclose(log_odds_without(opinions, text, bounds, 0, 60), whole, atol=1e-5)


def test_words_never_grow_together_when_one_is_left_out():
    cases = {
        ("foo' bar", 3, 4): "foo bar",
        ("so-so", 2, 3): "so so",
        ("a good film", 2, 6): "a film",
        ("the end", 4, 7): "the ",
        ("good", 0, 4): "",
    }
    for (text, start, end), expected in cases.items():
        assert _without(text, start, end, False) == expected
    assert _without("foo bar", 3, 4, True) == "foobar"


def test_log_odds_are_exact_where_the_probability_rounds_to_one():
    single = np.array([[0.0, -20.0, -21.0]], np.float32)
    assert _log_odds(single, 0, False)[0] == pytest.approx(20 - math.log(1 + math.exp(-1)))
    multilabel = np.log([[0.25, 0.5]]).astype(np.float32)
    assert _log_odds(multilabel, 0, True)[0] == pytest.approx(math.log(1 / 3), abs=1e-6)
    certain = np.array([[0.0, -np.inf]], np.float32)
    assert [_log_odds(certain, index, False)[0] for index in (0, 1)] == [100, -100]
    assert _log_odds(np.zeros((1, 1), np.float32), 0, True)[0] == 100
    chances = np.linspace(0.1, 0.9, 5)
    odds = _log_odds(np.log(np.stack([chances, 1 - chances], 1)), 0, False)
    assert all(low < high for low, high in pairwise(odds))
