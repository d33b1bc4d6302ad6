"""thence prune: smaller models of which only the probabilities are known."""

from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest

import thence
from thence.errors import RunError, SettingError, TextError
from thence.evaluation.language import LikelihoodReport
from thence.exchange import export, import_arpa
from thence.exchange.arpa_reader import read_arpa
from thence.exchange.prune import prune
from thence.models.ngram import NGram
from thence.models.ngram.pruning import sums
from thence.runs import Run
from thence.training import train

TEXTS = ["the cat sat", "the cat ran off", "a dog sat", "the dog sat on the cat", "a cat ran"] * 4


def counted(folder: Path, **options: Any) -> Run:
    settings: dict[str, Any] = {"order": 4, "tokens": "words", "word_split": "whitespace"}
    settings |= options
    return train(TEXTS, "ngram", output=folder, **settings)


def tables_of(run: Run) -> NGram:
    return cast(NGram, run.model)


@pytest.mark.parametrize("name", ["small.arpa.gz", "small"])
def test_a_file_is_pruned_as_at_training(tmp_path: Path, name: str) -> None:
    path = export(counted(tmp_path / "full"), tmp_path / "full.arpa")
    at_once = tables_of(counted(tmp_path / "at-once", prune_entropy=0.005))
    pruned = prune(path, tmp_path / name, threshold=0.005)
    assert pruned.ngrams == tuple(len(table.keys) for table in at_once.tables)
    assert pruned.ngrams < pruned.before
    is_file = ".arpa" in name
    run = import_arpa(tmp_path / name, tmp_path / "run") if is_file else Run(tmp_path / name)
    for ours, theirs in zip(tables_of(run).tables, at_once.tables, strict=True):
        # Words have other ids in a file, by which n-grams are sorted.
        assert np.sort(ours.log_probs) == pytest.approx(np.sort(theirs.log_probs), abs=1e-4)
    assert tables_of(run).log_prob(run.tokenizer.encode(TEXTS)) == pytest.approx(
        at_once.log_prob(Run(tmp_path / "at-once").tokenizer.encode(TEXTS)), rel=1e-4
    )


def test_a_run_keeps_its_text_and_its_looks_at_test(tmp_path: Path) -> None:
    run = counted(tmp_path / "full", split="60/20/20")
    thence.evaluate(run, "test")
    prune(run, tmp_path / "small", threshold=0.01, order=3)
    small = Run(tmp_path / "small")
    assert list(small.documents("dev")) == list(run.documents("dev"))
    assert small.recipe.options.order == 3 and len(small.test_looks()) == 1
    report = thence.evaluate(small)
    (line,) = small.metrics()
    assert isinstance(report, LikelihoodReport)
    assert line["dev_nats_per_token"] == pytest.approx(report.nats_per_token)


def test_words_that_are_left_out_become_unknown(tmp_path: Path) -> None:
    """Of order 1 it is as if they had been unknown from the beginning."""
    run = counted(tmp_path / "full", order=1, smoothing="mle", split="100/0/0")
    (tmp_path / "words.txt").write_text("<s>\ncat 7\nthe\tDT\r\nfish\n\n")
    pruned = prune(run, tmp_path / "two.arpa", vocabulary=tmp_path / "words.txt")
    assert pruned.symbols == (2, 8)
    read = read_arpa(tmp_path / "two.arpa")
    tokens = [word for text in TEXTS for word in [*text.split(), "</s>"]]
    names = [*read.symbols, "<unk>", "</s>"]
    expected = [tokens.count(name) / len(tokens) for name in names]
    expected[2] = 1 - sum(expected)
    assert np.exp(read.tables[0].log_probs) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("unknown", ["symbol", "refuse"])
def test_every_context_sums_to_one(tmp_path: Path, unknown: str) -> None:
    run = counted(tmp_path / "full", unknown=unknown, split="100/0/0")
    (tmp_path / "words.txt").write_text("cat\nthe\nsat\na\n")
    prune(run, tmp_path / "small.arpa", vocabulary=tmp_path / "words.txt", threshold=0.001)
    read = read_arpa(tmp_path / "small.arpa")
    for found in sums(read.tables, len(read.vocabulary)):
        assert found.totals == pytest.approx(np.ones(len(found.totals)), abs=1e-5)
    again = prune(tmp_path / "small.arpa", tmp_path / "smaller", order=3)
    assert all(left <= before for left, before in zip(again.ngrams, again.before, strict=False))
    assert Run(tmp_path / "smaller").imported


def test_what_cannot_be_pruned_is_said(tmp_path: Path) -> None:
    run = counted(tmp_path / "full")
    with pytest.raises(SettingError, match="give `threshold`, `vocabulary` or `order`"):
        prune(run, tmp_path / "small")
    with pytest.raises(SettingError, match="`threshold` is 2; it must be a share"):
        prune(run, tmp_path / "small", threshold=2)
    with pytest.raises(SettingError, match="`order` is 0"):
        prune(run, tmp_path / "small", order=0)
    with pytest.raises(RunError, match="exists already"):
        prune(run, run.folder, order=2)
    (tmp_path / "words.txt").write_text("fish\n")
    with pytest.raises(SettingError, match="knows none of the 1 symbols"):
        prune(run, tmp_path / "small", vocabulary=tmp_path / "words.txt")
    (tmp_path / "words.txt").write_bytes(b"\xff\xff")
    with pytest.raises(TextError, match="is not UTF-8"):
        prune(run, tmp_path / "small", vocabulary=tmp_path / "words.txt")
    (tmp_path / "words.txt").write_text("<unk>\n\n")
    with pytest.raises(TextError, match="holds no word"):
        prune(run, tmp_path / "small", vocabulary=tmp_path / "words.txt")
    assert not (tmp_path / "small").exists()
