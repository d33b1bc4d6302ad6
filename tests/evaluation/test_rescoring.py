"""Rescoring: word errors beside the plain recursion, scores by hand, and weights."""

import math
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import thence
from thence.corpus import MinimalPair
from thence.corpus.nbest import Hypothesis, read_nbest
from thence.errors import RunError, SettingError, TextError
from thence.evaluation.rescoring import Weights, word_errors
from thence.runs import Run

Counted = Callable[..., Run]
TEXTS = st.lists(st.sampled_from("abc"), max_size=5).map(" ".join)


def plain(first: list[str], second: list[str]) -> int:
    if not first or not second:
        return len(first) + len(second)
    changed = plain(first[1:], second[1:]) + (first[0] != second[0])
    return min(changed, plain(first[1:], second) + 1, plain(first, second[1:]) + 1)


@given(reference=TEXTS, hypotheses=st.lists(TEXTS, max_size=4))
def test_word_errors(reference: str, hypotheses: list[str]) -> None:
    expected = [plain(reference.split(), one.split()) for one in hypotheses]
    assert word_errors(reference, hypotheses).tolist() == expected


def test_by_hand(counted: Counted) -> None:
    # After |: a 3/7, b 2/7; after a: b 1/2, | 1/6; after b: | 4/7, a 1/7 (test_language.py).
    listed = [Hypothesis("x", -1.0, "ab"), Hypothesis("y", -3.0, "b"), Hypothesis("x", -0.5, "ba")]
    run = counted()
    found = thence.rescore(run, listed, alpha=2.0, beta=0.25)
    assert [one.id for one in found] == ["x", "y"]
    first, second = found[0].hypotheses
    assert (first.text, second.text) == ("ab", "ba")
    assert first.log_probabilities == pytest.approx([math.log(3 / 7 / 2 * 4 / 7)])
    assert first.total == pytest.approx(-1 + 2 * math.log(3 / 7 / 2 * 4 / 7) + 0.25)
    assert second.total == pytest.approx(-0.5 + 2 * math.log(2 / 7 / 7 / 6) + 0.25)
    assert (found.weights, found.chosen_on) == (Weights((2.0,), 0.25), "given")
    assert found.word_error_rates is None
    # Without references and weights: half the language model, and nothing for words.
    assert thence.rescore(run, listed).weights == Weights((0.5,), 0.0)


def with_references(count: int = 6) -> list[Hypothesis]:
    """Return utterances whose reference the language model likes and the recogniser does not."""
    return [
        one
        for number in range(count)
        for one in (
            Hypothesis(str(number), -1.0, "ba"),
            Hypothesis(str(number), -2.0, "ab", "ab"),
        )
    ]


def test_weights_are_learned_from_references(counted: Counted) -> None:
    run = counted()
    found = thence.rescore(run, with_references())
    rates = found.word_error_rates
    assert rates is not None
    assert (rates.before, rates.after, rates.oracle) == (1.0, 0.0, 0.0)
    assert "half" in found.chosen_on
    assert all(one.reference == "ab" for one in found)
    elsewhere = thence.rescore(run, with_references(), dev=with_references(3))
    assert elsewhere.chosen_on == "3 utterances of dev"
    assert elsewhere.word_error_rates == rates
    # A weight that is given stays: at a weight of 0 the recogniser decides.
    kept = thence.rescore(run, with_references(), alpha=0.0)
    assert kept.weights.alpha == (0.0,)
    assert kept.word_error_rates is not None
    assert kept.word_error_rates.after == 1.0
    two = thence.rescore([run, counted(name="other", add_k=0.5)], with_references(), beta=1.0)
    assert len(two.weights.alpha) == len(two[0].hypotheses[0].log_probabilities) == 2
    assert [name for name, _ in two.rows()][:3] == ["alpha of run", "alpha of other", "beta"]


def test_impossible_texts_come_last(counted: Counted) -> None:
    run = counted(add_k=0.0)
    listed = [Hypothesis("x", 0.0, "aa"), Hypothesis("x", -9.0, "ab")]
    found = thence.rescore(run, listed)[0].hypotheses
    assert [one.text for one in found] == ["ab", "aa"]
    assert thence.rescore(run, listed, alpha=0.0)[0].hypotheses[0].text == "aa"


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("plain.tsv", "u\t-1.5\tab\tba\nu\t-2\tb\tba\n"),
        ("named.tsv", "id\tscore\ttext\treference\nu\t-1.5\tab\tba\nu\t-2\tb\tba\n"),
        ("other.csv", "text,reference,score,utterance\nab,ba,-1.5,u\nb,ba,-2,u\n"),
        (
            "lines.jsonl",
            '{"id": "u", "score": -1.5, "text": "ab", "reference": "ba"}\n'
            '{"id": "u", "score": -2, "text": "b", "reference": "ba"}\n',
        ),
    ],
)
def test_tables_of_hypotheses(name: str, text: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(text, "utf-8")
    expected = [Hypothesis("u", -1.5, "ab", "ba"), Hypothesis("u", -2.0, "b", "ba")]
    assert read_nbest(tmp_path / name) == expected


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("a.txt", "u\t-1\tab\n", "is no table"),
        ("a.tsv", "", "holds no hypotheses"),
        ("a.tsv", "id\ttext\nu\tab\n", "score"),
        ("a.tsv", "u\t-1\tab\nu\tmuch\tb\n", r"row 2: the score 'much' is not a number"),
        ("a.csv", "id,score,text\nu,inf,b\n", r"row 2: the score 'inf' is not a number"),
    ],
)
def test_what_is_no_table_of_hypotheses_is_refused(
    name: str, text: str, words: str, tmp_path: Path
) -> None:
    (tmp_path / name).write_text(text, "utf-8")
    with pytest.raises(TextError, match=words):
        read_nbest(tmp_path / name)


def test_the_test_split_in_parts_is_one_look(
    counted: Counted, monkeypatch: pytest.MonkeyPatch
) -> None:
    all_texts = ("ab", "b", "ba", "a", "bb", "aa")
    monkeypatch.setattr(sys.modules["thence.evaluation.rescoring"], "AT_ONCE", 2)
    monkeypatch.setattr(sys.modules["thence.evaluation.pairs"], "PAIRS_AT_ONCE", 2)
    run = counted(test=all_texts)
    thence.rescore(run, [Hypothesis("x", -1.0, text) for text in all_texts], alpha=1.0)
    assert [look["command"] for look in run.test_looks()] == ["rescore"]
    thence.pairs(
        run, [MinimalPair(*two, "x") for two in zip(all_texts[::2], all_texts[1::2], strict=True)]
    )
    assert [look["command"] for look in run.test_looks()] == ["rescore", "pairs"]


def test_weights_and_references_that_are_missing_are_refused(counted: Counted) -> None:
    run, listed = counted(), [Hypothesis("x", -1.0, "ab")]
    with pytest.raises(SettingError, match="`alpha` has 2 numbers; give one for each"):
        thence.rescore(run, listed, alpha=(1.0, 2.0))
    for weights in ({"alpha": math.nan}, {"beta": math.inf}):
        with pytest.raises(SettingError, match="must be a number from -100,000"):
            thence.rescore(run, listed, **weights)  # type: ignore[arg-type]
    with pytest.raises(TextError, match="lack references"):
        thence.rescore(run, listed, dev=listed)
    with pytest.raises(RunError, match="no run"):
        thence.rescore([], listed)
