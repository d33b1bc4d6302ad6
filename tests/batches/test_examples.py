"""``examples``: the pairs of context and target, as the lectures print them."""

import numpy as np
import pytest

import thence
from thence.errors import SettingError

FIVE = ["emma", "olivia", "ava", "isabella", "sophia"]


def test_emma_makes_five_examples() -> None:
    found = thence.examples(["emma"])
    assert str(found).split("\n") == [
        "... ---> e", "..e ---> m", ".em ---> m", "emm ---> a", "mma ---> .",
    ]  # fmt: skip
    assert found.total == len(found) == 5
    # The symbols of the text in order, then <unk> and the boundary.
    assert found.symbols == ("a", "e", "m", "<unk>", "<boundary>")
    assert found.inputs.tolist() == [[4, 4, 4], [4, 4, 1], [4, 1, 2], [1, 2, 2], [2, 2, 0]]
    assert found.targets.tolist() == [1, 2, 2, 0, 4]


def test_the_first_five_names_make_32() -> None:
    found = thence.examples(FIVE, rows=100)
    assert (found.total, found.inputs.shape, found.targets.shape) == (32, (32, 3), (32,))
    assert thence.examples(FIVE, rows=4).shapes() == (
        "4 of 32 examples; inputs (4, 3), targets (4,), 13 symbols"
    )


def test_targets_of_a_sequence_are_its_inputs_shifted_by_one() -> None:
    found = thence.examples(["emma", "ava"], sequences=True)
    assert list(found) == [(".ava", "ava."), (".emma", "emma.")]
    assert found.targets[0, 4] == -1
    for ids, targets in zip(found.inputs, found.targets, strict=True):
        length = int((targets >= 0).sum())
        assert np.array_equal(ids[1:length], targets[: length - 1])


def test_running_text_goes_on_across_documents() -> None:
    texts = ["the cat sat", "a dog"]
    rows = thence.examples(
        texts, sequences=True, rows=1, window=6, tokens="words", carry_context=True
    )
    assert rows[0] == ("<boundary> the cat sat <boundary> a", "the cat sat <boundary> a dog")
    pairs = thence.examples(texts, context=2, tokens="words", carry_context=True)
    assert pairs[4] == ("sat <boundary>", "a")


def test_a_dot_of_the_text_is_no_boundary() -> None:
    assert thence.examples(["a.b"], context=1)[0] == ("<boundary>", "a")
    assert str(thence.examples(["\t😀"], context=1)).split("\n")[1] == "\\t ---> 😀"


def test_spaces_are_seen_and_words_stand_apart() -> None:
    assert thence.examples(["a b"], context=2)[2] == ("a␣", "b")
    assert thence.examples(["a b"], context=2, tokens="words")[2] == ("a b", "<boundary>")


def test_unknown_settings_are_refused() -> None:
    with pytest.raises(SettingError, match=r"There is no setting `token` here. .*tokens"):
        thence.examples(["emma"], token="words")
    with pytest.raises(SettingError, match="`context` is 0"):
        thence.examples(["emma"], context=0)
