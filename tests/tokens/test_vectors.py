import gzip
import lzma
import math
import os
import struct
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from thence.corpus.decoding import CHUNK
from thence.errors import RunError, SettingError, TextError
from thence.tokens import WordVectors, nearest_words, read_vectors, write_vectors

TEXT = b"the 0.5 -1 2\ncat 1e-1 .25 3.\n"
THE, CAT = [0.5, -1, 2], [0.1, 0.25, 3]


def binary(
    rows: list[tuple[bytes, list[float]]], stated: int | None = None, end: bytes = b"\n"
) -> bytes:
    """Rows of three values as word2vec writes them."""
    header = f"{len(rows) if stated is None else stated} 3\n".encode()
    return header + b"".join(word + b" " + struct.pack("<3f", *v) + end for word, v in rows)


BINARY = binary([(b"the", THE), (b"cat", CAT)])


@pytest.fixture
def read(tmp_path: Path) -> Callable[..., WordVectors]:
    """Write bytes to a file and read the vectors of some words from it."""

    def reading(content: bytes, *words: str, piece_size: int = CHUNK) -> WordVectors:
        (tmp_path / "vectors").write_bytes(content)
        return read_vectors(tmp_path / "vectors", words, piece_size=piece_size)

    return reading


def refusal(read: Callable[..., WordVectors], content: bytes, *words: str) -> str:
    with pytest.raises(TextError) as caught:
        read(content, *words)
    return str(caught.value)


# Layouts


@pytest.mark.parametrize("pack", [bytes, gzip.compress, lzma.compress])
@pytest.mark.parametrize(
    ("content", "stated"),
    [
        (TEXT, None),
        (b"\xef\xbb\xbf" + TEXT, None),
        (b"2 3\n" + TEXT, 2),
        (b"\xef\xbb\xbf2 3\r\n" + TEXT.replace(b"\n", b" \r\n"), 2),  # trailing spaces, CRLF
        (b"2\t3\n" + TEXT.rstrip(b"\n"), 2),
        (BINARY, 2),
        (binary([(b"the", THE), (b"cat", CAT)], end=b""), 2),  # as gensim writes it
    ],
)
def test_each_layout(
    read: Callable[..., WordVectors],
    content: bytes,
    stated: int | None,
    pack: Callable[[bytes], bytes],
) -> None:
    vectors = read(pack(content), "cat", "dog", "the")
    np.testing.assert_array_equal(vectors.matrix, np.array([CAT, [0, 0, 0], THE], np.float32))
    assert vectors.matrix.dtype == np.float32
    assert vectors.found.tolist() == [True, False, True]
    assert (vectors.dimension, vectors.rows, vectors.stated_rows) == (3, 2, stated)
    assert (vectors.skipped, vectors.first_skipped, vectors.remarks()) == (0, None, [])


def test_two_gzip_files_in_one_are_one(read: Callable[..., WordVectors]) -> None:
    halves = TEXT.split(b"\n", 1)
    packed = gzip.compress(halves[0] + b"\n") + gzip.compress(halves[1])
    assert read(packed, "the", "cat").found.all()


def test_rows_that_straddle_pieces(read: Callable[..., WordVectors]) -> None:
    words = [f"w{index}" for index in range(50)]
    values = [[index, index / 2, -index] for index in range(50)]
    rows = [f"{word} {' '.join(map(str, row))}" for word, row in zip(words, values, strict=True)]
    for content in (
        "\n".join(rows).encode(),
        binary([(word.encode(), row) for word, row in zip(words, values, strict=True)]),
    ):
        # The smallest piece that still holds a header and a row.
        found = read(content, *words, piece_size=23)
        np.testing.assert_array_equal(found.matrix, np.array(values, np.float32))


def test_the_dimension_is_that_of_most_first_rows(read: Callable[..., WordVectors]) -> None:
    vectors = read(b"the 0.5 1\n" + b"cat 1 2 3\ndog 1 2 3\n", "the", "cat")
    assert vectors.dimension == 3
    assert vectors.found.tolist() == [False, True]
    assert vectors.first_skipped == "line 1 has 2 of 3 values."


def test_a_word_may_be_a_number(read: Callable[..., WordVectors]) -> None:
    assert read(b"1 2 3 4\ninf 5 6 7\n", "1", "inf").matrix.tolist() == [[2, 3, 4], [5, 6, 7]]


# Words


def test_words_with_white_space(read: Callable[..., WordVectors]) -> None:
    words = (". . .", "New\u00a0York", "a\tb", "\u2003", "to a@b.c", "\x85")
    content = "".join(f"{word} 0.5 {index}\n" for index, word in enumerate(words))
    vectors = read(content.encode(), *words)
    assert vectors.found.all()
    assert vectors.matrix[:, 1].tolist() == [0, 1, 2, 3, 4, 5]


def test_the_first_usable_of_duplicates_wins(read: Callable[..., WordVectors]) -> None:
    vectors = read(b"a nan 0\na 1 2\na 3 4\n", "a")
    assert vectors.matrix.tolist() == [[1, 2]]
    assert (vectors.rows, vectors.skipped) == (3, 1)


def test_lower_case_is_tried_only_where_the_word_is_missing(
    read: Callable[..., WordVectors],
) -> None:
    content = b"paris 1 1\nParis 2 2\nrome 3 3\nBERN 4 4\n"
    vectors = read(content, "Paris", "paris", "Rome", "bern", "ROME", "PARIS")
    assert vectors.matrix[:, 0].tolist() == [2, 1, 3, 0, 3, 1]
    assert vectors.found.tolist() == [True, True, True, False, True, True]


def test_a_word_wanted_twice_gets_its_vector_twice(read: Callable[..., WordVectors]) -> None:
    assert read(TEXT, "the", "the").matrix.tolist() == [THE, THE]


# Broken rows


GOOD = b"".join(b"w%d 1 2 3\n" % index for index in range(20))


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (b"the 1 2", "has 2 of 3 values"),
        (b"the", "has 0 of 3 values"),
        (b"the 0.5 1 2 3", "has more than 3 values"),
        (b"the 1 x 3", "holds 'x', which is not a number"),
        (b"the 1 2 nan", "holds NaN or a number too large for float32"),
        (b"the 1 -inf 3", "holds NaN or a number too large for float32"),
        (b"the 1 2 1e39", "holds NaN or a number too large for float32"),
        (b" 1 2 3", "has no word"),
        (b"caf\xe9 1 2 3", "has a word that is not UTF-8"),
    ],
)
@pytest.mark.parametrize("header", [b"", b"21 3\n"])
def test_broken_rows_of_text_are_skipped_and_named(
    read: Callable[..., WordVectors], header: bytes, row: bytes, reason: str
) -> None:
    vectors = read(header + GOOD + row + b"\n", "the", "w19")
    assert vectors.found.tolist() == [False, True]
    assert not vectors.matrix[0].any()
    assert (vectors.rows, vectors.skipped) == (21, 1)
    line = 22 if header else 21
    assert vectors.first_skipped == f"line {line} {reason}."
    assert vectors.remarks() == [f"1 of 21 rows were skipped; the first: line {line} {reason}."]


@pytest.mark.parametrize(
    ("word", "values", "reason"),
    [
        (b"the", [1, math.nan, 0], "holds NaN or a number too large for float32"),
        (b"the", [1, 0, math.inf], "holds NaN or a number too large for float32"),
        (b"caf\xe9", THE, "has a word that is not UTF-8"),
        (b"", THE, "has no word"),
    ],
)
def test_broken_rows_of_binary_are_skipped_and_named(
    read: Callable[..., WordVectors], word: bytes, values: list[float], reason: str
) -> None:
    vectors = read(binary([(b"cat", CAT), (word, values)]), "cat", "the")
    assert vectors.found.tolist() == [True, False]
    assert vectors.first_skipped == f"row 2 {reason}."


def test_only_values_of_wanted_words_are_read(read: Callable[..., WordVectors]) -> None:
    assert read(GOOD + b"the 1 x 3\n", "w0").skipped == 0


def test_blank_lines_are_no_rows_but_are_lines(read: Callable[..., WordVectors]) -> None:
    vectors = read(b"a 1 2\n\n \r\nb 1\n\n", "a")
    assert (vectors.rows, vectors.first_skipped) == (2, "line 4 has 1 of 2 values.")


@pytest.mark.parametrize(("broken", "refused"), [(2, False), (3, True)])
def test_more_than_a_tenth_of_broken_rows_is_refused(
    read: Callable[..., WordVectors], broken: int, refused: bool
) -> None:
    # 2 of 22 are 9 %, 3 of 23 are 13 %.
    content = GOOD + b"the 1\n" * broken
    if not refused:
        assert read(content, "w0").skipped == 2
        return
    message = refusal(read, content, "w0")
    assert "3 of 23 rows are broken; the first: line 21 has 1 of 3 values." in message
    assert "downloaded whole?" in message


def test_broken_values_count_among_the_rows_of_wanted_words(
    read: Callable[..., WordVectors],
) -> None:
    wanted = [f"v{index}" for index in range(10)]
    content = GOOD * 10 + b"".join(f"{word} 1 nan 3\n".encode() for word in wanted)
    assert read(content, *wanted[:9]).skipped == 9
    message = refusal(read, content, *wanted)
    assert "10 of 10 rows of wanted words are broken; the first: line 201 holds NaN" in message


def test_under_ten_rows_one_usable_is_enough(read: Callable[..., WordVectors]) -> None:
    assert read(b"2 3\n" + b"x 1\n" * 8 + b"a 1 2 3\n", "a").found.all()
    assert "8 of 8 rows are broken" in refusal(read, b"8 3\n" + b"x 1\n" * 8, "a")


# Headers and whole files


def test_another_count_than_the_headers_is_reported(read: Callable[..., WordVectors]) -> None:
    said = ["Rows: the header promises 1,000, the file has 2."]
    assert read(b"1000 3\n" + TEXT, "the").remarks() == said
    more = read(binary([(b"the", THE), (b"cat", CAT)], stated=1), "cat")
    assert more.found.all()
    assert more.remarks() == ["Rows: the header promises 1, the file has 2."]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "holds no word vectors: it is empty."),
        (b"0 3\n", "holds no word vectors, only a header."),
        (b"5 3", "holds no word vectors, only a header."),
        (b"5 0\n", "line 1 says that a vector has 0 values, where 1 to 65536 are possible."),
        (b"5 999999999999\n", "line 1 says that a vector has 999999999999 values"),
        (b"Just some prose.\nAnd more.\n", "no row among the first 100 is a word, a space"),
        (b"the\t0.1\t0.2\n", "no row among the first 100 is a word, a space"),
        (b"\0\1\2\3", "is no file of word vectors"),
        (b"PK\x03\x04...", "is a zip archive. Unpack it"),
        (struct.pack("<i", 793712314), "is a fastText model. Use the .vec file"),
        (b"a 1\n" + b"x" * (6 << 20), "line 2 is longer than 4 MiB"),
        (BINARY + b"x" * (1 << 17), "row 3 has a word longer than 64 KiB"),
    ],
)
def test_what_is_no_file_of_vectors_is_refused(
    read: Callable[..., WordVectors], tmp_path: Path, content: bytes, said: str
) -> None:
    message = refusal(read, content, "the")
    assert message.startswith(str(tmp_path / "vectors"))
    assert said in message


@pytest.mark.parametrize("pack", [gzip.compress, lzma.compress])
@pytest.mark.parametrize("content", [GOOD * 1000, BINARY])
def test_compressed_files_cut_short_are_refused(
    read: Callable[..., WordVectors], pack: Callable[[bytes], bytes], content: bytes
) -> None:
    message = refusal(read, pack(content)[:-9], "the")
    assert "is compressed, but broken" in message
    assert "downloaded whole?" in message


def test_a_damaged_gzip_file_is_refused(read: Callable[..., WordVectors]) -> None:
    packed = bytearray(gzip.compress(GOOD))
    packed[-8] ^= 1  # the checksum
    assert "is compressed, but broken (CRC check failed" in refusal(read, bytes(packed), "the")


def test_binary_files_cut_short_are_refused(read: Callable[..., WordVectors]) -> None:
    assert "ends within row 2 of 2. Was it" in refusal(read, BINARY[:-2], "the")
    assert "ends within row 2 of 2. Was it" in refusal(read, BINARY[:-16], "the")
    missing = binary([(b"the", THE)], stated=2)
    assert "ends before row 2 of 2. Was it" in refusal(read, missing, "the")
    assert "ends within row 3 of 3. Was it" in refusal(read, BINARY + b"do", "the")


def test_text_cut_short_has_a_broken_last_row(read: Callable[..., WordVectors]) -> None:
    vectors = read(b"2 3\n" + TEXT[:-8], "the", "cat")
    assert vectors.found.tolist() == [True, False]
    assert vectors.first_skipped == "line 3 has 1 of 3 values."


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(TextError, match=r"none does not exist\. Is the path spelt right\?"):
        read_vectors(tmp_path / "none", ["a"])
    with pytest.raises(TextError, match="cannot be read"):
        read_vectors(tmp_path, ["a"])


PARTS = st.sampled_from(
    [b"2 3\n", b"1 1\n", b"a", b"the", b" ", b"\n", b"0.5", b"\0\0\x80?", b"\r"]
)


@given(st.one_of(st.binary(), st.lists(PARTS, max_size=20).map(b"".join)), st.booleans())
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_bytes_are_read_or_refused_with_a_sentence(
    tmp_path: Path, content: bytes, packed: bool
) -> None:
    path = tmp_path / "any"
    path.write_bytes(gzip.compress(content) if packed else content)
    try:
        vectors = read_vectors(path, ["a", "the", "0.5"])
    except TextError as error:
        assert str(path) in str(error)
    else:
        assert np.isfinite(vectors.matrix).all()
        assert vectors.skipped < vectors.rows


# Reports


def test_coverage_of_words_and_tokens(read: Callable[..., WordVectors]) -> None:
    vectors = read(TEXT, "the", "dog", "cat", "emu")
    assert vectors.coverage == 0.5
    # (6 + 1) of (6 + 2 + 1 + 1) tokens
    assert vectors.token_coverage(np.array([6, 2, 1, 1])) == 0.7
    assert vectors.token_coverage(np.zeros(4, np.int64)) == 0
    nothing = read(TEXT)
    assert (nothing.matrix.shape, nothing.coverage) == ((0, 3), 0)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("opened", "layout"),
    [(Path.open, "text"), (gzip.open, "text"), (gzip.open, "binary"), (lzma.open, "binary")],
)
def test_memory_does_not_grow_with_the_file(
    tmp_path: Path, opened: Callable[..., gzip.GzipFile], layout: str
) -> None:
    rows = {"text": b"word%07d" + b" 0.25" * 800 + b"\n", "binary": b"%07d " + bytes(3200)}[layout]
    peaks = []
    for megabytes in (4, 12):
        path = tmp_path / f"{megabytes}"
        num_rows = megabytes * (1 << 20) // len(rows)
        with opened(path, "wb") as file:
            file.write(f"{num_rows} 800\n".encode())
            for index in range(num_rows):
                file.write(rows % index)
        tracemalloc.start()
        try:
            assert read_vectors(path, ["the", "cat"]).rows == num_rows
            peaks.append(tracemalloc.get_traced_memory()[1])
        finally:
            tracemalloc.stop()
    # Within a megabyte, where 8 more would have been read into memory.
    assert peaks[1] < peaks[0] + (1 << 20)


# Writing


def as_written(word: str) -> str:
    return "".join("_" if character.isspace() else character for character in word)


FINITE = st.floats(width=32, allow_nan=False, allow_infinity=False)
WORDS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=6)


@given(
    st.lists(WORDS, min_size=1, max_size=5, unique_by=as_written),
    st.integers(1, 4),
    st.data(),
)
@example(["a b", "\u00a0", "_x", "\ufeff", "1"], 1, None)
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_what_is_written_is_read_back(
    tmp_path: Path, words: list[str], dimension: int, data: st.DataObject | None
) -> None:
    shape = (len(words), dimension)
    matrix = np.full(shape, np.float32(0.1))
    if data:
        matrix = data.draw(arrays(np.float32, shape, elements=FINITE))
    path = tmp_path / "saved.vec"
    write_vectors(path, words, matrix)
    vectors = read_vectors(path, [as_written(word) for word in words])
    assert vectors.found.all()
    np.testing.assert_array_equal(vectors.matrix, matrix)
    assert (vectors.stated_rows, vectors.remarks()) == (len(words), [])


def test_the_written_file(tmp_path: Path) -> None:
    path = tmp_path / "new" / "saved.vec"
    write_vectors(path, ["New York", "é"], np.array([[0.1, -2], [1e-9, 0]], np.float32))
    assert path.read_text(encoding="utf-8") == "2 2\nNew_York 0.1 -2.0\né 1e-09 0.0\n"
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize(
    ("words", "matrix", "said"),
    [
        (["a b", "a_b"], [[1], [2]], "'a b' and 'a_b' would both be written as 'a_b'."),
        (["a", "a"], [[1], [2]], "'a' and 'a' would both be written as 'a'."),
        (["a", ""], [[1], [2]], "one of the words is empty."),
        (["a", "b"], [[1], [math.nan]], "the vector of 'b' holds NaN or an infinite value."),
        (["a"], [[1], [2]], "there are 1 words and vectors of shape (2, 1); each word needs one."),
        (["a"], [[]], "there are 1 words and vectors of shape (1, 0)"),
    ],
)
def test_what_could_not_be_read_back_is_not_written(
    tmp_path: Path, words: list[str], matrix: list[list[float]], said: str
) -> None:
    path = tmp_path / "saved.vec"
    path.write_text("before")
    with pytest.raises(SettingError) as caught:
        write_vectors(path, words, np.array(matrix, np.float32))
    assert f"{path} was not written: {said}" in str(caught.value)
    assert path.read_text() == "before"


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match=r"Cannot write .*saved\.vec: .*Choose another place"):
        write_vectors(tmp_path / "file" / "saved.vec", ["a"], np.ones((1, 1), np.float32))


# Neighbours


SQUARE = np.array([[1, 0], [2, 2], [0, 0], [0, 5], [-3, 0], [4, 0]], np.float32)
NAMES = ["east", "northeast", "none", "north", "west", "far-east"]


def test_nearest_words() -> None:
    near = nearest_words(SQUARE, NAMES, 0, 9)
    assert [word for word, _ in near] == ["far-east", "northeast", "north", "west"]
    np.testing.assert_allclose([cosine for _, cosine in near], [1, 0.5**0.5, 0, -1], rtol=1e-12)
    assert nearest_words(SQUARE, NAMES, -1, 1) == [("east", 1)]  # far-east, counted from the end
    assert nearest_words(SQUARE, NAMES, 0, 0) == []


def test_nearest_words_of_a_vector_leave_nothing_out() -> None:
    near = nearest_words(SQUARE, NAMES, np.array([3, 0], np.float32), 2)
    assert near == [("east", 1), ("far-east", 1)]


def test_nothing_is_near_a_word_without_vector() -> None:
    assert nearest_words(SQUARE, NAMES, 2, 5) == []


@given(arrays(np.float32, (4, 3), elements=FINITE))
@settings(deadline=None)
def test_cosines_stay_in_range_and_order(matrix: np.ndarray) -> None:
    near = nearest_words(matrix, list("abcd"), 0, 4)
    cosines = [cosine for _, cosine in near]
    assert all(-1 <= cosine <= 1 for cosine in cosines)
    assert cosines == sorted(cosines, reverse=True)
    others = {"abcd"[index] for index in range(1, 4) if matrix[index].any()}
    assert {word for word, _ in near} == (others if matrix[0].any() else set())


# Real files


@pytest.fixture
def real_vectors() -> Path:
    """The folder of real files; the test is skipped where there is none."""
    beside = Path(__file__).resolve().parents[3] / "shared" / "data"
    folder = Path(os.environ.get("THENCE_TEST_DATA", beside)) / "vectors"
    if not folder.is_dir():
        pytest.skip(f"no real data in {folder}")
    return folder


@pytest.mark.data
def test_glove(real_vectors: Path) -> None:
    words = ["the", "The", "king", "queen", "man", "qwertz"]
    vectors = read_vectors(real_vectors / "glove.6B.50d.top2445.txt.gz", words)
    assert (vectors.rows, vectors.dimension, vectors.remarks()) == (2445, 50, [])
    assert vectors.found.tolist() == [True, True, True, True, True, False]
    assert (
        vectors.matrix[0, :3].tolist() == np.array([0.418, 0.24968, -0.41242], np.float32).tolist()
    )
    assert nearest_words(vectors.matrix, words, 2, 1)[0][0] == "queen"


@pytest.mark.data
def test_fasttext_with_words_in_another_encoding(real_vectors: Path) -> None:
    vectors = read_vectors(real_vectors / "pang_lee_polarity_fasttext.vec.gz", [".", "the"])
    assert vectors.found.all()
    assert (vectors.rows, vectors.stated_rows, vectors.dimension) == (1694, 1694, 100)
    assert vectors.remarks() == [
        "5 of 1,694 rows were skipped; the first: line 150 has a word that is not UTF-8."
    ]
