import json

import numpy as np
import pytest

from thence.evaluation.compare_labels import compare_classifiers


def right(*rows: str) -> np.ndarray:
    """Return a row for each run: a 1 for each document that it gets right."""
    return np.array([[mark == "1" for mark in row] for row in rows])


def test_two_classifiers_by_hand() -> None:
    # b is right about 9 of 12, a about 4. Only b is right about 6 documents, only a about 1:
    # p = 2 (1 + 7) / 2 ** 7 = 1 / 8.
    marks = right("111000000001", "111111111000")
    comparison = compare_classifiers(["a", "b"], marks, "dev split of x")
    best, other = comparison.runs
    assert (best.run, best.accuracy, best.against_best) == ("b", 9 / 12, None)
    assert (other.run, other.accuracy) == ("a", 4 / 12)
    against = other.against_best
    assert against is not None
    assert (against.best_alone, against.this_alone) == (6, 1)
    assert against.difference == pytest.approx(-5 / 12)
    assert against.p_value == pytest.approx(1 / 8)
    low, high = against.interval
    assert -1 < low < -5 / 12 < high < 0.2


def test_the_interval_is_paired() -> None:
    # b is wrong where a is, and about one more document of every ten. The differences are 0 or
    # -1, so their mean over 100 documents has the deviation sqrt(0.1 * 0.9 / 100) = 0.03; were
    # the two drawn apart it would be sqrt((0.25 + 0.24) / 100) = 0.07.
    a = np.arange(100) % 2 == 0
    b = a & (np.arange(100) % 10 != 0)
    against = compare_classifiers(["a", "b"], np.stack([a, b]), "dev").runs[1].against_best
    assert against is not None
    assert against.interval == pytest.approx((-0.1 - 1.96 * 0.03, -0.1 + 1.96 * 0.03), abs=0.012)


def test_equal_classifiers_keep_their_order() -> None:
    comparison = compare_classifiers(["a", "b"], right("10" * 10, "01" * 10), "dev")
    assert [compared.run for compared in comparison.runs] == ["a", "b"]
    against = comparison.runs[1].against_best
    assert against is not None
    assert (against.difference, against.p_value) == (0, 1)


def test_very_many_documents() -> None:
    marks = np.ones((2, 25_000), bool)
    marks[1, ::2] = False
    comparison = compare_classifiers(["a", "b"], marks, "dev")
    assert comparison.table()[1][1][-1] == "< 1e-300"
    against = comparison.runs[1].against_best
    assert against is not None
    assert against.p_value == 0
    assert against.interval == pytest.approx((-0.5, -0.5), abs=0.01)


def test_table_and_json_of_few_documents() -> None:
    comparison = compare_classifiers(["a", "b", "c"], right("1110", "1111", "0000"), "x.txt")
    columns, rows = comparison.table()
    assert columns[:2] == ["run", "accuracy"]
    assert rows[0] == ["b", "100.00 %", "-", "-", "-", "-"]
    assert rows[1] == ["a", "75.00 %", "-25.00", "1", "0", "1"]
    p = "0.375"  # 2 / 2 ** 4, and the smallest of three
    assert rows[2] == ["c", "0.00 %", "-100.00", "4", "0", p]
    content = json.loads(json.dumps(comparison.to_json(), allow_nan=False))
    assert content["runs"][0] == {"run": "b", "accuracy": 1.0, "against_best": None}
    assert content["runs"][1]["against_best"]["interval"] == [None, None]
    assert str(comparison).startswith("on x.txt\nrun  accuracy")
    assert content["runs"][2]["against_best"]["p_value"] == pytest.approx(0.125)
    assert content["runs"][2]["against_best"]["p_holm"] == pytest.approx(0.375)
    assert content["difference_interval"] == "simultaneous 95 %"
    assert "too few documents for intervals" in comparison.remark
    assert "corrected for all pairs" in comparison.remark


@pytest.mark.parametrize(
    ("names", "marks"),
    [(["a"], right("1")), (["a", "b"], right("1")), (["a", "b"], np.zeros((2, 0), bool))],
)
def test_what_is_no_comparison_is_refused(names: list[str], marks: np.ndarray) -> None:
    with pytest.raises(ValueError, match="make no comparison"):
        compare_classifiers(names, marks, "dev")
