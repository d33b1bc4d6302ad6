import codecs

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from thence.corpus.decoding import CHUNK, Errors, first_invalid, to_utf8
from thence.errors import SettingError, TextError


def decode(
    data: bytes, encoding: str = "utf-8", errors: Errors = "strict", chunk_size: int = CHUNK
) -> str:
    return to_utf8(data, "a.txt", encoding, errors, chunk_size).tobytes().decode("utf-8")


@pytest.mark.parametrize(
    ("data", "encoding", "errors", "expected"),
    [
        ("zoë żółw 名".encode(), "utf-8", "strict", "zoë żółw 名"),
        (b"\xef\xbb\xbfzo", "utf-8", "strict", "zo"),
        (b"\xef\xbb\xbfzo", "utf-8-sig", "strict", "zo"),
        (b"\xef\xbb\xbfzo\xff", "utf-8", "ignore", "zo"),
        (b"zo \xef\xbb\xbf", "utf-8", "strict", "zo \ufeff"),
        (b"zo\xeb", "latin-1", "strict", "zoë"),
        (b"a\xebb\0c", "utf-8", "replace", "a\ufffdb\ufffdc"),
        (b"a\xebb\0c", "utf-8", "ignore", "abc"),
        (b"a\0b", "latin-1", "replace", "a\ufffdb"),
        ("zoë".encode("utf-16"), "utf-16", "strict", "zoë"),
        (codecs.BOM_UTF16_BE + "zoë".encode("utf-16-be"), "utf-16-be", "strict", "zoë"),
        (b"", "utf-8", "strict", ""),
        (b"", "utf-16", "strict", ""),
    ],
)
def test_text_is_decoded(data: bytes, encoding: str, errors: Errors, expected: str) -> None:
    assert decode(data, encoding, errors) == expected


@pytest.mark.parametrize(
    ("data", "encoding", "message"),
    [
        (b"a\nzo\xeb", "utf-8", r"a.txt, line 2: byte 0xeb at byte offset 4 is not UTF-8.*latin-1"),
        (b"a\xc3", "utf-8", r"line 1: byte 0xc3 at byte offset 1 is not UTF-8.*`errors='replace'`"),
        (b"\xed\xa0\x80", "utf-8", r"byte 0xed at byte offset 0 is not UTF-8"),
        ("ab".encode("utf-16"), "utf-8", r"begins with a UTF-16 mark: use `encoding='utf-16'`"),
        (
            b"a\nb\0",
            "utf-8",
            r"line 2: byte 0x00 at byte offset 3 is not text.*`encoding='utf-16'`",
        ),
        (b"a\0b\0", "utf-16", r"is not utf-16 \(.*BOM\)\. Use another `encoding`; without a byte"),
        (b"a\n\xe9", "ascii", r"line 2: byte 0xe9 at byte offset 2 is not ascii\. Use another"),
        (b"a\nb\0", "latin-1", r"line 2 holds U\+0000, which is not text"),
    ],
)
def test_what_is_not_text_is_refused_with_its_place(
    data: bytes, encoding: str, message: str
) -> None:
    with pytest.raises(TextError, match=message):
        decode(data, encoding)


def test_places_are_right_beyond_the_first_chunk() -> None:
    with pytest.raises(TextError, match="line 3: byte 0xff at byte offset 23"):
        decode("żółw\nżółw\nżółw".encode() + b"\xff", chunk_size=8)
    with pytest.raises(TextError, match="line 2: byte 0x00 at byte offset 26 is not utf-16-le"):
        decode("abcdefg\n12xyż".encode("utf-16-le") + b"\0", "utf-16-le", chunk_size=8)


@given(st.binary(max_size=40))
def test_first_invalid_agrees_with_python(data: bytes) -> None:
    try:
        data.decode("utf-8")
    except UnicodeDecodeError as error:
        assert first_invalid(data, 8) == error.start
    else:
        assert first_invalid(data, 8) is None


@given(st.binary(max_size=40), st.sampled_from(["replace", "ignore"]))
def test_mending_agrees_with_python(data: bytes, errors: Errors) -> None:
    substitute = "\ufffd" if errors == "replace" else ""
    expected = data.decode("utf-8", errors).replace("\0", substitute).removeprefix("\ufeff")
    assert decode(data, errors=errors, chunk_size=8) == expected


def test_valid_text_is_not_copied() -> None:
    data = "zoë\n".encode()
    assert np.shares_memory(to_utf8(data, "a.txt", "utf-8", "strict"), np.frombuffer(data, "u1"))


@pytest.mark.parametrize(
    ("encoding", "message"),
    [
        ("utf-9", r"encoding 'utf-9' is not a text encoding. Did you mean 'utf-8'\?"),
        ("base64", r"encoding 'base64' is not a text encoding. Common ones are"),
        ("", "encoding '' is not a text encoding"),
    ],
)
def test_unknown_encodings_are_refused(encoding: str, message: str) -> None:
    with pytest.raises(SettingError, match=message):
        decode(b"a", encoding)
