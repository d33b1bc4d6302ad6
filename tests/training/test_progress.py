import re
from io import StringIO

import pytest
from rich.console import Console

from thence.training import callbacks
from thence.training.callbacks import bar_progress, silent_progress

METRICS = {"step": 5, "tokens": 50, "seconds": 1.0, "train_nats_per_token": 1.5}


@pytest.mark.parametrize("dev", [None, 2.0])
def test_the_bar_goes_to_standard_error(
    capsys: pytest.CaptureFixture[str], dev: float | None
) -> None:
    with bar_progress("[red]name") as bar:
        bar.on_step(1, 10.0, 0.1)
        bar.on_step(5, 50.0, 0.5)
        bar.on_evaluation({**METRICS, "dev_nats_per_token": dev})
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "1.5000" in captured.err
    assert ("2.0000" in captured.err) == (dev is not None)


def test_silence(capsys: pytest.CaptureFixture[str]) -> None:
    with silent_progress("name") as nobody:
        nobody.on_step(1, 1.0, 0.1)
        nobody.on_evaluation({})
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("width", [60, 80, 140])
@pytest.mark.parametrize("name", ["names", "a-run-with-a-name-that-is-far-longer-than-any-line"])
def test_the_bar_and_the_time_left_stay_at_any_width(
    monkeypatch: pytest.MonkeyPatch, width: int, name: str
) -> None:
    drawn = StringIO()
    console = Console(file=drawn, width=width, force_terminal=True, color_system=None)
    monkeypatch.setattr(callbacks, "stderr_console", lambda: console)
    with bar_progress(name) as bar:
        bar.on_step(1, 10.0, 0.1)
        bar.on_evaluation({**METRICS, "dev_nats_per_token": 2.0})
        bar.on_evaluation({**METRICS, "dev_nats_per_token": 1.8})
        bar.on_step(1_234_567, 2e7, 1.0)  # Too soon after the first to be shown, but for the end.
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", drawn.getvalue()).replace("\r", "\n")
    first, second = plain.strip().split("\n")[-2:]
    assert len(first.rstrip()) <= width and len(second.rstrip()) <= width
    assert "━" in first and re.search(r"\d:\d\d:\d\d", first)
    assert "step 1,234,567" in first and "tokens/s" in first
    assert "train 1.5000, dev 1.8000 nats per token" in second
    assert ("(perplexity 6.05)  █▁" in second) == (width > 60)
