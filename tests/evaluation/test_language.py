import json
import math
from collections.abc import Callable
from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
import pytest

from thence.errors import TextError, UnknownSymbolError
from thence.evaluation.evaluate import evaluate
from thence.evaluation.language import LikelihoodReport
from thence.models.spelling import Spelling
from thence.runs import Run
from thence.training import train

Counted = Callable[..., Run]

# bigram-counts of "ab", "ab", "b" with add-1 over V = 4 (a, b, <unk>, the boundary |):
#   | a: 2, | b: 1    P(a after |) = (2 + 1) / (3 + 4) = 3/7    P(b after |) = 2/7
#   a b: 2            P(b after a) = (2 + 1) / (2 + 4) = 1/2    P(| after a) = 1/6
#   b |: 3            P(| after b) = (3 + 1) / (3 + 4) = 4/7    P(a after b) = 1/7
P_AB = 3 / 7 * 1 / 2 * 4 / 7
P_BA = 2 / 7 * 1 / 7 * 1 / 6


def test_by_hand(counted: Counted) -> None:
    report = evaluate(counted())
    nats = -math.log(P_AB) - math.log(P_BA)
    assert (report.documents, report.targets, report.unknown, report.impossible) == (2, 6, 0, 0)
    assert report.nats == pytest.approx(nats)
    assert report.nats_per_token == pytest.approx(nats / 6)
    assert report.perplexity == pytest.approx((P_AB * P_BA) ** (-1 / 6))
    # Two characters and an end in each document.
    assert (report.characters, report.bytes) == (6, 6)
    assert report.bits_per_byte == pytest.approx(nats / math.log(2) / 6)
    assert 2 ** (report.bits_per_character * 6) == pytest.approx(math.exp(report.nats))
    # Two documents of six targets are too little for an interval.
    assert all(math.isnan(bound) for bound in report.interval)
    assert "too little text for an interval" in str(report)
    assert report.to_json()["interval"] == [None, None]


def test_seen_and_unseen(counted: Counted) -> None:
    report = evaluate(counted())
    assert report.seen is not None
    assert report.unseen is not None
    assert (report.seen.documents, report.seen.targets) == (1, 3)
    assert report.seen.nats_per_token == pytest.approx(-math.log(P_AB) / 3)
    assert (report.unseen.documents, report.unseen.targets) == (1, 3)
    assert report.unseen.nats_per_token == pytest.approx(-math.log(P_BA) / 3)
    shown = dict(report.rows())
    assert shown["seen in train"].startswith("1 documents")
    assert shown["not in train"].startswith("1 documents")


def test_nothing_seen_is_said_once(counted: Counted) -> None:
    report = evaluate(counted(dev=["ba", "aa"]))
    assert report.seen is None
    assert report.unseen is not None
    assert report.unseen.nats_per_token == pytest.approx(report.nats_per_token)
    assert "not in train" not in dict(report.rows())


def test_train_itself_is_neither_seen_nor_unseen(counted: Counted) -> None:
    report = evaluate(counted(), "train")
    assert (report.seen, report.unseen) == (None, None)
    assert report.documents == 3


def test_unknown_and_wide_characters(counted: Counted) -> None:
    report = evaluate(counted(dev=["aé", "b"]))
    # "aé|" and "b|": five targets; é is unknown, one character, two bytes.
    assert (report.targets, report.unknown) == (5, 1)
    assert (report.characters, report.bytes) == (5, 6)


def test_every_target_counts_once(counted: Counted) -> None:
    run = counted(dev=["".join(letters) for letters in product("ab", repeat=7)])
    report = evaluate(run)
    store = run.store("dev")
    assert report.targets == store.num_targets == 128 * 8
    assert report.nats == pytest.approx(-run.model.score(store).sum())


def test_impossible_targets_are_infinite_and_none_in_json(counted: Counted) -> None:
    # Without smoothing "ba" cannot be: a never followed b, and | never followed a.
    report = evaluate(counted(add_k=0.0))
    assert report.impossible == 2
    assert (
        dict(report.rows())["nats per token"] == "inf (no interval, since a target is impossible)"
    )
    assert report.nats == report.perplexity == report.bits_per_byte == math.inf
    assert all(math.isnan(bound) for bound in report.interval)  # Two documents are too few.
    read = json.loads(json.dumps(report.to_json(), allow_nan=False))
    assert read["nats"] is read["perplexity"] is read["bits_per_byte"] is None
    assert read["interval"] == [None, None]
    assert read["unseen"]["nats_per_token"] is None
    assert read["seen"]["nats_per_token"] == pytest.approx(-math.log(2 / 3) / 3)
    assert "2 (probability zero)" in str(report)


def test_json_says_everything(counted: Counted) -> None:
    report = evaluate(counted())
    read = json.loads(json.dumps(report.to_json(), allow_nan=False))
    for name in ("nats", "nats_per_token", "perplexity", "bits_per_byte", "documents", "targets"):
        assert read[name] == getattr(report, name)
    assert read["run"] == "run"
    assert read["text"].startswith("dev split of ")


def test_looks_at_test_are_recorded(counted: Counted) -> None:
    run = counted()
    assert evaluate(run).test_looks == 0
    assert evaluate(run, "test").test_looks == 1
    assert evaluate(run, "test").test_looks == 2
    assert evaluate(run).test_looks == 2
    assert [look["command"] for look in run.test_looks()] == ["evaluate", "evaluate"]
    assert "evaluations on test" in str(evaluate(run))


def test_another_file_or_named_text(counted: Counted, tmp_path: Path) -> None:
    other = tmp_path / "other.txt"
    other.write_text("ab\n\nba\n")
    run = counted()
    report = evaluate(run, text=other)
    assert report.nats == pytest.approx(-math.log(P_AB) - math.log(P_BA))
    assert report.text == str(other)
    assert report.seen is not None
    assert evaluate(run, "train", text=other).seen == report.seen
    assert run.test_looks() == []
    assert evaluate(run, text="given-names").documents > 100


def test_a_run_whose_text_is_gone_still_judges_a_file(counted: Counted, tmp_path: Path) -> None:
    run = counted()
    for name in ("text.txt", "dev.txt", "test.txt"):
        (tmp_path / name).unlink()
    other = tmp_path / "other.txt"
    other.write_text("ab\n")
    report = evaluate(Run(run.folder), text=other)
    assert report.nats == pytest.approx(-math.log(P_AB))
    assert (report.seen, report.unseen) == (None, None)
    with pytest.raises(TextError):
        evaluate(Run(run.folder))


def test_a_closed_vocabulary_refuses(counted: Counted, tmp_path: Path) -> None:
    (tmp_path / "other.txt").write_text("abc\n")
    with pytest.raises(UnknownSymbolError, match="'c'"):
        evaluate(counted(unknown="refuse"), text=tmp_path / "other.txt")


def test_more_documents_make_a_shorter_interval(counted: Counted, tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    lines = ["".join(generator.choice(["a", "b"], 5)) for _ in range(640)]
    run = counted(documents=lines, dev=lines)
    widths = []
    for count in (40, 640):
        (tmp_path / "some.txt").write_text("\n".join(lines[:count]))
        low, high = evaluate(run, text=tmp_path / "some.txt").interval
        widths.append(high - low)
    # Sixteen times as many documents: a quarter of the width, give or take.
    assert 0.15 < widths[1] / widths[0] < 0.4


def test_a_long_document_has_an_interval_over_its_pieces(counted: Counted) -> None:
    report = evaluate(counted(dev=["abababbabab" * 30]))
    low, high = report.interval
    assert low < report.nats_per_token < high
    assert "over pieces of 1 document)" in str(report)


def test_networks_and_running_text(tmp_path: Path) -> None:
    path = tmp_path / "text.txt"
    path.write_text("\n".join("".join(letters) for letters in product("abc", repeat=3)))
    settings = {"context": 2, "hidden_size": 4, "embedding_size": 2, "steps": 5, "threads": 1}
    run = train(path, model="mlp", output=tmp_path / "run", carry_context=True, **settings)
    report = evaluate(run)
    assert report.carry_context
    assert report.nats_per_token == pytest.approx(run.metrics()[-1]["dev_nats_per_token"], abs=0.5)
    assert "carried across documents" in str(report)


def test_report_of_numbers_alone() -> None:
    report = LikelihoodReport(
        "run", "text", 1, 4, 1, 0, 3, 6, 8 * math.log(2), (1.0, 2.0), None, None, False, 0
    )
    # 8 bits over 4 targets, 3 characters, 6 bytes.
    assert report.perplexity == pytest.approx(4)
    assert report.bits_per_character == pytest.approx(8 / 3)
    assert report.bits_per_byte == pytest.approx(8 / 6)
    assert "1 (25.00 %)" in str(report)
    assert replace(report, nats=math.inf).perplexity == math.inf


def test_no_interval_of_a_loss_begins_below_zero(tmp_path: Path) -> None:
    path = tmp_path / "text.txt"
    path.write_text("a" * 30_000)
    run = train(path, "bigram-counts", by="position", output=tmp_path / "run")
    report = run.evaluate()
    assert report.interval[0] == 0 < report.nats_per_token
    assert "over pieces of 1 document)" in str(report)


def test_unknown_words_are_spelled_out(counted: Counted) -> None:
    text, dev = ["the cat sat", "the cats sat", "a bat"], ["the dog sat", "the cat"]
    run = counted(text, dev, tokens="words", min_count=2)
    report = evaluate(run)
    assert report.unknown == 2
    # Each of "dog" and "cat" is <unk> and then spelled; 11 + 1 and 7 + 1 bytes.
    spelled = -float(Spelling(run.tokenizer).log_probs(["dog", "cat"]).sum())
    assert report.spelling_nats == pytest.approx(spelled)
    assert report.bits_per_byte == pytest.approx(report.nats / math.log(2) / 20)
    together = (report.nats + spelled) / math.log(2) / 20
    assert report.bits_per_byte_with_spelling == pytest.approx(together)
    assert report.to_json()["bits_per_byte_with_spelling"] == pytest.approx(together)
    assert dict(report.rows())["with spelling"].startswith(f"{together:.4f}")
    assert "with spelling" not in dict(evaluate(counted(name="known")).rows())


def test_white_space_that_words_drop_is_told(counted: Counted) -> None:
    text, dev = ["if a b", "a b"], ["\ta  b", "a b"]  # 2 of 5 + 1 + 3 + 1 bytes are dropped.
    report = evaluate(counted(text, dev, tokens="words"))
    assert report.layout_bytes == report.to_json()["layout_bytes"] == 2
    assert dict(report.rows())["note"].startswith("20 % of the bytes are indentation")
    assert evaluate(counted(text, dev, name="characters")).layout_bytes == 0
