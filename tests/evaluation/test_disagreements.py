"""Where runs disagree, by hand: costs are those of ``score``."""

import numpy as np
import pytest

import thence
from thence.evaluation.disagreements import _balanced, _by_difference, disagreements


def test_each_run_has_documents_that_it_is_best_at():
    # Bits of three runs for five documents; the spreads are 9, 4, 3, 0 and 8.
    costs = np.array([[1.0, 1, 5, 2, 9], [10, 2, 5, 2, 1], [4, 5, 2, 2, 3]])
    order = _by_difference(costs)
    assert order == [0, 4, 1, 2]  # The fourth says the same to all.
    # Run 0 is best at 0 and 1, run 1 at 4, run 2 at 2: of each the farthest one comes first.
    assert _balanced(costs, order, 3) == [0, 4, 2]
    assert _balanced(costs, order, 9) == [0, 4, 1, 2]


def test_an_impossible_document_is_the_by_difference():
    costs = np.array([[1.0, np.inf, np.inf], [2.0, 3.0, np.inf]])
    assert _by_difference(costs) == [1, 0]


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("disagreements")
    text = folder / "names.txt"
    text.write_text("anna\notto\nhanna\nlotte\n" * 10)
    return [
        thence.train(text, "ngram", order=order, output=folder / str(order)) for order in (1, 3)
    ]


def test_bits_are_those_of_the_texts(runs):
    found = disagreements(runs, count=3)
    for document in found:
        scored = [thence.score(run, document.text)[0]["log_probability"] for run in runs]
        assert document.bits == pytest.approx([-score / np.log(2) for score in scored])
    spreads = [max(document.bits) - min(document.bits) for document in found]
    assert spreads == sorted(spreads, reverse=True)
