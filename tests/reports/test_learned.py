"""What a report says of a language model on dev: hand-worked numbers, and models made for it."""

import math
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import thence
from thence.corpus import Documents
from thence.reports.content import Bars, Statement
from thence.reports.learned import _PairTable, reliability_bins
from thence.reports.opening import neighbours, opening, rounded
from thence.reports.reading import read_dev
from thence.reports.report import report_html
from thence.tokens import TokenOptions, make_tokenizer

from .conftest import Page

NAMES = [a + b for a in ("emma", "ava", "mia", "lea", "joan") for b in ("", "a", "na", "el")]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("learned")
    (folder / "names.txt").write_text("\n".join(NAMES) + "\n")
    for name, settings in (("two", {"order": 2}), ("three", {"order": 3})):
        thence.train(
            folder / "names.txt", "ngram", output=folder / name, split="60/40/0", **settings
        )
    return folder


class Says:
    """A model that always gives the same distribution."""

    def __init__(self, probs: Sequence[float]) -> None:
        self.vocabulary_size, self._probs = len(probs), probs

    def start(self, batch: int) -> None:
        return None

    def step(self, ids: Any, state: None) -> tuple[Any, None]:
        return np.log(np.tile(self._probs, (len(ids), 1))), None


def test_what_is_said_and_what_comes() -> None:
    # |aab|b|: targets a, a, b, | and b, |. The model says a 0.6, b 0.25, | 0.15 each time.
    tokenizer = make_tokenizer(Documents.from_strings(["aab", "b"]), TokenOptions(unknown="refuse"))
    store = tokenizer.encode(["aab", "b"])
    model: Any = Says([0.6, 0.25, 0.15])
    found = reliability_bins(model, store, 3)
    assert found is not None
    said, seen, counts = found
    # Bins from 0.1 (of |), 0.2 (of b) and 0.6 (of a), each asked six times.
    np.testing.assert_allclose(said[[3, 4, 8]], [6 * 0.15, 6 * 0.25, 6 * 0.6])
    np.testing.assert_allclose(seen[[3, 4, 8]], [2, 2, 2])
    assert counts.sum() == 18 and seen.sum() == 6
    assert said.sum() == pytest.approx(6)


def test_bits_saved_are_summed_by_pair() -> None:
    # |ab|b|: pairs |a, ab, b|, |b, b|.
    tokenizer = make_tokenizer(Documents.from_strings(["ab", "b"]), TokenOptions(unknown="refuse"))
    store = tokenizer.encode(["ab", "b"])
    reading: Any = SimpleNamespace(
        store=store, vocabulary_size=3, nats=np.full(5, math.log(2)), token="character"
    )
    table = _PairTable(reading, np.array([2, 0, 1]), np.array([1.0, 2.0, 0.5, -1.0, 1.5]))
    # Rows |, a, b before; columns |, a, b next.
    assert table.saved.tolist() == [[0, 1, -1], [0, 0, 2], [2, 0, 0]]
    assert table.counts.tolist() == [[0, 1, 1], [0, 0, 1], [2, 0, 0]]
    cells = {(cell.row, cell.column): cell for cell in table.cells(["■", "a", "b"])}
    assert cells[2, 0].share == 1 and cells[0, 2].share == pytest.approx(-math.sqrt(0.5))
    # Each cost one bit here; counting pairs needed 1 + (0.5 + 1.5) / 2 after b.
    assert cells[2, 0].about == "b ■, 2 times: 1.00 bits, pair counts 2.00"


def test_the_sentence_and_the_ruler_are_true(folder: Path) -> None:
    run = thence.open_run(folder / "two")
    reading = read_dev(run)
    assert reading is not None
    statement, bars, *_ = opening(reading)
    assert isinstance(statement, Statement) and isinstance(bars, Bars)
    bits = thence.evaluate(run, "dev").nats_per_token / math.log(2)  # type: ignore[union-attr]
    # Of order 2 it is pair counts itself.
    assert f"needs {bits:.2f} bits" in statement.text
    assert statement.text.endswith(f"counting pairs of characters needs {bits:.2f}.")
    named = {name.partition(" (")[0]: length for name, length, _ in bars.rows}
    uniform = math.log2(len(run.tokenizer.vocabulary))
    assert named["every character alike"] == pytest.approx(uniform)
    assert named["two"] == pytest.approx(bits)
    assert bars.marked is not None and bars.rows[bars.marked][0] == "two (this run)"
    lengths = [length for _, length, _ in bars.rows]
    assert lengths == sorted(lengths, reverse=True)


def test_runs_of_the_same_text_beside_it_are_found(folder: Path) -> None:
    (found,) = neighbours(thence.open_run(folder / "two"))
    assert found[0] == "three" and found[1]["dev_nats_per_token"] > 0
    broken = folder / "broken"
    broken.mkdir()
    (broken / "config.toml").write_text("nonsense")
    assert len(list(neighbours(thence.open_run(folder / "two")))) == 1


def test_the_report_says_nothing_of_the_machine_and_repeats_no_section(folder: Path) -> None:
    html = report_html(thence.open_run(folder / "three"))
    page = Page(html)
    assert str(folder) not in html and "/dev/shm" not in html
    assert len(set(page.headings)) == len(page.headings)
    assert "Longest known n-grams" in page.headings
    assert page.is_harmless() and page.tags["details"] > 5 and page.tags["ruby"] > 20


def test_numbers_in_a_sentence() -> None:
    assert [rounded(one) for one in (999, 12_345, 9_950_000, 3_200_000_000)] == [
        "999", "12 thousand", "9.9 million", "3.2 billion",
    ]  # fmt: skip
