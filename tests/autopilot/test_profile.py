"""What a text is taken for."""

from random import Random

import pytest

from thence.autopilot.profile import DISTANCE, TextProfile, profile_text, recurrence
from thence.corpus import Documents


def documents(lines: list[str]) -> Documents:
    return Documents.from_strings(lines)


def a_story(chapters: int = 40) -> list[str]:
    """Sentences whose words are those of their chapter."""
    random = Random(1)
    words = [[f"w{chapter}x{number}" for number in range(30)] for chapter in range(chapters)]
    return [" ".join(random.choices(some, k=8)) for some in words for _ in range(40)]


def test_recurrence_by_hand() -> None:
    # Of a b | b c | c a: b, c and a stood in a document before; repeats within one do not count.
    assert recurrence([["a", "b"], ["b", "c"], ["c", "a"]]) == 3 / 6
    assert recurrence([["a", "a", "a"]]) == 0
    assert recurrence([]) == 0


def test_a_word_said_too_long_ago_does_not_recur() -> None:
    between = [f"x{number}" for number in range(DISTANCE - 1)]
    assert recurrence([["a"], between, ["a"]]) > 0
    assert recurrence([["a"], [*between, "more"], ["a"]]) == 0


def test_a_story_is_running_text_and_shuffled_is_not() -> None:
    story = a_story()
    told = profile_text(documents(story))
    assert told.sentences and told.running and told.bursts > 1.15
    Random(2).shuffle(story)
    assert not profile_text(documents(story)).running


def test_names_are_documents_of_their_own() -> None:
    profile = profile_text(documents([f"Name{number}" for number in range(500)]))
    assert not profile.sentences and not profile.running and not profile.has_words
    assert "names" in profile.described()


def test_few_long_documents_are_books() -> None:
    profile = profile_text(documents(["word " * 1000] * 3))
    assert profile.running and profile.sentences
    assert profile_text(documents(["word " * 1000])).described().startswith("one document, ")


def test_sentences_have_words_and_names_have_not() -> None:
    assert TextProfile(5_000, 100_000, 1.0, False).has_words
    assert not TextProfile(5_000, 100_000, 1.0, False, spaced=False).has_words
    assert not TextProfile(1_000_000, 1_000_000, 1.0, False).has_words


def test_characters_of_a_large_alphabet_are_modelled_as_words() -> None:
    text, names = (TextProfile(5_000, words, 1.0, False) for words in (100_000, 5_000))
    kinds = [text.kind("characters", size) for size in (70, 999, 1000, 6300)]
    assert kinds == ["characters", "characters", "words", "words"]
    assert text.kind("words", 500) == "words"
    assert names.kind("characters", 3000) == "names"


def test_marked_words_are_seen() -> None:
    assert profile_text(documents(["the <unk> is a <unk> said he"])).marked
    assert not profile_text(documents(["the unk is a unk said he"])).marked


def test_words_of_a_long_text_are_estimated() -> None:
    profile = profile_text(documents(["five words make a sentence"] * 30_000))
    assert profile.words == pytest.approx(150_000, rel=0.05)


@pytest.mark.parametrize("lines", [[""], ["", "", ""], ["a"], ["名前"] * 9, ["मराठी शब्द"] * 3])
def test_odd_texts_have_a_profile(lines: list[str]) -> None:
    assert profile_text(documents(lines)).described()


def test_source_code_is_no_text_of_words() -> None:
    code = documents(["def f(a, b, c):", "    return  2 * a"] * 50)
    assert profile_text(code).layout == pytest.approx(5 / (15 + 17))
    assert profile_text(code).described().endswith(", 16 % of it indentation and the like")
    assert profile_text(code).sentences and not profile_text(code).has_words


def test_text_without_white_space_is_looked_at_by_its_characters() -> None:
    random = Random(0)
    alphabet = [chr(0x4E00 + at) for at in range(3000)]
    lines = []
    for chapter in range(40):  # Each of its own hundred characters.
        own = alphabet[70 * chapter : 70 * chapter + 100]
        lines += ["".join(random.choices(own, k=60)) for _ in range(15)]
    profile = profile_text(Documents.from_strings(lines))
    assert profile.running and not profile.spaced and not profile.has_words
    assert profile.words == 40 * 15 * 60
    random.shuffle(lines)
    assert not profile_text(Documents.from_strings(lines)).running


def test_names_without_white_space_are_names() -> None:
    names = Documents.from_strings(["王小明", "李大为", "赵一曼"] * 50)
    assert not profile_text(names).sentences
