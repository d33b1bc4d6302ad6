import numpy as np
import pytest

from thence.corpus import Documents
from thence.errors import SettingError
from thence.tokens import BOUNDARY, UNKNOWN, TokenOptions, Vocabulary, make_tokenizer
from thence.tokens.vocabulary import choose_symbols


def test_ids_run_symbols_then_unknown_then_boundary() -> None:
    vocabulary = Vocabulary(("b", "a"), "symbol")
    assert vocabulary.spelled == ("b", "a", UNKNOWN)
    assert (vocabulary.unknown_id, vocabulary.first_byte_id, vocabulary.boundary_id) == (2, None, 3)
    assert vocabulary.names() == ("b", "a", UNKNOWN, BOUNDARY)
    assert len(vocabulary) == 4


def test_bytes_stand_between_symbols_and_boundary() -> None:
    vocabulary = Vocabulary(("b", "a"), "bytes")
    # 2 symbols, 256 bytes, the boundary: 259 ids, the boundary's is 258.
    assert (vocabulary.unknown_id, vocabulary.first_byte_id) == (None, 2)
    assert (vocabulary.boundary_id, len(vocabulary)) == (258, 259)
    assert vocabulary.names()[2:4] == ("<0x00>", "<0x01>")
    assert len(vocabulary.names()) == 259


def test_a_closed_vocabulary_adds_only_the_boundary() -> None:
    vocabulary = Vocabulary(("b", "a"), "refuse")
    assert (vocabulary.unknown_id, vocabulary.first_byte_id) == (None, None)
    assert (vocabulary.boundary_id, vocabulary.names()) == (2, ("b", "a", BOUNDARY))


def test_no_two_ids_have_one_name() -> None:
    """A text may hold what looks like a special symbol as a word of its own."""
    words = ("a", "<boundary>", "<unk>", "<0x41>")
    names = {unknown: Vocabulary(words, unknown).names() for unknown in ("bytes", "refuse")}
    assert names["refuse"] == (*words, "<special boundary>")
    assert names["bytes"][-1] == "<special boundary>"
    assert names["bytes"][4 + 0x41] == "<special 0x41>"
    assert names["bytes"][4 + 0x42] == "<0x42>"
    assert len(set(names["bytes"])) == 4 + 256 + 1
    assert Vocabulary(("a", "<boundary>"), "symbol").names()[2:] == (UNKNOWN, "<special boundary>")


@pytest.mark.parametrize(
    ("vocabulary", "special"),
    [
        (Vocabulary(("<boundary>", "a"), "symbol"), [2, 3]),
        (Vocabulary(("<boundary>", "a"), "refuse"), [2]),
        (Vocabulary((), "symbol"), [0, 1]),
        (Vocabulary((), "bytes"), [256]),  # Where the tokens are bytes, they are the symbols.
        (Vocabulary(("a",), "bytes"), list(range(1, 258))),
    ],
)
def test_what_no_text_spells_is_special(vocabulary: Vocabulary, special: list[int]) -> None:
    assert [index for index in range(len(vocabulary)) if vocabulary.is_special(index)] == special


@pytest.mark.parametrize(
    ("symbols", "dtype"),
    [(0, np.uint8), (255, np.uint8), (256, np.uint16), (65_535, np.uint16), (65_536, np.uint32)],
)
def test_the_type_is_the_smallest_that_holds_the_boundary(symbols: int, dtype: type) -> None:
    assert Vocabulary(tuple(map(str, range(symbols))), "refuse").dtype == dtype


def test_the_most_frequent_are_kept_and_ties_go_to_what_sorts_first() -> None:
    counts = {"d": 1, "c": 2, "b": 2, "a": 1, "e": 3}
    assert choose_symbols(counts, None, 1, "refuse") == ["e", "b", "c", "a", "d"]
    assert choose_symbols(counts, 2, 1, "refuse") == ["e", "b"]
    assert choose_symbols(counts, None, 2, "refuse") == ["e", "b", "c"]
    assert choose_symbols(counts, 1, 9, "refuse") == []


def test_a_literal_unk_takes_no_place_where_it_is_the_unknown_symbol() -> None:
    counts = {UNKNOWN: 9, "a": 2, "b": 1}
    assert choose_symbols(counts, 2, 1, "symbol") == ["a", "b"]
    assert choose_symbols(counts, 2, 1, "refuse") == [UNKNOWN, "a"]


def test_ids_of_words_are_ranks_and_of_characters_code_points() -> None:
    train = Documents.from_strings(["b b a", "c c c"])
    words = make_tokenizer(train, TokenOptions(tokens="words"))
    assert words.vocabulary.symbols == ("c", "b", "a")
    characters = make_tokenizer(train, TokenOptions())
    assert characters.vocabulary.symbols == (" ", "a", "b", "c")


def test_the_size_limit_and_the_least_count_hold_for_characters_too() -> None:
    train = Documents.from_strings(["aaabbc"])
    assert make_tokenizer(train, TokenOptions(max_size=2)).vocabulary.symbols == ("a", "b")
    assert make_tokenizer(train, TokenOptions(min_count=3)).vocabulary.symbols == ("a",)


@pytest.mark.parametrize("tokens", ["characters", "words"])
def test_the_vocabulary_comes_from_train_only(tokens: str) -> None:
    documents = Documents.from_strings(["x y", "z"])  # One text buffer, of which train is a part.
    train = documents.take(np.array([0]))
    tokenizer = make_tokenizer(train, TokenOptions(tokens=tokens))  # type: ignore[arg-type]
    assert "z" not in tokenizer.vocabulary.symbols
    assert tokenizer.encode(documents).document(1).tolist() == [tokenizer.vocabulary.unknown_id]


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"max_size": 0}, "`max_size` is 0; it must be a whole number of at least 1."),
        ({"min_count": 0}, "`min_count` is 0; it must be a whole number of at least 1."),
        ({"tokens": "word"}, "`tokens` is 'word'; it must be one of .* Did you mean 'words'?"),
        ({"word_split": "spaces"}, "`word_split` is 'spaces'; it must be one of whitespace, "),
        ({"unknown": "byte"}, "`unknown` is 'byte'; .* Did you mean 'bytes'?"),
    ],
)
def test_settings_that_make_no_sense_are_refused(setting: dict[str, object], message: str) -> None:
    with pytest.raises(SettingError, match=message):
        TokenOptions(**setting)  # type: ignore[arg-type]
