"""ARPA files: ours read back, others' forms accepted, broken ones refused with the line."""

import gzip
from pathlib import Path

import numpy as np
import pytest

from thence.corpus import Documents
from thence.errors import SettingError, TextError
from thence.models.ngram import NGram, NGramOptions
from thence.models.ngram.arpa import read_arpa, write_arpa
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
    assert read_arpa(tmp_path / "m.arpa").vocabulary == tokenizer.vocabulary


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


def test_unigrams_only_are_read(tmp_path: Path) -> None:
    path = tmp_path / "one.arpa"
    path.write_text("\\data\\\nngram 1=2\n\n\\1-grams:\n-0.3\t</s>\n-0.3\ta\n\n\\end\\\n")
    assert len(read_arpa(path).tables) == 1


BROKEN = {
    "no header": ("hello\n", "line 1: an ARPA file begins"),
    "no counts": ("\\data\\\n\\1-grams:\n", "line 2: the numbers of n-grams"),
    "wrong section": (SRILM.replace("\\2-grams", "\\3-grams"), "line 12: here should stand"),
    "not a number": (SRILM.replace("-0.4  a", "minus  a"), "line 10: 'minus'"),
    "too few": (SRILM.replace("-0.25 a </s>\n", ""), "2 n-grams of order 2 are announced"),
    "too many fields": (SRILM.replace("-0.1 <s> a", "-0.1 <s> a b c"), "line 13: an entry"),
    "unknown word": (SRILM.replace("-0.1 <s> a", "-0.1 <s> x"), "the word 'x' is in an n-gram but"),
    "twice": (SRILM.replace("-0.25 a </s>", "-0.1 <s> a"), "listed twice"),
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
