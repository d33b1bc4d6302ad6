"""Texts are ranked by their whole probability, each by itself."""

import math
import re
from pathlib import Path

import pytest

import thence
from thence.errors import TextError
from thence.evaluation.scoring import Ranked, Ranking

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
        ((-4.0 - math.log(2), 4), "The first is 2 times as likely as the second, and likelier"),
        ((-4.0, 4), "The first two are equally likely"),
        ((-5.0, 40), "though the second is likelier token by token: it is longer"),
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
