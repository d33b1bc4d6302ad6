import re
import sys
from collections import Counter
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any
from unicodedata import category

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from thence.corpus import Documents
from thence.tokens import TokenOptions, make_tokenizer
from thence.tokens.word_counts import count_words
from thence.tokens.word_splitting import (
    COMBINING,
    LATEST,
    SYMBOLS,
    class_table,
    find_words,
    hash_strings,
)

JOINERS = "\u200c\u200d"


@cache
def combining() -> str:
    """Return all characters that combine with the one before."""
    points = map(chr, range(sys.maxunicode + 1))
    return "".join(point for point in points if category(point)[0] == "M" or point in JOINERS)


WAYS = [("whitespace", 1), ("whitespace", 2), ("punctuation", 1), ("punctuation", 2)]


@cache
def words_of(split: str, edition: int) -> Callable[[str], list[str]]:
    """Return what finds the words of a text: the definition, to test the fast way against."""
    if split == "whitespace":
        return re.compile(r"\S+" if edition == 1 else r"[^ \t\n\v\f\r]+").findall
    letter = rf"[\w{combining()}]"
    alone = rf"(?<!\S)(?:{'|'.join(map(re.escape, SYMBOLS))})(?!\S)"
    marks = rf"<\w+>|{letter}+(?:['’]{letter}+)*|[^\w\s{combining()}]"
    return re.compile(marks if edition == 1 else f"{alone}|{marks}").findall


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
    assert words_of("punctuation", LATEST)(text) == words
    assert found_by_document([text], "punctuation") == [words]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a </s> b", ["a", "</s>", "b"]),
        ("</s>", ["</s>"]),
        ("[UNK] [PAD] [unk]", ["[UNK]", "[PAD]", "[", "unk", "]"]),
        ("<s>\u3000<boundary>\n</eos>\x85<UNK>", ["<s>", "<boundary>", "</eos>", "<UNK>"]),
        ("a</s>", ["a", "<", "/", "s", ">"]),
        ("(</s>) </s>.", ["(", "<", "/", "s", ">", ")", "<", "/", "s", ">", "."]),
    ],
)
def test_symbols_of_corpora_stay_whole_where_they_stand_alone(text: str, words: list[str]) -> None:
    assert found_by_document([text], "punctuation") == [words]


def test_symbols_do_not_reach_across_documents() -> None:
    assert found_by_document(["</", "s>"], "punctuation") == [["<", "/"], ["s", ">"]]
    assert found_by_document(["x</s", "</s>"], "punctuation")[1] == ["</s>"]


def test_the_first_edition_is_that_of_version_0_1() -> None:
    text = "a\xa0b </s> <unk> [UNK]"
    assert found_by_document([text], "whitespace", 1) == [["a", "b", "</s>", "<unk>", "[UNK]"]]
    cut = ["a", "b", "<", "/", "s", ">", "<unk>", "[", "UNK", "]"]
    assert found_by_document([text], "punctuation", 1) == [cut]


def test_white_space_is_that_of_ascii_or_that_of_unicode() -> None:
    text = "a,b\u2028c\xa0d\x1fe\vf"
    assert found_by_document([text], "whitespace") == [["a,b\u2028c\xa0d\x1fe", "f"]]
    assert found_by_document([text], "punctuation") == [["a", ",", "b", "c", "d", "e", "f"]]


SMALLEST = """\\data\\
ngram 1=3
ngram 2=1

\\1-grams:
-1\t<unk>\t0
-99\t<s>\t0
-1\t</s>\t0

\\2-grams:
-1\t<s> </s>

\\end\\
"""


def test_kenlm_cuts_where_whitespace_does(tmp_path: Path) -> None:
    """Of every white space of Unicode, and of what else may be taken for it."""
    kenlm = pytest.importorskip("kenlm")
    (tmp_path / "a.arpa").write_text(SMALLEST)
    model = kenlm.Model(str(tmp_path / "a.arpa"))
    spaces = [chr(point) for point in range(0x110000) if chr(point).isspace()]
    for space in [*spaces, "\0", "\u180e", "\u200b", "\u2060", "\ufeff"]:
        text = f"a{space}b"
        theirs = len(list(model.full_scores(text))) - 1
        assert len(found_by_document([text], "whitespace")[0]) == theirs, repr(space)


def found_by_document(texts: list[str], split: str, edition: Any = LATEST) -> list[list[str]]:
    found = find_words(Documents.from_strings(texts), split, edition)  # type: ignore[arg-type]
    words = iter(found.words(np.arange(len(found.starts))))
    return [[next(words) for _ in range(length)] for length in found.lengths.tolist()]


TEXTS = st.lists(
    st.lists(
        st.one_of(
            st.characters(exclude_categories=["Cs"]),
            st.sampled_from("aab  <>'’.,\u0301\u200d\u2028"),
            st.sampled_from([f" {symbol} " for symbol in SYMBOLS] + [*SYMBOLS]),
        ),
        max_size=20,
    ).map("".join),
    max_size=5,
)


@pytest.mark.parametrize(("split", "edition"), WAYS)
@given(texts=TEXTS)
@settings(max_examples=60, deadline=None)
def test_words_are_those_of_each_document_alone(split: Any, edition: Any, texts: list[str]) -> None:
    cut = words_of(split, edition)
    assert found_by_document(texts, split, edition) == [cut(text) for text in texts]
    counted = count_words([find_words(Documents.from_strings(texts), split, edition)]).counts()
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
    found = np.flatnonzero(class_table(0x110000) & COMBINING)
    assert "".join(map(chr, found)) == combining()


def test_equal_words_hash_alike_wherever_they_stand() -> None:
    found = find_words(Documents.from_strings(["ab ba ab", "b ab a"]), "whitespace")
    assert found.words(np.arange(6)) == ["ab", "ba", "ab", "b", "ab", "a"]
    ab, ba, b, a = (found.hashes[place] for place in (0, 1, 3, 5))
    assert found.hashes.tolist() == [ab, ba, ab, b, ab, a]
    assert len({ab, ba, b, a}) == 4
    assert hash_strings(["ba", "a", "ab"]).tolist() == [ba, a, ab]
    assert find_words(Documents.from_strings(["é a"]), "whitespace").hashes[1] == a
