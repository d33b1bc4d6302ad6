"""Units that track something: the features of a text, and which units go along with them."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from thence.inspection import Look, look
from thence.inspection.units import _best, character_features
from thence.runs import Run

Runs = Callable[..., Run]


def test_features_by_hand() -> None:
    found = character_features('É, "a"\nb (7)')
    #                            0123456 789..
    expected = {
        "a vowel": [1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0],
        "an upper-case letter": [1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
        "a digit": [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0],
        "white space": [0, 0, 1, 0, 0, 0, 1, 0, 1, 0, 0, 0],
        "punctuation": [0, 1, 0, 1, 0, 1, 0, 0, 0, 1, 0, 1],
        "place in the document": list(range(1, 13)),
        "place in the line": [1, 2, 3, 4, 5, 6, 0, 1, 2, 3, 4, 5],
        "place in the word": [1, 0, 0, 0, 1, 0, 0, 1, 0, 0, 1, 0],
        "inside quotes": [0, 0, 0, 1, 1, 0, 0, 0, 0, 0, 0, 0],
        "inside brackets": [0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 0],
    }
    assert {name: values.tolist() for name, values in found.items()} == expected


def test_quotes_end_with_their_paragraph() -> None:
    found = character_features('„a“ “b\n\nc "d')["inside quotes"]
    assert found.tolist() == [1, 1, 0, 0, 1, 1, 1, 0, 0, 0, 1, 1]
    assert character_features("")["inside quotes"].tolist() == []


@pytest.mark.parametrize("letter", "aÁеяωا")
def test_vowels_of_several_alphabets(letter: str) -> None:
    assert character_features(letter)["a vowel"].tolist() == [1]
    assert character_features("bжβب")["a vowel"].tolist() == [0, 0, 0, 0]


def test_units_are_chosen_on_one_half_and_measured_on_the_other() -> None:
    generator = np.random.default_rng(0)
    feature = generator.integers(0, 2, 400).astype(float)
    values = generator.normal(size=(400, 300))  # None of these tracks anything.
    values[:, 7] = 3 - 2 * feature
    values[:200, 9] = feature[:200]  # This one only where it is chosen.
    ((unit, correlation),) = _best(values, feature)
    assert unit == 7
    assert correlation == pytest.approx(-1)
    assert _best(values, np.zeros(400)) == []


def test_they_are_looked_for_in_dev_where_the_text_is_short(runs: Runs) -> None:
    def seen(text: str, **settings: Any) -> Any:
        found = look(runs("gru"), text, lenses=["units"], **settings)
        assert isinstance(found, Look)
        return found.lenses["units"]

    assert seen("abc").about.startswith("It takes 60 tokens or more")  # Dev is three names.
    found = seen("abcab\ncba\n" * 110)
    assert "first half of this text (880 tokens)" in found.about
    features = {one.feature for one in found.units}
    # A network of random weights knows which letter it has read last, if not much else.
    assert "a vowel" in features
    assert "a digit" not in features
    assert all(one.layer == "layer 1" and abs(one.correlation) <= 1 for one in found.units)
