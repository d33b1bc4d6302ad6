"""Runs that version 0.1 made open, give the same numbers, and go on where they were stopped.

They were made with given-names and cities: ``stopped`` ended at step 21 of the 40 of ``mlp``.
"""

import json
import shutil
from pathlib import Path

import pytest

import thence

MADE_BY_0_1 = Path(__file__).parent / "runs-0.1"
EXPECTED = json.loads((MADE_BY_0_1 / "expected.json").read_text())


@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_a_run_of_0_1_gives_the_number_that_it_gave(name: str) -> None:
    judged = thence.evaluate(MADE_BY_0_1 / name, "dev").to_json()
    found = judged.get("nats_per_token", judged.get("nats_per_document"))
    assert found == pytest.approx(EXPECTED[name], rel=1e-5)  # Processors round differently.


def test_a_stopped_run_of_0_1_goes_on(tmp_path: Path) -> None:
    folder = shutil.copytree(MADE_BY_0_1 / "stopped", tmp_path / "stopped")
    thence.resume(folder)
    judged = thence.evaluate(folder, "dev").to_json()
    assert judged["nats_per_token"] == pytest.approx(EXPECTED["mlp"], rel=1e-4)
