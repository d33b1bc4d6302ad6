import json
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from thence.corpus import Documents
from thence.errors import RunError, SettingError, TextError
from thence.tokens import (
    TokenOptions,
    load_tokenizer,
    make_tokenizer,
    tokenizer_from_json,
    tokenizer_of,
)

TRAIN = Documents.from_strings(["Zoë’s \u2028naïve 😀 \x85 text", 'a "b" \\ c'])
ALL_OPTIONS = [
    TokenOptions(),
    TokenOptions(unknown="bytes", max_size=3, nfc=True),
    TokenOptions(tokens="bytes", lowercase=True),
    TokenOptions(tokens="words", unknown="refuse"),
    TokenOptions(tokens="words", word_split="whitespace", min_count=2),
    TokenOptions(tokens="subwords", max_size=270),
]


@pytest.mark.parametrize(
    ("text", "options", "expected"),
    [
        ("e\u0301", TokenOptions(nfc=True), "é"),
        ("e\u0301", TokenOptions(), "e\u0301"),
        ("ÀB", TokenOptions(lowercase=True), "àb"),
        # The Turkish capital I with a dot becomes two characters: i and the dot above.
        ("İx", TokenOptions(lowercase=True), "i\u0307x"),
        ("İx", TokenOptions(lowercase=True, nfc=True), "i\u0307x"),
        # J and caron have no composed form, j and caron have: lower case first, then compose.
        ("J\u030c", TokenOptions(lowercase=True, nfc=True), "\u01f0"),
        ("ΟΔΟΣ", TokenOptions(lowercase=True), "οδος"),
    ],
)
def test_normalisation(text: str, options: TokenOptions, expected: str) -> None:
    tokenizer = make_tokenizer(Documents.from_strings([text, ""]), options)
    store = tokenizer.encode([text, ""])
    assert tokenizer.decode(store.document(0)) == expected
    assert store.target_counts.tolist() == [len(expected) + 1, 1]
    # Bytes and characters are those of the text as it was.
    assert store.byte_counts.tolist() == [len(text.encode()), 0]
    assert store.character_counts.tolist() == [len(text), 0]


@pytest.mark.parametrize("options", ALL_OPTIONS, ids=str)
def test_saving_and_loading_gives_an_equal_tokenizer(options: TokenOptions, tmp_path: Path) -> None:
    tokenizer = make_tokenizer(TRAIN, options)
    path = tmp_path / "tokenizer.json"
    path.write_text(tokenizer.to_json(), encoding="utf-8")
    loaded = load_tokenizer(path)
    assert loaded == tokenizer
    assert loaded.content_hash() == tokenizer.content_hash()
    assert (loaded.encode(TRAIN).ids == tokenizer.encode(TRAIN).ids).all()


def test_different_options_have_different_hashes() -> None:
    hashes = {make_tokenizer(TRAIN, options).content_hash() for options in ALL_OPTIONS}
    assert len(hashes) == len(ALL_OPTIONS)


def damage(**changes: Any) -> Callable[[str], str]:
    return lambda text: json.dumps({**json.loads(text), **changes})


OPTIONS: dict[str, Any] = {"tokens": "characters"}
DAMAGES = {
    "empty": lambda text: "",
    "cut": lambda text: text[:-5],
    "list": lambda text: "[]",
    "deep": lambda text: "[" * 100_000,
    "no symbols": lambda text: json.dumps({**OPTIONS, "format": 1, "options": OPTIONS}),
    "number as symbol": damage(symbols=["a", 1]),
    "symbols not a list": damage(symbols=3),
    "long symbol": damage(symbols=["ab"]),
    "symbol twice": damage(symbols=["a", "a"]),
    "empty symbol": damage(symbols=["a", ""]),
    "options not a table": damage(options="characters"),
    "unknown option": damage(options={"token": "characters"}),
    "unknown level": damage(options={"tokens": "letters"}),
    "unknown rule": damage(options={"unknown": "ignore"}),
    "impossible size": damage(options={"max_size": 0}),
    "no subwords": damage(options={"tokens": "subwords"}),
    "broken subwords": damage(options={"tokens": "subwords"}, subwords={"model": 1}),
}


@pytest.mark.parametrize("kind", DAMAGES)
def test_a_damaged_file_is_an_error_with_a_way_out(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "tokenizer.json"
    path.write_text(DAMAGES[kind](make_tokenizer(TRAIN, TokenOptions()).to_json()), "utf-8")
    with pytest.raises(RunError, match=r"tokenizer\.json cannot be read .* or train again\."):
        load_tokenizer(path)


def test_bytes_that_are_not_text_are_an_error_too(tmp_path: Path) -> None:
    (tmp_path / "tokenizer.json").write_bytes(b"\xff{}")
    with pytest.raises(RunError, match="cannot be read"):
        load_tokenizer(tmp_path / "tokenizer.json")
    with pytest.raises(RunError, match=r"nowhere\.json cannot be read"):
        load_tokenizer(tmp_path / "nowhere.json")


def test_another_format_is_named(tmp_path: Path) -> None:
    path = tmp_path / "tokenizer.json"
    path.write_text('{"format": 99}', "utf-8")
    with pytest.raises(RunError, match="has format 99, this thence reads 1"):
        load_tokenizer(path)


def test_words_of_a_run_of_version_0_1_are_found_as_they_were(tmp_path: Path) -> None:
    options = asdict(TokenOptions("words", "whitespace"))
    del options["vocabulary"]  # It came later.
    old = {"format": 1, "options": options, "symbols": ["a", "b", "</s>"]}
    path = tmp_path / "tokenizer.json"
    path.write_text(json.dumps(old), "utf-8")
    tokenizer = load_tokenizer(path)
    assert tokenizer.encode(["a\xa0b"]).ids.tolist() == [4, 0, 1, 4]
    assert tokenizer.to_json() == json.dumps(old)  # So its hash is the one that the run names.
    path.write_text(json.dumps({**old, "format": 2}), "utf-8")
    assert load_tokenizer(path).encode(["a\xa0b"]).ids.tolist() == [4, 3, 4]


@pytest.mark.parametrize(
    ("options", "format_"),
    [
        (TokenOptions("words"), 2),
        (TokenOptions("words", "whitespace"), 2),
        (TokenOptions("characters"), 1),
        (TokenOptions("bytes"), 1),
    ],
)
def test_only_words_need_the_second_format(options: TokenOptions, format_: int) -> None:
    """So that version 0.1 still opens what it reads rightly, and refuses what it would not."""
    tokenizer = make_tokenizer(TRAIN, options)
    assert json.loads(tokenizer.to_json())["format"] == format_


def test_where_words_end() -> None:
    ends = {
        split: {
            end: tokenizer_of(["a"], TokenOptions("words", split)).ends_in_space(f"a{end}")
            for end in ("", " ", "\n", "\xa0", "\u3000", ".")
        }
        for split in ("whitespace", "punctuation")
    }
    assert [end for end, ends_it in ends["whitespace"].items() if ends_it] == [" ", "\n"]
    spaces = [end for end, ends_it in ends["punctuation"].items() if ends_it]
    assert spaces == [" ", "\n", "\xa0", "\u3000"]
    assert not make_tokenizer(TRAIN, TokenOptions()).ends_in_space("a ")


def test_subwords_are_at_least_the_bytes() -> None:
    with pytest.raises(SettingError, match="`max_size` is 5; subwords need at least 256"):
        make_tokenizer(TRAIN, TokenOptions(tokens="subwords", max_size=5))
    tokenizer = make_tokenizer(TRAIN, TokenOptions(tokens="subwords", max_size=256))
    assert len(tokenizer.vocabulary) == 257
    assert tokenizer.encode(["né"]).num_targets == 4  # n, two bytes of é, the boundary.


@pytest.mark.parametrize("tokens", ["characters", "bytes", "words", "subwords"])
def test_a_line_too_long_for_memory_is_refused_before_it_is_read(
    monkeypatch: pytest.MonkeyPatch, tokens: str
) -> None:
    documents = Documents.from_strings(["emma", "ab " * 700_000])
    options = TokenOptions(tokens)
    tokenizer = make_tokenizer(Documents.from_strings(["emma", "ab "]), options)
    monkeypatch.setattr("thence.tokens.tokenizer.free_memory", lambda: 1 << 26)
    said = "Document 2 alone has 2 MB, and to tokenise it takes about 0.1 GB of memory, more than"
    with pytest.raises(TextError, match=said):
        tokenizer.encode(documents)
    if tokens != "bytes":  # Their tokenizer looks at no text.
        with pytest.raises(TextError, match=said):
            make_tokenizer(documents, options)


def test_words_left_out_are_kept_but_change_no_token() -> None:
    text = ["the cat sat", "the cats sat"]
    tokenizer = make_tokenizer(Documents.from_strings(text), TokenOptions("words", min_count=2))
    assert tokenizer.left_out == ("cat", "cats")
    again = tokenizer_from_json(tokenizer.to_json(), "again")
    assert again == tokenizer and again.content_hash() == tokenizer.content_hash()
    # A run of an older version, which did not keep them, has the same tokens.
    older = replace(tokenizer, left_out=())
    assert "left_out" not in older.to_json()
    assert tokenizer.same_tokens(older) and older.same_tokens(tokenizer)
    fewer = make_tokenizer(Documents.from_strings(text), TokenOptions("words", max_size=1))
    assert not tokenizer.same_tokens(fewer)
