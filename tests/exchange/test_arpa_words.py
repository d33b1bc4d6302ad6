"""Words with odd characters survive a way through an ARPA file, and KenLM reads the same words."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from thence.corpus import Documents
from thence.errors import TextError
from thence.exchange.arpa_reader import read_arpa
from thence.exchange.arpa_writer import write_arpa
from thence.models.ngram import NGram, NGramOptions
from thence.tokens import TokenOptions, make_tokenizer, tokenizer_of

WHITESPACE = TokenOptions("words", "whitespace")
UNICODE_SPACES = "\x1c\x1d\x1e\x1f\x85\xa0\u1680\u2003\u2028\u2029\u202f\u205f\u3000\u200b\ufeff"
WORDS = st.one_of(
    st.text(st.sampled_from(f"ab<>\\#{UNICODE_SPACES}"), min_size=1, max_size=4),
    st.text(
        st.characters(exclude_categories=["Cs"], exclude_characters="\0\t\n\v\f\r "),
        min_size=1,
        max_size=4,
    ),
    st.sampled_from(
        ["<unk>", "-0.5", "\\data\\", "\\end\\", "ngram", "1=2", "<U+0020>", "<boundary>", "<eos>"]
    ),
)
TEXTS = st.lists(st.lists(WORDS, max_size=5).map(" ".join), min_size=2, max_size=6)


@given(texts=TEXTS, held_out=TEXTS, order=st.integers(2, 4))
@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_scores_come_back_and_kenlm_gives_them_too(
    tmp_path: Path, capfd: Any, texts: list[str], held_out: list[str], order: int
) -> None:
    kenlm = pytest.importorskip("kenlm")
    documents = Documents.from_strings(texts)
    tokenizer = make_tokenizer(documents, WHITESPACE)
    model = NGram(NGramOptions(order=order), len(tokenizer.vocabulary))
    model.fit(tokenizer.encode(documents))
    path, second = tmp_path / "a.arpa", tmp_path / "b.arpa"
    for left in (path, second):  # By the example before.
        left.unlink(missing_ok=True)
    write_arpa(model.tables, tokenizer.vocabulary, path)

    read = read_arpa(path)
    assert read.vocabulary == tokenizer.vocabulary
    again = NGram.from_tables(read.tables, len(read.vocabulary))
    judged = [*texts, *held_out]
    store = tokenizer_of(read.symbols, WHITESPACE).encode(judged)
    scores = model.score(tokenizer.encode(judged))
    assert again.score(store) == pytest.approx(scores, abs=1e-5)
    theirs = kenlm.Model(str(path))
    expected = [score for text in judged for score, _, _ in theirs.full_scores(text)]
    assert scores / np.log(10) == pytest.approx(np.array(expected), abs=1e-5)
    write_arpa(again.tables, read.vocabulary, second)
    assert read_arpa(second).symbols == tokenizer.vocabulary.symbols


ODD = """# made by a tool
{before}\\data\\
ngram  1=        6
ngram 2=3

\\1-grams:
-1.0\t<unk>
0\t<s>\t-0.3
-0.7\t</s>
-0.7\t10\u00a0km\t-0.2
-0.7\tthe\u3000cat\t-0.2
-0.7\ta\vb\u2028c\t-0.2

\\2-grams:
-0.3\t<s> 10\u00a0km
-0.3\t10\u00a0km the\u3000cat
-0.3\ta\vb\u2028c </s>

\\end\\
"""


@pytest.mark.parametrize("before", ["", "\n", "#\n", "# 1\n\n \t\n#2 \\data\\\n", "###\n"])
def test_what_stands_before_the_header(tmp_path: Path, before: str) -> None:
    """Comments and blank lines are skipped, as KenLM does."""
    kenlm = pytest.importorskip("kenlm")
    path = tmp_path / "a.arpa"
    path.write_text(ODD.format(before=before), "utf-8")
    read = read_arpa(path)
    assert read.symbols == ("10\u00a0km", "the\u3000cat", "a\vb\u2028c")
    model = NGram.from_tables(read.tables, len(read.vocabulary))
    text = "10\u00a0km the\u3000cat x 10\u00a0km"
    scores = model.score(tokenizer_of(read.symbols, WHITESPACE).encode([text])) / np.log(10)
    expected = [score for score, _, _ in kenlm.Model(str(path)).full_scores(text)]
    assert scores == pytest.approx(np.array(expected), abs=1e-5)


@pytest.mark.parametrize("before", ["text\n", "\ufeff#\n"])
def test_kenlm_refuses_what_is_refused_here(tmp_path: Path, before: str) -> None:
    kenlm = pytest.importorskip("kenlm")
    path = tmp_path / "a.arpa"
    path.write_text(ODD.format(before=before), "utf-8")
    with pytest.raises(OSError):
        kenlm.Model(str(path))
    with pytest.raises(TextError):
        read_arpa(path)
