"""What is said of a text whose words stand for others, or for the ends of its sentences."""

import re
import warnings
from collections.abc import Callable
from pathlib import Path

import pytest

from thence.errors import ThenceWarning
from thence.training import train

LINES = [
    "the <unk> sat on mr. <unk> 's mat",
    "u.s. n't stop the <unk>",
    "mr. cat sat on the mat",
    "n't the dog",
] * 5

Told = Callable[..., list[str]]


@pytest.fixture
def told(tmp_path: Path) -> Told:
    """Train on lines and return what is said."""

    def make(lines: list[str], model: str = "ngram", **settings: object) -> list[str]:
        (tmp_path / "text.txt").write_text("\n".join(lines) + "\n")
        settings = {"tokens": "words", "split": "80/20/0", **settings}
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            train(tmp_path / "text.txt", model, output=tmp_path / "run", **settings)
        assert {item.category for item in caught} <= {ThenceWarning}
        return [str(item.message) for item in caught]

    return make


def test_words_that_were_cut_before_and_are_cut_further(told: Told, tmp_path: Path) -> None:
    (said,) = told(LINES)
    assert re.fullmatch(
        rf"{re.escape(str(tmp_path / 'text.txt'))} holds <unk> \(\d+ times\): its words were cut "
        r"before, as in the Penn Treebank and WikiText\. `word_split='punctuation'` cuts them "
        r"further \(\d+\.\d% more of them\), so the perplexity per token is not the one that "
        r"others give for this text; for theirs use `word_split='whitespace'`\.",
        said,
    )


@pytest.mark.parametrize(
    "settings",
    [
        {"word_split": "whitespace"},
        {"tokens": "characters"},
        {"lines": [line.replace("<unk>", "x") for line in LINES], "min_count": 6},
        {"lines": ["the <unk> sat", "a <unk>", "the mat", "a cat sat"] * 5},
    ],
    ids=["cut as it was", "characters", "no such word", "nothing is cut further"],
)
def test_nothing_is_said_where_nothing_differs(told: Told, settings: dict[str, object]) -> None:
    lines = settings.pop("lines", LINES)
    assert told(lines, **settings) == []  # type: ignore[arg-type]


@pytest.mark.parametrize("symbol", ["<UNK>", "[UNK]"])
def test_other_spellings_of_the_unknown_word(told: Told, symbol: str) -> None:
    (said,) = told([line.replace("<unk>", symbol) for line in LINES])
    assert f"holds {symbol} (" in said


@pytest.mark.parametrize("split", ["whitespace", "punctuation"])
@pytest.mark.parametrize("symbol", ["<s>", "</s>", "<eos>"])
def test_ends_of_sentences_within_the_text(told: Told, symbol: str, split: str) -> None:
    lines = [f"{line} {symbol}" for line in ("the cat sat", "a dog", "the dog sat", "a cat")] * 5
    (said,) = told(lines, word_split=split)
    assert f"holds {symbol} (16 times): words like all others here" in said
    arpa = "" if symbol == "<eos>" else ", and an ARPA file cannot hold the model"
    assert said.endswith(f"take them out of the text: else each end is predicted twice{arpa}.")


def test_a_network_has_no_arpa_file(told: Told) -> None:
    lines = ["<s> the cat sat", "<s> a dog", "<s> the dog"] * 5
    (said,) = told(lines, "bigram", steps=1)
    assert said.endswith("else each end is predicted twice.")


def test_all_of_several_symbols_are_named(told: Told) -> None:
    said = told([f"<s> {line} </s>" for line in LINES])
    assert len(said) == 2
    assert "holds <s> (16 times) and </s> (16 times): words" in said[1]


def test_rare_ones_too(told: Told) -> None:
    (said,) = told(["the cat", "a <s> </s> b", "<eos> x", "a b"], split="100/0/0")
    assert "holds <s> (1 time), </s> (1 time) and <eos> (1 time): words" in said
