"""Our tokenizers in the tokenizers library: the same ids for any text."""

import unicodedata
from collections.abc import Iterable, Iterator
from itertools import chain, islice

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer

from thence.corpus import Documents
from thence.errors import SettingError, UnknownSymbolError
from thence.exchange.tokenizer_file import BOUNDARY_TOKEN, byte_alphabet, tokenizer_file
from thence.tokens import Tokenizer as OurTokenizer
from thence.tokens import TokenOptions, make_tokenizer, tokenizer_of

TRAIN = [
    "The cat's hat, a “hat” (so-called).  Don't!\tL’été\u200d e\u0301 <unk> <b>x</b> ΟΔΟΣ σ",
    "</s> [UNK]",
    "the the cat sat\n\non a mat 😀👍🏽 naïve İstanbul J\u030c \x1c \x85 \u3000 rock'n'roll 50%",
    "<document boundary> <boundary> <a'b> <a><b> '' 'x' \0",
]
LEVELS = {
    "characters": TokenOptions(min_count=2),
    "characters-spelled": TokenOptions(unknown="bytes", min_count=2),
    "characters-lowercase-nfc": TokenOptions(lowercase=True, nfc=True),
    "bytes": TokenOptions(tokens="bytes"),
    "bytes-lowercase": TokenOptions(tokens="bytes", lowercase=True),
    "words": TokenOptions(tokens="words"),
    "words-few": TokenOptions(tokens="words", max_size=5, lowercase=True),
    "words-whitespace": TokenOptions(tokens="words", word_split="whitespace", nfc=True),
    "subwords": TokenOptions(tokens="subwords", max_size=300),
    "subwords-lowercase": TokenOptions(tokens="subwords", max_size=300, lowercase=True, nfc=True),
}
OURS = {
    name: make_tokenizer(Documents.from_strings(TRAIN), options) for name, options in LEVELS.items()
}
for split in ("words", "words-whitespace"):
    OURS[f"{split}-0.1"] = tokenizer_of(OURS[split].vocabulary.symbols, LEVELS[split], edition=1)
TEXTS = st.text(
    st.one_of(
        st.characters(exclude_categories=["Cs", "Cn"]),
        st.sampled_from("abcthe ''’<<>>(), 'é\u0301\u2028\x85\xa0\u3000\0\n\r\t😀𝕏\u200dΣσΑ.İ"),
    ),
    max_size=40,
)


@pytest.fixture(scope="module", params=OURS)
def pair(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[OurTokenizer, Tokenizer]:
    """A tokenizer of ours, and theirs read from its file."""
    ours = OURS[request.param]
    path = tmp_path_factory.mktemp("tokenizer") / "tokenizer.json"
    tokenizer_file(ours).save(str(path))
    return ours, Tokenizer.from_file(str(path))


@pytest.mark.slow
@given(text=TEXTS)
@example(text="")
@example(text=" \t two  spaces ")
@example(text="</s> [UNK]\u3000[PAD] </s>. the</s> <s>\xa0</s>\x1fthe")
@example(text="unseen words: Übermut, 한국어 <unk> <boundary> <document boundary>")
@example(text="don''t 'tis o'clock' <a'b> <ab> <a b> <<ab>> <\u0301> <é> <_>")
@example(text="ΑΣ'Α ΑΣ. ΣΑΣ Σ ΟΔΟΣ ΟΔΟΣ\u0301 ΑΣ\u00ad1 .\u1d58Σ ΑΣ\u1d58. 1\u1d58Σ")
@settings(max_examples=150, deadline=None)
def test_ids_are_the_same(pair: tuple[OurTokenizer, Tokenizer], text: str) -> None:
    ours, theirs = pair
    expected = ours.encode([text]).document(0).tolist()
    assert theirs.encode(text, add_special_tokens=False).ids == expected
    assert theirs.encode(text).ids == [ours.vocabulary.boundary_id, *expected]
    if not set(expected) & {ours.vocabulary.unknown_id}:
        assert theirs.decode(expected) == ours.decode(expected)


PLANE = 1 << 16
NEVER_ASSIGNED = range(4 * PLANE, 14 * PLANE)
"""The planes of Unicode in which no version has any character."""
PRIVATE = range(15 * PLANE, 17 * PLANE)
"""The planes whose characters are for private use, all alike."""


@pytest.mark.slow
@pytest.mark.parametrize(
    "points",
    [
        (range(4 * PLANE), range(14 * PLANE, 15 * PLANE), NEVER_ASSIGNED[::64], PRIVATE[::64]),
        pytest.param((NEVER_ASSIGNED, PRIVATE), marks=pytest.mark.exhaustive),
    ],
    ids=["assigned", "others"],
)
def test_every_character_is_in_the_same_class(points: tuple[range, ...]) -> None:
    ours = OURS["words"]
    theirs = tokenizer_file(ours)
    for batch in batched(chain(*points), 1 << 12):
        text = "".join(
            f"x{chr(point)}x'{chr(point)}" for point in batch if not 0xD800 <= point < 0xE000
        )
        expected = ours.encode([text]).document(0).tolist()
        assert theirs.encode(text, add_special_tokens=False).ids == expected


def batched(points: Iterable[int], size: int) -> Iterator[list[int]]:
    remaining = iter(points)
    while batch := list(islice(remaining, size)):
        yield batch


@pytest.mark.slow
def test_lower_case_is_the_same_but_for_letters_that_python_does_not_know_yet() -> None:
    normalizer = tokenizer_file(OURS["bytes-lowercase"]).normalizer
    known = [
        chr(point)
        for point in range(0x110000)
        if unicodedata.category(chr(point)) not in ("Cs", "Cn")
    ]
    text = " ".join(known)
    assert normalizer.normalize_str(text) == text.lower()


def test_the_alphabet_of_bytes() -> None:
    encoder = tokenizer_file(OURS["bytes"])
    assert len(set(byte_alphabet())) == 256
    assert encoder.encode("\0 ÿ", add_special_tokens=False).ids == [0, 32, 0xC3, 0xBF]


def test_the_boundary_is_the_last_id() -> None:
    for ours in OURS.values():
        theirs = tokenizer_file(ours)
        assert theirs.token_to_id(BOUNDARY_TOKEN) == ours.vocabulary.boundary_id
        assert theirs.get_vocab_size() == len(ours.vocabulary)


@pytest.mark.parametrize("level", ["characters", "words"])
def test_a_closed_vocabulary_stays_closed(level: str) -> None:
    options = TokenOptions(tokens=level, unknown="refuse")  # type: ignore[arg-type]
    ours = make_tokenizer(Documents.from_strings(["a b"]), options)
    theirs = tokenizer_file(ours)
    assert theirs.encode("b a", add_special_tokens=False).ids == [*ours.encode(["b a"]).document(0)]
    with pytest.raises(UnknownSymbolError):
        ours.encode(["a c"])
    with pytest.raises(Exception, match="UNK"):
        theirs.encode("a c")


def test_words_spelled_in_bytes_are_refused() -> None:
    options = TokenOptions(tokens="words", unknown="bytes", max_size=2)
    ours = make_tokenizer(Documents.from_strings(TRAIN), options)
    with pytest.raises(SettingError) as caught:
        tokenizer_file(ours)
    assert str(caught.value) == (
        "The tokens are words, of which unknown ones are spelled in bytes (`unknown='bytes'`); a "
        "tokenizer of Hugging Face cannot do both. Train with `unknown='symbol'`, or with "
        "`tokens='subwords'`."
    )
