import pytest

from thence.corpus import Documents
from thence.errors import UnknownSymbolError
from thence.tokens import Tokenizer, TokenOptions, make_tokenizer

from .chunks import in_chunks

TRAIN = Documents.from_strings(["ab a", "b"])


def tokenizer(**options: object) -> Tokenizer:
    return make_tokenizer(TRAIN, TokenOptions(**options))  # type: ignore[arg-type]


def test_unknown_characters_become_the_symbol() -> None:
    made = tokenizer()
    # ' ', a, b have the ids 0, 1, 2; <unk> has 3, the boundary 4.
    store = made.encode(["axb😀", "", "é"])
    assert store.ids.tolist() == [4, 1, 3, 2, 3, 4, 4, 3, 4]
    assert made.decode(store.document(0)) == "a\ufffdb\ufffd"


def test_unknown_characters_are_spelled_in_bytes() -> None:
    made = tokenizer(unknown="bytes")
    # Ids 0-2 are ' ', a, b; byte x has the id 3 + x; é is C3 A9 = 195, 169; the boundary is 259.
    store = made.encode(["aéb", "", "é"])
    assert store.ids.tolist() == [259, 1, 198, 172, 2, 259, 259, 198, 172, 259]
    assert store.offsets.tolist() == [1, 6, 7, 10]
    assert made.decode(store.document(0)) == "aéb"


def test_unknown_words_become_the_symbol_and_a_literal_unk_is_it() -> None:
    made = tokenizer(tokens="words")
    # a, ab and b occur once each and sort so; <unk> is 3, the boundary 4. a: 0, ab: 1, b: 2.
    assert made.vocabulary.symbols == ("a", "ab", "b")
    store = made.encode(["a zz <unk> b"])
    assert store.ids.tolist() == [4, 0, 3, 3, 2, 4]
    assert made.decode(store.document(0)) == "a <unk> <unk> b"


def test_literal_special_words_are_ordinary_where_nothing_is_special() -> None:
    text = ["<unk> <boundary> a"]
    documents = Documents.from_strings(text)
    for unknown in ("refuse", "bytes"):
        options = TokenOptions(tokens="words", unknown=unknown)  # type: ignore[arg-type]
        made = make_tokenizer(documents, options)
        assert made.vocabulary.symbols == ("<boundary>", "<unk>", "a")
        store = made.encode(text)
        assert store.document(0).tolist() == [1, 0, 2]
        assert made.vocabulary.boundary_id not in store.document(0)
        assert made.decode(store.document(0)) == text[0]


def test_unknown_words_are_spelled_in_bytes_that_end_in_a_space() -> None:
    made = tokenizer(tokens="words", unknown="bytes")
    # Three words, so byte x is 3 + x: é is 198, 172 and the space 35.
    store = made.encode(["a é b"])
    assert store.document(0).tolist() == [0, 198, 172, 35, 2]
    assert made.decode(store.document(0)) == "a é b"


def test_a_spelling_that_breaks_off_stays_in_its_place() -> None:
    made = tokenizer(tokens="words", unknown="bytes")
    # Byte x is 3 + x: z (122) is 125. A model may forget the space that ends a spelling.
    assert made.decode([0, 125, 2]) == "a z b"
    assert made.decode([0, 125, made.vocabulary.boundary_id, 2]) == "a z b"
    assert made.decode([125]) == "z"


@pytest.mark.parametrize("chunk", [1, 4, 1 << 17])
@pytest.mark.parametrize(
    ("tokens", "texts", "place"),
    [
        ("characters", ["ab", "", "b a", "bax", "x"], "'x' (symbol 3 of document 4)"),
        ("characters", ["", "", "😀"], "'😀' (symbol 1 of document 3)"),
        ("words", ["ab", "", "b a", "b a zz", "zz"], "'zz' (symbol 3 of document 4)"),
        ("words", ["b b b", "a\u2028é"], "'é' (symbol 2 of document 2)"),
    ],
)
def test_a_refusal_names_the_symbol_and_its_place(
    chunk: int, tokens: str, texts: list[str], place: str
) -> None:
    made = tokenizer(tokens=tokens, unknown="refuse")
    with pytest.raises(UnknownSymbolError) as refusal:
        made.encode(in_chunks(Documents.from_strings(texts), chunk))
    assert str(refusal.value) == (
        f"{place} is not in the closed vocabulary of 3 symbols; remove it from the text, or train "
        "with `unknown='symbol'` or `unknown='bytes'`."
    )


def test_what_was_seen_is_not_refused() -> None:
    assert tokenizer(unknown="refuse").encode(["ba ab"]).num_targets == 6
