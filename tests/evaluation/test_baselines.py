"""What knows little says of dev, on texts small enough to count by hand."""

from math import log

import pytest

import thence
from thence.evaluation.baselines import baselines


def test_tokens_by_hand(tmp_path):
    text = tmp_path / "letters.txt"
    text.write_text("aab\n" * 9 + "ab\n")
    run = thence.train(
        text, "bigram-counts", output=tmp_path / "run", split="90/10/0", by="position"
    )
    found = baselines(run)
    # The vocabulary is a, b, the unknown symbol and the boundary. Train has 18 a, 9 b and 9 ends;
    # one is added to each: 19/40, 10/40, 1/40, 10/40. Dev is a, b, end.
    assert found.uniform == pytest.approx(log(4))
    assert found.unigram == pytest.approx(-(log(19 / 40) + 2 * log(10 / 40)) / 3)
    assert found.pairs is not None and found.pairs < found.unigram
    assert (found.unit, found.accuracy) == ("token", None)


def test_labels_by_hand(tmp_path):
    table = tmp_path / "table.csv"
    table.write_text("text,label\n" + "good,pos\n" * 6 + "bad,neg\n" * 2 + "good,pos\nbad,neg\n")
    run = thence.train(
        table,
        "linear",
        output=tmp_path / "run",
        label="label",
        split="80/20/0",
        by="position",
    )
    found = baselines(run)
    # Train has 6 pos and 2 neg; with one added, 7/10 and 3/10. Dev has one of each.
    assert found.uniform == pytest.approx(log(2))
    assert found.unigram == pytest.approx(-(log(0.7) + log(0.3)) / 2)
    assert (found.pairs, found.accuracy, found.unit) == (None, 0.5, "document")
