"""thence mix --to arpa, thence prune, and what export adds for decoders."""

from pathlib import Path
from typing import Any

import pytest

from thence.training import train

pytestmark = pytest.mark.usefixtures("folder")

PETS = "the cat sat\nthe cat ran\na dog sat\nthe dog ran\na cat sat\n" * 4
BIRDS = "the bird sat\na bird flew\nthe bird ran off\na dog flew\n" * 4


@pytest.fixture
def files(folder: Path) -> None:
    """Two runs with dev splits of 20 %, and the ARPA file of the second."""
    for name, text in (("pets", PETS), ("birds", BIRDS)):
        Path(f"{name}.txt").write_text(text)
        train(f"{name}.txt", "ngram", output=name, order=3, tokens="words", split="80/20/0")


@pytest.mark.usefixtures("files")
def test_two_models_become_one_file(thence: Any) -> None:
    thence("export", "birds", "birds.arpa")
    found = thence("mix", "pets", "birds.arpa", "--to", "arpa", "-o", "mix.arpa", "--json").json()
    assert found["path"] == "mix.arpa" and found["members"] == ["pets", "birds.arpa"]
    assert found["dev"]["static"] == pytest.approx(found["dev"]["dynamic"], rel=0.1)
    flags = ("--lambdas", "3", "1", "-o", "given.arpa")  # The name says what to make.
    lines = thence("mix", "pets", "birds.arpa", *flags).out.splitlines()
    assert lines[0].split() == ["file", "given.arpa"]
    assert any(line.startswith("weight of pets") and " 0.750" in line for line in lines)
    outcome = thence("prune", "mix.arpa", "--order", "2", "-o", "small")
    assert outcome.code == 0 and "n-grams of order 3  0 of" in outcome.out
    assert thence("evaluate", "small", "birds.txt").code == 0


@pytest.mark.usefixtures("files")
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ("mix", "pets", "birds", "--to", "arpa", "--cache", "5", "-o", "x.arpa"),
            "--cache does not go with --to arpa, which mixes n-gram models alone.",
        ),
        (
            ("mix", "pets", "birds", "--lambdas", "1", "1", "-o", "x"),
            "--lambdas is for mixing into one model, with --to arpa.",
        ),
        (
            ("mix", "pets", "birds", "--to", "arpa", "--lambdas", "1", "-o", "x.arpa"),
            "--lambdas must be 2 numbers above 0, one for each model, not 1.0.",
        ),
        (
            ("prune", "pets", "-o", "x"),
            "Nothing is to be pruned; give --threshold, --vocabulary or --order.",
        ),
        (
            ("export", "pets", "x.arpa", "--encode-offset", "100"),
            "--encode-offset is for models of subwords, or of texts whose words are the ids of a "
            "tokenizer, but 'cat' is no number.",
        ),
    ],
)
def test_what_cannot_be_is_a_sentence(
    thence: Any, arguments: tuple[str, ...], message: str
) -> None:
    outcome = thence(*arguments)
    assert (outcome.code, outcome.err) == (2, f"thence: {message}\n")
    assert not Path("x").exists() and not Path("x.arpa").exists()
