"""What the same torchrun has begun is gone on with after a failure, and nothing else is."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from thence.errors import RunError, SettingError
from thence.runs import Run
from thence.training import train

SETTINGS: dict[str, Any] = {"hidden_size": 4, "embedding_size": 2, "steps": 6, "threads": 1}
Start = Callable[[str, int], None]


@pytest.fixture
def start(monkeypatch: pytest.MonkeyPatch) -> Start:
    """Be a process of the torchrun of that name, which was started anew so many times."""

    def of(name: str, restarts: int) -> None:
        place = f"/logs/torchelastic_{name}/none_x/attempt_{restarts}/0/error.json"
        monkeypatch.setenv("TORCHELASTIC_ERROR_FILE", place)
        monkeypatch.setenv("TORCHELASTIC_RESTART_COUNT", str(restarts))
        monkeypatch.setenv("TORCHELASTIC_MAX_RESTARTS", "3")

    return of


def test_a_restarted_training_goes_on(text: Path, tmp_path: Path, start: Start) -> None:
    folder = tmp_path / "run"
    start("one", 1)  # Its first start made none.
    made = train(text, "mlp", output=folder, **SETTINGS)
    assert made.provenance["launches"] == ["torchelastic_one/none_x"]
    start("one", 2)
    assert train(text, "mlp", output=folder, **SETTINGS).metrics() == made.metrics()


@pytest.mark.parametrize("maker", [None, "one"])
def test_what_was_there_before_is_left_by_every_start(
    text: Path, tmp_path: Path, start: Start, maker: str | None
) -> None:
    folder = tmp_path / "run"
    if maker is not None:
        start(maker, 0)
    before = train(text, "mlp", output=folder, **SETTINGS).metrics()
    for restarts in range(3):
        start("two", restarts)
        with pytest.raises(RunError, match="exists already and is left as it is"):
            train(text, "mlp", output=folder, **SETTINGS)
    assert Run(folder).metrics() == before


def test_without_restarts_no_launch_is_noted(text: Path, tmp_path: Path) -> None:
    made = train(text, "mlp", output=tmp_path / "run", **SETTINGS)
    assert "launches" not in made.provenance


def test_restarts_need_a_folder(text: Path, start: Start) -> None:
    start("one", 0)
    with pytest.raises(SettingError, match="With --max-restarts, name the run folder"):
        train(text, "mlp", **SETTINGS)
