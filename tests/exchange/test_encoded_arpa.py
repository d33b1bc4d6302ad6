"""ARPA files of ids: each id a character, as NeMo asks n-gram models of subwords."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from thence.errors import SettingError
from thence.exchange import export
from thence.exchange.arpa import offset_vocabulary
from thence.exchange.arpa_reader import read_arpa
from thence.runs import Run
from thence.tokens.vocabulary import Vocabulary
from thence.training import train

TEXTS = ["the cat sat", "the cat ran off", "a dog sat", "the dog sat on the cat", "a cat ran"] * 3


def counted(folder: Path, texts: list[str] = TEXTS, **options: Any) -> Run:
    return train(texts, "ngram", output=folder, order=3, split="100/0/0", **options)


def test_subwords_are_written_by_their_ids(tmp_path: Path) -> None:
    run = counted(tmp_path / "run", tokens="subwords", max_size=270)
    read = read_arpa(export(run, tmp_path / "a.arpa", encode_offset=100))
    assert read.symbols == tuple(chr(index + 100) for index in range(run.model.vocabulary_size - 1))
    assert not read.knows_unknown


def test_kenlm_scores_ids_as_the_run_does(tmp_path: Path) -> None:
    kenlm = pytest.importorskip("kenlm")
    run = counted(tmp_path / "run", tokens="subwords", max_size=270)
    theirs = kenlm.Model(str(export(run, tmp_path / "a.arpa", encode_offset=100)))
    for text in (*TEXTS[:5], "a dog ran on the mat"):
        store = run.tokenizer.encode([text])
        written = " ".join(chr(index + 100) for index in store.ids[1:-1].tolist())
        ours = run.model.score(store).sum() / np.log(10)
        assert theirs.score(written) == pytest.approx(ours, abs=1e-4)


def test_words_may_be_ids_of_any_tokenizer(tmp_path: Path) -> None:
    run = counted(tmp_path / "ids", ["7 0 12", "12 7 7", "0 12"], tokens="words")
    read = read_arpa(export(run, tmp_path / "a.arpa", encode_offset=100))
    assert sorted(read.symbols) == [chr(100), chr(107), chr(112)] and read.knows_unknown
    words = counted(tmp_path / "words", tokens="words")
    with pytest.raises(SettingError, match=r"but '.*' is no number"):
        export(words, tmp_path / "b.arpa", encode_offset=100)


def test_bytes_have_ids_too() -> None:
    assert offset_vocabulary(Vocabulary((), "bytes"), 100, False).symbols[-1] == chr(355)
    found = offset_vocabulary(Vocabulary(("a",), "symbol"), 40, False)
    assert (found.symbols, found.unknown) == ((chr(40),), "symbol")


@pytest.mark.parametrize(("count", "offset"), [(3, 30), (60_000, 100), (3, 0x110000 - 2), (3, -1)])
def test_an_offset_without_characters_is_refused(count: int, offset: int) -> None:
    vocabulary = Vocabulary(tuple(f"s{index}" for index in range(count)), "refuse")
    with pytest.raises(SettingError, match=f"`encode_offset` is {offset}, but ids from 0 to"):
        offset_vocabulary(vocabulary, offset, False)


def test_it_goes_with_arpa_alone(tmp_path: Path) -> None:
    run = counted(tmp_path / "run")
    with pytest.raises(SettingError, match="`encode_offset` is for ARPA files"):
        export(run, tmp_path / "G", "fst", encode_offset=100)
