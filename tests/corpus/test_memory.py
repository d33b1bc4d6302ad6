"""Texts that a program holds become the documents that are meant, or are refused with a way out."""

import io
import json
from collections import UserList
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from thence.corpus import Documents, ReadingOptions, load, read_documents, read_memory, write_texts
from thence.errors import TextError

ODD = ["a\nb\r", "", "\x85 \u2028 😀\x01", "  ", "\ufeffx", '"\\', "\r\n", "zoë"]


class Column:
    """A column of a table, as a library of tables has it."""

    def __init__(self, values: list[Any]) -> None:
        self.values, self.ndim = values, 1

    def __iter__(self) -> Any:
        return iter(self.values)


@pytest.mark.parametrize(
    "texts",
    [
        ["emma", "zoë"],
        ("emma", "zoë"),
        (name for name in ("emma", "zoë")),
        {"emma": 1, "zoë": 2}.keys(),
        np.array(["emma", "zoë"]),
        np.array(["emma", "zoë"], object),
        UserList(["emma", "zoë"]),
        Column(["emma", "zoë"]),
        Documents.from_strings(["emma", "zoë"]),
    ],
    ids=lambda texts: type(texts).__name__,
)
def test_every_iterable_of_strings_is_texts(texts: Any) -> None:
    assert list(load(texts)) == ["emma", "zoë"]


class Table(Column):
    column_names = ("text", "label")


@pytest.mark.parametrize(
    ("texts", "sentence"),
    [
        ({"train": ["a"]}, r"of the type dict; give one of its values, such as texts\['train'\]"),
        ({"a", "b"}, r"of the type set; its order .* give sorted\(texts\)"),
        (b"a", "of the type bytes; decode it"),
        (io.StringIO("a"), "of the type StringIO; give its path"),
        (np.array([["a"]]), r"of the type ndarray; name one column, such as table\['text'\]"),
        (Table([{"text": "a"}]), "of the type Table; name one column"),
        (np.array("a"), "of the type ndarray; give a list"),
        (3, "of the type int; give a list"),
        (["a", 3], "item 1 is 3, of the type int. Each must be a string"),
        (["a", b"b"], "item 1 is b'b', of the type bytes"),
        ([["a"]], r"item 0 is \['a'\], of the type list"),
        (["a", None], "item 1 is None, of the type NoneType. Leave out or fill in what is missing"),
        (["a", float("nan")], "item 1 is nan, of the type float. Leave out or fill in"),
        ([Path("a")], "item 0 is .*Give the texts themselves, or one path"),
        (["a", "b\0"], r"The text in memory, item 1, holds U\+0000, which is not text"),
        (["\ud800"], r"item 0, holds U\+D800"),
        ([], "The text in memory holds no text"),
        ([""], "The text in memory holds no text"),
    ],
)
def test_anything_else_is_refused_with_the_way_out(texts: Any, sentence: str) -> None:
    with pytest.raises(TextError, match=sentence):
        load(texts)


def test_a_single_string_is_one_document_and_not_its_characters() -> None:
    assert list(Documents.from_strings("emma")) == ["emma"]


def test_options_of_reading_count_where_they_say_something() -> None:
    assert list(read_memory(["a", "", "b"])) == ["a", "b"]
    assert list(read_memory(["a", "", "b"], ReadingOptions(keep_empty=True))) == ["a", "", "b"]
    assert list(read_memory(["a\0b"], ReadingOptions(errors="ignore"))) == ["ab"]
    assert list(read_memory(["a\0b"], ReadingOptions(errors="replace"))) == ["a\ufffdb"]


@pytest.mark.parametrize("encoding", ["utf-8", "latin-1", "utf-16", "utf-8-sig"])
@pytest.mark.parametrize("column", [None, 'a "b"\n'])
def test_what_is_written_reads_as_the_same_documents(
    tmp_path: Path, encoding: str, column: str | None
) -> None:
    options = ReadingOptions(keep_empty=True, encoding=encoding, column=column)
    documents = read_memory(ODD, options)
    with (tmp_path / "text.jsonl").open("wb") as file:
        write_texts(documents, file, options)
    again = read_documents(tmp_path / "text.jsonl", options)
    assert list(again) == ODD
    assert again.content_hash() == documents.content_hash()


def test_a_kept_text_is_ordinary_jsonl(tmp_path: Path) -> None:
    with (tmp_path / "text.jsonl").open("wb") as file:
        write_texts(read_memory(["zoë\n"]), file, ReadingOptions())
    (line,) = (tmp_path / "text.jsonl").read_text("ascii").splitlines()
    assert json.loads(line) == {"text": "zoë\n"}


def test_texts_are_taken_one_by_one() -> None:
    taken = []

    def texts() -> Any:
        for number in range(3):
            taken.append(number)
            yield "a" if number < 2 else 2

    with pytest.raises(TextError, match="item 2 is 2"):
        read_memory(texts())
    assert taken == [0, 1, 2]
