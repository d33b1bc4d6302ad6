"""What ``thence doctor`` says of a machine, and what it makes of broken ones."""

import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from thence import environment
from thence.cli.main import main
from thence.environment import EXTRAS, doctor, usable_cores
from thence.errors import ThenceError

PROJECT = Path(__file__).parents[1] / "pyproject.toml"


def test_every_extra_of_users_is_named() -> None:
    declared = tomllib.loads(PROJECT.read_text())["project"]["optional-dependencies"]
    assert set(EXTRAS) == set(declared) - {"all", "dev", "docs"}


def test_what_is_installed_is_found(home: Path) -> None:
    found = doctor()
    assert found.python == ".".join(map(str, sys.version_info[:3]))
    assert found.libraries["numpy"] and found.libraries["torch"]
    assert 1 <= found.cores <= (os.cpu_count() or 1) and found.memory > 1e8
    assert found.cache_folder == str(home) and found.cache_space
    assert found.problems == () and found.extras["serve"].missing == ()
    assert "numpy" in str(found) and found.to_json()["test"] == []


def test_nothing_is_left_in_the_cache_folder(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("THENCE_HOME", str(home / "not" / "yet"))
    assert doctor().cache_space and list(home.iterdir()) == []


@pytest.mark.parametrize(
    ("limit", "cores"), [("max 100000\n", 4), ("150000 100000\n", 2), ("", 4), ("900000 100000", 4)]
)
def test_cores_are_those_of_the_container(
    limit: str, cores: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "cpu.max").write_text(limit)
    monkeypatch.setattr(environment, "PROCESSOR_TIME", tmp_path / "cpu.max")
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: range(4), raising=False)
    assert usable_cores() == cores


def test_the_system_is_asked_for_processor_and_gpus(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "0000:01:00.0").mkdir()
    (tmp_path / "0000:01:00.0" / "information").write_text("Model: \t NVIDIA T4\nIRQ: 3\n")
    (tmp_path / "cpuinfo").write_text("model name\t: Fast 9000\nflags\t\t: sse avx512_bf16 ss\n")
    monkeypatch.setattr(environment, "GPUS", tmp_path)
    monkeypatch.setattr(environment, "PROCESSORS", tmp_path / "cpuinfo")
    found = doctor()
    assert (found.processor, found.bfloat16, found.gpus) == ("Fast 9000", True, ("NVIDIA T4",))
    monkeypatch.setattr(environment, "PROCESSORS", tmp_path / "none")
    assert doctor().bfloat16 is None


def test_libraries_that_are_missing_or_old_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    versions = {"thence": "0.2.0", "numpy": "1.26.4", "torch": "3.0.0+cpu", "rich": "15.0"}
    monkeypatch.setattr(environment, "version", lambda name: versions[name])
    monkeypatch.setattr(environment, "_version_of", versions.get)
    wanted = [
        "numpy>=2",
        "torch<3,>=2.6",
        "rich>=14",
        "orjson",
        "psycopg[binary]>=3; extra == 'dev'",
    ]
    wanted += ["optuna<6,>=4; extra == 'sweep'"]
    monkeypatch.setattr(environment, "requires", lambda _: wanted)
    found = doctor()
    assert found.problems == (
        "numpy is 1.26.4: pip install 'numpy>=2'.",
        "torch is 3.0.0+cpu: pip install 'torch<3,>=2.6'.",
        "orjson is missing: pip install 'orjson'.",
    )
    assert found.extras["sweep"].missing == ("optuna",)
    assert found.extras["sweep"].command == "pip install 'thence[sweep]'"


def test_a_cache_folder_that_cannot_be_written_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("THENCE_HOME", str(tmp_path / "file"))
    with pytest.raises(SystemExit) as stopped:
        main(["doctor", "--json"])
    printed = capsys.readouterr()
    assert stopped.value.code == ThenceError.exit_code
    assert json.loads(printed.out)["cache_space"] is None
    assert re.search(r"cache folder .*file cannot be written: set THENCE_HOME", printed.err)


def test_the_tiny_models_say_what_they_must() -> None:
    found = doctor(test=True, torch=True)
    assert [check.passed for check in found.test] == [True, True] and found.problems == ()
    assert found.torch is not None and found.torch.name.startswith(("cpu", "cuda", "mps"))


def test_a_wrong_number_is_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        environment, "_train_and_score", lambda *_, **__: environment.WITTEN_BELL_NATS
    )
    counts, network = doctor(test=True).test
    assert counts.passed and not network.passed
    said = "Test network: -2.258949 nats instead of -2.079442."
    assert doctor(test=True).problems == (said,)


@pytest.mark.slow
def test_torch_is_not_loaded() -> None:
    program = "import sys, thence; thence.doctor(); assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", program], check=True)
