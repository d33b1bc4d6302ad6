import pytest

from thence.training.progress import silent, terminal

METRICS = {"step": 5, "tokens": 50, "seconds": 1.0, "train_nats_per_token": 1.5}


@pytest.mark.parametrize("dev", [None, 2.0])
def test_the_bar_goes_to_standard_error(
    capsys: pytest.CaptureFixture[str], dev: float | None
) -> None:
    with terminal("[red]name") as bar:
        bar.step(1, 10.0, 0.1)
        bar.step(5, 50.0, 0.5)
        bar.evaluated({**METRICS, "dev_nats_per_token": dev})
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "1.5000" in captured.err
    assert ("2.0000" in captured.err) == (dev is not None)


def test_silence(capsys: pytest.CaptureFixture[str]) -> None:
    with silent("name") as nobody:
        nobody.step(1, 1.0, 0.1)
        nobody.evaluated({})
    assert capsys.readouterr() == ("", "")
