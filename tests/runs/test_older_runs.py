"""Runs of older versions open, give the same numbers, and go on where they were stopped.

Those of ``runs-0.1`` were made with given-names and cities: ``stopped`` ended at step 21 of the 40
of ``mlp``. ``docs/reference/run-folder.md`` has the rule for the number of the format.
"""

import json
import shutil
from pathlib import Path

import pytest

import thence
from thence.errors import RunError
from thence.recipes.recipe import PROVENANCE
from thence.runs.provenance import FORMAT, MIGRATIONS, config_checksum, migrate, read_config

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


def test_an_older_run_is_migrated_in_memory_and_never_rewritten(tmp_path: Path) -> None:
    folder = shutil.copytree(MADE_BY_0_1 / "linear", tmp_path / "linear")
    before = (folder / "config.toml").read_bytes()
    run = thence.open_run(folder)
    assert isinstance(run, thence.ClassifierRun) and run.classes.multilabel is False
    assert run.provenance["multilabel"] is False and "several" not in run.provenance
    thence.evaluate(run, "dev")
    assert (folder / "config.toml").read_bytes() == before


def test_a_run_of_0_1_that_read_standard_input_keeps_it_in_a_file() -> None:
    content = {"text": "-", PROVENANCE: {"format": 1, "thence": "0.1.0"}}
    assert migrate(content, Path("config.toml"))[PROVENANCE]["kept"] == {"text": "text"}
    assert "kept" not in content[PROVENANCE]


def test_migrations_follow_one_another() -> None:
    steps = {number: lambda found, number=number: {**found, str(number): 0} for number in (1, 2, 3)}
    for number in (1, 2, 3, 4):
        found = migrate({PROVENANCE: {"format": number}}, Path("config.toml"), steps)
        assert list(found)[1:] == [str(older) for older in range(number, 4)]
    assert sorted(MIGRATIONS) == list(range(1, FORMAT))


@pytest.mark.parametrize("number", [0, FORMAT + 1, 99, "2", 2.0, True, None])
def test_a_format_of_another_version_names_the_version_to_install(
    tmp_path: Path, number: object
) -> None:
    folder = shutil.copytree(MADE_BY_0_1 / "counts", tmp_path / "counts")
    config = folder / "config.toml"
    written = f"format = {json.dumps(number)}" if number is not None else ""
    made = config.read_text().replace("format = 1", written).replace("0.1.0", "7.8.9")
    config.write_text(made)
    with pytest.raises(RunError, match=rf"reads formats 1 to {FORMAT}\. Install .* '7\.8\.9'"):
        thence.open_run(folder)
    assert any(run.state == "damaged" for run in thence.list_runs(tmp_path))


def test_a_new_run_says_the_newest_format(tmp_path: Path) -> None:
    run = thence.train("given-names", "bigram-counts", output=tmp_path / "new")
    config = read_config(run.folder / "config.toml")
    assert config.written == config.content
    assert config.written[PROVENANCE]["format"] == FORMAT
    assert config.written[PROVENANCE]["checksum"] == config_checksum(config.written)
