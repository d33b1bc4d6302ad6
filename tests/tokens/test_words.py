import re
import sys
import unicodedata
from collections import Counter
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from thence.corpus import Documents
from thence.tokens import TokenOptions, make_tokenizer
from thence.tokens.cutting import COMBINING, class_table, find_words, hash_strings
from thence.tokens.words import count_words

COMBINED = "".join(
    point
    for point in map(chr, range(sys.maxunicode + 1))
    if unicodedata.category(point)[0] == "M" or point in "\u200c\u200d"
)
LETTER = rf"[\w{COMBINED}]"
WORD_OR_MARK = re.compile(rf"<\w+>|{LETTER}+(?:['’]{LETTER}+)*|[^\w\s{COMBINED}]")


def splitter(split: str) -> Callable[[str], list[str]]:
    """What the words of a text are: the definition, against which the fast way is tested."""
    return str.split if split == "whitespace" else WORD_OR_MARK.findall


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", []),
        (" \u2028\u3000\t", []),
        ("Don't stop, <unk>!", ["Don't", "stop", ",", "<unk>", "!"]),
        ("it’s the '90s.", ["it’s", "the", "'", "90s", "."]),
        ("dogs' rock'n'roll", ["dogs", "'", "rock'n'roll"]),
        ("e-mail: a_b@c.de", ["e", "-", "mail", ":", "a_b", "@", "c", ".", "de"]),
        ("3.5 % …?!", ["3", ".", "5", "%", "…", "?", "!"]),
        ("<a b> <tag> <>", ["<", "a", "b", ">", "<tag>", "<", ">"]),
        ("schön 😀👍", ["schön", "😀", "👍"]),
        ("scho\u0308n", ["scho\u0308n"]),  # The two dots as a character of their own.
        ("हिन्दी भाषा।", ["हिन्दी", "भाषा", "।"]),
        ("می‌خواهم", ["می‌خواهم"]),  # With the zero-width non-joiner.
    ],
)
def test_punctuation_is_set_apart(text: str, words: list[str]) -> None:
    assert splitter("punctuation")(text) == words
    assert found_by_document([text], "punctuation") == [words]


def test_white_space_is_that_of_unicode() -> None:
    assert splitter("whitespace")("a,b\u2028c\xa0d\x1fe") == ["a,b", "c", "d", "e"]


def found_by_document(texts: list[str], split: str) -> list[list[str]]:
    found = find_words(Documents.from_strings(texts), split)  # type: ignore[arg-type]
    words = iter(found.words(np.arange(len(found.starts))))
    return [[next(words) for _ in range(length)] for length in found.lengths.tolist()]


TEXTS = st.lists(
    st.text(
        st.one_of(
            st.characters(exclude_categories=["Cs"]),
            st.sampled_from("aab  <>'’.,\u0301\u200d\u2028"),
        ),
        max_size=20,
    ),
    max_size=5,
)


@pytest.mark.parametrize("split", ["whitespace", "punctuation"])
@given(texts=TEXTS)
@settings(max_examples=60, deadline=None)
def test_words_are_those_of_each_document_alone(split: str, texts: list[str]) -> None:
    cut = splitter(split)  # type: ignore[arg-type]
    assert found_by_document(texts, split) == [cut(text) for text in texts]
    counted = count_words([find_words(Documents.from_strings(texts), split)])  # type: ignore[arg-type]
    assert counted == Counter(word for text in texts for word in cut(text))


@pytest.mark.parametrize(
    "text",
    ["Stop, now! (Really?) [yes] {no} 100%", "She said “no”.", "It’s a: b; c.", "5 – 3 = 2"],
)
def test_marks_are_set_back_against_their_words(text: str) -> None:
    tokenizer = make_tokenizer(Documents.from_strings([text]), TokenOptions(tokens="words"))
    assert tokenizer.decode(tokenizer.encode([text]).document(0)) == text


def test_many_documents_of_one_word() -> None:
    names = ["emma", "ava", "emma", "", "mia"]
    tokenizer = make_tokenizer(Documents.from_strings(names), TokenOptions(tokens="words"))
    # emma twice: 0; ava 1; mia 2; <unk> 3; the boundary 4.
    np.testing.assert_array_equal(tokenizer.encode(names).ids, [4, 0, 4, 1, 4, 0, 4, 4, 2, 4])


def test_every_combining_character_is_known() -> None:
    combining = np.flatnonzero(class_table(0x110000) & COMBINING)
    assert "".join(map(chr, combining)) == COMBINED


def test_equal_words_hash_alike_wherever_they_stand() -> None:
    found = find_words(Documents.from_strings(["ab ba ab", "b ab a"]), "whitespace")
    assert found.words(np.arange(6)) == ["ab", "ba", "ab", "b", "ab", "a"]
    ab, ba, b, a = (found.hashes[place] for place in (0, 1, 3, 5))
    assert found.hashes.tolist() == [ab, ba, ab, b, ab, a]
    assert len({ab, ba, b, a}) == 4
    assert hash_strings(["ba", "a", "ab"]).tolist() == [ba, a, ab]
    assert find_words(Documents.from_strings(["é a"]), "whitespace").hashes[1] == a
