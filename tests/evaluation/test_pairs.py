"""Minimal pairs: accuracies by hand, ties, unknown words, several runs, and BLiMP."""

import json
import math
import os
import sys
import tarfile
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

import thence
from thence.corpus import MinimalPair, read_pairs
from thence.errors import RunError, SettingError, TextError
from thence.evaluation.pairs import PairScores, pair_report
from thence.runs import Run

Counted = Callable[..., Run]

PAIRS = [
    MinimalPair("ab", "ba", "order", "syntax"),
    MinimalPair("b", "a", "choice", "words"),
    MinimalPair("ba", "ab", "order", "syntax"),
    MinimalPair("ac", "ad", "unknown", "words"),
]


def judged(differences: Sequence[float], unknown: Sequence[bool] | None = None) -> PairScores:
    scores = np.stack([np.array(differences, float), np.zeros(len(differences))], axis=1)
    seen = np.zeros(len(scores), bool) if unknown is None else np.array(unknown)
    return PairScores(scores, np.zeros(len(scores), bool), seen)


def test_by_hand(counted: Counted) -> None:
    # After |: a 3/7, b 2/7; after a: b 1/2, | 1/6; after b: | 4/7, a 1/7 (test_language.py).
    report = thence.pairs(counted(), PAIRS)
    probabilities = np.exp(report.log_probabilities[0])
    assert probabilities[0] == pytest.approx([3 / 7 / 2 * 4 / 7, 2 / 7 / 7 / 6])
    # ab is likelier than ba; b than a (2/7 x 4/7 and 3/7 x 1/6); c and d are both unknown.
    assert [group.runs[0].accuracy for group in report.paradigms] == [0.5, 1.0, 0.5]
    assert [group.name for group in report.phenomena] == ["syntax", "words"]
    assert [group.runs[0].accuracy for group in report.phenomena] == [0.5, 0.75]
    # The mean over the three paradigms, not over the four pairs.
    assert report.all.runs[0].accuracy == pytest.approx(2 / 3)
    unknown = report.paradigms[2].runs[0]
    assert (unknown.ties, unknown.unknown) == (1.0, 1.0)
    assert (report.all.runs[0].ties, report.all.runs[0].unknown) == (0.25, 0.25)
    assert report.paradigms[2].phenomenon == "words"
    assert report.comparison is None


def test_pairs_are_scored_some_at_a_time(counted: Counted, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = counted(name="a/run"), counted(name="b/run", add_k=0.5)
    whole = thence.pairs([first, second], PAIRS)
    monkeypatch.setattr(sys.modules[PairScores.__module__], "PAIRS_AT_ONCE", 3)
    done: list[float] = []
    parts = thence.pairs([first, second], PAIRS, progress=done.append)
    assert parts.log_probabilities == pytest.approx(whole.log_probabilities)
    assert parts.to_json() == whole.to_json()
    assert done == [0, 3 / 8, 1 / 2, 7 / 8, 1]
    assert parts.names == (str(first.folder), str(second.folder))  # Both are called run.


def test_what_is_impossible_is_a_tie_with_its_like_only() -> None:
    minus = -math.inf
    scores = np.array([[minus, minus], [minus, -1.0], [-1.0, minus], [-1.0, -1.0 - 1e-12]])
    one = PairScores(scores, np.zeros(4, bool), np.zeros(4, bool))
    assert one.right().tolist() == [0.5, 0.0, 1.0, 0.5]


def test_intervals_leave_out_what_paradigms_differ_by() -> None:
    # Two paradigms of 20 pairs, 90 % and 30 % right; Wilson's intervals of 18 and 6 of 20 are 0.699
    # to 0.972 and 0.145 to 0.519. Half the root of 0.201^2 + 0.155^2 is 0.127, of 0.072^2 + 0.219^2
    # 0.115.
    pairs = [MinimalPair("a", "b", name) for name in "xy" for _ in range(20)]
    right = [1.0] * 18 + [-1.0] * 2 + [1.0] * 6 + [-1.0] * 14
    report = pair_report(["run"], pairs, [judged(right)])
    accuracy = report.all.runs[0]
    assert accuracy.accuracy == pytest.approx(0.6)
    assert accuracy.interval == pytest.approx((0.6 - 0.1268, 0.6 + 0.1153), abs=2e-4)
    assert report.phenomena == ()
    assert report.groups() is report.paradigms
    # Wilson's interval of 18 of 20.
    assert report.paradigms[0].runs[0].interval == pytest.approx((0.699, 0.9721), abs=1e-4)


def test_several_runs_are_compared_pair_by_pair() -> None:
    pairs = [MinimalPair("a", "b", "x")] * 30
    first = judged([1.0] * 24 + [0.0] * 2 + [-1.0] * 4)
    second = judged([1.0] * 15 + [-1.0] * 15, [True] * 3 + [False] * 27)
    report = pair_report(["one", "two"], pairs, [first, second])
    assert report.comparison is not None
    best, other = report.comparison.runs
    assert (best.run, best.accuracy) == ("one", 25 / 30)
    assert other.against_best is not None
    # Nine that only the first finds and two that it leaves open: 2 x (1/2) ** 11.
    assert (other.against_best.best_alone, other.against_best.this_alone) == (11, 0)
    assert other.against_best.p_value == pytest.approx(2**-10)
    assert other.against_best.difference == pytest.approx(-1 / 3)
    columns, rows = report.table()
    assert columns == ["paradigm", "pairs", "one, % right", "two, % right", "ties", "with <unk>"]
    assert rows[-1][:2] == ["all", "30"]
    assert rows[-1][-2:] == ["6.7 %", "10.0 %"]
    as_json = json.loads(json.dumps(report.to_json(), allow_nan=False))
    assert as_json["runs"] == ["one", "two"]
    assert as_json["all"]["runs"][0]["accuracy"] == pytest.approx(25 / 30)


def test_tables_and_folders_are_read(tmp_path: Path) -> None:
    blimp = {"sentence_good": "ab", "sentence_bad": "ba", "UID": "u", "linguistics_term": "t"}
    (tmp_path / "a.jsonl").write_text(json.dumps(blimp) + "\n\n" + json.dumps(blimp) + "\n")
    (tmp_path / "b.tsv").write_text("bad\tgood\nx\ty z\n")
    (tmp_path / "c.csv").write_text('paradigm,good,bad,other\np,"b, a",c,1\n')
    (tmp_path / "note.txt").write_text("no pairs here\n")
    found = read_pairs([tmp_path])
    assert found[:2] == [MinimalPair("ab", "ba", "u", "t")] * 2
    assert found[2:] == [MinimalPair("y z", "x", "b"), MinimalPair("b, a", "c", "p")]
    assert read_pairs([tmp_path / "b.tsv", tmp_path / "c.csv"]) == found[2:]


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.txt", "good\tbad\n", r"is no table. Pairs are rows"),
        ("a.tsv", "good\tworse\na\tb\n", r"no column 'sentence_bad'.*Pairs are rows"),
        ("a.jsonl", '{"good": "a", "bad": 3}\n', r"'bad' is 3, not a string"),
        ("a.jsonl", '{"good": "a", "bad": "b"}\n{"good": "a"}\n', r"line 2.*no column 'bad'"),
        ("a.tsv", "good\tbad\n", "holds no pairs"),
        ("a.jsonl", '{"good": "a", "bad": null}\n', r"row 1: 'bad' is empty. Pairs are rows"),
    ],
)
def test_what_is_no_table_of_pairs_is_refused(
    tmp_path: Path, name: str, text: str, message: str
) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(TextError, match=message):
        read_pairs([tmp_path / name])


def test_nothing_to_judge_is_refused(counted: Counted, tmp_path: Path) -> None:
    with pytest.raises(RunError, match="no run to judge"):
        thence.pairs([], PAIRS)
    with pytest.raises(TextError, match="holds no pairs"):
        thence.pairs(counted(), [])
    text = tmp_path / "labels.tsv"
    text.write_text("label\ttext\n" + "a\tx y\nb\tz\n" * 10)
    labels = thence.train(text, "averaging", label="label", output=tmp_path / "labels", steps=1)
    with pytest.raises(SettingError, match="classifier"):
        thence.pairs(labels, PAIRS)


@pytest.mark.slow
@pytest.mark.data
def test_blimp_is_that_of_a_few_lines(tmp_path: Path) -> None:
    beside = Path(__file__).parents[3] / "shared" / "data"
    packed = Path(os.environ.get("THENCE_TEST_DATA", beside)) / "blimp" / "blimp.tar.gz"
    if not packed.exists():
        pytest.skip("BLiMP is not here (THENCE_TEST_DATA)")
    with tarfile.open(packed) as archive:
        archive.extractall(tmp_path / "blimp", filter="data")
    lines = ["The cat sees the dogs.", "The dogs see a cat.", "Who did they see?"] * 20
    run = thence.train(lines, "ngram", order=3, tokens="characters", output=tmp_path / "run")
    report = thence.pairs(run, tmp_path / "blimp")

    points = defaultdict(list)
    for file in sorted((tmp_path / "blimp").glob("*.jsonl")):
        rows = [json.loads(line) for line in file.read_text().splitlines()]
        for name in ("sentence_good", "sentence_bad"):
            scored = thence.score(run, [row[name] for row in rows])
            for row, line in zip(rows, scored, strict=True):
                row[name] = line["log_probability"]
        for row in rows:
            difference = row["sentence_good"] - row["sentence_bad"]
            tie = abs(difference) < 1e-9
            points[row["UID"]].append(0.5 if tie else float(difference > 0))
    expected = {name: np.mean(values) for name, values in points.items()}

    assert report.all.pairs == 67_000
    assert len(report.phenomena) == 13
    found = {group.name: group.runs[0].accuracy for group in report.paradigms}
    assert found == pytest.approx(expected, abs=1e-12)
    assert report.all.runs[0].accuracy == pytest.approx(np.mean(list(expected.values())))
