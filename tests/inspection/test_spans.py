"""Where tokens stand in a text: in order, without overlap, together everything but white space."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from thence.corpus import Documents
from thence.inspection.spans import split_lines, token_spans
from thence.tokens import Tokenizer, TokenOptions, make_tokenizer

TRAIN = ["the café wAs open 😀", "déjà vu, (it) said", "日本語のテキスト", "سلام دنیا"]


def tokenizer(**options: object) -> Tokenizer:
    return make_tokenizer(
        Documents.from_strings(TRAIN),
        TokenOptions(**options),  # type: ignore[arg-type]
    )


def spelled(made: Tokenizer, text: str, by_lines: bool = True) -> list[str]:
    lines = split_lines(text, by_lines, keep_empty=False)
    store = made.encode(lines.texts)
    spans = token_spans(made, lines, store)
    assert len(spans) == store.num_targets - 1
    return [text[start:end] for start, end in spans.tolist()]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"tokens": "characters"}, list("Dé 😀!")),
        ({"tokens": "bytes"}, ["D", "", "é", " ", "", "", "", "😀", "!"]),
        # What has no character of its own in the vocabulary is spelled in bytes: 😀 has one.
        ({"tokens": "characters", "unknown": "bytes"}, ["D", "é", " ", "😀", "!"]),
        ({"tokens": "words"}, ["Dé", "😀", "!"]),
        # Dé is 3 bytes and ! one, each word spelled in bytes and a space.
        ({"tokens": "words", "unknown": "bytes"}, ["", "", "", "Dé", "😀", "", "!"]),
        ({"tokens": "words", "lowercase": True}, ["Dé", "😀", "!"]),
    ],
)
def test_by_hand(options: dict[str, object], expected: Sequence[str]) -> None:
    assert spelled(tokenizer(**options), "Dé 😀!") == expected


def test_normalisation_keeps_the_characters_that_were_written() -> None:
    made = tokenizer(tokens="characters", lowercase=True, nfc=True)
    # A capital I with a dot is two characters in lower case; e and an accent are one composed.
    assert spelled(made, "İe\u0301x") == ["", "İ", "e\u0301", "x"]


def test_subwords() -> None:
    made = tokenizer(tokens="subwords", max_size=300)
    pieces = spelled(made, "the café 😀")
    assert "".join(pieces) == "the café 😀"


def test_lines() -> None:
    made = tokenizer(tokens="words")
    assert spelled(made, "\n\nit was\r\n\n\nopen\n") == ["it", "was", "\r\n\n\n", "open", "\n"]
    assert spelled(made, "it\nwas", by_lines=False) == ["it", "was"]
    assert spelled(made, "") == []
    assert spelled(made, "\n") == []


OPTIONS: list[dict[str, object]] = [
    {"tokens": "characters"},
    {"tokens": "characters", "unknown": "bytes", "lowercase": True, "nfc": True},
    {"tokens": "bytes", "nfc": True},
    {"tokens": "words"},
    {"tokens": "words", "unknown": "bytes", "lowercase": True},
    {"tokens": "words", "word_split": "whitespace", "nfc": True},
    {"tokens": "subwords", "max_size": 300, "lowercase": True},
]
MADE = [tokenizer(**options) for options in OPTIONS]
letters = st.text(
    st.sampled_from("aAé\u0301 İΣςßﬁ\u1100\u1161\u11a8😀語ن\u200d,.'\n\r\t"), max_size=30
)


@pytest.mark.parametrize("made", MADE, ids=[str(options) for options in OPTIONS])
@given(text=letters, by_lines=st.booleans())
def test_spans_are_in_order_and_lose_nothing(made: Tokenizer, text: str, by_lines: bool) -> None:
    lines = split_lines(text, by_lines, keep_empty=True)
    spans = token_spans(made, lines, made.encode(lines.texts))
    end = 0
    for start, stop in spans.tolist():
        assert end <= start <= stop
        assert not text[end:start].strip()
        end = stop
    assert not text[end:].strip()
