"""ARPA files: ours read back, others' forms accepted, broken ones refused with the line."""

import gzip
from pathlib import Path

import numpy as np
import pytest

from thence.corpus import Documents
from thence.errors import SettingError, TextError
from thence.exchange.arpa_reader import read_arpa
from thence.exchange.arpa_writer import write_arpa
from thence.exchange.ngram_lists import ListedModel
from thence.models.ngram import NGram, NGramOptions
from thence.tokens import Tokenizer, TokenOptions, make_tokenizer

TEXTS = ["the cat sat", "the cat ran off", "a dog sat", "the dog sat on the cat", ""]

SRILM = """
\\data\\
ngram 1=4
ngram 2=2

\\1-grams:
-0.5 </s>
-99 <s> -0.3
-0.6\t<UNK>
-0.4  a   -0.2

\\2-grams:
-0.1 <s> a
-0.25 a </s>
"""


def model_of(order: int, **options: object) -> tuple[NGram, Tokenizer]:
    documents = Documents.from_strings(TEXTS)
    tokenizer = make_tokenizer(documents, TokenOptions(tokens="words"))
    model = NGram(NGramOptions(order=order, **options), len(tokenizer.vocabulary))  # type: ignore[arg-type]
    model.fit(tokenizer.encode(documents))
    return model, tokenizer


@pytest.mark.parametrize("order", [1, 2, 4])
@pytest.mark.parametrize("name", ["model.arpa", "model.arpa.gz"])
def test_a_model_comes_back(tmp_path: Path, order: int, name: str) -> None:
    model, tokenizer = model_of(order)
    write_arpa(model.tables, tokenizer.vocabulary, tmp_path / name)
    again = read_arpa(tmp_path / name)
    assert again.vocabulary == tokenizer.vocabulary
    for ours, read in zip(model.tables, again.tables, strict=True):
        assert np.array_equal(ours.keys, read.keys)
        assert ours.log_probs == pytest.approx(read.log_probs, abs=1e-5)
        if len(ours.log_backoffs):
            assert ours.log_backoffs == pytest.approx(read.log_backoffs, abs=1e-5)


def test_characters_that_are_spaces_come_back(tmp_path: Path) -> None:
    documents = Documents.from_strings(["a b\tc", "a\u2003b"])
    tokenizer = make_tokenizer(documents, TokenOptions())
    model = NGram(NGramOptions(order=3), len(tokenizer.vocabulary))
    model.fit(tokenizer.encode(documents))
    write_arpa(model.tables, tokenizer.vocabulary, tmp_path / "m.arpa")
    read = read_arpa(tmp_path / "m.arpa")
    assert read.symbols == ("<U+0009>", "<U+0020>", "a", "b", "c", "\u2003")
    assert [table.keys.tolist() for table in read.tables] == [t.keys.tolist() for t in model.tables]


@pytest.mark.parametrize("word", ["<s>", "</s>"])
def test_words_that_mean_the_boundary_are_refused(tmp_path: Path, word: str) -> None:
    documents = Documents.from_strings([f"a {word} b"])
    tokenizer = make_tokenizer(documents, TokenOptions("words", "whitespace"))
    model = NGram(NGramOptions(order=2), len(tokenizer.vocabulary))
    model.fit(tokenizer.encode(documents))
    with pytest.raises(SettingError, match=f"has a symbol '{word}', a name that an ARPA file"):
        write_arpa(model.tables, tokenizer.vocabulary, tmp_path / "m.arpa")
    assert list(tmp_path.iterdir()) == []


def test_bytes_and_white_space_have_different_names(tmp_path: Path) -> None:
    documents = Documents.from_strings(["a b", "b a"])
    tokenizer = make_tokenizer(documents, TokenOptions(unknown="bytes"))
    model = NGram(NGramOptions(order=2), len(tokenizer.vocabulary))
    model.fit(tokenizer.encode(documents))
    write_arpa(model.tables, tokenizer.vocabulary, tmp_path / "m.arpa")
    assert read_arpa(tmp_path / "m.arpa").symbols[:4] == ("<U+0020>", "a", "b", "<0x00>")


def test_the_same_model_is_the_same_file(tmp_path: Path) -> None:
    model, tokenizer = model_of(2)
    for name in ("one.gz", "other.gz"):
        write_arpa(model.tables, tokenizer.vocabulary, tmp_path / name)
    assert (tmp_path / "one.gz").read_bytes() == (tmp_path / "other.gz").read_bytes()


def test_ngrams_across_documents_are_refused(tmp_path: Path) -> None:
    documents = Documents.from_strings(TEXTS)
    tokenizer = make_tokenizer(documents, TokenOptions(tokens="words"))
    model = NGram(NGramOptions(order=3), len(tokenizer.vocabulary))
    model.fit(tokenizer.encode(documents), carry_context=True)
    with pytest.raises(SettingError, match="reach across documents"):
        write_arpa(model.tables, tokenizer.vocabulary, tmp_path / "m.arpa")
    assert not (tmp_path / "m.arpa").exists()


@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
@pytest.mark.parametrize("packed", [False, True])
def test_other_tools_forms_are_read(tmp_path: Path, line_end: str, packed: bool) -> None:
    path = tmp_path / "other.arpa"
    content = SRILM.replace("\n", line_end).encode()
    path.write_bytes(gzip.compress(content) if packed else content)
    read = read_arpa(path)
    assert read.symbols == ("a",)
    assert read.knows_unknown
    a, unknown, boundary = 0, 1, 2
    log10 = [table.log_probs / np.log(10) for table in read.tables]
    assert log10[0][[a, unknown, boundary]] == pytest.approx([-0.4, -0.6, -0.5])
    assert read.tables[0].log_backoffs / np.log(10) == pytest.approx([-0.2, 0, -0.3])
    assert read.tables[1].keys.tolist() == [a * 3 + boundary, boundary * 3 + a]
    assert log10[1] == pytest.approx([-0.25, -0.1])


def read_text(tmp_path: Path, content: str) -> ListedModel:
    path = tmp_path / "a.arpa"
    path.write_bytes(content.encode())
    return read_arpa(path)


def test_a_file_without_the_unknown_word_has_a_closed_vocabulary(tmp_path: Path) -> None:
    read = read_text(tmp_path, SRILM.replace("<UNK>", "b"))
    assert (read.symbols, read.vocabulary.unknown) == (("b", "a"), "refuse")
    assert read.tables[1].keys.tolist() == [1 * 3 + 2, 2 * 3 + 1]


def test_another_spelling_of_the_unknown_word_is_a_word_beside_the_usual_one(
    tmp_path: Path,
) -> None:
    content = SRILM.replace("1=4", "1=5").replace("-0.6\t<UNK>", "-0.6\t<UNK>\n-0.7 <unk>")
    read = read_text(tmp_path, content)
    assert (read.symbols, read.knows_unknown) == (("<UNK>", "a"), True)


def test_words_may_look_like_numbers_or_hold_a_no_break_space(tmp_path: Path) -> None:
    content = SRILM.replace(" a ", " -0.5 ").replace("<s> a", "<s> -0.5")
    assert read_text(tmp_path, content).symbols == ("-0.5",)
    content = SRILM.replace(" a ", " 1\u00a0000 ").replace("<s> a", "<s> 1\u00a0000")
    assert read_text(tmp_path, content).symbols == ("1\u00a0000",)


def test_spaces_tabs_and_blank_lines_do_not_matter(tmp_path: Path) -> None:
    loose = SRILM.replace(" a ", " \t\t a\t ").replace("\n", "\n \n\n").replace("1=4", "1 =  4")
    tight = SRILM.lstrip("\n").replace("\n\n", "\n") + "\\end\\\n"
    found = [read_text(tmp_path, content) for content in (SRILM, loose, tight, "\ufeff" + tight)]
    assert len({(read.symbols, read.tables[1].keys.tobytes()) for read in found}) == 1
    assert len({read.tables[0].log_probs.tobytes() for read in found}) == 1


@pytest.mark.parametrize("zero", ["-99", "-inf", "-100.5", "-Infinity"])
def test_ways_to_write_the_logarithm_of_zero(tmp_path: Path, zero: str) -> None:
    read = read_text(tmp_path, SRILM.replace("-0.25 a", f"{zero} a"))
    assert read.tables[1].log_probs[0] == -np.inf


def test_backoff_weights_of_the_longest_order_are_left_out(tmp_path: Path) -> None:
    read = read_text(tmp_path, SRILM.replace("<s> a\n", "<s> a 0\n"))
    assert len(read.tables[1].log_backoffs) == 0


def test_what_no_text_asks_for_is_left_out(tmp_path: Path) -> None:
    """The CMU toolkit lists n-grams across the boundary."""
    content = SRILM.replace("2=2", "2=4") + "-0.2 </s> <s>\n-0.3 a <s>\n"
    read = read_text(tmp_path, content)
    assert read.tables[1].keys.tolist() == read_text(tmp_path, SRILM).tables[1].keys.tolist()


def test_an_order_may_be_empty(tmp_path: Path) -> None:
    content = SRILM.replace("2=2\n", "2=2\nngram 3=0\n") + "\n\\3-grams:\n\n\\end\\\n"
    assert [len(table.keys) for table in read_text(tmp_path, content).tables] == [3, 2, 0]


def test_unigrams_only_are_read(tmp_path: Path) -> None:
    path = tmp_path / "one.arpa"
    path.write_text("\\data\\\nngram 1=2\n\n\\1-grams:\n-0.3\t</s>\n-0.3\ta\n\n\\end\\\n")
    (table,) = read_arpa(path).tables
    assert (len(table.log_probs), len(table.log_backoffs)) == (2, 0)


BROKEN = {
    "empty": ("", "line 0: an ARPA file begins"),
    "comments only": ("# a\n#b\n", "line 2: an ARPA file begins"),
    "text first": ("By SRILM\n" + SRILM, "line 1: an ARPA file begins"),
    "a comment that is indented": (" x # a\n" + SRILM, "line 1: an ARPA file begins"),
    "no header": ("hello\n", "line 1: an ARPA file begins"),
    "no counts": ("\\data\\\n\\1-grams:\n", "line 2: the numbers of n-grams"),
    "counts out of order": ("\\data\\\nngram 2=1\n", "line 2: the numbers of n-grams"),
    "wrong section": (SRILM.replace("\\2-grams", "\\3-grams"), "line 12: here should be"),
    "not a number": (SRILM.replace("-0.4  a", "minus  a"), "line 10: 'minus' or '-0.2' is not a"),
    "nan": (SRILM.replace("-0.25", "nan"), "line 14: a log10 probability must be a number from 0"),
    "positive": (SRILM.replace("-0.25", "0.25"), "line 14: a log10 probability must be a number"),
    "nan weight": (SRILM.replace("-0.3", "nan"), "line 8: a back-off weight must be a number"),
    "infinite weight": (SRILM.replace("-0.3", "inf"), "line 8: a back-off weight must be"),
    "weight without room": (SRILM.replace("-0.3", "99"), "line 8: a back-off weight must be"),
    "too many": (SRILM + "-0.1 <s> <s>", "line 15: 2 n-grams of order 2 are announced, but 3"),
    "an order too few": (SRILM.replace("2=2", "2=2\nngram 3=1"), "should be \\3-grams:, not ''"),
    "after the end": (SRILM + "\\foo", "line 15: here should be \\end\\, not '\\\\foo'."),
    "no words": (SRILM.replace("-0.1 <s> a", "-0.1"), "line 13: an entry of order 2 has a number"),
    "too few": (SRILM.replace("-0.25 a </s>\n", ""), "2 n-grams of order 2 are announced"),
    "too many fields": (SRILM.replace("-0.1 <s> a", "-0.1 <s> a b c"), "line 13: an entry"),
    "unknown word": (
        SRILM.replace("-0.1 <s> a", "-0.1 <s> x"),
        "line 13: the word 'x' is in an n-gram but not",
    ),
    "twice": (SRILM.replace("-0.25 a </s>", "-0.1 <s> a"), "line 14: an n-gram is listed twice."),
    "a word twice": (SRILM.replace("-0.5 </s>", "-0.5 a"), "line 10: a word occurs twice among"),
    "no beginning": (
        SRILM.replace("2=2", "2=2\nngram 3=1") + "\n\\3-grams:\n-0.1 a a a\n",
        "line 18: an n-gram is listed whose beginning is not listed one order below.",
    ),
    "no end": (SRILM.replace("-0.5 </s>", "-0.5 b"), "lack </s>"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_broken_files_are_refused_with_the_line(tmp_path: Path, name: str) -> None:
    content, message = BROKEN[name]
    path = tmp_path / "broken.arpa"
    path.write_text(content)
    with pytest.raises(TextError) as caught:
        read_arpa(path)
    assert message in str(caught.value)
    assert str(path) in str(caught.value)


def test_a_word_that_is_not_utf_8_is_refused_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "latin.arpa"
    path.write_bytes(SRILM.replace(" a ", " é ").replace("<s> a", "<s> é").encode("latin-1"))
    with pytest.raises(TextError, match=r"line 10: the word b'\\xe9' is not UTF-8\."):
        read_arpa(path)


@pytest.mark.parametrize("damage", ["cut", "changed"])
def test_damaged_compressed_files_are_refused(tmp_path: Path, damage: str) -> None:
    packed = bytearray(gzip.compress(SRILM.encode()))
    path = tmp_path / "damaged.arpa.gz"
    path.write_bytes(packed[:-12] if damage == "cut" else packed[:20] + b"\xff\xff" + packed[22:])
    with pytest.raises(TextError, match=r"The ARPA file .*damaged.arpa.gz is compressed, but"):
        read_arpa(path)


def test_kenlm_gives_the_same_log10_per_token(tmp_path: Path) -> None:
    kenlm = pytest.importorskip("kenlm")
    model, tokenizer = model_of(3)
    path = tmp_path / "model.arpa"
    write_arpa(model.tables, tokenizer.vocabulary, path)
    theirs = kenlm.Model(str(path))
    texts = ["the cat sat on a dog", "a cat", "dog dog dog the"]
    store = tokenizer.encode(texts)
    expected = [score for text in texts for score, _, _ in theirs.full_scores(text)]
    assert model.score(store) / np.log(10) == pytest.approx(np.array(expected), abs=1e-5)
