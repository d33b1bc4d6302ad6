"""Tables of comparisons fit into 80 columns, and their numbers stay whole."""

import numpy as np
import pytest

from thence.cli.output import print_table
from thence.evaluation.compare import Compared, Comparison
from thence.evaluation.compare_labels import compare_classifiers

LONG = "an-ngram-run-of-order-5-whose-name-says-what-it-was-trained-on"


def runs_of_language_models() -> Comparison:
    runs = [
        Compared(f"{at} {LONG}", "bigram-counts", 12_345_678, 0.0123, 2.5, 4.25, difference, at)
        for at, difference in enumerate([None] + [(0.25, 0.125, 0.375)] * 9)
    ]
    return Comparison("text", 100, True, tuple(runs), "")


def test_ten_language_models_with_long_names(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(*runs_of_language_models().table(), title="t" * 100, narrow=True)
    title, *lines = capsys.readouterr().out.splitlines()
    assert title == "t" * 100
    assert max(map(len, lines)) <= 80
    assert sum("+0.2500 ± 0.1250" in line for line in lines) == 9
    assert sum("12,345,678" in line and "1.23 %" in line for line in lines) == 10


def test_ten_classifiers_with_long_names(capsys: pytest.CaptureFixture[str]) -> None:
    right = np.random.default_rng(0).random((10, 5000)) < np.linspace(0.95, 0.5, 10)[:, None]
    compared = compare_classifiers([f"{at} {LONG}" for at in range(10)], right, "text")
    print_table(*compared.table(), title="text", narrow=True)
    out = capsys.readouterr().out
    assert max(map(len, out.splitlines())) <= 80
    for row in compared.table()[1]:
        assert all(cell in out for cell in row[1:])
