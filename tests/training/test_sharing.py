"""A restarted training is gone on with, and nothing else is."""

from pathlib import Path
from typing import Any

import pytest

from thence.errors import RunError, SettingError
from thence.training import train
from thence.training.recipe import make_recipe
from thence.training.sharing import is_of

SETTINGS: dict[str, Any] = {"hidden_size": 4, "embedding_size": 2, "steps": 6, "threads": 1}


@pytest.fixture
def restarted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCHELASTIC_RESTART_COUNT", "1")
    monkeypatch.setenv("TORCHELASTIC_MAX_RESTARTS", "3")


def test_a_run_is_known_by_its_recipe(
    text: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = train(text, "mlp", output=tmp_path / "run", **SETTINGS)
    monkeypatch.chdir(text.parent)
    assert is_of(run.recipe, make_recipe(text.name, "mlp", SETTINGS))
    assert not is_of(run.recipe, make_recipe(text.name, "mlp", {**SETTINGS, "hidden_size": 5}))
    assert not is_of(run.recipe, make_recipe(text.name, "mlp", {**SETTINGS, "lr": 0.123}))
    assert not is_of(run.recipe, make_recipe(text.name, "lstm", SETTINGS))


@pytest.mark.usefixtures("restarted")
def test_a_restarted_training_goes_on(text: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    made = train(text, "mlp", output=folder, **SETTINGS)  # Its first start made none.
    assert train(text, "mlp", output=folder, **SETTINGS).metrics() == made.metrics()
    with pytest.raises(RunError, match="exists already and is left as it is"):
        train(text, "mlp", output=folder, **{**SETTINGS, "hidden_size": 5})


@pytest.mark.usefixtures("restarted")
def test_restarts_need_a_folder(text: Path) -> None:
    with pytest.raises(SettingError, match="With --max-restarts, name the run folder"):
        train(text, "mlp", **SETTINGS)


def test_without_a_restart_a_run_is_left(text: Path, tmp_path: Path) -> None:
    train(text, "mlp", output=tmp_path / "run", **SETTINGS)
    with pytest.raises(RunError, match="exists already and is left as it is"):
        train(text, "mlp", output=tmp_path / "run", **SETTINGS)
