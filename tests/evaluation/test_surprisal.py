"""The surprisal of words: by hand, as parts of the whole text, and with what stands beside it."""

import math
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import thence
from thence.errors import SettingError, TextError, UnknownSymbolError
from thence.evaluation.surprisal import surprisal as function
from thence.runs import Run

Counted = Callable[..., Run]
module = sys.modules[function.__module__]

LINES = ["the cat sleeps in the barn", "the dog sleeps inside", "a cat in a barn"] * 4


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Run]:
    folder = tmp_path_factory.mktemp("runs")
    kinds: dict[str, dict[str, Any]] = {
        "characters": {"model": "ngram", "order": 3},
        "bytes": {"model": "ngram", "order": 2, "tokens": "bytes"},
        "subwords": {"model": "ngram", "order": 2, "tokens": "subwords", "max_size": 300},
        "words": {"model": "ngram", "order": 2, "tokens": "words"},
        "network": {"model": "gru", "hidden_size": 4, "embedding_size": 3, "steps": 1,
                    "tokens": "subwords", "max_size": 280},
    }  # fmt: skip
    return {
        name: thence.train(LINES, output=folder / name, **settings)
        for name, settings in kinds.items()
    }


def of(rows: Sequence[dict[str, Any]], name: str) -> list[Any]:
    return [row[name] for row in rows]


def test_by_hand(counted: Counted) -> None:
    # Add-one counts of five symbols (a, b, space, <unk>, |) after "a b" twice and "b":
    # after |: a 3/8, b 2/8; after a: space 3/7, | 1/7; after the space: b 3/7;
    # after b: | 4/8, space 1/8. A word begins or the text ends after a: 4/7, after b: 5/8.
    run = counted(documents=["a b", "a b", "b"], dev=["b"])
    rows = list(thence.surprisal(run, ["a b", "b a"]))
    expected = [
        3 / 8 * (4 / 7),
        3 / 7 * (3 / 7) * (5 / 8) / (4 / 7),
        2 / 8 * (5 / 8),
        1 / 8 * (1 / 7) * (4 / 7) / (5 / 8),
    ]
    found = [2 ** -row["surprisal"] for row in rows]
    assert found == pytest.approx(expected)
    assert of(rows, "text") == ["a", "b", "b", "a"]
    assert of(rows, "number") == [1, 1, 2, 2]
    assert of(rows, "word") == [1, 2, 1, 2]
    # Five words in the train text: two are a, three are b.
    assert of(rows, "frequency") == pytest.approx([4e5, 6e5, 6e5, 4e5])


@pytest.mark.parametrize("name", ["characters", "bytes", "subwords", "words", "network"])
@settings(max_examples=8)
@given(
    st.lists(
        st.text(st.sampled_from("catin. \t"), max_size=12), min_size=1, max_size=4
    )
)  # fmt: skip
def test_words_and_the_end_add_up_to_the_text(
    runs: dict[str, Run], name: str, texts: list[str]
) -> None:
    run = runs[name]
    texts = [text if text.strip() else "" for text in texts]
    found = module._Scorer(run, False).words(texts)
    totals = [line["log_probability"] for line in thence.score(run, texts)]
    firsts = np.cumsum([0, *(len(text.split()) for text in texts)])
    for at, total in enumerate(totals):
        words = found.nats[firsts[at] : firsts[at + 1]].sum()
        assert words + found.ends[at] == pytest.approx(-total, abs=1e-4)


def test_a_word_competes_with_longer_ones(runs: dict[str, Run]) -> None:
    # However a word goes on, its surprisal does not contain what comes after it, and the
    # probabilities of all one-word texts sum to less than one.
    run = runs["characters"]
    rows = list(thence.surprisal(run, ["in the barn", "inside the barn", "in"]))
    first, inside, alone = rows[0], rows[3], rows[-1]
    assert first["surprisal"] == pytest.approx(alone["surprisal"])
    assert 2 ** -first["surprisal"] + 2 ** -inside["surprisal"] < 1


def test_tokens_that_are_words_are_summed(runs: dict[str, Run]) -> None:
    (line,) = thence.score(runs["words"], ["the horse, sleeps"], tokens=True)
    bits = [token["surprisal_bits"] for token in line["tokens"]]
    rows = list(thence.surprisal(runs["words"], ["the horse, sleeps"]))
    assert of(rows, "surprisal") == pytest.approx([bits[0], bits[1] + bits[2], bits[3]])
    assert of(rows, "unknown") == [0, 2, 0]
    assert of(rows, "length") == [3, 6, 6]


def test_spill_over_stays_within_a_text(runs: dict[str, Run]) -> None:
    rows = list(thence.surprisal(runs["words"], ["the cat sleeps", "a barn"], spillover=2))
    costs = of(rows, "surprisal")
    assert of(rows, "surprisal_1") == [None, costs[0], costs[1], None, costs[3]]
    assert of(rows, "surprisal_2") == [None, None, costs[0], None, None]
    assert of(rows, "length_1") == [None, 3, 3, None, 1]
    none = list(thence.surprisal(runs["words"], ["the cat"], spillover=0))
    assert list(none[0]) == [
        "number", "word", "text", "surprisal", "length", "frequency", "unknown",
    ]  # fmt: skip


def test_regions_are_sums_of_words_and_columns_are_kept(
    runs: dict[str, Run], tmp_path: Path
) -> None:
    table = tmp_path / "items.csv"
    table.write_text("item,condition,sentence,word\n7,a,the cat | sleeps in || the barn,x\n")
    words = list(thence.surprisal(runs["subwords"], table, mark="|"))
    regions = list(thence.surprisal(runs["subwords"], table, by="region"))
    plain = list(thence.surprisal(runs["subwords"], ["the cat sleeps in the barn"]))
    assert of(words, "surprisal") == pytest.approx(of(plain, "surprisal"))
    assert of(words, "region") == [1, 1, 2, 2, 4, 4]
    costs = of(plain, "surprisal")
    sums = [costs[0] + costs[1], costs[2] + costs[3], 0, costs[4] + costs[5]]
    assert of(regions, "surprisal") == pytest.approx(sums)
    assert of(regions, "text") == ["the cat", "sleeps in", "", "the barn"]
    assert regions[1]["surprisal_1"] == pytest.approx(sums[0])
    for row in (words[0], regions[0]):
        assert (row["item"], row["condition"], row["word_"]) == ("7", "a", "x")
    tabs = list(thence.surprisal(runs["subwords"], ["the cat\tsleeps"], by="region", mark="tab"))
    assert of(tabs, "text") == ["the cat", "sleeps"]


def test_frequencies_are_of_words_without_marks(runs: dict[str, Run]) -> None:
    rows = thence.surprisal(runs["subwords"], ["The, cat-barn horse ..."])
    # 64 of 176 words of the train documents at most; shares are of a million.
    the, parts, horse, marks = of(list(rows), "frequency")
    words = " ".join(runs["subwords"].documents("train")).split()
    assert the == pytest.approx(words.count("the") / len(words) * 1e6)
    fewer = min(words.count("cat"), words.count("barn"))
    assert parts == pytest.approx(fewer / len(words) * 1e6)
    assert (horse, marks) == (0, 0)


def test_texts_are_scored_some_at_a_time(
    runs: dict[str, Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = ["the cat", "a barn in the barn", "in", "the dog"]
    whole = list(thence.surprisal(runs["network"], texts))
    monkeypatch.setattr(module, "AT_ONCE", 1)
    parts = list(thence.surprisal(runs["network"], texts))
    assert of(parts, "surprisal") == pytest.approx(of(whole, "surprisal"), abs=1e-4)
    carried = list(thence.surprisal(runs["network"], texts, carry_context=True))
    assert carried[0]["surprisal"] == pytest.approx(whole[0]["surprisal"], abs=1e-4)
    assert carried[2]["surprisal"] != pytest.approx(whole[2]["surprisal"], abs=1e-4)


def test_what_cannot_be_is_refused(runs: dict[str, Run], counted: Counted, tmp_path: Path) -> None:
    with pytest.raises(SettingError, match="`spillover` is -1"):
        thence.surprisal(runs["words"], ["a"], spillover=-1)
    with pytest.raises(SettingError, match="`mark` is empty"):
        thence.surprisal(runs["words"], ["a"], mark="")
    table = tmp_path / "items.tsv"
    table.write_text("item\tthing\n1\ta\n")
    with pytest.raises(TextError, match="which one is the text is not clear"):
        list(thence.surprisal(runs["words"], table))
    with pytest.raises(UnknownSymbolError):
        list(thence.surprisal(counted(unknown="refuse"), ["ac"]))


def test_without_its_text_a_run_has_no_frequencies(counted: Counted, tmp_path: Path) -> None:
    run = counted()
    before = [row["surprisal"] for row in thence.surprisal(run, ["ab"])]
    (tmp_path / "text.txt").unlink()
    (row,) = thence.surprisal(run.folder, ["ab"])
    assert ([row["surprisal"]], row["frequency"]) == (before, None)


def test_impossible_words_are_infinite(counted: Counted) -> None:
    (row,) = thence.surprisal(counted(add_k=0.0), ["ba"])
    assert row["surprisal"] == math.inf
