"""Tables fit into 80 columns, and their numbers stay whole; at a narrow terminal they are cards."""

import re
from collections.abc import Callable
from io import StringIO

import numpy as np
import pytest
from rich.console import Console

from thence.cli import output
from thence.cli.output import print_table
from thence.evaluation.compare import Compared, Comparison
from thence.evaluation.compare_labels import compare_classifiers
from thence.terminal import print_prose

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
    assert sum("12,345,678" in line for line in lines) == 10


def test_ten_classifiers_with_long_names(capsys: pytest.CaptureFixture[str]) -> None:
    right = np.random.default_rng(0).random((10, 5000)) < np.linspace(0.95, 0.5, 10)[:, None]
    compared = compare_classifiers([f"{at} {LONG}" for at in range(10)], right, "text")
    print_table(*compared.table(), title="text", narrow=True)
    out = capsys.readouterr().out
    assert max(map(len, out.splitlines())) <= 80
    for row in compared.table()[1]:
        assert all(cell in out for cell in row[1:])


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Let a command print at a terminal of so many columns."""

    def set_width(columns: int) -> None:
        console = Console(file=StringIO(), width=columns, force_terminal=True)
        monkeypatch.setattr(output, "result_console", lambda: console)

    return set_width


COLUMNS = ["run", "model", "nats per token", "above the best, 95 % simultaneous"]
ROWS = [
    ["names-ngram", "ngram", "2.3584", "-"],
    ["names-of-a-run-that-is-long", "mlp", "2.5079", "+0.1496 ± 0.0213 (+0.1283 to +0.1709)"],
]


def test_cards_at_a_narrow_terminal(
    terminal: Callable[[int], None], capsys: pytest.CaptureFixture[str]
) -> None:
    terminal(60)
    print_table(COLUMNS, ROWS, title="dev split of names")
    plain = re.sub(r"\x1b\[[0-9;]*m", "", capsys.readouterr().out)
    assert [line.rstrip() for line in plain.split("\n")] == [
        "dev split of names",
        "",
        "names-ngram",
        "  model                     ngram",
        "  nats per token            2.3584",
        "",
        "names-of-a-run-that-is-long",
        "  model                     mlp",
        "  nats per token            2.5079",
        "  above the best, 95 %      +0.1496 ± 0.0213 (+0.1283 to",
        "  simultaneous              +0.1709)",
        "",
    ]


def test_a_table_where_there_is_room(
    terminal: Callable[[int], None], capsys: pytest.CaptureFixture[str]
) -> None:
    terminal(100)
    print_table(COLUMNS, ROWS)
    out = capsys.readouterr().out
    assert all(cell in out for row in ROWS for cell in row)


def test_sentences_are_folded_between_words(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    text = "It learns by heart: try --weight-decay 0.01"
    print_prose(text)
    assert capsys.readouterr().err == f"{text}\n"
    console = Console(file=StringIO(), width=22, force_terminal=True)
    monkeypatch.setattr("thence.terminal.stderr_console", lambda: console)
    print_prose(text)
    assert capsys.readouterr().err == "It learns by heart:\ntry --weight-decay\n0.01\n"
