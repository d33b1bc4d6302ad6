"""What only some families have in a report: shares of members, orders, gates, attention."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import thence
from thence.models.language.mixture import Mixture
from thence.models.ngram import NGram
from thence.reports.content import Bars, Chart, HeatMap, Section, Table
from thence.reports.family import family_sections
from thence.reports.insides import inside_sections
from thence.reports.reading import read_dev
from thence.runs import Run

NAMES = [a + b for a in ("emma", "ava", "mia", "lea", "joan") for b in ("", "a", "na", "el")]


@pytest.fixture(scope="module")
def make(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("family")
    (folder / "names.txt").write_text("\n".join(NAMES) + "\n")
    made: dict[str, Run] = {}

    def train(model: str, **settings: Any) -> Run:
        if model not in made:
            output, names = folder / model, folder / "names.txt"
            made[model] = thence.train(names, model, output=output, split="60/40/0", **settings)
        return made[model]

    return train


def blocks_of(run: Run) -> dict[type, Any]:
    """Return the blocks of the first section of a family, by their class."""
    section: Section = family_sections(run, read_dev(run))[0]
    return {type(block): block for block in section.blocks}


def test_how_far_back_counts_know_the_text(make: Any) -> None:
    run = make("ngram", order=3)
    assert isinstance(run.model, NGram)
    orders = run.model.known_orders(run.store("dev"))
    found = blocks_of(run)[Bars]
    assert [length for _, length, _ in found.rows] == [
        pytest.approx(np.mean(orders == order)) for order in (1, 2, 3)
    ]
    # Bits by order add up to the whole.
    shown = [text for _, _, text in found.rows if text != "never"]
    mean = sum(
        length * float(text.split()[1])
        for (_, length, _), text in zip(found.rows, shown, strict=True)
    )
    reading = read_dev(run)
    assert reading is not None and mean == pytest.approx(reading.bits, abs=0.01)


def test_members_with_their_weights_and_shares(make: Any, tmp_path: Path) -> None:
    parts = [make("ngram", order=3), make("bigram-counts")]
    run = thence.mix(parts, tmp_path / "mixed", weights="single")
    assert isinstance(run.model, Mixture)
    scores, shares = run.model.shares(run.store("dev"))
    np.testing.assert_allclose(shares.sum(axis=1), 1)
    joint = run.model.weights[0] * np.exp(scores)
    np.testing.assert_allclose(shares, joint / joint.sum(axis=1, keepdims=True))
    found = blocks_of(run)
    names, alone, weights = zip(*(row[::2] + row[3:] for row in found[Table].rows), strict=True)
    assert names[-1] == "together" and len(found[Bars].rows) == 2
    assert [float(bits) for bits in alone[:-1]] == [
        pytest.approx(-one.mean() / math.log(2), abs=1e-3) for one in scores.T
    ]
    assert [float(text[:-1]) / 100 for text in weights[:-1]] == [
        pytest.approx(weight, abs=1e-3) for weight in run.model.weights[0]
    ]


@pytest.mark.slow  # PyTorch takes its time to load.
def test_gates_and_units_of_a_recurrent_network(make: Any) -> None:
    run = make("lstm", embedding_size=4, hidden_size=8, steps=2)
    found = blocks_of(run)
    assert [one.name for one in found[Chart].series] == ["forget", "input", "output"]
    assert all(0 < y < 1 for one in found[Chart].series for _, y in one.points)
    assert len(found[HeatMap].rows) == 8 and found[HeatMap].columns == found[Chart].tick_names


@pytest.mark.slow
def test_each_head_of_a_transformer(make: Any) -> None:
    run = make("transformer", embedding_size=8, heads=2, layers=1, steps=2)
    (section,) = inside_sections(run)
    heads = section.blocks[1].blocks
    assert len(heads) == 2 and heads[0].columns[0] == "■"
    # What is drawn of a row adds up to 1, but for the faintest.
    for row in range(len(heads[0].rows)):
        shares = [cell.share for cell in heads[0].cells if cell.row == row]
        assert 0.7 < sum(shares) <= 1.001


def test_counts_have_no_insides(make: Any) -> None:
    assert inside_sections(make("ngram", order=3)) == []
