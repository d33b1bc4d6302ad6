import json
import math
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from thence.errors import RunError, TextError
from thence.evaluation.compare import _margins, compare
from thence.evaluation.evaluate import evaluate
from thence.runs import Run
from thence.training import train

Counted = Callable[..., Run]


@pytest.fixture
def lines() -> list[str]:
    """Eighty short words in which u follows q and vowels follow consonants."""
    generator = np.random.default_rng(0)
    syllables = ["qu", "ba", "be", "do", "da", "qua"]
    return ["".join(generator.choice(syllables, generator.integers(1, 5))) for _ in range(80)]


def test_order_and_differences(counted: Counted, lines: list[str]) -> None:
    runs = [
        counted(lines, lines[:40], name=name, add_k=k)
        for name, k in (("worst", 100.0), ("best", 0.1), ("middle", 10.0))
    ]
    compared = compare(runs)
    assert [item.run for item in compared.runs] == ["best", "middle", "worst"]
    assert compared.same_tokens
    assert compared.unit == "nats per token"
    assert compared.runs[0].difference is None
    losses = {run.name: evaluate(run).nats_per_token for run in runs}
    for item in compared.runs:
        assert item.nats_per_token == pytest.approx(losses[item.run])
        assert item.bits_per_byte == pytest.approx(losses[item.run] / math.log(2))
    for item in compared.runs[1:]:
        assert item.difference is not None
        middle, low, high = item.difference
        assert middle == pytest.approx(losses[item.run] - losses["best"])
        assert 0 < low <= middle <= high
    assert "+" in str(compared)


def test_paired_intervals_are_narrower(counted: Counted, lines: list[str]) -> None:
    runs = [counted(lines, lines, name=f"{k}", add_k=k) for k in (0.1, 1.0)]
    difference = compare(runs).runs[1].difference
    assert difference is not None
    widths = [high - low for low, high in (evaluate(run).interval for run in runs)]
    # Independent errors would add up in squares; those of one text mostly cancel.
    assert difference[2] - difference[1] < 0.5 * math.hypot(*widths)


def test_the_same_model_twice_differs_by_nothing(counted: Counted) -> None:
    run = counted()
    assert compare([run, run.folder]).runs[1].difference == (0, 0, 0)


def test_different_tokens_compare_in_bits_per_byte_only(counted: Counted, lines: list[str]) -> None:
    runs = [counted(lines, lines, name=tokens, tokens=tokens) for tokens in ("characters", "bytes")]
    compared = compare(runs)
    assert not compared.same_tokens
    assert compared.unit == "bits per byte"
    assert [item.nats_per_token for item in compared.runs] == [None, None]
    assert "numbers per token are not compared" in compared.remark
    assert "<unk>" in compared.remark and "white space" not in compared.remark
    words = counted(lines, lines, name="words", tokens="words")
    assert "Words do not say which white space is between them" in compare([*runs, words]).remark
    best, other = compared.runs
    assert other.difference is not None
    middle, low, high = other.difference
    assert middle == pytest.approx(other.bits_per_byte - best.bits_per_byte)
    assert low < middle < high
    assert "nats per token" not in compared.table()[0]
    by_name = {run.name: evaluate(run).bits_per_byte for run in runs}
    assert {item.run: item.bits_per_byte for item in compared.runs} == pytest.approx(by_name)
    json.dumps(compared.to_json(), allow_nan=False)


def test_the_bits_interval_equals_that_of_the_tokens_where_both_can_be(
    counted: Counted, lines: list[str]
) -> None:
    # Of ASCII text a character is a byte, so that runs of equal tokens can be judged in both ways.
    runs = [counted(lines, lines, name=f"{k}", add_k=k, unknown="refuse") for k in (0.1, 1.0)]
    stores = [run.store("dev") for run in runs]
    costs = [-run.model.score(store, False) for run, store in zip(runs, stores, strict=True)]
    per_target, per_byte = (_margins(stores, costs, same, 0, False) for same in (True, False))
    assert per_target[1] > 0
    assert per_byte == pytest.approx(per_target)


def test_one_long_document_in_different_tokens_has_no_interval(counted: Counted) -> None:
    document = ["abba" * 50]
    runs = [counted(dev=document, name=tokens, tokens=tokens) for tokens in ("characters", "bytes")]
    compared = compare(runs)
    difference = compared.runs[1].difference
    assert difference is not None
    assert difference[0] > 0
    assert all(math.isnan(bound) for bound in difference[1:])
    read = json.loads(json.dumps(compared.to_json(), allow_nan=False))
    assert read["runs"][1]["difference"][1:] == [None, None]


def test_very_many_documents_in_different_tokens(counted: Counted) -> None:
    documents = ["ab", "b", "ba"] * 1000
    runs = [
        counted(dev=documents, name=tokens, tokens=tokens) for tokens in ("characters", "bytes")
    ]
    difference = compare(runs).runs[1].difference
    assert difference is not None
    assert difference[1] < difference[0] < difference[2]


def test_different_splits_are_refused_but_a_file_is_not(counted: Counted, tmp_path: Path) -> None:
    first = counted(name="first")
    second = counted(dev=["b"], name="second")
    with pytest.raises(TextError, match="The runs have different dev splits"):
        compare([first, second])
    (tmp_path / "other.txt").write_text("ab\n")
    compared = compare([first, second], text=tmp_path / "other.txt")
    assert compared.documents == 1
    assert compared.text == str(tmp_path / "other.txt")


def test_what_no_text_could_mend_is_said_before_that_the_texts_differ(tmp_path: Path) -> None:
    settings = {"model": "linear", "label": "label", "split": "50/50/0"}
    for name in "xy":
        rows = [f"{word},{label}" for word in ("a b", "c d") for label in ("one", name)]
        (tmp_path / f"{name}.csv").write_text("\n".join(["text,label", *rows]) + "\n")
    runs = [train(tmp_path / f"{name}.csv", output=tmp_path / name, **settings) for name in "xy"]
    with pytest.raises(RunError, match="y and x have different labels"):
        compare(runs)


def test_an_impossible_text_comes_last(counted: Counted) -> None:
    runs = [counted(name="zero", add_k=0.0), counted(name="one", add_k=1.0)]
    compared = compare(runs)
    assert [item.run for item in compared.runs] == ["one", "zero"]
    assert compared.runs[1].difference is None
    assert compared.runs[1].bits_per_byte == math.inf
    read = json.loads(json.dumps(compared.to_json(), allow_nan=False))
    assert read["runs"][1]["bits_per_byte"] is None
    assert read["runs"][1]["nats_per_token"] is None
    assert str(compared)


def test_looks_at_test_are_recorded_in_every_run(counted: Counted) -> None:
    runs = [counted(name="one"), counted(name="two", add_k=2.0)]
    compare(runs, "test")
    assert [len(run.test_looks()) for run in runs] == [1, 1]
    compare(runs)
    assert [len(run.test_looks()) for run in runs] == [1, 1]


def test_one_run_is_no_comparison(counted: Counted) -> None:
    with pytest.raises(RunError, match="at least two runs"):
        compare([counted()])


def test_carried_context_is_remarked(counted: Counted) -> None:
    runs = [counted(name="one"), counted(name="two", carry_context=True)]
    assert "Some runs see the documents before" in compare(runs).remark


def test_a_small_vocabulary_is_no_advantage(counted: Counted, lines: list[str]) -> None:
    text = [f"{first} {second}" for first, second in pairwise(lines)]
    runs = [
        counted(text, text, name=str(size), tokens="words", max_size=size, add_k=0.1)
        for size in (1, 60)
    ]
    few, many = (evaluate(run) for run in runs)
    assert few.bits_per_byte < many.bits_per_byte
    compared = compare(runs)
    assert [item.run for item in compared.runs] == ["60", "1"]
    costs = [item.bits_per_byte for item in compared.runs]
    assert costs == pytest.approx([r.bits_per_byte_with_spelling for r in (many, few)])
    assert "spelled out" in compared.remark
    difference = compared.runs[1].difference
    assert difference is not None
    assert difference[0] == pytest.approx(costs[1] - costs[0])
