import re

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from thence.corpus import Documents
from thence.tokens import TokenOptions, make_tokenizer

from .chunks import in_chunks

# Astral characters, combining marks, line and paragraph separators, NUL, no-break space.
TEXTS = st.lists(
    st.text(
        st.one_of(
            st.characters(exclude_categories=["Cs"]),
            st.sampled_from("ab 'é\u0301\u2028\u2029\x85\xa0\u3000\0\n\r😀𝕏\u200d"),
        ),
        max_size=12,
    ),
    max_size=6,
)
LEVELS = {
    "characters": TokenOptions(),
    "characters-refuse": TokenOptions(unknown="refuse"),
    "characters-spelled": TokenOptions(unknown="bytes", max_size=1),
    "bytes": TokenOptions(tokens="bytes"),
    "words": TokenOptions(tokens="words", word_split="whitespace"),
    "words-spelled": TokenOptions(
        tokens="words", word_split="whitespace", unknown="bytes", min_count=2
    ),
    "subwords": TokenOptions(tokens="subwords", max_size=260),
}


def oracle(text: str, level: str) -> str:
    words = re.split(r"[ \t\n\v\f\r]+", text.strip(" \t\n\v\f\r"))
    return " ".join(words) if level.startswith("words") else text


@pytest.mark.parametrize("level", LEVELS)
@given(texts=TEXTS)
@example(texts=[])
@example(texts=["", "", ""])
@example(texts=["", "e\u0301\u2028x", "", "😀 \u3000 b"])
@settings(max_examples=25, deadline=None)
def test_decoding_gives_the_text_back(level: str, texts: list[str]) -> None:
    documents = Documents.from_strings(texts)
    tokenizer = make_tokenizer(documents, LEVELS[level])
    store = tokenizer.encode(documents)
    assert store.num_documents == len(texts)
    assert store.ids.dtype == tokenizer.vocabulary.dtype
    assert (store.ids < len(tokenizer.vocabulary)).all()
    decoded = [tokenizer.decode(store.document(index)) for index in range(len(texts))]
    assert decoded == [oracle(text, level) for text in texts]
    assert store.byte_counts.tolist() == [len(text.encode()) for text in texts]
    assert store.character_counts.tolist() == [len(text) for text in texts]


@pytest.mark.parametrize("level", LEVELS)
def test_chunks_change_nothing(level: str) -> None:
    texts = ["", "naïve café", "a b", "", "", "😀 x’y 😀", "ab", "a\u0301 b c d e f g", ""]
    documents = Documents.from_strings(texts)
    whole_tokenizer = make_tokenizer(documents, LEVELS[level])
    whole = whole_tokenizer.encode(documents)
    documents = in_chunks(documents, 3)
    tokenizer = make_tokenizer(documents, LEVELS[level])
    store = tokenizer.encode(documents)
    assert tokenizer == whole_tokenizer
    for name in ("ids", "offsets", "byte_counts", "character_counts"):
        np.testing.assert_array_equal(getattr(store, name), getattr(whole, name))


@pytest.mark.parametrize("level", LEVELS)
def test_boundaries_are_not_part_of_the_text(level: str) -> None:
    tokenizer = make_tokenizer(Documents.from_strings(["a b", "a b"]), LEVELS[level])
    assert tokenizer.decode(tokenizer.encode(["a b"]).ids) == "a b"


def test_documents_in_another_order_come_in_that_order() -> None:
    documents = Documents.from_strings(["one", "zwö", "", "three"]).take(np.array([3, 2, 0]))
    for options in LEVELS.values():
        tokenizer = make_tokenizer(documents, options)
        store = tokenizer.encode(documents)
        assert [tokenizer.decode(store.document(i)) for i in range(3)] == ["three", "", "one"]
