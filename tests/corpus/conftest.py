import os
from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache folder and no local copies, so that no test depends on the machine."""
    folder = tmp_path_factory.mktemp("thence-home")
    monkeypatch.setenv("THENCE_HOME", str(folder))
    monkeypatch.delenv("THENCE_DATA", raising=False)
    return folder


@pytest.fixture
def real_data() -> Path:
    """The folder of real data sets; the test is skipped where there is none."""
    beside = Path(__file__).resolve().parents[3] / "shared" / "data"
    folder = Path(os.environ.get("THENCE_TEST_DATA", beside))
    if not folder.is_dir():
        pytest.skip(f"no real data in {folder}")
    return folder
