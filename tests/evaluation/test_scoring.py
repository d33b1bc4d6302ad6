"""The score of each text and token, and texts ranked by their probability."""

import json
import math
import pickle
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import orjson
import pytest

import thence
from thence.corpus import Documents
from thence.errors import TextError, UnknownSymbolError
from thence.evaluation import scoring
from thence.evaluation.evaluate import evaluate
from thence.evaluation.ranking import Ranked, Ranking
from thence.evaluation.scoring import score
from thence.runs import Run

Counted = Callable[..., Run]


def test_by_hand(counted: Counted) -> None:
    # The probabilities are worked out in test_language.py.
    (line,) = score(counted(), ["ab"], tokens=True)
    probabilities = [3 / 7, 1 / 2, 4 / 7]
    assert line["text"] == "ab"
    assert line["targets"] == 3
    assert line["log_probability"] == pytest.approx(math.log(math.prod(probabilities)))
    assert line["nats_per_token"] == pytest.approx(-line["log_probability"] / 3)
    assert line["bits_per_byte"] == pytest.approx(-math.log2(math.prod(probabilities)) / 3)
    assert [token["token"] for token in line["tokens"]] == ["a", "b", "<boundary>"]
    for token, probability in zip(line["tokens"], probabilities, strict=True):
        assert token["log_probability"] == pytest.approx(math.log(probability))
        assert token["surprisal_bits"] == pytest.approx(-math.log2(probability))


def test_lines_add_up_to_the_report(counted: Counted) -> None:
    run = counted(dev=["ab", "baé", "", "bbb", "ab"], keep_empty=True)
    lines = list(score(run, run.documents("dev"), tokens=True))
    report = evaluate(run)
    assert [line["text"] for line in lines] == ["ab", "baé", "", "bbb", "ab"]
    assert -sum(line["log_probability"] for line in lines) == pytest.approx(report.nats)
    assert sum(line["targets"] for line in lines) == report.targets
    assert sum(line["unknown"] for line in lines) == report.unknown == 1
    surprisal = sum(token["surprisal_bits"] for line in lines for token in line["tokens"])
    assert surprisal / report.bytes == pytest.approx(report.bits_per_byte)


def test_impossible_texts_are_none_in_json(counted: Counted) -> None:
    (line,) = score(counted(add_k=0.0), ["ba"], tokens=True)
    read = json.loads(json.dumps(line, allow_nan=False))
    assert read["log_probability"] is read["nats_per_token"] is read["bits_per_byte"] is None
    # b may begin a document; a never followed it, and no document ended in a.
    assert [token["surprisal_bits"] is None for token in read["tokens"]] == [False, True, True]


@pytest.mark.parametrize("tokens", [False, True])
def test_lines_written_from_arrays_are_those_of_the_dictionaries(
    counted: Counted, tokens: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scoring, "LINES_AT_ONCE", 2)
    run = counted(add_k=0.0)
    documents = Documents.from_strings(["ab", "", 'b\u00e9\n"', "ba", "\x9b"])
    lots = list(scoring.score_lines(run, documents, tokens))
    assert len(lots) == 3
    expected = [orjson.dumps(line).decode() for line in score(run, documents, tokens)]
    assert [line for lot in lots for line in lot.split("\n")] == expected
    assert "null" in expected[3]
    assert list(scoring.score_lines(run, documents.take(np.zeros(0, np.int64)), tokens)) == []


@pytest.mark.parametrize("texts", ["\ud800", ["a\udcff"], ["a", "\ud800"]])
def test_halves_of_characters_are_refused(counted: Counted, texts: str | list[str]) -> None:
    # An n-gram model scores a single text by a way of its own.
    run = counted(model="ngram", order=2)
    with pytest.raises(TextError, match="half of a surrogate pair"):
        score(run, texts)


def test_empty_texts_and_no_texts(counted: Counted) -> None:
    run = counted()
    assert list(score(run, [])) == []
    (line,) = score(run.folder, Documents.from_strings([""]))
    # Only the end: P(| after |) = (0 + 1) / (3 + 4).
    assert line["targets"] == 1
    assert line["log_probability"] == pytest.approx(math.log(1 / 7))
    assert line["bits_per_byte"] == pytest.approx(math.log2(7))


def test_a_closed_vocabulary_refuses(counted: Counted) -> None:
    with pytest.raises(UnknownSymbolError, match=r"'c' .symbol 2 of document 1"):
        list(score(counted(unknown="refuse"), ["ac"]))


TEXTS = ["the war", "war the", "the trade", "a song"]


@pytest.mark.parametrize("carry", [False, True])
def test_the_order_is_that_of_the_scores_of_each_alone(tmp_path: Path, carry: bool) -> None:
    run = thence.train(
        ["the war", "the trade", "a song"] * 10,
        "ngram",
        order=3,
        carry_context=carry,
        output=tmp_path / "run",
    )
    ranking = run.rank(text for text in TEXTS)
    alone = {text: thence.score(run, [text])[0]["log_probability"] for text in TEXTS}
    assert [one.text for one in ranking] == sorted(TEXTS, key=lambda text: -alone[text])
    best = ranking[0]
    assert best.difference == best.difference_per_token == 0
    for one in ranking:
        assert one.log_probability == pytest.approx(alone[one.text], abs=1e-9)
        assert one.difference == pytest.approx(alone[best.text] - alone[one.text], abs=1e-9)
        above = one.nats_per_token - best.nats_per_token
        assert one.difference_per_token == pytest.approx(above, abs=1e-9)


def ranked(text: str, log_probability: float, targets: int, best: tuple[float, int]) -> Ranked:
    above = -log_probability / targets + best[0] / best[1]
    return Ranked(text, log_probability, targets, 0, best[0] - log_probability, above)


@pytest.mark.parametrize(
    ("second", "sentence"),
    [
        (
            (-4.0 - math.log(2), 4),
            "The first is 2 times as likely as the second, and more probable",
        ),
        ((-4.0, 4), "The first two are equally likely"),
        ((-5.0, 40), "though the second is more probable per token: it is longer"),
        ((-math.inf, 4), "The other texts are impossible"),
        ((-4e6, 4), r"The first is 10\^1737176.2 times"),
    ],
)
def test_the_difference_is_said_in_words(second: tuple[float, int], sentence: str) -> None:
    best = (-4.0, 4)
    texts = Ranking((ranked("a", *best, best), ranked("b", *second, best)))
    assert re.search(sentence, texts.in_words())
    assert sentence.split()[0] in str(texts)


def test_one_text_cannot_be_ranked(sentences: thence.Run) -> None:
    for texts in (["the war"], "the war", []):
        with pytest.raises(TextError, match="takes at least two"):
            thence.rank(sentences, texts)


def test_unknown_symbols_are_counted(sentences: thence.Run) -> None:
    found = {one.text: one.unknown for one in thence.rank(sentences, ["the war", "ñandú"])}
    assert found["the war"] == 0 and found["ñandú"] >= 2


@pytest.mark.parametrize(
    "settings",
    [
        {"tokens": "words"},
        {"tokens": "words", "word_split": "whitespace", "lowercase": True},
        {"tokens": "words", "unknown": "bytes"},
        {"tokens": "characters", "nfc": True},
        {"tokens": "bytes"},
    ],
)
def test_a_single_text_has_the_score_that_it_has_in_a_list(
    trained: Callable[..., Run], settings: dict[str, str | bool]
) -> None:
    run = trained(**settings)
    texts = [
        "the cat sat",
        "",
        "  ",
        "The CAT, é <unk> e\u0301 </s>",
        "cat " * 5000,
        "語\u3000\U0001f600",
    ]
    together = list(score(run, texts))
    assert [score(run, text)[0] for text in texts] == together
    assert [score(run, [text])[0] for text in texts] == together
    again = pickle.loads(pickle.dumps(run))
    assert [score(again, text)[0] for text in texts] == together


@pytest.fixture
def trained(tmp_path: Path) -> Callable[..., Run]:
    def make(**settings: str | bool) -> Run:
        text = ["the cat sat on the mat", "a dog sat", "the dog", "café the cat"] * 3
        return thence.train(text, "ngram", order=3, output=tmp_path / "run", **settings)

    return make
