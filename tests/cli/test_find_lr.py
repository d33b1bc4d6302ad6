from pathlib import Path

import pytest

from .conftest import LINES

FLAGS = ["--hidden-size=8", "--batch-size=16", "--rates=12", "--high=30"]


@pytest.fixture(autouse=True)
def text(folder: Path) -> None:
    (folder / "text.txt").write_text("\n".join(LINES) + "\n")


@pytest.mark.slow
def test_it_suggests_a_rate_and_draws(thence, folder):
    outcome = thence("find-lr", "text.txt", *FLAGS)
    assert (outcome.code, outcome.err) == (0, "")
    first, second = outcome.out.splitlines()
    assert 0.001 <= float(first.removeprefix("suggested learning rate")) <= 30
    assert second.split() == ["figure", "learning-rate.png"]
    assert (folder / "learning-rate.png").read_bytes().startswith(b"\x89PNG")
    assert {path.name for path in folder.iterdir()} == {"text.txt", "learning-rate.png"}

    found = thence("find-lr", "text.txt", *FLAGS, "--json", "-o", "curve.svg").json()
    assert found["picture"] == "curve.svg" and b"<svg" in (folder / "curve.svg").read_bytes()
    assert len(found["rates"]) == len(found["losses"]) <= 12
    assert f"{found['suggestion']:.2g}" == first.split()[-1]


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (
            ["--model", "bigram-counts"],
            "The model 'bigram-counts' is not trained: it has no learning",
        ),
        (["-o", "curve.jpg"], "--output is curve.jpg; its name must end in .png or .svg."),
        (
            ["--rates", "3"],
            "Rates from 0.001 to 1.0 in 3 steps cannot be made; --low must be above 0 "
            "and below --high, and --rates at least 10.",
        ),
        (["--low", "2"], "Rates from 2.0 to 1.0 cannot be made"),
    ],
)
def test_what_cannot_be_swept_is_refused(thence, folder, flags, message):
    outcome = thence("find-lr", "text.txt", *flags)
    assert (outcome.code, outcome.out) == (2, "")
    assert outcome.err.startswith(f"thence: {message}")
    assert [path.name for path in folder.iterdir()] == ["text.txt"]


@pytest.mark.slow
def test_no_picture_is_written_over(thence, folder):
    (folder / "learning-rate.png").write_text("mine")
    (folder / "curve.svg").write_text("mine")
    outcome = thence("find-lr", "text.txt", *FLAGS)
    assert outcome.out.splitlines()[1].split() == ["figure", "learning-rate-2.png"]
    refused = thence("find-lr", "text.txt", *FLAGS, "-o", "curve.svg")
    assert refused.code == 2
    assert refused.err.startswith("thence: curve.svg exists already and is left as it is")
    assert (folder / "learning-rate.png").read_text() == "mine"
    assert (folder / "curve.svg").read_text() == "mine"
